"""Our client on a real API server: whose fields are whose, and what a watch does when its thread is cut."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from lorikeet.api.ref import Ref
from lorikeet.kube.client import Body, Kube
from lorikeet.kube.errors import Conflict, Expired, NotFound, Refused, Unreachable
from lorikeet.kube.lease import Lease, Terms
from lorikeet.kube.resource import DEPLOYMENTS, LORAADAPTERS, MODELSERVERS, SECRETS, Resource
from lorikeet.kube.watch import Change, Changed, Gone, Listed, follow
from lorikeet.testing import builders as b
from lorikeet.testing.apiserver import ApiServer


@pytest.fixture
async def kube(api: ApiServer) -> AsyncIterator[Kube]:
    async with await Kube.connect(api.kubeconfig) as found:
        yield found


@pytest.fixture
async def sql(kube: Kube, namespace: str) -> Body:
    """A LoRAAdapter as its user made it, with labels and annotations of the user's own."""
    body = b.adapter_body(Ref(namespace, "sql"))
    body["metadata"] |= {"labels": {"team": "data"}, "annotations": {"note": "ours"}}
    return await kube.create(LORAADAPTERS, body)


def meta(body: Body) -> Body:
    return {key: body["metadata"][key] for key in ("namespace", "name", "uid")}


class TestApply:
    async def test_a_status_leaves_the_user_s_fields_to_the_user(self, kube: Kube, sql: Body) -> None:
        written = await kube.apply(LORAADAPTERS, {"metadata": meta(sql), "status": {"engineName": "sql@1"}}, "status")
        for field in ("labels", "annotations", "uid", "generation", "creationTimestamp"):
            assert written["metadata"][field] == sql["metadata"][field]
        assert written["spec"] == sql["spec"]
        ours = [entry for entry in written["metadata"]["managedFields"] if entry["manager"] == "lorikeet-operator"]
        assert [entry["subresource"] for entry in ours] == ["status"]
        assert [set(entry["fieldsV1"]) for entry in ours] == [{"f:status"}]

    async def test_what_a_status_no_longer_says_goes(self, kube: Kube, sql: Body) -> None:
        await kube.apply(LORAADAPTERS, {"metadata": meta(sql), "status": {"engineName": "x", "rank": 8}}, "status")
        written = await kube.apply(LORAADAPTERS, {"metadata": meta(sql), "status": {"rank": 8}}, "status")
        assert "engineName" not in written["status"]

    async def test_the_same_status_again_is_no_new_version(self, kube: Kube, sql: Body) -> None:
        body = {"metadata": meta(sql), "status": {"rank": 8}}
        first = await kube.apply(LORAADAPTERS, body, "status")
        again = await kube.apply(LORAADAPTERS, body, "status")
        assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]

    async def test_a_label_that_somebody_puts_on_our_child_stays(self, kube: Kube, namespace: str) -> None:
        secret = {"metadata": {"namespace": namespace, "name": "keys"}, "stringData": {"a": "1"}}
        theirs = await kube.apply(SECRETS, secret)
        theirs["metadata"]["labels"] = {"backup": "yes"}
        await kube.update(SECRETS, theirs)
        assert (await kube.apply(SECRETS, secret))["metadata"]["labels"] == {"backup": "yes"}

    async def test_a_status_never_lands_on_another_object_of_the_same_name(self, kube: Kube, sql: Body) -> None:
        """It is the version that keeps it off: of a uid the API server takes no notice here."""
        ref = Ref(sql["metadata"]["namespace"], "sql")
        await kube.delete(LORAADAPTERS, ref)
        anew = await kube.create(LORAADAPTERS, b.adapter_body(ref))
        seen = {**meta(sql), "resourceVersion": sql["metadata"]["resourceVersion"]}
        with pytest.raises(Conflict):
            await kube.apply(LORAADAPTERS, {"metadata": seen, "status": {"rank": 8}}, "status")
        assert await kube.get(LORAADAPTERS, ref) == anew

    async def test_nor_on_a_version_that_was_not_seen(self, kube: Kube, sql: Body) -> None:
        newest = await kube.update(LORAADAPTERS, {**sql, "spec": {**sql["spec"], "aliases": ["other"]}})
        seen = {**meta(sql), "resourceVersion": sql["metadata"]["resourceVersion"]}
        with pytest.raises(Conflict):
            await kube.apply(LORAADAPTERS, {"metadata": seen, "status": {"rank": 8}}, "status")
        seen["resourceVersion"] = newest["metadata"]["resourceVersion"]
        assert (await kube.apply(LORAADAPTERS, {"metadata": seen, "status": {"rank": 8}}, "status"))["status"]

    async def test_nor_does_it_make_one(self, kube: Kube, sql: Body) -> None:
        await kube.delete(LORAADAPTERS, Ref(sql["metadata"]["namespace"], "sql"))
        with pytest.raises(NotFound):
            await kube.apply(LORAADAPTERS, {"metadata": meta(sql), "status": {"rank": 8}}, "status")


class TestErrors:
    async def test_each_says_what_to_do_next(self, kube: Kube, sql: Body, namespace: str) -> None:
        with pytest.raises(NotFound):
            await kube.get(DEPLOYMENTS, Ref(namespace, "none"))
        with pytest.raises(Conflict):
            await kube.create(LORAADAPTERS, b.adapter_body(Ref(namespace, "sql")))
        with pytest.raises(Refused, match=r"spec\.source"):
            await kube.create(LORAADAPTERS, b.adapter_body(Ref(namespace, "bad"), source={"uri": "ftp://x"}))
        await kube.apply(LORAADAPTERS, {"metadata": meta(sql), "status": {"rank": 8}}, "status")
        with pytest.raises(Conflict):
            await kube.update(LORAADAPTERS, sql)

    async def test_an_api_server_that_is_not_there_is_for_later(
        self, kube: Kube, api: ApiServer, namespace: str
    ) -> None:
        api.stop_api()
        try:
            with pytest.raises(Unreachable):
                await kube.list(LORAADAPTERS)
        finally:
            api.start_api()
            await served(kube, namespace)

    async def test_a_version_of_long_ago_has_expired(self, kube: Kube, sql: Body) -> None:
        namespace = sql["metadata"]["namespace"]
        await served(kube, namespace, LORAADAPTERS)
        try:
            async with aclosing(kube.watch(LORAADAPTERS, "1", namespace)) as events:
                code = (await anext(events))["object"]["code"]
        except Expired:
            code = 410
        assert code == 410


class Follower:
    """Follows MODELSERVERS of one namespace and keeps what it is told."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube, self._namespace = kube, namespace
        self.changes: list[Change] = []
        self.names: set[str] = set()

    async def run(self) -> None:
        async with aclosing(follow(self._kube, MODELSERVERS, self._namespace)) as changes:
            async for change in changes:
                self.changes.append(change)
                match change:
                    case Listed(items):
                        self.names = {item["metadata"]["name"] for item in items}
                    case Changed(body):
                        self.names.add(body["metadata"]["name"])
                    case Gone(ref):
                        self.names.discard(ref.name)

    async def until(self, names: set[str], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while self.names != names:
            assert time.monotonic() < deadline, f"{self.names} instead of {names}"
            await asyncio.sleep(0.02)


@pytest.fixture
async def follower(kube: Kube, namespace: str) -> AsyncIterator[Follower]:
    found = Follower(kube, namespace)
    running = asyncio.create_task(found.run())
    yield found
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


class TestFollow:
    async def test_it_tells_what_is_there_what_comes_and_what_goes(
        self, kube: Kube, namespace: str, follower: Follower
    ) -> None:
        await kube.create(MODELSERVERS, b.server_body(Ref(namespace, "one")))
        await follower.until({"one"})
        await kube.create(MODELSERVERS, b.server_body(Ref(namespace, "two")))
        await follower.until({"one", "two"})
        await kube.delete(MODELSERVERS, Ref(namespace, "one"))
        await follower.until({"two"})

    async def test_after_an_outage_it_goes_on_without_anything_lost(
        self, kube: Kube, namespace: str, follower: Follower, api: ApiServer
    ) -> None:
        await kube.create(MODELSERVERS, b.server_body(Ref(namespace, "one")))
        await follower.until({"one"})
        api.stop_api()
        api.start_api()
        await served(kube, namespace)
        await kube.delete(MODELSERVERS, Ref(namespace, "one"))
        await kube.create(MODELSERVERS, b.server_body(Ref(namespace, "two")))
        await follower.until({"two"})


class TestLease:
    async def test_of_two_one_holds_it_and_a_released_one_is_taken_at_once(self, kube: Kube, namespace: str) -> None:
        ref, terms = Ref(namespace, "lorikeet-operator"), Terms(duration=600.0, renew=400.0, retry=0.02)
        one, two = (Lease(kube, ref, name, time.monotonic, terms) for name in ("one", "two"))
        keeping = {lease: asyncio.create_task(lease.keep(nothing, nothing)) for lease in (one, two)}
        await held(one, two)
        first, second = (one, two) if one.held else (two, one)
        assert not second.held
        keeping[first].cancel()
        await asyncio.gather(keeping[first], return_exceptions=True)
        await first.release()
        await held(second)
        assert second.epoch > first.epoch
        keeping[second].cancel()
        await asyncio.gather(*keeping.values(), return_exceptions=True)


async def served(kube: Kube, namespace: str, resource: Resource = MODELSERVERS) -> None:
    """Right after its start the API server asks for patience, for each kind by itself."""
    deadline = time.monotonic() + 20
    while True:
        try:
            await kube.list(resource, namespace)
        except Unreachable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        else:
            return


async def nothing() -> None:
    pass


async def held(*leases: Lease) -> None:
    deadline = time.monotonic() + 20
    while not any(lease.held for lease in leases):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
