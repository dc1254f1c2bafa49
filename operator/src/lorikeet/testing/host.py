"""A host for the scripts of cluster-setup that is none: they write into a folder instead of /etc, /usr, /var and /opt,
and the programs that would change a real host are stand-ins that write down how they were called."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

SETUP = Path(__file__).parents[4] / "cluster-setup"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENTER = """
set -e
for folder in etc opt usr var; do
  upper=$HOST_FOLDER/root/$folder work=$HOST_FOLDER/work/$folder
  mkdir -p "$upper" "$work"
  mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$upper,workdir=$work" "/$folder"
done
exec "$@"
"""


@dataclass(frozen=True)
class Done:
    """How a script ended, and what it said."""

    status: int
    out: str
    said: str


@dataclass(frozen=True)
class Host:
    """`folder` is empty and this host's own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def program(self, name: str, body: str = "") -> None:
        """A stand-in that writes its call down and runs `body`: bash, in which $state is a folder they all share."""
        file = self.folder / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(
            f'#!/bin/bash\nstate="{self.folder}/state"\nmkdir -p "$state"\n'
            f'printf "%s\\n" "{name} $*" >>"{self.folder}/calls"\n{body}\n'
        )
        file.chmod(0o755)

    def calls(self, of: str = "") -> list[str]:
        """What the stand-ins were called with so far, or the one that `of` names."""
        log = self.folder / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if line.startswith(f"{of} " if of else "")]

    def forget_calls(self) -> None:
        (self.folder / "calls").write_text("")

    def run(self, *command: str | Path, text: str = "", **environment: str) -> Done:
        """On the real files: for scripts that only read them, or that are told where to write."""
        done = subprocess.run(  # noqa: S603 - a test's own words
            [str(word) for word in command],
            input=text,
            env=self._environment(environment),
            text=True,
            capture_output=True,
            check=False,
            timeout=60,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def run_as_root(self, *command: str | Path, **environment: str) -> Done:
        """With a /etc, /opt, /usr and /var that are this host's. Needs root: look at `can_have_roots` first."""
        enter = ("unshare", "--mount", "--propagation", "private", "bash", "-c", ENTER, "enter")
        return self.run(*enter, *command, **environment)

    def path(self, path: str) -> Path:
        """Where the file that the host calls `path` lies, if the host has written it."""
        return self.folder / "root" / path.lstrip("/")

    def write(self, path: str, text: str) -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text)

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        known = {"HOME": str(self.folder), "HOST_FOLDER": str(self.folder), "PATH": f"{self.folder}/bin:{SYSTEM_PATH}"}
        return {**known, **self.environment, **more}


def can_have_roots() -> bool:
    return os.geteuid() == 0


def write_node_env(host: Host, role: str = "worker", name: str = "worker1") -> None:
    """What an EC2 host is told by its user data."""
    facts = {
        "LORIKEET_NODE": name,
        "LORIKEET_ROLE": role,
        "LORIKEET_JOIN_PARAMETER": "/lori/join",
        "AWS_REGION": "eu-central-1",
    }
    file = host.folder / "node.env"
    file.write_text("".join(f"{key}='{value}'\n" for key, value in facts.items()))
    host.environment.update(LORIKEET_NODE_ENV=str(file), LORIKEET_JOINED=str(host.folder / "joined"))
