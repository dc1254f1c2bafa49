"""Ask agents what sources mean, each question by itself, until there is an answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lorikeet.api.conditions import Problem, Reason
from lorikeet.api.wire import Resolve as Question
from lorikeet.api.wire import Resolved
from lorikeet.backoff import ELSEWHERE, Backoff, Tries
from lorikeet.controller.actions import Resolve
from lorikeet.controller.links import AgentError, Link

log = logging.getLogger(__name__)

BACKOFF = Backoff(first=0.5, cap=ELSEWHERE)
REFUSED = Backoff(first=ELSEWHERE, cap=ELSEWHERE)
NOBODY = Backoff(cap=0.5)
"""While no agent answers at all, none is asked, so looking again costs nothing."""

Key = tuple[str, str, str | None]


def key_of(uid: str, uri: str, credentials_key: str | None) -> Key:
    """A changed source is another question."""
    return (uid, uri, credentials_key)


@dataclass
class _Asking:
    task: asyncio.Task[None]
    answer: Resolved | Problem | None = None


@dataclass
class Resolver:
    """The questions of one server. `links` gives the agents that answer now; `changed` is called at each answer."""

    links: Callable[[], Iterable[Link]]
    changed: Callable[[], None]
    _questions: dict[Key, _Asking] = field(default_factory=dict)

    def answer(self, key: Key) -> Resolved | Problem | None:
        """The last answer to a question, if any."""
        asking = self._questions.get(key)
        return asking.answer if asking else None

    def asking(self, key: Key) -> bool:
        """Whether the question has been put."""
        return key in self._questions

    def ask(self, action: Resolve) -> None:
        """Put a question once; its answer is seen later."""
        key = key_of(action.uid, action.uri, action.credentials_key)
        if key not in self._questions:
            self._questions[key] = _Asking(asyncio.create_task(self._until_answered(key)))

    def keep_only(self, keys: Iterable[Key]) -> None:
        """Forget the questions that no adapter asks any more."""
        wanted = set(keys)
        for key in [key for key in self._questions if key not in wanted]:
            self._questions.pop(key).task.cancel()

    async def close(self) -> None:
        """Stop asking."""
        tasks = [asking.task for asking in self._questions.values()]
        self.keep_only(())
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_answered(self, key: Key) -> None:
        later, refused, nobody = Tries(BACKOFF), Tries(REFUSED), Tries(NOBODY)
        while True:
            answer = await self._once(key)
            if answer != self._questions[key].answer:
                self._questions[key].answer = answer
                self.changed()
            if isinstance(answer, Resolved):
                return
            unheard = answer.reason is Reason.AGENT_UNREACHABLE
            tries = nobody if unheard else refused if answer.lasting else later
            await asyncio.sleep(tries.failed())

    async def _once(self, key: Key) -> Resolved | Problem:
        _, uri, credentials_key = key
        for link in self.links():
            try:
                return await link.resolve(Question(uri=uri, credentials_key=credentials_key))
            except AgentError as error:
                log.info("resolving %s: %s", uri, error)
        return Problem(reason=Reason.AGENT_UNREACHABLE, message="no replica's agent answers yet; it is asked again")
