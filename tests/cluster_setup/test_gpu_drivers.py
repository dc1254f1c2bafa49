"""install-gpu-drivers on a host with a GPU: what an image has brought along stays, what is missing or unsafe comes."""

from __future__ import annotations

import pytest

from lorikeet.testing.host import SETUP, Host

pytestmark = pytest.mark.slow

INSTALL = SETUP / "steps" / "install-gpu-drivers"
DRIVER = "echo Tesla T4, 595.1"


def toolkit(version: str) -> str:
    return (
        f"[[ $1 != --version ]] || echo NVIDIA Container Toolkit CLI version {version}\n"
        "[[ $1 != cdi ]] || echo nvidia.com/gpu=0"
    )


def packages(host: Host) -> list[str]:
    return [word for call in host.calls("apt-get") if "install" in call for word in call.split() if "nvidia" in word]


@pytest.fixture
def gpu_image(ubuntu: Host) -> Host:
    """With a driver and a good toolkit, such as a Deep Learning AMI."""
    ubuntu.program("nvidia-smi", DRIVER)
    ubuntu.program("nvidia-ctk", toolkit("1.20.1"))
    ubuntu.program("nvidia-container-runtime")
    return ubuntu


def test_a_gpu_image_keeps_its_driver_and_toolkit(gpu_image: Host) -> None:
    done = gpu_image.run_as_root(INSTALL)
    assert done.status == 0, done.said
    assert packages(gpu_image) == []
    assert "Tesla T4, 595.1, container toolkit 1.20.1" in done.said


def test_a_host_without_a_driver_gets_one_for_its_kernel(ubuntu: Host) -> None:
    done = ubuntu.run_as_root(INSTALL)
    assert done.status == 0, done.said
    running = ubuntu.run("uname", "-r").out.strip()
    assert packages(ubuntu)[:3] == [
        f"linux-modules-nvidia-580-server-open-{running}",
        "nvidia-headless-no-dkms-580-server-open",
        "nvidia-utils-580-server",
    ]
    assert "modprobe nvidia-uvm" in ubuntu.calls()


def test_a_driver_that_finds_no_gpu_is_said_with_the_next_step(ubuntu: Host) -> None:
    apt = ubuntu.folder / "bin" / "apt-get"
    apt.write_text(apt.read_text().replace("echo Tesla T4, 580.1", "exit 9"))
    done = ubuntu.run_as_root(INSTALL)
    assert done.status == 1
    assert "nvidia-smi does not answer: does 'lspci' show a GPU? If so, reboot this host" in done.said


@pytest.mark.parametrize(
    ("version", "stays"),
    [
        ("1.17.7", False),
        ("1.9.0", False),
        ("1.17.8~rc.1", False),
        ("1.17.8-rc.1", False),
        ("1.17.8", True),
        ("1.18.0", True),
        ("2.0.0", True),
    ],
)
def test_a_toolkit_older_than_the_fix_of_cve_2025_23266_is_replaced(gpu_image: Host, version: str, stays: bool) -> None:
    gpu_image.program("nvidia-ctk", toolkit(version))
    done = gpu_image.run_as_root(INSTALL)
    assert done.status == 0, done.said
    assert (packages(gpu_image) == []) is stays
    assert stays or packages(gpu_image)[0] == "nvidia-container-toolkit=1.19.1-1"


def test_a_toolkit_that_stays_unsafe_is_an_error(gpu_image: Host) -> None:
    gpu_image.program("nvidia-ctk", toolkit("1.17.7"))
    gpu_image.program("apt-get")
    done = gpu_image.run_as_root(INSTALL)
    assert done.status == 1
    assert "'1.17.7', which lets containers become root (CVE-2025-23266): install 1.17.8 or later" in done.said


def test_containerd_gets_the_runtime_without_losing_anything(ubuntu: Host) -> None:
    ubuntu.run_as_root(SETUP / "steps" / "install-k8s")
    before = ubuntu.path("/etc/containerd/config.toml").read_text()
    ubuntu.forget_calls()
    ubuntu.run_as_root(INSTALL)
    after = ubuntu.path("/etc/containerd/config.toml").read_text()
    assert after.startswith(before.rstrip())
    assert f'BinaryName = "{ubuntu.folder}/bin/nvidia-container-runtime"' in after
    assert "default_runtime_name" not in after
    assert ubuntu.calls("systemctl").count("systemctl restart containerd") == 1


def test_neither_step_undoes_the_other_and_no_second_run_restarts_containerd(gpu_image: Host) -> None:
    for step in ("install-k8s", "install-gpu-drivers"):
        gpu_image.run_as_root(SETUP / "steps" / step)
    gpu_image.forget_calls()
    for step in ("install-k8s", "install-gpu-drivers"):
        gpu_image.run_as_root(SETUP / "steps" / step)
    assert "nvidia" in gpu_image.path("/etc/containerd/config.toml").read_text()
    assert "systemctl restart containerd" not in gpu_image.calls()


def test_a_host_without_a_cdi_specification_gets_one(gpu_image: Host) -> None:
    gpu_image.program("nvidia-ctk", "[[ $1 != --version ]] || echo NVIDIA Container Toolkit CLI version 1.17.9")
    gpu_image.run_as_root(INSTALL)
    assert "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml" in gpu_image.calls()


def test_where_gpus_are_numbers_nothing_is_installed(gpu_image: Host) -> None:
    done = gpu_image.run_as_root(INSTALL, SOURCES=str(SETUP / "sources" / "local.sh"))
    assert done.status == 0, done.said
    assert "GPUs are numbers on this kind of host" in done.said
    assert packages(gpu_image) == []
