"""What Prometheus reads."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from lorikeet.gateway.accesslog import LINES_A_SECOND, AccessLog, Entry
from lorikeet.gateway.meter import Meter
from lorikeet.gateway.series import MOST, Counts, Histograms


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def text(*series: Histograms | Counts) -> str:
    registry = CollectorRegistry()
    for one in series:
        registry.register(one)
    return generate_latest(registry).decode()


def test_a_histogram_is_cumulative() -> None:
    histograms = Histograms("seconds", "Help.", ["model"])
    for seconds in (0.001, 0.002, 700.0):
        histograms.of("a").observe(seconds)
    told = text(histograms)
    for bound, count in (("0.001", 1), ("0.0025", 2), ("600.0", 2), ("+Inf", 3)):
        assert f'seconds_bucket{{le="{bound}",model="a"}} {count}.0' in told
    assert 'seconds_count{model="a"} 3.0' in told


def test_labels_are_bounded_whatever_comes() -> None:
    counts, histograms = Counts("seen", "Help.", ["a", "b"]), Histograms("took", "Help.", ["a"])
    for number in range(MOST + 50):
        counts.of(str(number), "x").add(1)
        histograms.of(str(number)).observe(1.0)
    assert 'seen_total{a="other",b="other"} 50.0' in text(counts)
    assert 'took_count{a="other"} 50.0' in text(histograms)
    counts.of("7", "x").add(1)
    assert 'seen_total{a="7",b="x"} 2.0' in text(counts)


def test_tokens_are_the_engines_or_else_a_guess_and_one_for_each_event() -> None:
    clock, gaps = Clock(), []
    meter = Meter(clock, gaps.append)
    clock.now = 1.0
    meter.piece(b'data: {"choices":[{"text":"\\"completion_tokens\\": 99"}]}\n\n')
    clock.now = 1.5
    meter.piece(b"data: {}\n\ndata: [DONE]\n\n")
    assert (meter.first, gaps, meter.total(7)) == (1.0, [0.5], (7, 2))
    meter.piece(b'data: {"usage":{"prompt_tokens":4,"total_tokens":9,"completion_tokens":5}}\n\n')
    assert meter.total(7) == (4, 5)
    answer = Meter(clock, gaps.append)
    answer.whole(b'{"usage": {"input_tokens": 3, "output_tokens": 8}}')
    assert answer.total(0) == (3, 8)


def test_the_access_log_has_a_share_of_what_went_well_all_else_and_an_end() -> None:
    clock, told = Clock(), 0
    chances = iter([0.2, 0.05])
    log = AccessLog(0.1, lambda: next(chances), clock)

    def ended(status: int, *, complete: bool = True) -> None:
        nonlocal told
        if log.wants(status, complete):
            log.tell(Entry("r", "t", "k", "m", "p", status, 0.1, None, 0.0, 1, 2, complete))
            told += 1

    ended(200)
    assert told == 0
    ended(200)
    ended(500)
    ended(200, complete=False)
    assert told == 3
    for _ in range(1000):
        ended(503)
    assert told == LINES_A_SECOND
    clock.now += 1
    ended(503)
    assert told == LINES_A_SECOND + 1
