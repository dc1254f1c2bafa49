# shellcheck shell=bash
# shellcheck disable=SC2154  # settings come from the seam
# containerd's configuration has one author: whoever changes what belongs into it calls configure_containerd again.

configure_containerd() {
  local registry
  for registry in "${PLAIN_REGISTRIES[@]}"; do
    mkdir -p "/etc/containerd/certs.d/$registry"
    printf 'server = "http://%s"\n[host."http://%s"]\n  capabilities = ["pull", "resolve"]\n' "$registry" "$registry" |
      write_if_changed "/etc/containerd/certs.d/$registry/hosts.toml" || true
  done
  containerd_config | write_if_changed /etc/containerd/config.toml || true
  systemctl is-enabled containerd >/dev/null || systemctl enable containerd
  # What it runs with, not what was just written: a run may have been cut short between the two.
  if ! cmp -s /etc/containerd/config.toml /etc/containerd/in-use.toml || ! systemctl is-active containerd >/dev/null; then
    systemctl restart containerd
    cp /etc/containerd/config.toml /etc/containerd/in-use.toml
  fi
  wait_for 30 "containerd on $HOST" ctr version || fail "$HOST: containerd does not answer; see /var/log/containerd.log or journalctl -u containerd"
}

# Version 2 is read by containerd 1.6 and, as an older form, by 2.x.
containerd_config() {
  cat <<-END
	version = 2
	[plugins."io.containerd.grpc.v1.cri"]
	  sandbox_image = "$SANDBOX_IMAGE"
	  restrict_oom_score_adj = $CONTAINERD_RESTRICT_OOM_SCORE
	  disable_apparmor = $CONTAINERD_DISABLE_APPARMOR
	[plugins."io.containerd.grpc.v1.cri".registry]
	  config_path = "/etc/containerd/certs.d"
	[plugins."io.containerd.grpc.v1.cri".cni]
	  bin_dir = "/opt/cni/bin"
	  conf_dir = "/etc/cni/net.d"
	[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
	  runtime_type = "io.containerd.runc.v2"
	[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
	  SystemdCgroup = $CONTAINERD_SYSTEMD_CGROUP
	END
  ! command -v nvidia-container-runtime >/dev/null || nvidia_runtime
}

# Pods that ask for a GPU run in the usual runtime and get it by CDI. Those that watch over all GPUs of a host ask for this
# one by name, with the RuntimeClass nvidia; nobody gets it by default.
nvidia_runtime() {
  cat <<-END
	[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
	  runtime_type = "io.containerd.runc.v2"
	[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia.options]
	  BinaryName = "$(command -v nvidia-container-runtime)"
	  SystemdCgroup = $CONTAINERD_SYSTEMD_CGROUP
	END
}
