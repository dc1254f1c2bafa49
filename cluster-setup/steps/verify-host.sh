# shellcheck shell=bash
# shellcheck disable=SC2154  # settings come from the seam
# What `verify` asks of the host it runs on.

verify_host() {
  if [[ $SWAP == off ]]; then
    check "$HOST: swap is off" "run 'swapoff -a', and look into /etc/fstab" swap_is_off
  else
    skip "$HOST: swap" "on this kind of host it is not ours to turn off"
  fi
  check "$HOST: the kernel has overlay and br_netfilter" "run 'modprobe overlay br_netfilter', or install-k8s again" has_modules
  check "$HOST: the kernel's settings are those of /etc/sysctl.d/90-kubernetes.conf" "run install-k8s again" sysctls_hold
  check "$HOST: containerd answers" "look at journalctl -u containerd or /var/log/containerd.log" ctr version
  check "$HOST: kubelet $KUBERNETES_VERSION runs" "look at journalctl -u kubelet or /var/log/kubelet.log" kubelet_runs
  [[ $GPUS != nvidia ]] || ! command -v nvidia-smi >/dev/null || verify_gpu_host
}

swap_is_off() { [[ $(wc -l </proc/swaps) -eq 1 ]]; }

has_modules() { has_overlay && has_bridge_filter; }

kubelet_runs() { systemctl is-active kubelet && [[ $(kubelet --version) == "Kubernetes $KUBERNETES_VERSION" ]]; }

verify_gpu_host() {
  check "$HOST: $(nvidia-smi -L 2>/dev/null | head -n 1) answers" "run install-gpu-drivers again; 'dmesg | grep -i nvrm' says why" nvidia-smi
  check "$HOST: there is a CDI specification" "run install-gpu-drivers again" grep -q nvidia.com/gpu= <(nvidia-ctk cdi list 2>&1)
}
