"""Two operators as processes of their own, and the one that leads is frozen: when it wakes up, another one does."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from lorikeet.api.ref import Ref
from lorikeet.kube.resource import LEASES, LORAADAPTERS
from lorikeet.testing.apiserver import ApiServer, api_server
from lorikeet.testing.bench.meter import Audit, writes
from lorikeet.testing.bench.stage import Process, process
from lorikeet.testing.place import Place, is_ready, place, until

NAMESPACE = "two"
LEASE = Ref(NAMESPACE, "lorikeet-operator")
LOOKS = 3
"""So often at least the one that woke up looks at the lease before we judge it."""


@asynccontextmanager
async def an_operator(api: ApiServer, name: str, folder: Path) -> AsyncIterator[Process]:
    """One with an account of its own, so that the audit log tells them apart."""
    api.kubectl("create", "serviceaccount", name, "-n", NAMESPACE)
    account = f"--serviceaccount={NAMESPACE}:{name}"
    api.kubectl("create", "clusterrolebinding", name, "--clusterrole=cluster-admin", account)
    kubeconfig = api.account_kubeconfig(NAMESPACE, name)
    async with process("operator_process", str(kubeconfig), NAMESPACE, name, log=folder / f"{name}.log") as found:
        yield found


async def holder_is(here: Place, name: str) -> None:
    async def holder() -> str:
        listed = (await here.kube.list(LEASES, NAMESPACE))["items"]
        return next((str(lease["spec"].get("holderIdentity")) for lease in listed), "")

    await until(holder, lambda found: found == name, 60.0)


async def versions(here: Place) -> dict[str, str]:
    listed = (await here.kube.list(LORAADAPTERS, NAMESPACE))["items"]
    return {body["metadata"]["name"]: body["metadata"]["resourceVersion"] for body in listed}


async def test_a_leader_that_was_frozen_wakes_up_and_writes_nothing(tmp_path: Path) -> None:
    with api_server(audit=True) as api:
        api.install_crds()
        api.kubectl("create", "namespace", NAMESPACE)
        async with (
            place(api.kubeconfig, NAMESPACE) as here,
            an_operator(api, "first", tmp_path) as first,
        ):
            await holder_is(here, "first")
            async with an_operator(api, "second", tmp_path) as second:
                await here.create_server()
                agent = await here.add_replica("a")
                await here.adapter_until(await here.create_adapter("sql"), is_ready)

                os.kill(first.pid, signal.SIGSTOP)
                await holder_is(here, "second")
                await here.adapter_until(await here.create_adapter("late"), is_ready)

                before, pushes = await versions(here), len(agent.pushes)
                await woken(first, Audit(api.folder / "audit.log", f"system:serviceaccount:{NAMESPACE}:first"))
                await holder_is(here, "second")
                assert (await versions(here), len(agent.pushes)) == (before, pushes)
                await second.end()
            await here.adapter_until(await here.create_adapter("last"), is_ready)
            await holder_is(here, "first")


async def woken(frozen: Process, audit: Audit) -> None:
    """Let it go on, until it has looked around; it may have written nothing meanwhile."""
    audit.skip()
    asked: Counter[str] = Counter()

    async def looks() -> int:
        asked.update(audit.calls())
        return asked["get leases"]

    os.kill(frozen.pid, signal.SIGCONT)
    await until(looks, lambda count: count >= LOOKS, 60.0)
    assert writes(asked) == 0, asked
