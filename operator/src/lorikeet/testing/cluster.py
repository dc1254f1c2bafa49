"""A local cluster of a test's own, beside any other on the machine: its scripts, its kubectl, its machines."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CACHE = Path(os.environ.get("LORIKEET_CACHE", Path.home() / ".cache" / "lorikeet"))


class Failed(AssertionError):
    """A command ended with an error; the text is the end of what it said."""


@dataclass(frozen=True)
class Cluster:
    """`root`: the work tree; `name`: 8 characters at most; `network`: its /24 without the last number."""

    root: Path
    name: str
    network: str
    more: dict[str, str] = field(default_factory=dict)
    """Further environment of its scripts."""

    @property
    def state(self) -> Path:
        return CACHE / f"cluster-{self.name}"

    def script(self, path: str, *arguments: str, seconds: float = 900) -> str:
        """What a script of the work tree printed, both streams. Raises Failed."""
        return self._run([str(self.root / path), *arguments], None, subprocess.STDOUT, seconds)

    def kubectl(self, *arguments: str, text: str | None = None, seconds: float = 120) -> str:
        """Raises Failed."""
        return self._run(["kubectl", *arguments], text, subprocess.PIPE, seconds)

    def helm(self, *arguments: str, seconds: float = 180) -> str:
        """Raises Failed."""
        return self._run(["helm", *arguments], None, subprocess.PIPE, seconds)

    def get(self, *arguments: str) -> Any:
        """`kubectl get … -o json`, parsed. Raises Failed."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        """Of a list. Raises Failed."""
        listed: list[dict[str, Any]] = self.get(*arguments)["items"]
        return listed

    def signal(self, pod: dict[str, Any], container: str, name: str = "SIGKILL") -> None:
        """A signal to the process of a container, past the kubelet. Raises Failed."""
        status = next(one for one in pod["status"]["containerStatuses"] if one["name"] == container)
        task = status["containerID"].removeprefix("containerd://")
        self.inside(pod["spec"]["nodeName"], "ctr", "-n", "k8s.io", "tasks", "kill", "-s", name, task)

    def inside(self, machine: str, *command: str) -> str:
        """What a command inside a machine printed. Raises Failed."""
        return self.script("cluster-setup/local/in", machine, *command)

    def logs(self) -> dict[str, str]:
        """namespace_pod_uid/container → all that it logged, from the machines' disks: of containers that ended, too."""
        found: dict[str, str] = {}
        for file in sorted(self.state.glob("machines/*/plain/log/pods/*/*/*.log*")):
            where = f"{file.parts[-3]}/{file.parts[-2]}"
            found[where] = found.get(where, "") + file.read_text(errors="replace")
        return found

    def _run(self, command: list[str], text: str | None, errors: int, seconds: float) -> str:
        names = {"LORIKEET_CLUSTER": self.name, "LORIKEET_NETWORK": self.network, **self.more}
        path = f"{CACHE / 'bin'}:{os.environ['PATH']}"
        environment = {**os.environ, **names, "KUBECONFIG": str(self.state / "kubeconfig"), "PATH": path}
        done = subprocess.run(  # noqa: S603 - a test's own words
            command,
            input=text,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=errors,
            check=False,
            timeout=seconds,
        )
        if done.returncode != 0:
            raise Failed(f"{' '.join(command)} failed:\n{(done.stderr or done.stdout)[-3000:]}")
        return done.stdout


def until(what: str, holds: Callable[[], bool], seconds: float = 120) -> None:
    """Poll until it holds; an AssertionError with `what` after the deadline."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain until {what}"
        time.sleep(0.3)
