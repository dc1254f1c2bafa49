"""What the operator needs of its surroundings."""

from __future__ import annotations

import pytest

from lorikeet.controller.podspec import seconds
from lorikeet.controller.settings import Settings

ENVIRONMENT = {
    "LORIKEET_NAMESPACE": "lorikeet-system",
    "LORIKEET_POD": "operator-1",
    "LORIKEET_AGENT_IMAGE": "lorikeet:1",
    "LORIKEET_ENGINE_IMAGE_GENERIC": "vllm:1",
    "LORIKEET_ENGINE_IMAGE_T4": "vllm:1",
    "LORIKEET_ENGINE_IMAGE_CPU": "cpu:1",
}


def test_the_smallest_environment_watches_every_namespace() -> None:
    assert Settings.read(ENVIRONMENT).watch_namespaces == ()


def test_namespaces_are_a_list_with_commas() -> None:
    settings = Settings.read({**ENVIRONMENT, "LORIKEET_WATCH_NAMESPACES": "a, b,"})
    assert settings.watch_namespaces == ("a", "b")


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(KeyError, match="LORIKEET_POD"):
        Settings.read({key: value for key, value in ENVIRONMENT.items() if key != "LORIKEET_POD"})


@pytest.mark.parametrize(("text", "expected"), [("20m", 1200), ("1h", 3600), ("1h20m5s", 4805), ("30s", 30)])
def test_durations(text: str, expected: int) -> None:
    assert seconds(text) == expected
