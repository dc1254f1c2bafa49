# shellcheck shell=bash
# What Kubernetes wants of the kernel.

# The first three are for pods' packets; the rest are those that a kubelet with protectKernelDefaults insists on.
SYSCTLS=(
  net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1
  vm.overcommit_memory=1 vm.panic_on_oom=0 kernel.panic=10 kernel.panic_on_oops=1
  kernel.keys.root_maxkeys=1000000 kernel.keys.root_maxbytes=25000000
)

sysctl_holds() { [[ $(sysctl -n "${1%%=*}") == "${1#*=}" ]]; }

sysctls_hold() {
  local setting
  for setting in "${SYSCTLS[@]}"; do sysctl_holds "$setting" || return 1; done
}

has_overlay() { grep -qw overlay /proc/filesystems; }
has_bridge_filter() { [[ -e /proc/sys/net/bridge ]]; }
