"""A host that is none, for scripts that would change one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorikeet.testing.host import Host, can_have_roots


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Waiting costs it no time."""
    host = Host(tmp_path)
    host.program("sleep")
    return host


@pytest.fixture
def ubuntu(host: Host) -> Host:
    """Ubuntu 24.04 as it comes, with a package manager that makes programs out of packages' names."""
    if not can_have_roots():
        pytest.skip("needs root, for a root directory of its own")
    host.write("/etc/os-release", 'ID=ubuntu\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\nPRETTY_NAME="Ubuntu 24.04"\n')
    host.write("/etc/fstab", "/dev/root / ext4 defaults 0 1\n/swap.img none swap sw 0 0\n")
    for name, body in UBUNTU.items():
        host.program(name, body)
    host.environment["SOURCES"] = str(Path(__file__).parents[2] / "cluster-setup/sources/ubuntu.sh")
    return host


INSTALL = """
make() { printf '#!/bin/bash\\n%s\\n' "$2" >"$(dirname "$0")/$1"; chmod +x "$(dirname "$0")/$1"; }
[[ " $* " == *" install "* ]] || exit 0
for package in "$@"; do
  version=${package#*=} version=${version%%-*}
  case $package in
    containerd.io=*) make containerd "echo containerd containerd.io v$version abc"; make ctr "" ;;
    kubeadm=*) make kubeadm "echo v$version" ;;
    kubelet=*) make kubelet "echo Kubernetes v$version"; mkdir -p /opt/cni/bin; make loopback ""
      mv "$(dirname "$0")/loopback" /opt/cni/bin/ ;;
    nvidia-utils-*) make nvidia-smi "echo Tesla T4, 580.1" ;;
    nvidia-container-toolkit=*) make nvidia-ctk "
      [[ \\$1 != --version ]] || echo NVIDIA Container Toolkit CLI version $version
      [[ \\$1 != cdi ]] || echo nvidia.com/gpu=0"
      make nvidia-container-runtime "" ;;
  esac
done
"""
UBUNTU = {
    "apt-get": INSTALL,
    "apt-mark": "",
    "dpkg": "[[ $1 != --print-architecture ]] || echo amd64",
    "dpkg-statoverride": "[[ $1 != --list ]]",
    "curl": 'while (($#)); do [[ $1 != -o ]] || echo "from $state" >"$2"; shift; done',
    "containerd": "exit 127",
    "ctr": "",
    "modprobe": "",
    "swapoff": "",
    "snap": "",
    "conntrack": "",
    "ethtool": "",
    "socat": "",
    "hostname": "echo gpu1",
    "nvidia-smi": "exit 127",
    "nvidia-ctk": "exit 127",
    "sysctl": """
case $1 in
  -n) cat "$state/$2" 2>/dev/null || echo unset ;;
  -q) echo "${3#*=}" >"$state/${3%%=*}" ;;
esac""",
    "systemctl": """
case $1 in
  is-enabled) [[ -e $state/$2.enabled ]] ;;
  is-active) [[ -e $state/$2.active ]] ;;
  enable) touch "$state/${!#}.enabled" ;;
  start | restart) touch "$state/$2.active" ;;
esac""",
}
