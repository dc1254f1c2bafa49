# shellcheck shell=bash
# shellcheck disable=SC2034  # read by the scripts that source this file
# What every cluster runs, wherever it runs. The go.mod files of local/toolchain must agree; its build checks that.

KUBERNETES_VERSION=v1.36.3
ETCD_VERSION=3.7.3
COREDNS_VERSION=v1.15.0
HELM_VERSION=v4.3.1
CRANE_VERSION=v0.22.1
KUBECONFORM_VERSION=v0.8.0
PAUSE_VERSION=3.10.2 # the one that kubeadm of this Kubernetes names

# What only hosts of your own need (sources/ubuntu.sh): local machines have Debian's containerd, and GPUs that are numbers.
CONTAINERD_VERSION=2.3.6
CALICO_VERSION=v3.32.1
CALICO_SHA256=c2ab4f9a4ecde01d66e6f040d6745cd7f174d5ded573164c809ffb9f40a9d566 # of manifests/calico-vxlan.yaml
NVIDIA_DRIVER=580-server-open     # Ubuntu's branch; from Turing (T4) on. GPU images bring their own
NVIDIA_TOOLKIT_VERSION=1.19.1
NVIDIA_TOOLKIT_LEAST=1.17.8       # older ones let a container run programs of its own as root on the host: CVE-2025-23266
NFD_VERSION=v0.18.3
NFD_SHA256=f8a40048b99110feaee4813dbb92ebfdaa3c7d722e1836a804207e22f72a9072 # of its CRDs

POD_SUBNET=10.245.0.0/16
SERVICE_SUBNET=10.96.0.0/16
