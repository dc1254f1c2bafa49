"""A client that asks one model again and again, and keeps what became of each request."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from http.client import HTTPException
from types import TracebackType
from typing import Self

TIMEOUT = 30.0


def ask(gateway: str, model: str, question: str, timeout: float = TIMEOUT) -> tuple[int, str]:
    """(200, the answer) or (another status, the error's message).

    Raises OSError, HTTPException, ValueError, LookupError
    where there is no answer, or not a whole one.
    """
    body = {"model": model, "messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 60}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{gateway}/v1/chat/completions", json.dumps(body).encode(), headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:  # noqa: S310
            return 200, json.load(reply)["choices"][0]["message"]["content"].strip()
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["error"]["message"]


class Prober:
    """`with Prober(…) as prober:` asks as long as the block lasts, every `pause` seconds on a connection of its own.

    It waits for each answer for `patience` seconds.
    """

    def __init__(
        self,
        gateway: str,
        model: str,
        question: str,
        expected: str,
        pause: float = 0.05,
        *,
        patience: float = TIMEOUT,
    ) -> None:
        self._ask = (gateway, model, question, patience)
        self._expected, self._pause = expected, pause
        self.outcomes: Counter[str] = Counter()
        """`right`, or what went wrong → how often."""
        self.slowest = 0.0
        """Seconds of the longest request."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._probe, name=f"prober of {model}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _probe(self) -> None:
        while not self._over.wait(self._pause):
            began = time.monotonic()
            self.outcomes[self._once()] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)

    def _once(self) -> str:
        try:
            status, said = ask(*self._ask)
        except (OSError, HTTPException, ValueError, LookupError) as error:  # none, half of one, or not what was agreed
            return f"no answer: {error!r}"
        if status != 200:
            return f"{status}: {said}"
        return "right" if said == self._expected else f"wrong: {said}"
