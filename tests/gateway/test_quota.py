"""What a key or a tenant may use up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorikeet.api.apikeys import KeyLimits
from lorikeet.gateway.quota import Bucket, Quota, headers


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 3)), max_size=60))
def test_over_any_time_no_more_is_used_than_the_size_and_the_rate_allow(steps: list[tuple[float, float]]) -> None:
    now = 0.0
    bucket, used = Bucket(4.0, 2.0, now), 0.0
    for pause, amount in steps:
        now += pause
        if bucket.refill(now) >= amount:
            bucket.take(amount)
            used += amount
        assert used <= 4.0 + 2.0 * now + 1e-6


def test_a_second_of_requests_may_come_at_once_and_then_one_by_one() -> None:
    quota = Quota(KeyLimits(requests_per_second=4), 0)
    for _ in range(4):
        assert quota.wait(0) == (0.0, "")
        quota.start(0)
    assert quota.wait(0) == (0.25, "requests a second")
    assert quota.wait(0.25) == (0.0, "")


def test_less_than_one_request_a_second_is_one_at_a_time() -> None:
    quota = Quota(KeyLimits(requests_per_second=0.1), 0)
    quota.start(0)
    assert quota.wait(0)[0] == pytest.approx(10)


def test_tokens_are_paid_after_they_were_used_and_a_debt_waits() -> None:
    quota = Quota(KeyLimits(tokens_per_minute=60), 0)
    quota.start(10)
    quota.spend(110)
    assert quota.wait(0) == (61.0, "tokens a minute")
    assert quota.wait(61)[0] == 0


def test_requests_at_once_are_counted_until_they_end() -> None:
    quota = Quota(KeyLimits(concurrency=1), 0)
    quota.start(0)
    assert quota.wait(0) == (1.0, "requests at once")
    quota.end()
    assert quota.wait(0)[0] == 0


def test_headers_tell_the_tightest_of_each_kind_in_openais_words() -> None:
    wide, narrow = (Quota(KeyLimits(requests_per_second=rate, tokens_per_minute=600), 0) for rate in (100, 2))
    for quota in (wide, narrow):
        assert quota.wait(0)[0] == 0
    wide.start(0)
    narrow.start(60)
    assert headers([wide, narrow]).splitlines() == [
        b"x-ratelimit-limit-requests: 2",
        b"x-ratelimit-remaining-requests: 1",
        b"x-ratelimit-reset-requests: 500ms",
        b"x-ratelimit-limit-tokens: 600",
        b"x-ratelimit-remaining-tokens: 540",
        b"x-ratelimit-reset-tokens: 6000ms",
    ]
    assert headers([Quota(KeyLimits(concurrency=1), 0)]) == b""
