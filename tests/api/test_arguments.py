"""Which engine arguments a user may add."""

from __future__ import annotations

import pytest

from lorikeet.api.arguments import REFUSED, refused_arguments


@pytest.mark.parametrize("name", REFUSED)
def test_every_form_of_a_refused_name_is_refused(name: str) -> None:
    forms = [
        f"--{name}",
        f"--{name}=x",
        f"--{name.replace('-', '_')}",
        f"--no-{name}",
        f"--{name}.key=1",
        f"--{name[:-1]}",
    ]
    assert refused_arguments(forms) == tuple(forms)


def test_values_and_harmless_arguments_pass() -> None:
    assert refused_arguments(["--seed", "-1", "-0.5", "model", "--block-size=16", "--tokenizer-mode", "slow"]) == ()


def test_short_forms_are_refused() -> None:
    assert refused_arguments(["-tp", "-tp=2", "-O3", "-", "--", "-1x", "-1\n"]) == (
        "-tp",
        "-tp=2",
        "-O3",
        "-",
        "--",
        "-1x",
        "-1\n",
    )
