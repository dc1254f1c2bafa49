"""Whatever the facts are, the agent's decisions end, and end as wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lorikeet.agent.actions import Action, Drain, Fetch, Keep, Load, Remove, Unload
from lorikeet.agent.plan import Policy, decide
from lorikeet.agent.seen import Key, Seen
from lorikeet.agent.store import Staged
from lorikeet.api.wire import WantedAdapter

STORE = Path("/adapters/store")
POLICY = Policy(grace=3.0, drain=60.0, fetches=2)


def staged(key: Key, digest: str) -> Staged:
    return Staged(uri=key.uri, revision="1", digest=digest, rank=8, bytes=1)


def wanted(*keys: Key, kept: tuple[Key, ...] = ()) -> dict[Key, WantedAdapter]:
    return {key: WantedAdapter(adapter=key.adapter, uri=key.uri, load=key not in kept) for key in keys}


def carried_out(seen: Seen, actions: tuple[Action, ...]) -> Seen:
    """The facts after perfect hands, and a while."""
    staged_now, listed = dict(seen.staged), dict(seen.listed or {})
    on_disk, draining = set(seen.on_disk), dict(seen.draining)
    for action in actions:
        match action:
            case Fetch(key):
                staged_now[key] = staged(key, DIGESTS[key.uri])
                on_disk.add(DIGESTS[key.uri])
            case Load(_, name, path):
                listed[name] = path
            case Unload(name):
                del listed[name]
            case Drain(name):
                draining[name] = seen.now
            case Keep(name):
                del draining[name]
            case Remove(digest):
                assert not any(Path(root).name == digest for root in listed.values()), "files outlive registration"
                if all(one.digest != digest for one in staged_now.values()):  # hands look again
                    on_disk.discard(digest)
    draining = {name: since for name, since in draining.items() if name in listed}
    return replace(
        seen, now=seen.now + 100, staged=staged_now, listed=listed, on_disk=frozenset(on_disk), draining=draining
    )


DIGESTS: Mapping[str, str] = {f"hf://x/{n}@1": str(n % 4) * 64 for n in range(6)}  # some sources share bytes
KEYS = [Key(adapter, uri) for adapter in "abc" for uri in DIGESTS]
NAMES = [f"{adapter}@{digest[:12]}" for adapter in "abcd" for digest in set(DIGESTS.values())]


@st.composite
def facts(draw: st.DrawFn) -> Seen:
    keys = draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=8))
    kept = tuple(draw(st.lists(st.sampled_from(keys), unique=True))) if keys else ()
    here = draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=8))
    roots = st.sampled_from([str(STORE / digest) for digest in DIGESTS.values()] + ["/models/x"])
    listed = draw(st.dictionaries(st.sampled_from(NAMES), roots, max_size=6))
    pinned = {key: staged(key, DIGESTS[key.uri]) for key in here if key in keys}
    ours = {Path(root).name for root in listed.values() if Path(root).parent == STORE}
    disk = {one.digest for one in pinned.values()} | ours | {"9" * 64}
    return Seen(
        now=1000.0,
        wanted=wanted(*keys, kept=kept),
        staged=pinned,
        listed=listed,
        on_disk=frozenset(disk),
        draining=draw(st.dictionaries(st.sampled_from(sorted(listed)), st.just(1000.0))) if listed else {},
    )


@settings(max_examples=60, deadline=None)
@given(facts(), st.integers(0, 4))
def test_any_state_ends_as_wanted_and_then_nothing_is_left_to_do(seen: Seen, slots: int) -> None:
    policy = replace(POLICY, slots=slots)
    for _ in range(200):
        actions = decide(seen, policy)
        assert sum(isinstance(action, Load | Unload) for action in actions) <= 1
        if not actions and not seen.draining:
            break
        seen = carried_out(seen, actions)
    assert decide(seen, policy) == ()
    loading = [key for key in seen.wanted if seen.loads(key)]
    expected = {f"{key.adapter}@{DIGESTS[key.uri][:12]}": str(STORE / DIGESTS[key.uri]) for key in loading}
    assert {name: root for name, root in (seen.listed or {}).items() if seen.ours(root)} == expected
    assert seen.on_disk == {DIGESTS[key.uri] for key in seen.wanted}


@settings(max_examples=20, deadline=None)
@given(facts(), st.randoms(use_true_random=False))
def test_the_order_of_facts_does_not_matter(seen: Seen, random: object) -> None:
    shuffled = list(seen.wanted.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other = replace(seen, wanted=dict(shuffled), listed=dict(reversed((seen.listed or {}).items())))
    assert decide(other, POLICY) == decide(seen, POLICY)
