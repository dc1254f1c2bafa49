"""Which adapters are the hottest."""

from __future__ import annotations

from lorikeet.agent.heat import COLD, HALF_LIFE, SAMPLE, Heat


def test_who_is_busy_for_longer_is_hotter() -> None:
    heat = Heat()
    for now in range(100):
        heat.saw(float(now), {"a", "b"} if now < 10 else {"b"})
    assert heat.order == ("b", "a")


def test_the_latest_counts_most() -> None:
    heat = Heat()
    for now in range(100):
        heat.saw(float(now), {"a"})
    for now in range(50):
        heat.saw(HALF_LIFE * 2 + now, {"b"})
    assert heat.order == ("b", "a")


def test_looking_more_often_makes_nobody_hotter() -> None:
    seldom, often = Heat(), Heat()
    for number in range(5):
        seldom.saw(number * SAMPLE, {"a"})
    for number in range(5 * 40):
        often.saw(number * SAMPLE / 40, {"a"})
    assert abs(seldom._heat["a"] - often._heat["a"]) < SAMPLE


def test_a_long_time_between_two_looks_says_little() -> None:
    heat = Heat()
    heat.saw(0.0, {"a"})
    heat.saw(50.0, {"b"})  # busy now: not for all that time
    assert heat._heat["b"] <= SAMPLE


def test_an_earlier_order_stands_until_there_is_another() -> None:
    heat = Heat(("c", "a", "b"))
    assert heat.order == ("c", "a", "b")
    for now in range(60):
        heat.saw(float(now), {"b"})
    assert heat.order == ("b", "c", "a")


def test_what_has_cooled_down_is_forgotten() -> None:
    heat = Heat(("a",))
    heat.saw(0.0, ())
    heat.saw(HALF_LIFE * (SAMPLE / COLD), ())
    assert heat.order == ()
