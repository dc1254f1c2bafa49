# shellcheck shell=bash
# shellcheck disable=SC2034  # the settings are read by the steps
# The seam: where a host's packages, binaries and images come from, and which settings its kind needs. This is the file for
# local machines (namespaces of one Linux host); another kind of host gets another file with the same names in it, chosen by
# SOURCES=/path/to/file. The steps never ask what kind of host they run on.

# shellcheck source-path=SCRIPTDIR source=../local/places.sh
source "$(dirname "${BASH_SOURCE[0]}")/../local/places.sh"

# Puts containerd, runc and the programs that kubeadm and the kubelet call onto this host.
# Here: the host's own Debian packages are visible in the machine (cluster-setup/local/packages installed them).
install_packages() {
  local program
  for program in containerd runc nft conntrack ethtool socat iptables; do
    command -v "$program" >/dev/null || fail "no $program on this host: run cluster-setup/local/packages"
  done
}

# Puts kubeadm, kubelet and kubectl of KUBERNETES_VERSION into PATH.
# Here: links to what cluster-setup/local/toolchain built.
install_kubernetes() {
  local program
  for program in kubeadm kubelet kubectl; do ln -sf "$BIN/$program" /usr/local/bin/; done
}

# Puts the CNI plugins that the conflist of CNI names into /opt/cni/bin.
install_cni_plugins() {
  mkdir -p /opt/cni/bin
  ln -sf /usr/lib/cni/* /opt/cni/bin/
}

# provide_images control-plane|worker: makes the images that kubeadm names for this role known to containerd.
# Here: imports what cluster-setup/local/node-images built; elsewhere `kubeadm config images pull` or nothing.
provide_images() {
  local archive reference known imported=/var/lib/containerd/imported
  known=$(ctr -n k8s.io images ls -q)
  mkdir -p "$imported"
  for archive in "$IMAGES/node-$KUBERNETES_VERSION/$1"/*.tar "$IMAGES/node-$KUBERNETES_VERSION"/every/*.tar; do
    [[ -e $archive ]] || continue
    reference=$(<"${archive%.tar}.ref")
    grep -qxF "$reference" <<<"$known" && [[ $imported/$(basename "$archive") -nt $archive ]] && continue
    ctr -n k8s.io images import "$archive" >/dev/null
    touch "$imported/$(basename "$archive")"
  done
}

# Pods reach each other by a bridge per machine and routes between machines (`bridge`), or by agents of their own (`manifest`:
# what cni_manifest prints). Calico's images cannot be built from the sources we allow here, so local machines use bridges.
CNI=bridge
cni_manifest() { fail "local machines network their pods by a bridge: there is no manifest"; }

# Swap on a local machine is the host's, so it is not ours to turn off: `off` or `leave`.
SWAP=leave

# Registries that containerd may speak plain HTTP to, as HOST:PORT. Here: our own on the bridge.
PLAIN_REGISTRIES=("$REGISTRY_ADDRESS")

SANDBOX_IMAGE=registry.k8s.io/pause:$PAUSE_VERSION

# A container's oom_score_adj may not go below that of containerd itself unless containerd has CAP_SYS_RESOURCE, which root
# in a sandbox or container often lacks: every pod would fail with "can't get final child's PID from pipe".
CONTAINERD_RESTRICT_OOM_SCORE=true
# A machine cannot load AppArmor profiles into the host's kernel.
CONTAINERD_DISABLE_APPARMOR=true
# No systemd inside a machine to ask for cgroups. Hosts that run systemd say true here and cgroupDriver: systemd below.
CONTAINERD_SYSTEMD_CGROUP=false

# YAML of KubeletConfiguration. failCgroupV1: the host may still be on cgroup v1, refused by default since Kubernetes 1.35.
# Eviction and image collection: the disk is the host's, and its being 90 % full must cost no pod and no image.
KUBELET_SETTINGS='
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
evictionHard: {memory.available: "100Mi", nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "0%"}
imageGCHighThresholdPercent: 100'

# YAML of KubeProxyConfiguration. conntrack: the limits are the whole kernel's and a machine may not write them; 0 leaves them.
KUBE_PROXY_SETTINGS='
mode: nftables
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}'

# YAML of ClusterConfiguration: where kubeadm should look for other versions than those it names. Here: the tags are those of
# the programs really inside (cluster-setup/local/node-images), not those that kubeadm would guess.
KUBEADM_IMAGE_TAGS="etcd: {local: {imageTag: $ETCD_VERSION}}
dns: {imageTag: $COREDNS_VERSION}"

# Preflight checks of kubeadm that cannot hold here. SystemVerification: refuses cgroup v1.
KUBEADM_IGNORE=SystemVerification

# set_hostname NAME. A machine has its name from the moment it starts.
set_hostname() { [[ $(hostname) == "$1" ]] || fail "this machine is called $(hostname), and was to be called $1"; }

# run_hourly NAME PROGRAM: from now on, also after a reboot. Here: a service of the machine's that sleeps most of the time, with
# what the program would find in its environment.
run_hourly() {
  local service=/opt/machine/services/$1
  {
    echo '#!/usr/bin/env bash'
    declare -px SOURCES HOME PATH LORIKEET_CLUSTER LORIKEET_NETWORK LORIKEET_CACHE "${!AWS_@}" 2>/dev/null || true
    printf 'sleep 120\nwhile :; do %q || true; sleep 3600; done\n' "$2"
  } >"$service"
  chmod +x "$service"
  systemctl enable "$1"
  systemctl start "$1"
}

# The AWS CLI, for nodes in that cloud. Here: whoever plays the cloud puts an `aws` into PATH.
install_aws_cli() { command -v aws >/dev/null || fail "no aws in PATH"; }

# GPUs are numbers here, or NVIDIA's; with numbers there is no driver and no toolkit to install.
GPUS=numbers
install_gpu_driver() { :; }
install_container_toolkit() { :; }

# What advertises nvidia.com/gpu, as YAML. Here: a test tool of ours.
device_plugin_manifests() { cat "$(dirname "${BASH_SOURCE[0]}")/../manifests/device-plugin.yaml"; }
# What a GPU worker's node carries from the moment it joins; here also what GPU Feature Discovery would find out.
GPU_NODE_LABELS=(nvidia.com/gpu.present=true nvidia.com/gpu.product=Tesla-T4 nvidia.com/gpu.memory=15360)

# What `verify` runs in pods: a server on port 8080, a client (HOST:PORT follows), and one that says something of its GPU.
PROBE_IMAGE=lorikeet-testing:dev
PROBE_SERVER='["python3", "-m", "http.server", "8080"]'
PROBE_CONNECT=(python3 -c 'import socket, sys; socket.create_connection(sys.argv[1].rsplit(":", 1), 3)')
GPU_PROBE_IMAGE=lorikeet-testing:dev
GPU_PROBE_COMMAND='["python3", "-c", "import os; print(os.environ[\"NVIDIA_VISIBLE_DEVICES\"])"]'
GPU_PROBE_SAYS=.
