# shellcheck shell=bash
# shellcheck disable=SC2034  # the settings are read by the steps
# The seam for hosts that run Ubuntu 22.04 or 24.04 with systemd, in a cloud or under a desk. The same names as in local.sh.
# Packages come from Ubuntu, Docker (containerd: Ubuntu's own is a 1.x, which Kubernetes is about to leave behind), Kubernetes
# and NVIDIA, each at the version of versions.sh and held there; a download is tried again for some minutes.

install_packages() {
  local program
  # shellcheck source=/dev/null
  (source /etc/os-release && [[ $ID-$VERSION_ID == ubuntu-22.04 || $ID-$VERSION_ID == ubuntu-24.04 ]]) ||
    fail "$HOST runs $(grep -oP '^PRETTY_NAME="\K[^"]+' /etc/os-release): sources/ubuntu.sh is for Ubuntu 22.04 and 24.04; choose such an image, or write a file like it"
  for program in curl conntrack ethtool socat; do
    command -v "$program" >/dev/null || apt_install ca-certificates curl conntrack ethtool socat
  done
  # GPU images bring a containerd, often a newer one.
  ! version_at_least "$(containerd --version 2>/dev/null | awk '{ print $3 }')" "$CONTAINERD_VERSION" || return 0
  # shellcheck source=/dev/null
  add_repository download.docker.com/linux/ubuntu https://download.docker.com/linux/ubuntu/gpg \
    "$(source /etc/os-release && echo "$VERSION_CODENAME") stable"
  apt_install "containerd.io=$CONTAINERD_VERSION-*"
  apt-mark hold containerd.io >/dev/null
}

install_kubernetes() {
  local version=${KUBERNETES_VERSION#v} source=pkgs.k8s.io/core:/stable:/${KUBERNETES_VERSION%.*}/deb
  if [[ $(kubeadm version -o short 2>/dev/null) != "$KUBERNETES_VERSION" || $(kubelet --version 2>/dev/null) != "Kubernetes $KUBERNETES_VERSION" ]]; then
    add_repository "$source" "https://$source/Release.key" /
    apt_install "kubeadm=$version-*" "kubelet=$version-*" "kubectl=$version-*"
  fi
  apt-mark hold kubeadm kubelet kubectl >/dev/null
  # [CIS 4.1.1] An override, because an update of the package would open it again.
  local unit=/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf
  dpkg-statoverride --list "$unit" >/dev/null || dpkg-statoverride --update --add root root 600 "$unit"
}

# They come with the kubelet's package.
install_cni_plugins() { [[ -x /opt/cni/bin/loopback ]] || apt_install kubernetes-cni; }

# Pulled before kubeadm init, so that a slow registry is not taken for a control plane that does not start.
provide_images() {
  [[ $1 == control-plane && ! -e /etc/kubernetes/initialised ]] || return 0
  retry 6 pull_images
}
pull_images() (quietly /var/log/kubeadm-images.log kubeadm config images pull --kubernetes-version "$KUBERNETES_VERSION")

# Pods have addresses of their own, carried in VXLAN between hosts: clouds drop packets from addresses they do not know, also
# inside one subnet (hence Always), and do not pass on BGP. NetworkPolicies are enforced.
CNI=manifest
cni_manifest() {
  local file
  file=$(download "https://raw.githubusercontent.com/projectcalico/calico/$CALICO_VERSION/manifests/calico-vxlan.yaml" "$CALICO_SHA256")
  sed -e 's/value: "CrossSubnet"/value: "Always"/' -e 's/# - name: CALICO_IPV4POOL_CIDR/- name: CALICO_IPV4POOL_CIDR/' \
    -e "s|#   value: \"192.168.0.0/16\"|  value: \"$POD_SUBNET\"|" "$file"
}

SWAP=off
PLAIN_REGISTRIES=()
SANDBOX_IMAGE=registry.k8s.io/pause:$PAUSE_VERSION
CONTAINERD_RESTRICT_OOM_SCORE=false
CONTAINERD_DISABLE_APPARMOR=false
CONTAINERD_SYSTEMD_CGROUP=true

# What the host itself needs is not given to pods.
KUBELET_SETTINGS='
cgroupDriver: systemd
systemReserved: {cpu: 100m, memory: 300Mi}
kubeReserved: {cpu: 100m, memory: 300Mi}'

# Not nftables: Calico's own rules are for iptables, and the two must agree.
KUBE_PROXY_SETTINGS='
mode: iptables'

KUBEADM_IMAGE_TAGS='' # those that kubeadm names
KUBEADM_IGNORE=none

set_hostname() {
  [[ $(hostname) == "$1" ]] || hostnamectl set-hostname "$1"
  [[ ! -d /etc/cloud/cloud.cfg.d ]] || echo 'preserve_hostname: true' >/etc/cloud/cloud.cfg.d/99-hostname.cfg
  grep -qw "$1" /etc/hosts || echo "127.0.1.1 $1" >>/etc/hosts
}

# The timer also fires two minutes after a boot, so what was cut short by one goes on.
run_hourly() {
  printf '[Unit]\nAfter=network-online.target\nWants=network-online.target\n[Service]\nType=oneshot\nExecStart=%s\n' "$2" >"/etc/systemd/system/$1.service"
  printf '[Timer]\nOnBootSec=2min\nOnUnitActiveSec=1h\n[Install]\nWantedBy=timers.target\n' >"/etc/systemd/system/$1.timer"
  systemctl daemon-reload
  systemctl enable --quiet --now "$1.timer"
}

install_aws_cli() { command -v aws >/dev/null || retry 6 snap install aws-cli --classic; }

# --- GPUs -------------------------------------------------------------------------------------------------------------
GPUS=nvidia
# The second label is ours: GPU Feature Discovery writes the first one too, and takes it away when it stops.
GPU_NODE_LABELS=(nvidia.com/gpu.present=true lorikeet.dev/gpu=true)

# The kernel's modules come built and signed for just this kernel.
install_gpu_driver() {
  apt_install "linux-modules-nvidia-$NVIDIA_DRIVER-$(uname -r)" "nvidia-headless-no-dkms-$NVIDIA_DRIVER" "nvidia-utils-${NVIDIA_DRIVER%-open}"
  modprobe nvidia && modprobe nvidia-uvm
}

install_container_toolkit() {
  local source=nvidia.github.io/libnvidia-container version=$NVIDIA_TOOLKIT_VERSION-1
  add_repository "$source/stable/deb/$(dpkg --print-architecture)" "https://$source/gpgkey" /
  apt_install "nvidia-container-toolkit=$version" "nvidia-container-toolkit-base=$version" \
    "libnvidia-container-tools=$version" "libnvidia-container1=$version"
  apt-mark hold nvidia-container-toolkit nvidia-container-toolkit-base libnvidia-container-tools libnvidia-container1 >/dev/null
}

device_plugin_manifests() {
  local file
  file=$(download "https://raw.githubusercontent.com/kubernetes-sigs/node-feature-discovery/$NFD_VERSION/deployment/base/nfd-crds/nfd-api-crds.yaml" "$NFD_SHA256")
  cat "$file"
  echo ---
  cat "$(dirname "${BASH_SOURCE[0]}")/../manifests/nvidia.yaml"
}

# --- what `verify` runs in pods ------------------------------------------------------------------------------------------
PROBE_IMAGE=registry.k8s.io/e2e-test-images/agnhost:2.53
PROBE_SERVER='["/agnhost", "netexec", "--http-port=8080"]'
PROBE_CONNECT=(/agnhost connect --timeout=3s) # HOST:PORT follows
GPU_PROBE_IMAGE=nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0
GPU_PROBE_COMMAND='[]' # the image's own
GPU_PROBE_SAYS='Test PASSED'

# --- how it is done ------------------------------------------------------------------------------------------------------
# add_repository ADDRESS KEY_URL SUITE: unless the host knows it already, maybe with a key file of another name.
add_repository() {
  local name=${1%%/*}
  ! grep -rqsF "$1" /etc/apt/sources.list /etc/apt/sources.list.d || return 0
  install -d -m 755 /etc/apt/keyrings
  retry 6 curl -fsSL --connect-timeout 10 -o "/etc/apt/keyrings/$name.asc" "$2"
  echo "deb [arch=$(dpkg --print-architecture) signed-by=/etc/apt/keyrings/$name.asc] https://$1 $3" >"/etc/apt/sources.list.d/$name.list"
}

# Freshly booted hosts update themselves: others hold apt's locks, and mirrors may answer with yesterday's index.
apt_install() {
  say "$HOST: apt-get install $*"
  retry 6 try_apt_install "$@"
}

try_apt_install() (
  export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
  apt=(apt-get -q -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)
  { dpkg --configure -a && "${apt[@]}" update && "${apt[@]}" install --yes --no-install-recommends --allow-change-held-packages "$@"; } \
    >/var/log/lorikeet-apt.log 2>&1 || { tail -n 5 /var/log/lorikeet-apt.log >&2 && exit 1; }
)

# download URL SHA256: prints the name of a file that is just that.
download() {
  local file=/var/cache/lorikeet/$2
  mkdir -p /var/cache/lorikeet
  [[ -f $file ]] || retry 6 curl -fsSL --connect-timeout 10 -o "$file.part" "$1"
  [[ -f $file ]] || mv "$file.part" "$file"
  sha256sum --status -c <<<"$2  $file" || { rm -f "$file" && fail "$1 is not what it was (sha256 $2): do not use it; see what changed, then versions.sh"; }
  echo "$file"
}
