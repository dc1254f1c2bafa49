"""Terraform with the real AWS provider against moto's server on loopback: no account, nothing leaves this machine.

The programs are those of `make terraform-tools`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REGION = "eu-central-1"


class MissingTool(RuntimeError):
    """A program is not there: the message says how to get it."""


def cache() -> Path:
    return Path(os.environ.get("LORIKEET_CACHE") or Path.home() / ".cache/lorikeet")


def tool(name: str) -> str:
    """The path of terraform, aws, aws-server or checkov; raises MissingTool."""
    path = cache() / "terraform-tools/bin" / name
    if not os.access(path, os.X_OK):
        raise MissingTool(f"{path} is not there: run `make terraform-tools`")
    return str(path)


@dataclass(frozen=True)
class Account:
    """An account of AWS that is really moto's server."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """What the AWS CLI, the provider and Terraform's S3 backend need to speak to it."""
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        region = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}  # the CLI's version 1 reads the second alone
        return {"AWS_ENDPOINT_URL": self.url, "AWS_EC2_METADATA_DISABLED": "true"} | keys | region

    def aws(self, *arguments: str) -> Any:
        """What the AWS CLI answers."""
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"} | self.environment
        return json.loads(carried_out([tool("aws"), "--output", "json", *arguments], environment).stdout or "null")

    def reset(self) -> None:
        """Empties the account."""
        request = urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")  # noqa: S310 - plain HTTP by nature
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310


@contextmanager
def account(log: Path) -> Iterator[Account]:
    """moto's server on a free port of loopback, for as long as the context; what it says goes to `log`."""
    with log.open("w") as sink:
        server = subprocess.Popen(  # noqa: S603 - our own program
            [tool("aws-server"), "-H", "127.0.0.1", "-p", "0"], stdout=sink, stderr=sink
        )
    try:
        yield Account(url_in(log, server))
    finally:
        server.terminate()
        server.wait(30)


def url_in(log: Path, server: subprocess.Popen[bytes], limit: float = 60) -> str:
    """The server takes a free port and then says which."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline and server.poll() is None:
        _, found, rest = log.read_text().partition("Running on ")
        if found and "\n" in rest:
            return rest.split()[0]
        time.sleep(0.1)
    raise TimeoutError(f"moto's server does not come up:\n{log.read_text()}")


@dataclass(frozen=True)
class Terraform:
    """One configuration, and the environment of whoever applies it."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """Runs Terraform, which must end with `status`; returns what it said, its errors as unbroken sentences."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LORIKEET_CACHE": str(cache())}
        environment |= {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", **self.environment}
        # S3's control plane is asked at ACCOUNT.HOST, which no resolver knows: this way nobody is asked.
        environment |= {"HTTP_PROXY": self.environment.get("AWS_ENDPOINT_URL", "")}
        command = [tool("terraform"), f"-chdir={self.folder}", *arguments]
        done = carried_out(command, environment, status, limit=600)
        return done.stdout + unwrapped(done.stderr)

    def planned(self, *arguments: str) -> dict[str, Any]:
        """The plan as data."""
        self("plan", "-no-color", "-out=plan", *arguments)
        return dict(json.loads(self("show", "-json", "plan")))

    def outputs(self) -> dict[str, Any]:
        """Output name → value."""
        return {name: output["value"] for name, output in json.loads(self("output", "-json")).items()}


def carried_out(
    command: list[str], environment: Mapping[str, str], status: int = 0, limit: float = 180
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(  # noqa: S603 - a test's own words
        command, env=environment, capture_output=True, text=True, timeout=limit, check=False
    )
    if done.returncode != status:
        said = (done.stdout + done.stderr)[-6000:]
        raise AssertionError(f"'{' '.join(command)}' ended with {done.returncode} instead of {status}:\n{said}")
    return done


def unwrapped(said: str) -> str:
    """Terraform breaks what it says into lines of 78 characters."""
    return " ".join(said.split())


def copied(repository: Path, folder: Path) -> Path:
    """A copy of terraform/ and of what it reads, for runs to leave their traces in; returns its terraform/."""
    traces = shutil.ignore_patterns(".terraform", "*.tfstate*", "terraform.tfvars", "backend.hcl", "tools", "local")
    for part in ("terraform", "cluster-setup"):
        shutil.copytree(repository / part, folder / part, ignore=traces)
    return folder / "terraform"
