"""What the agent knows besides what it sees: what is wanted, what is on disk, what failed, what is on its way out."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Literal

from lorikeet.agent.heat import Heat
from lorikeet.agent.seen import Balk, Failure, Key
from lorikeet.agent.store import Found, Staged
from lorikeet.api.conditions import Problem, Reason
from lorikeet.api.ref import engine_name
from lorikeet.api.wire import Wanted, WantedAdapter
from lorikeet.backoff import Backoff


class Memory:
    """Plain bookkeeping; nothing here waits. `clock` is monotonic, in seconds."""

    def __init__(self, backoff: Backoff, clock: Callable[[], float] = time.monotonic) -> None:
        self._backoff, self._clock = backoff, clock
        self.wanted = Wanted()
        self.wishes: Mapping[Key, WantedAdapter] = {}
        """What is wanted, by version."""
        self.told = False
        """Whether this or an earlier life was ever told what is wanted."""
        self.pins: dict[str, Staged] = {}
        """By URI: all that is verified on disk."""
        self.on_disk: set[str] = set()
        self.failures: dict[Key, Failure] = {}
        self.heat = Heat()
        self.balks: dict[str, Balk] = {}
        """By engine name or digest."""
        self.draining: dict[str, float] = {}
        """By engine name: since when."""
        self.owners: dict[str, tuple[Key, Staged]] = {}
        """By engine name: whose it is, or was while the engine still lists it."""
        self._held: dict[str, float] = {}

    def found(self, found: Found) -> None:
        """Take over what an earlier life left on the volume."""
        self.pins, self.on_disk = dict(found.staged), set(found.digests)
        self.heat = Heat(found.hottest)
        if found.wanted is not None:
            self.take(found.wanted)

    def take(self, wanted: Wanted) -> frozenset[Key]:
        """Remember what is wanted now; the versions whose bytes are wanted otherwise than before, came or went.

        Whether they shall be loaded says nothing about the bytes: a fetch goes on, and what failed for good still has.
        """
        old, new = self.wishes, {Key(one.adapter, one.uri): one for one in wanted.adapters}
        self.wanted, self.wishes, self.told = wanted, new, True
        changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
        others = {key for key in changed if _bytes(old.get(key)) != _bytes(new.get(key))}
        for key in changed:
            if key in others or (key in self.failures and not self.failures[key].problem.lasting):
                self.failures.pop(key, None)
        return frozenset(others)

    def staged(self) -> dict[Key, Staged]:
        """The wanted versions whose bytes are on disk, and are the ones that are insisted on."""
        staged = {}
        for key, wish in self.wishes.items():
            pin = self.pins.get(key.uri)
            if pin is not None and wish.sha256 in (None, pin.digest):
                staged[key] = pin
                self.owners[engine_name(key.adapter, pin.digest)] = (key, pin)
        return staged

    def stored(self) -> int:
        """Bytes of all that is verified on disk."""
        return sum({pin.digest: pin.bytes for pin in self.pins.values()}.values())

    def held(self) -> frozenset[str]:
        """Digests whose load ended without an answer, and may still come true."""
        now = self._clock()
        self._held = {digest: until for digest, until in self._held.items() if until > now}
        return frozenset(self._held)

    def hold(self, uri: str, seconds: float) -> None:
        pin = self.pins.get(uri)
        if pin is not None:
            self._held[pin.digest] = self._clock() + seconds

    def new_boot(self) -> None:
        """Every adapter of the engine's old life is gone, and so is what kept us waiting or doubting."""
        self.draining.clear()
        self._held.clear()
        self.balks.clear()
        self.failures = {key: failure for key, failure in self.failures.items() if failure.step == "fetch"}

    def forget(self, listed: frozenset[str], shown: frozenset[str]) -> None:
        """Drop what no longer matters: names that the engine does not list and that nobody is shown."""
        self.draining = {name: since for name, since in self.draining.items() if name in listed}
        self.owners = {name: owner for name, owner in self.owners.items() if name in listed or name in shown}
        self.balks = {what: balk for what, balk in self.balks.items() if what in listed or what in self.on_disk}

    def fail(
        self,
        key: Key,
        step: Literal["fetch", "load"],
        problem: Problem,
        asked: float | None = None,
        known: Staged | None = None,
    ) -> None:
        """Remember why, and when to try again: after a back-off or the wait `asked` for; never what is lasting, unless
        a wait is given, because its cause lies elsewhere and can go away unseen."""
        old = self.failures.get(key)
        attempts = old.attempts + 1 if old is not None and old.step == step else 1
        wait = self._backoff.delay(attempts, asked, random.random())  # noqa: S311 - spreads retries, guards nothing
        never = problem.lasting and asked is None
        self.failures[key] = Failure(step, problem, attempts, None if never else self._clock() + wait, known)

    def balk(self, what: str, why: str) -> None:
        """An engine name could not be unloaded, or a digest removed: try again after a while."""
        attempts = self.balks[what].attempts + 1 if what in self.balks else 1
        wait = self._backoff.delay(attempts, None, random.random())  # noqa: S311 - spreads retries, guards nothing
        self.balks[what] = Balk(why, attempts, self._clock() + wait)

    def room_made(self) -> None:
        """Files went: what found no room may try again at once, unless it is only kept, which would take it again."""
        wishes = self.wishes
        for key, failure in list(self.failures.items()):
            if failure.problem.reason is Reason.NO_SPACE and key in wishes and wishes[key].load:
                del self.failures[key]

    def succeeded(self, key: Key, step: Literal["fetch", "load"]) -> None:
        failure = self.failures.get(key)
        if failure is not None and failure.step == step:
            del self.failures[key]


def _bytes(wish: WantedAdapter | None) -> WantedAdapter | None:
    """A wish, but for whether it shall be loaded."""
    return wish and wish.model_copy(update={"load": True})
