"""Names on a real API server: a moved alias is answered all the while, whichever edit comes first (P21)."""

from __future__ import annotations

import pytest

from lorikeet.api.ref import Ref
from lorikeet.controller import lingering
from lorikeet.kube.resource import LORAADAPTERS, MODELSERVERS
from lorikeet.testing import builders as b
from lorikeet.testing.place import Clients, Place, because, condition, is_ready

GRACE = 0.3
pytestmark = pytest.mark.usefixtures("world")


@pytest.fixture(params=["one server", "two servers"])
async def two(place: Place, request: pytest.FixtureRequest) -> Place:
    """Adapters sql, which has the alias x, and poet, on the same server or each on its own."""
    await place.create_server(replicas=1)
    await place.add_replica("a", grace=GRACE)
    of = b.SERVER.name
    if request.param == "two servers":
        llama = await place.create_server("llama", replicas=1, model={"uri": "hf://acme/llama@main", "name": "llama"})
        await place.add_replica("b", llama, grace=GRACE)
        of = llama.name
    sql = await place.create_adapter("sql", aliases=["x"])
    await place.next_second(sql)
    poet = await place.create_adapter("poet", of=of)
    for ref in (sql, poet):
        await place.adapter_until(ref, is_ready)
    return place


async def move(place: Place, clients: Clients, first: str) -> None:
    """Take the alias from sql and give it to poet, in this order or the other."""
    edits = {"take": ("sql", []), "give": ("poet", ["x"])}
    for edit in (first, "give" if first == "take" else "take"):
        name, aliases = edits[edit]
        await place.change(Ref(place.namespace, name), aliases=aliases)
        await clients.so_many_more()


@pytest.mark.parametrize("first", ["take", "give"])
async def test_a_moved_alias_is_answered_all_the_while(two: Place, first: str) -> None:
    async with Clients(two, "x", "sql", "poet") as clients:
        await move(two, clients, first)
        await two.adapter_until(Ref(two.namespace, "poet"), lambda found: "x" in found.names and is_ready(found))
        await two.adapter_until(Ref(two.namespace, "sql"), lambda found: found.names == ("sql",) and is_ready(found))
        await clients.so_many_more()
    assert clients.gaps == []
    assert {model for name, model in clients.answers if name == "x"} == {
        b.entry("sql").engine_name,
        b.entry("poet").engine_name,
    }


@pytest.mark.parametrize("first", ["take", "give"])
async def test_who_had_it_keeps_it_until_the_new_holder_serves(place: Place, first: str) -> None:
    await place.create_server(replicas=1)
    agent = await place.add_replica("a", grace=GRACE)
    sql = await place.create_adapter("sql", aliases=["x"])
    await place.adapter_until(sql, is_ready)
    agent.held.add("poet")
    poet = await place.create_adapter("poet")
    async with Clients(place, "x") as clients:
        await move(place, clients, first)
        status = await place.adapter_until(poet, because("Fetching"))
        assert "x" not in status.names
        await clients.so_many_more()
        await agent.release("poet")
        await place.adapter_until(poet, lambda found: "x" in found.names and is_ready(found))
        await place.adapter_until(sql, lambda found: found.names == ("sql",))
        await clients.so_many_more()
    assert clients.gaps == []


async def test_a_new_main_name_is_answered_beside_the_old_one_for_a_moment(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "LINGER", 0.5)
    await place.create_server(replicas=1)
    await place.add_replica("a", grace=GRACE)
    sql = await place.create_adapter("sql", name="old")
    await place.adapter_until(sql, is_ready)
    async with Clients(place, "old") as clients:
        await place.change(sql, name="new")
        await place.adapter_until(sql, lambda found: found.names == ("new", "old"))
    assert clients.gaps == []
    await place.adapter_until(sql, lambda found: found.names == ("new",))


async def test_who_loses_an_alias_says_whose_it_is_and_takes_over_when_that_one_goes(two: Place) -> None:
    sql, poet = Ref(two.namespace, "sql"), Ref(two.namespace, "poet")
    await two.change(poet, aliases=["x"])
    status = await two.adapter_until(poet, because("NameConflict"))
    assert condition(status, "Named").message.startswith("name x belongs to the older adapter sql")
    assert status.names == ("poet",)
    await two.kube.delete(LORAADAPTERS, sql)
    await two.adapter_until(poet, lambda found: found.names == ("poet", "x") and is_ready(found))


async def test_a_name_of_a_base_model_is_refused_with_the_server_that_has_it(place: Place) -> None:
    await place.create_server(replicas=1)
    await place.add_replica("a")
    sql = await place.create_adapter("sql", aliases=["llama"])
    await place.adapter_until(sql, is_ready)
    llama = await place.create_server("llama", model={"uri": "hf://acme/llama@main", "name": "llama"})
    status = await place.adapter_until(sql, because("NameReserved"))
    assert (status.names, condition(status, "Loaded").status) == (("sql",), "True")
    await place.kube.delete(MODELSERVERS, llama)
    await place.adapter_until(sql, lambda found: found.names == ("sql", "llama") and is_ready(found))
