"""What a key or a tenant may use up: requests a second, tokens a minute, requests at once."""

from __future__ import annotations

from lorikeet.api.apikeys import KeyLimits
from lorikeet.gateway.tally import Row

MINUTE = 60.0


class Bucket:
    """Holds up to `size`, refilled by `rate` a second. May be overdrawn: nothing is there until that is paid.

    `level` is what was there at the last `refill`, less what was taken since. `now`: seconds of one clock. `kind` is
    what is in it, as OpenAI's headers call that.
    """

    __slots__ = ("_at", "_limit", "_rate", "_reset", "level", "size")

    def __init__(self, size: float, rate: float, now: float, kind: str = "") -> None:
        self.size, self._rate = size, rate
        self.level, self._at = size, now
        self._limit = f"x-ratelimit-limit-{kind}: {int(size)}\r\nx-ratelimit-remaining-{kind}: ".encode()
        self._reset = f"\r\nx-ratelimit-reset-{kind}: ".encode()

    def refill(self, now: float) -> float:
        """Until now: what is there."""
        level = self.level + (now - self._at) * self._rate
        self._at = now
        self.level = level = level if level < self.size else self.size
        return level

    def take(self, amount: float) -> None:
        """Use up `amount`, whether it is there or not; a negative amount is given back."""
        level = self.level - amount
        self.level = level if level < self.size else self.size

    @property
    def full_at(self) -> float:
        """When nothing will be missing, if nothing more is taken."""
        return self._at + (self.size - self.level) / self._rate

    def fill_by(self, full_at: float) -> None:
        """As much is missing as comes until then."""
        self.level = min(self.size, self.size - (full_at - self._at) * self._rate)

    def seconds_until(self, level: float) -> float:
        """From the last refill until there is so much."""
        return max(0.0, (min(level, self.size) - self.level) / self._rate)

    def headers(self) -> bytes:
        """OpenAI's x-ratelimit headers as they are sent."""
        level = self.level
        left, reset = level if level > 0 else 0, (self.size - level) / self._rate * 1000
        return b"%b%d%b%dms\r\n" % (self._limit, left, self._reset, reset)


class Quota:
    """One holder's buckets. Each limit that is absent is none. `row`: what other processes take of the same."""

    def __init__(self, limits: KeyLimits, now: float, row: Row | None = None) -> None:
        self.limits = limits
        self.running = 0
        self._row, self._elsewhere, self._heard = row, 0.0, (0.0, 0.0, 0.0)
        self._most = limits.concurrency
        rate, tokens = limits.requests_per_second, limits.tokens_per_minute
        # A second's worth at once, and never less than one request.
        self.requests = Bucket(max(rate, 1.0), rate, now, "requests") if rate else None
        self.tokens = Bucket(float(tokens), tokens / MINUTE, now, "tokens") if tokens else None
        if row is not None:
            self._heard = row.others()
            for bucket, full_at in zip((self.requests, self.tokens), row.full(), strict=True):
                if bucket is not None:
                    bucket.fill_by(full_at)

    def wait(self, now: float) -> tuple[float, str]:
        """Seconds until one more request may come, and which limit says so; 0: now."""
        if self._row is not None:
            self._hear(self._row)
        if self._most and self.running + self._elsewhere >= self._most:
            return 1.0, "requests at once"
        wait, why = 0.0, ""
        if self.requests is not None and self.requests.refill(now) < 1.0:
            wait, why = self.requests.seconds_until(1.0), "requests a second"
        if self.tokens is not None and self.tokens.refill(now) < 1.0 and self.tokens.seconds_until(1.0) > wait:
            wait, why = self.tokens.seconds_until(1.0), "tokens a minute"
        return wait, why

    def start(self, tokens: float) -> None:
        """One more request, whose prompt may have so many tokens."""
        self.running += 1
        if self.requests is not None:
            self.requests.take(1.0)
        if self.tokens is not None:
            self.tokens.take(tokens)
        if self._row is not None:
            self._tell(self._row, 1.0, tokens, 1.0)

    def spend(self, tokens: float) -> None:
        """So many more tokens."""
        if self.tokens is not None:
            self.tokens.take(tokens)
        if self._row is not None:
            self._tell(self._row, 0.0, tokens, 0.0)

    def end(self) -> None:
        """One request less."""
        self.running -= 1
        if self._row is not None:
            self._row.add(0.0, 0.0, -1.0)

    def _tell(self, row: Row, requests: float, tokens: float, running: float) -> None:
        row.add(requests, tokens, running)
        row.tell(self.requests.full_at if self.requests else 0.0, self.tokens.full_at if self.tokens else 0.0)

    def _hear(self, row: Row) -> None:
        """What others took since we last heard is taken from our buckets too."""
        before, self._heard = self._heard, row.others()
        if self.requests is not None:
            self.requests.take(self._heard[0] - before[0])
        if self.tokens is not None:
            self.tokens.take(self._heard[1] - before[1])
        self._elsewhere = self._heard[2]


def headers(quotas: list[Quota]) -> bytes:
    """OpenAI's headers: of each kind the bucket with the least left."""
    requests: Bucket | None = None
    tokens: Bucket | None = None
    for quota in quotas:
        bucket = quota.requests
        if bucket is not None and (requests is None or bucket.level < requests.level):
            requests = bucket
        bucket = quota.tokens
        if bucket is not None and (tokens is None or bucket.level < tokens.level):
            tokens = bucket
    return (requests.headers() if requests else b"") + (tokens.headers() if tokens else b"")
