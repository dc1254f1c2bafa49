"""What a key or a tenant may use up: requests a second, tokens a minute, requests at once."""

from __future__ import annotations

from collections.abc import Callable

from lorikeet.api.apikeys import KeyLimits

MINUTE = 60.0
LINES = b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\nx-ratelimit-reset-%b: %dms\r\n"


class Bucket:
    """Holds up to `size`, refilled by `rate` a second. May be overdrawn: nothing is there until that is paid.

    `level` is what was there at the last `refill`, less what was taken since.
    """

    __slots__ = ("_at", "_clock", "_rate", "level", "size")

    def __init__(self, size: float, rate: float, clock: Callable[[], float]) -> None:
        self.size, self._rate, self._clock = size, rate, clock
        self.level, self._at = size, clock()

    def refill(self) -> None:
        """Until now."""
        now = self._clock()
        level = self.level + (now - self._at) * self._rate
        self.level = level if level < self.size else self.size
        self._at = now

    def take(self, amount: float) -> None:
        """Use up `amount`, whether it is there or not; a negative amount is given back."""
        level = self.level - amount
        self.level = level if level < self.size else self.size

    def seconds_until(self, level: float) -> float:
        """From the last refill until there is so much."""
        return max(0.0, (min(level, self.size) - self.level) / self._rate)


class Quota:
    """One holder's buckets. Each limit that is absent is none."""

    def __init__(self, limits: KeyLimits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self.running = 0
        self._most = limits.concurrency
        rate, tokens = limits.requests_per_second, limits.tokens_per_minute
        # A second's worth at once, and never less than one request.
        self.requests = Bucket(max(rate, 1.0), rate, clock) if rate else None
        self.tokens = Bucket(float(tokens), tokens / MINUTE, clock) if tokens else None

    def wait(self) -> tuple[float, str]:
        """Seconds until one more request may come, and which limit says so; 0: now."""
        if self._most and self.running >= self._most:
            return 1.0, "requests at once"
        wait, why = 0.0, ""
        for bucket, limit in ((self.requests, "requests a second"), (self.tokens, "tokens a minute")):
            if bucket is not None:
                bucket.refill()
                if bucket.level < 1.0 and (seconds := bucket.seconds_until(1.0)) > wait:
                    wait, why = seconds, limit
        return wait, why

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


def headers(quotas: list[Quota]) -> bytes:
    """OpenAI's x-ratelimit headers as they are sent: of each kind the bucket with the least left."""
    told = b""
    for kind, buckets in (
        (b"requests", [quota.requests for quota in quotas if quota.requests is not None]),
        (b"tokens", [quota.tokens for quota in quotas if quota.tokens is not None]),
    ):
        if buckets:
            least = buckets[0]
            for bucket in buckets:
                least = bucket if bucket.level < least.level else least
            reset = least.seconds_until(least.size) * 1000
            told += LINES % (kind, least.size, kind, max(0.0, least.level), kind, reset)
    return told
