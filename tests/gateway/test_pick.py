"""Which replica a request goes to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lorikeet.api.ref import Ref
from lorikeet.gateway.catalog import Target
from lorikeet.gateway.outliers import IN_A_ROW, Outliers
from lorikeet.gateway.pick import DOUBT_SECONDS, HOME, PROMPT_UNIT, Picker
from lorikeet.gateway.residency import Held, Residency

A, B, C = (Target(Ref("ns", "qwen"), "uid", f"pod-{n}", f"10.0.0.{n}:8000", "sql@1", n) for n in range(3))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_replica_with_least_in_flight_is_picked_and_ties_are_stable() -> None:
    picker = Picker(Clock())
    assert picker.pick((C, B, A)) is A
    with picker.in_flight(A):
        assert picker.pick((C, B, A)) is B
        with picker.in_flight(B), picker.in_flight(B):
            assert picker.pick((A, B)) is A
    assert picker.pick((C, B, A)) is A


def test_what_was_tried_is_not_picked_again() -> None:
    picker = Picker(Clock())
    assert picker.pick((A, B), tried=[A]) is B
    assert picker.pick((A, B), tried=[A, B]) is None


def test_a_doubted_row_comes_last_for_a_moment_and_is_still_better_than_none() -> None:
    clock = Clock()
    picker = Picker(clock)
    picker.doubt(A)
    with picker.in_flight(B):
        assert picker.pick((A, B)) is B
        assert picker.pick((A,)) is A
        clock.now += DOUBT_SECONDS
        assert picker.pick((A, B)) is A


def targets(number: int, model: str = "sql@1", gpu: int = 2, memory: int = 4) -> list[Target]:
    """Replicas that have `model`, in the order of their turns."""
    return [
        Target(Ref("ns", "qwen"), "u", f"pod-{n}", f"10.0.0.{n}:8000", model, n, gpu=gpu, memory=memory)
        for n in range(number)
    ]


def use(picker: Picker, target: Target) -> None:
    with picker.in_flight(target):
        pass


def test_a_replica_that_has_it_on_the_gpu_is_preferred_until_it_has_more_to_do() -> None:
    picker = Picker(Clock())
    a, b = targets(2)
    use(picker, b)
    assert picker.pick([a, b]) is b
    with picker.in_flight(b):
        assert picker.pick([a, b]) is b
        with picker.in_flight(b), picker.in_flight(b):
            assert picker.pick([a, b]) is a


def test_several_answers_are_as_much_work_as_several_requests() -> None:
    picker = Picker(Clock())
    a, b = targets(2)
    with picker.in_flight(a, sequences=3), picker.in_flight(b), picker.in_flight(b):
        assert (picker.places(a.address), picker.places(b.address)) == (3, 2)
        assert picker.pick([a, b]) is b
    assert (picker.places(a.address), picker.places(b.address)) == (0, 0)


def test_slots_go_to_what_was_used_last_and_what_was_never_used_has_not_left_memory_since_it_came() -> None:
    residency = Residency()
    one = [targets(1, f"m{n}@1")[0] for n in range(6)]
    for target in one[:5]:
        residency.used(target)
    held = [residency.of(target) for target in one]
    assert held == [Held.DISK, Held.MEMORY, Held.MEMORY, Held.GPU, Held.GPU, Held.MEMORY]
    residency.used(one[1])
    assert [residency.of(target) for target in one[1:5]] == [Held.GPU, Held.MEMORY, Held.MEMORY, Held.GPU]


def test_what_was_never_used_is_in_memory_where_nothing_had_to_go_and_a_base_model_always_on_the_gpu() -> None:
    residency = Residency()
    (sql,) = targets(1)
    base = replace(sql, model="base", is_base=True)
    assert (residency.of(sql), residency.of(base)) == (Held.MEMORY, Held.GPU)
    residency.used(targets(1, "other@1")[0])
    assert residency.of(sql) is Held.MEMORY


def test_a_long_prompt_goes_where_its_beginning_was_read_unless_others_have_much_less_to_do() -> None:
    picker = Picker(Clock())
    a, b = targets(2)
    for target in (a, b):
        use(picker, target)
    size = 8 * PROMPT_UNIT
    with picker.in_flight(b, size, prefix=7):
        assert picker.pick([a, b], size=size, prefix=8) is a
        with picker.in_flight(a):
            assert picker.pick([a, b], size=size, prefix=7) is a, "two requests of the same kind are shared out"
    with picker.in_flight(b), picker.in_flight(b):
        assert picker.pick([a, b], size=size, prefix=7) is b
        assert picker.pick([a, b]) is a, "a short one goes where there is less to do"


def test_among_hundreds_only_some_are_compared_and_the_best_of_these_is_taken() -> None:
    chances = iter([0.5] * 4 + [0.9] * 4)
    picker = Picker(Clock(), chance=lambda: next(chances))
    many = targets(400)
    assert picker.pick(many) is many[0]
    for target in many[:HOME]:
        picker.doubt(target)
    assert picker.pick(many) is many[360]


def test_among_hundreds_the_one_that_read_a_prompts_beginning_is_compared_too() -> None:
    picker = Picker(Clock(), chance=lambda: 0.0)
    many = targets(400)
    with picker.in_flight(many[300], 10 * PROMPT_UNIT, prefix=7):
        pass
    assert picker.pick(many, size=10 * PROMPT_UNIT, prefix=7) is many[300]


@pytest.mark.parametrize("number", [1, 16, 17, 300])
def test_whatever_was_tried_one_that_was_not_is_found(number: int) -> None:
    picker = Picker(Clock())
    many, tried = targets(number), []
    while (target := picker.pick(many, tried)) is not None:
        assert target not in tried
        tried.append(target)
    assert len(tried) == number


def test_a_replica_that_keeps_failing_stands_back_longer_each_time_until_it_answers() -> None:
    clock, ejections = Clock(), []
    picker = Picker(clock, outliers := Outliers(clock, lambda: ejections.append(clock.now)))
    a, b = targets(2)
    for _ in range(IN_A_ROW - 1):
        outliers.failed(a.address)
    assert picker.pick([a, b]) is a
    outliers.failed(a.address)
    assert picker.pick([a, b]) is b
    assert picker.pick([a]) is a, "better than none"
    clock.now = 5
    assert picker.pick([a, b]) is a, "one request tells whether it is well"
    outliers.failed(a.address)
    clock.now = 14
    assert picker.pick([a, b]) is b
    clock.now = 15
    outliers.answered(a.address)
    outliers.failed(a.address)
    assert picker.pick([a, b]) is a
    assert ejections == [0, 5]


def test_addresses_that_failed_once_long_ago_are_not_kept_for_ever() -> None:
    outliers = Outliers(Clock())
    for number in range(20_000):
        outliers.failed(f"10.0.{number}:8000")
    assert len(outliers._records) < 5000
