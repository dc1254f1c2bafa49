"""What the steps do to a host that runs Ubuntu, as far as its programs can tell: what is installed from where, and that
a second run finds nothing to do."""

from __future__ import annotations

import re

import pytest

from lorikeet.testing.host import SETUP, Host

pytestmark = pytest.mark.slow

INSTALL_K8S = SETUP / "steps" / "install-k8s"
PIN = dict(re.findall(r"^(\w+)=(\S+)", (SETUP / "versions.sh").read_text(), re.MULTILINE))
KUBERNETES = PIN["KUBERNETES_VERSION"].removeprefix("v")


def test_a_fresh_host_gets_the_pinned_versions_and_holds_them(ubuntu: Host) -> None:
    done = ubuntu.run_as_root(INSTALL_K8S)
    assert done.status == 0, done.said
    installed = [word for call in ubuntu.calls("apt-get") for word in call.split() if "=" in word and "::" not in word]
    assert installed == [f"containerd.io={PIN['CONTAINERD_VERSION']}-*"] + [
        f"{name}={KUBERNETES}-*" for name in ("kubeadm", "kubelet", "kubectl")
    ]
    assert ubuntu.calls("apt-mark") == ["apt-mark hold containerd.io", "apt-mark hold kubeadm kubelet kubectl"]


def test_nobody_but_root_reads_how_the_kubelet_is_started(ubuntu: Host) -> None:
    ubuntu.run_as_root(INSTALL_K8S)
    unit = "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"
    assert f"dpkg-statoverride --update --add root root 600 {unit}" in ubuntu.calls()


def test_packages_come_from_repositories_whose_keys_are_named(ubuntu: Host) -> None:
    ubuntu.run_as_root(INSTALL_K8S)
    lists = [file.read_text() for file in sorted(ubuntu.path("/etc/apt/sources.list.d").glob("*.list"))]
    minor = ".".join(PIN["KUBERNETES_VERSION"].split(".")[:2])
    options = "[arch=amd64 signed-by=/etc/apt/keyrings/{}.asc] https://{}"
    assert lists == [
        "deb " + options.format("download.docker.com", "download.docker.com/linux/ubuntu noble stable\n"),
        "deb " + options.format("pkgs.k8s.io", f"pkgs.k8s.io/core:/stable:/{minor}/deb /\n"),
    ]
    assert all(ubuntu.path(f"/etc/apt/keyrings/{name}.asc").exists() for name in ("download.docker.com", "pkgs.k8s.io"))


def test_swap_is_off_now_and_after_a_boot(ubuntu: Host) -> None:
    ubuntu.run_as_root(INSTALL_K8S)
    assert ubuntu.calls("swapoff") == ["swapoff -a"]
    assert "\n/swap.img" not in ubuntu.path("/etc/fstab").read_text()
    assert ubuntu.path("/etc/fstab").read_text().startswith("/dev/root / ext4")


def test_a_second_run_installs_restarts_and_writes_nothing(ubuntu: Host) -> None:
    ubuntu.run_as_root(INSTALL_K8S)
    before = {file: file.stat().st_mtime_ns for file in ubuntu.path("/etc/containerd").rglob("*")}
    ubuntu.forget_calls()
    done = ubuntu.run_as_root(INSTALL_K8S)
    assert done.status == 0, done.said
    assert not ubuntu.calls("apt-get")
    assert not ubuntu.calls("curl")
    assert not [call for call in ubuntu.calls("systemctl") if "start" in call]
    assert not [call for call in ubuntu.calls("sysctl") if "-w" in call]
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_a_run_that_was_killed_before_containerd_was_restarted_restarts_it(ubuntu: Host) -> None:
    ubuntu.run_as_root(INSTALL_K8S)
    ubuntu.path("/etc/containerd/in-use.toml").write_text("what it ran with before\n")
    ubuntu.forget_calls()
    ubuntu.run_as_root(INSTALL_K8S)
    assert "systemctl restart containerd" in ubuntu.calls()


def test_a_newer_containerd_of_the_image_is_left_as_it_is(ubuntu: Host) -> None:
    ubuntu.program("containerd", "echo containerd containerd.io v9.0.0 abc")
    ubuntu.run_as_root(INSTALL_K8S)
    assert not [call for call in ubuntu.calls("apt-get") if "containerd" in call]


def test_a_repository_that_the_image_knows_is_not_added_again(ubuntu: Host) -> None:
    ubuntu.write(
        "/etc/apt/sources.list.d/docker.list",
        "deb [signed-by=/x] https://download.docker.com/linux/ubuntu noble stable\n",
    )
    ubuntu.run_as_root(INSTALL_K8S)
    assert not ubuntu.path("/etc/apt/sources.list.d/download.docker.com.list").exists()


def test_another_system_is_refused_with_what_to_do(ubuntu: Host) -> None:
    ubuntu.write("/etc/os-release", 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n')
    done = ubuntu.run_as_root(INSTALL_K8S)
    assert done.status == 1
    assert "gpu1 runs Debian 12: sources/ubuntu.sh is for Ubuntu 22.04 and 24.04; choose such an image" in done.said


def test_a_package_manager_that_is_busy_is_asked_again(ubuntu: Host) -> None:
    fails_twice = 'echo >>"$state/tries"; [[ $(wc -l <"$state/tries") -gt 2 ]] || exit 100\n'
    file = ubuntu.folder / "bin" / "apt-get"
    head, body = file.read_text().split("\nmake()", 1)
    file.write_text(f"{head}\n{fails_twice}make(){body}")
    done = ubuntu.run_as_root(INSTALL_K8S)
    assert done.status == 0, done.said
    assert "'try_apt_install' failed (try 2 of 6), again in 4 s" in done.said


@pytest.mark.parametrize("kind", ["cni_manifest", "device_plugin_manifests"])
def test_a_manifest_that_is_not_what_it_was_is_refused(ubuntu: Host, kind: str) -> None:
    done = ubuntu.run_as_root(
        "bash", "-c", f"set -euo pipefail; cd {SETUP}; . say.sh; . versions.sh; . $SOURCES; {kind}"
    )
    assert done.status != 0
    assert "is not what it was" in done.said
    assert not done.out
    assert not [file for file in ubuntu.path("/var/cache/lorikeet").iterdir() if not file.name.endswith(".part")]


def test_the_host_gets_its_name_and_keeps_it(ubuntu: Host) -> None:
    ubuntu.program("hostnamectl")
    ubuntu.write("/etc/cloud/cloud.cfg.d/05_logging.cfg", "")
    ubuntu.write("/etc/hosts", "127.0.0.1 localhost\n")
    for _ in range(2):
        ubuntu.run_as_root("bash", "-c", ". $SOURCES; set_hostname worker1")
    assert ubuntu.path("/etc/hosts").read_text() == "127.0.0.1 localhost\n127.0.1.1 worker1\n"
    assert ubuntu.path("/etc/cloud/cloud.cfg.d/99-hostname.cfg").read_text() == "preserve_hostname: true\n"
    assert "hostnamectl set-hostname worker1" in ubuntu.calls()


def test_what_runs_hourly_is_a_timer(ubuntu: Host) -> None:
    done = ubuntu.run_as_root("bash", "-c", ". $SOURCES; run_hourly lorikeet-node /opt/lorikeet/node")
    assert done.status == 0, done.said
    assert "ExecStart=/opt/lorikeet/node\n" in ubuntu.path("/etc/systemd/system/lorikeet-node.service").read_text()
    assert "OnUnitActiveSec=1h" in ubuntu.path("/etc/systemd/system/lorikeet-node.timer").read_text()
    assert ubuntu.calls("systemctl")[-1] == "systemctl enable --quiet --now lorikeet-node.timer"
