"""What a key or a tenant may use up: requests a second, tokens a minute, requests at once."""

from __future__ import annotations

import math
from collections.abc import Callable

from lorikeet.api.apikeys import KeyLimits

MINUTE = 60.0


class Bucket:
    """Holds up to `size`, refilled by `rate` a second. May be overdrawn: nothing is there until that is paid."""

    def __init__(self, size: float, rate: float, clock: Callable[[], float]) -> None:
        self.size, self._rate, self._clock = size, rate, clock
        self._level, self._at = size, clock()

    @property
    def level(self) -> float:
        """What is there now."""
        now = self._clock()
        self._level, self._at = min(self.size, self._level + (now - self._at) * self._rate), now
        return self._level

    def take(self, amount: float) -> None:
        """Use up `amount`, whether it is there or not; a negative amount is given back."""
        self._level = min(self.size, self.level - amount)

    def seconds_until(self, level: float) -> float:
        """Until there is so much."""
        return max(0.0, (min(level, self.size) - self.level) / self._rate)


class Quota:
    """One holder's buckets. Each limit that is absent is none."""

    def __init__(self, limits: KeyLimits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self.running = 0
        rate, tokens = limits.requests_per_second, limits.tokens_per_minute
        # A second's worth at once, and never less than one request.
        self.requests = Bucket(max(rate, 1.0), rate, clock) if rate else None
        self.tokens = Bucket(float(tokens), tokens / MINUTE, clock) if tokens else None

    def wait(self) -> tuple[float, str]:
        """Seconds until one more request may come, and which limit says so; 0: now."""
        if self.limits.concurrency and self.running >= self.limits.concurrency:
            return 1.0, "requests at once"
        waits = [(0.0, "")]
        if self.requests is not None:
            waits.append((self.requests.seconds_until(1.0), "requests a second"))
        if self.tokens is not None:
            waits.append((self.tokens.seconds_until(1.0), "tokens a minute"))
        seconds, limit = max(waits)
        return seconds, limit if seconds else ""

    def start(self, tokens: float) -> None:
        """One more request, whose prompt may have so many tokens."""
        self.running += 1
        if self.requests is not None:
            self.requests.take(1.0)
        self.spend(tokens)

    def spend(self, tokens: float) -> None:
        """So many more tokens."""
        if self.tokens is not None:
            self.tokens.take(tokens)

    def end(self) -> None:
        """One request less."""
        self.running -= 1


def headers(quotas: list[Quota]) -> list[tuple[bytes, bytes]]:
    """OpenAI's x-ratelimit headers: of each kind the bucket with the least left."""
    told: list[tuple[bytes, bytes]] = []
    for kind, buckets in (
        (b"requests", [quota.requests for quota in quotas if quota.requests is not None]),
        (b"tokens", [quota.tokens for quota in quotas if quota.tokens is not None]),
    ):
        if buckets:
            least = min(buckets, key=lambda bucket: bucket.level)
            told += [
                (b"x-ratelimit-limit-" + kind, b"%d" % least.size),
                (b"x-ratelimit-remaining-" + kind, b"%d" % max(0, math.floor(least.level))),
                (b"x-ratelimit-reset-" + kind, b"%.3fs" % least.seconds_until(least.size)),
            ]
    return told
