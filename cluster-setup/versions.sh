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

POD_SUBNET=10.245.0.0/16
SERVICE_SUBNET=10.96.0.0/16
