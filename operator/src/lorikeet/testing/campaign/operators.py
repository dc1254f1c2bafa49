"""The operator of one life, as its Deployment keeps it: where one was killed, another comes."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from dataclasses import dataclass
from pathlib import Path

import yaml

from lorikeet.kube.lease import Terms
from lorikeet.testing.campaign.effects import OPERATOR, Ledger, of_api
from lorikeet.testing.campaign.pod import Caller
from lorikeet.testing.campaign.wire import Call, Ends, Wire
from lorikeet.testing.operator import operator

USER_AGENT = "User-Agent"
TERMS = Terms(duration=4.0, renew=3.0, retry=1.0)
"""Longer than an operator needs on a machine that is shared with builds, shorter than anybody waits for the next."""


@dataclass(frozen=True)
class WayToApi:
    """What a relay to the API server needs; `authority` is a PEM file."""

    url: str
    token: str
    authority: str
    trust: ssl.SSLContext

    @classmethod
    def read(cls, kubeconfig: Path) -> WayToApi:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, token = config["clusters"][0]["cluster"], config["users"][0]["user"]["token"]
        authority = cluster["certificate-authority"]
        return cls(cluster["server"], token, authority, ssl.create_default_context(cafile=authority))


class Operators:
    """`run` until cancelled. `folder` takes kubeconfigs."""

    def __init__(self, namespace: str, ledger: Ledger, api: WayToApi, folder: Path) -> None:
        self._namespace, self._ledger, self._api, self._folder = namespace, ledger, api, folder
        self._killed = asyncio.Event()
        self._name = ""
        self._wire: Wire | None = None
        self._dead: set[str] = set()

    @property
    def caller(self) -> Caller:
        """As replicas know it."""
        return Caller(self.is_dead, self.kill)

    def kill(self) -> None:
        """SIGKILL: nothing of it gets out any more. Its lease runs out by itself."""
        self._dead.add(self._name)
        if self._wire is not None:
            self._wire.cut()
        self._killed.set()

    def is_dead(self, call: Call) -> bool:
        return call.agent in self._dead

    async def run(self) -> None:
        for number in itertools.count(1):
            self._name = f"operator-{number}"
            self._killed.clear()
            await self._one()

    async def _one(self) -> None:
        api = self._api
        ends = Ends(
            lambda: api.url,
            lambda call: self._ledger.judge(OPERATOR, of_api(call)),
            self.kill,
            headers={"Authorization": f"Bearer {api.token}"},
            trust=api.trust,
        )
        async with Wire(ends) as self._wire:
            kubeconfig = write_open_kubeconfig(self._folder / f"{self._name}.kubeconfig", self._wire.url, api.authority)
            async with operator(kubeconfig, self._namespace, self._name, TERMS) as world:
                # By this the wires to agents tell a dead operator's calls from its successor's.
                world.session.headers[USER_AGENT] = self._name
                await self._killed.wait()


def write_open_kubeconfig(path: Path, url: str, authority: str) -> Path:
    """A kubeconfig for a relay, which shows the API server a token of its own.

    Plain HTTP needs no `authority`, but without one the client reads all that the machine trusts."""
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "wire", "cluster": {"server": url, "certificate-authority": authority}}],
        "users": [{"name": "wire", "user": {"token": "none"}}],
        "contexts": [{"name": "wire", "context": {"cluster": "wire", "user": "wire"}}],
        "current-context": "wire",
    }
    path.write_text(yaml.safe_dump(body))
    return path
