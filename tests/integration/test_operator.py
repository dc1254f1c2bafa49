"""The operator on a real API server, with scripted agents: what users see of adapters, servers and faults."""

from __future__ import annotations

import itertools

import pytest

from lorikeet.api.conditions import Problem, Reason
from lorikeet.api.ref import Ref
from lorikeet.controller.workload import child_name
from lorikeet.kube.client import Kube
from lorikeet.kube.errors import NotFound
from lorikeet.kube.resource import DEPLOYMENTS, LORAADAPTERS, MODELSERVERS, PODS, SECRETS, SERVICES
from lorikeet.testing import builders as b
from lorikeet.testing.apiserver import ApiServer
from lorikeet.testing.operator import operator, set_pod_status
from lorikeet.testing.place import Place, because, is_ready, until, value


@pytest.mark.usefixtures("world")
class TestOneAdapter:
    async def test_it_is_ready_once_every_replica_has_it(self, place: Place) -> None:
        await place.create_server()
        agents = [await place.add_replica("a"), await place.add_replica("b")]
        sql = await place.create_adapter("sql")
        status = await place.adapter_until(sql, lambda found: is_ready(found) and found.ready_replicas == 2)
        assert status.engine_name == f"sql@{b.digest_of(b.source_uri('sql'))[:12]}"
        assert (status.names, status.rank, status.desired_replicas) == (("sql",), 8, 2)
        assert all(agent.loaded() == {status.engine_name} for agent in agents)

    async def test_a_branch_is_pinned_once_and_a_moved_branch_moves_nothing(self, place: Place) -> None:
        await place.create_server()
        agent = await place.add_replica("a")
        sql = await place.create_adapter("sql", source={"uri": "hf://acme/sql@main"})
        status = await place.adapter_until(sql, is_ready)
        assert (status.revision, status.pin and status.pin.uri) == (b.COMMIT_1, "hf://acme/sql@main")
        agent.revisions["hf://acme/sql@main"] = b.COMMIT_2
        await place.change(sql, aliases=["other"])
        status = await place.adapter_until(sql, lambda found: "other" in found.names)
        assert status.revision == b.COMMIT_1

    async def test_a_new_source_flips_the_name_and_then_drops_the_old_version(self, place: Place) -> None:
        await place.create_server()
        agent = await place.add_replica("a")
        sql = await place.create_adapter("sql")
        old = await place.adapter_until(sql, is_ready)
        await place.change(sql, source={"uri": b.source_uri("sql", b.COMMIT_2)})
        new = await place.adapter_until(sql, lambda found: is_ready(found) and found.engine_name != old.engine_name)
        await until(lambda: value(agent.loaded()), lambda names: names == {new.engine_name})
        sets = [{entry.uri.rsplit("@")[-1] for entry in push.adapters if entry.load} for push in agent.pushes]
        assert [found for found, _ in itertools.groupby(sets) if found] == [
            {b.COMMIT_1},
            {b.COMMIT_1, b.COMMIT_2},
            {b.COMMIT_2},
        ]

    async def test_a_deleted_adapter_is_unloaded_and_the_object_goes_at_once(self, place: Place) -> None:
        await place.create_server()
        agent = await place.add_replica("a")
        sql = await place.create_adapter("sql")
        await place.adapter_until(sql, is_ready)
        await place.kube.delete(LORAADAPTERS, sql)
        with pytest.raises(NotFound):
            await place.kube.get(LORAADAPTERS, sql)
        await until(lambda: value(agent.loaded()), lambda names: names == set())

    async def test_a_broken_one_says_why_and_harms_no_other(self, place: Place) -> None:
        await place.create_server()
        agent = await place.add_replica("a")
        agent.failing["bad"] = Problem(reason=Reason.RANK_TOO_HIGH, message="adapter bad has rank 64", lasting=True)
        bad, good = await place.create_adapter("bad"), await place.create_adapter("good")
        await place.adapter_until(bad, because("RankTooHigh"))
        await place.adapter_until(good, is_ready)

    async def test_without_its_server_it_waits_and_says_so(self, place: Place) -> None:
        sql = await place.create_adapter("sql")
        await place.adapter_until(sql, because("ServerNotFound"))
        await place.create_server()
        await place.add_replica("a")
        await place.adapter_until(sql, is_ready)

    async def test_a_replica_that_forgot_everything_is_seen_and_mended(self, place: Place) -> None:
        await place.create_server()
        agent = await place.add_replica("a")
        sql = await place.create_adapter("sql")
        await place.adapter_until(sql, is_ready)
        agent.held.add("sql")
        await agent.become(lambda state: state.model_copy(update={"adapters": (), "wanted": "", "boot": "boot-2"}))
        await place.adapter_until(sql, lambda found: not is_ready(found))
        await agent.release("sql")
        await place.adapter_until(sql, is_ready)

    async def test_a_hung_replica_delays_no_other(self, place: Place) -> None:
        await place.create_server()
        hung, fine = await place.add_replica("a"), await place.add_replica("b")
        hung.deaf = True
        await place.create_adapter("sql")
        await until(lambda: value(fine.loaded()), bool)

    async def test_the_younger_of_two_takes_over_a_name_when_the_older_goes(self, place: Place) -> None:
        await place.create_server()
        await place.add_replica("a")
        older = await place.create_adapter("older", name="shared")
        await place.adapter_until(older, is_ready)
        await place.next_second(older)
        younger = await place.create_adapter("younger", name="shared")
        await place.adapter_until(younger, because("NameConflict"))
        await place.kube.delete(LORAADAPTERS, older)
        await place.adapter_until(younger, is_ready)


@pytest.mark.usefixtures("world")
class TestOneServer:
    async def test_it_gets_its_deployment_service_and_keys(self, place: Place, api: ApiServer) -> None:
        await place.create_server()
        name = Ref(place.server.namespace, child_name(place.server))
        keys = Ref(place.server.namespace, f"{place.server.name}-lorikeet-keys")
        for resource, ref in ((DEPLOYMENTS, name), (SERVICES, name), (SECRETS, keys)):
            await until(lambda r=resource, n=ref: _exists(place.kube, r, n), bool)  # type: ignore[misc]
        body = await place.kube.get(DEPLOYMENTS, name)
        assert body["metadata"]["ownerReferences"][0]["kind"] == "ModelServer"
        pod = body["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["initContainers"][0]["restartPolicy"] == "Always"

    async def test_a_deleted_deployment_comes_back(self, place: Place) -> None:
        await place.create_server()
        name = Ref(place.server.namespace, child_name(place.server))
        await until(lambda: _exists(place.kube, DEPLOYMENTS, name), bool)
        uid = (await place.kube.get(DEPLOYMENTS, name))["metadata"]["uid"]
        await place.kube.delete(DEPLOYMENTS, name)

        async def back() -> bool:
            there = await _exists(place.kube, DEPLOYMENTS, name)
            return there and (await place.kube.get(DEPLOYMENTS, name))["metadata"]["uid"] != uid

        await until(back, bool)

    async def test_its_status_lists_the_replicas_that_take_requests(self, place: Place) -> None:
        await place.create_server()
        agent = await place.add_replica("a")
        await place.add_replica("b")

        async def endpoints() -> dict[str, bool]:
            body = await place.kube.get(MODELSERVERS, place.server)
            return {each["pod"]: each["ready"] for each in body.get("status", {}).get("endpoints", ())}

        await until(endpoints, lambda found: found == {"a": True, "b": True})
        await agent.become(lambda state: state.model_copy(update={"engine": "Unreachable", "boot": ""}))
        await until(endpoints, lambda found: found == {"a": False, "b": True})
        await set_pod_status(place.kube, Ref(place.server.namespace, "b"), b.ready_status("127.0.0.9", ready=False))
        await until(endpoints, lambda found: found == {"a": False, "b": False})

    async def test_a_pod_with_our_labels_but_not_of_our_making_is_never_spoken_to(self, place: Place) -> None:
        await place.create_server()
        decoy = await place.add_replica("a")
        pod = await place.kube.get(PODS, Ref(place.server.namespace, "a"))
        await place.kube.delete(PODS, Ref(place.server.namespace, "a"))
        pod["metadata"] = {
            "namespace": place.server.namespace,
            "name": "decoy",
            "labels": pod["metadata"]["labels"],
        }
        await place.kube.create(PODS, pod)
        await set_pod_status(place.kube, Ref(place.server.namespace, "decoy"), b.ready_status(decoy.ip))
        honest = await place.add_replica("honest")

        async def replicas() -> list[str]:
            body = await place.kube.get(MODELSERVERS, place.server)
            return [each["pod"] for each in body.get("status", {}).get("endpoints", ())]

        await until(replicas, lambda found: found == ["honest"])
        before = decoy.polls
        sql = await place.create_adapter("sql")
        await place.adapter_until(sql, is_ready)
        assert honest.loaded()
        assert decoy.polls == before


class TestOperators:
    async def test_a_restart_keeps_what_serves_and_asks_nothing_anew(self, place: Place, api: ApiServer) -> None:
        namespace = place.server.namespace
        async with operator(api.kubeconfig, namespace):
            await place.create_server()
            agent = await place.add_replica("a")
            sql = await place.create_adapter("sql", source={"uri": "hf://acme/sql@main"})
            before = await place.adapter_until(sql, is_ready)
        agent.revisions["hf://acme/sql@main"] = b.COMMIT_2
        pushes, told = len(agent.pushes), await place.kube.get(LORAADAPTERS, sql)
        async with operator(api.kubeconfig, namespace, "operator-2"):
            other = await place.create_adapter("other")
            await place.adapter_until(other, is_ready)
        after = await place.kube.get(LORAADAPTERS, sql)
        assert after["metadata"]["resourceVersion"] == told["metadata"]["resourceVersion"]
        assert len(agent.pushes) == pushes + 1
        assert before.engine_name in agent.loaded()

    async def test_a_second_one_writes_nothing_until_the_first_is_gone(self, place: Place, api: ApiServer) -> None:
        namespace = place.server.namespace
        await place.create_server()
        async with operator(api.kubeconfig, namespace, "second-to-come") as second:
            await until(lambda: value(second.lease.held), bool)
            async with operator(api.kubeconfig, namespace, "waits") as waits:
                agent = await place.add_replica("a")
                sql = await place.create_adapter("sql")
                await place.adapter_until(sql, is_ready)
                assert not waits.lease.held
                assert not waits.lines
        async with operator(api.kubeconfig, namespace, "third") as third:
            await until(lambda: value(third.lease.held), bool)
            await place.create_adapter("late")
            await until(lambda: value(agent.loaded()), lambda names: len(names) == 2)
            assert agent.pushes[-1].epoch > agent.pushes[0].epoch


async def _exists(kube: Kube, resource: object, ref: Ref) -> bool:
    try:
        await kube.get(resource, ref)  # type: ignore[arg-type]
    except NotFound:
        return False
    return True
