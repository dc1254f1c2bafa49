"""Replies carry the name that the client wrote, and differ from the engine's in nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorikeet.gateway.relay import Events, Pieces
from lorikeet.gateway.renamed import Renaming

ENGINE, CLIENT = "sql@3f9c1a7d20b4", 'ns:sq"l\u00e9'
RENAMING = Renaming(json.dumps(ENGINE).encode(), json.dumps(CLIENT).encode())
TEXT = st.text('model"\\{}:, sql@', max_size=12) | st.sampled_from(
    [ENGINE, f'"model":"{ENGINE}"', f'"model": "{ENGINE}"', f'\\"model":"{ENGINE}"', 'x"model']
)
VALUE = st.recursive(
    st.none() | st.integers(0, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.just("model"), inner, max_size=3),
    max_leaves=10,
)


class Written(list[bytes]):
    def write(self, data: bytes) -> None:
        self.append(data)


def renamed(value: Any) -> Any:
    """What the client should read, by a parser."""
    if isinstance(value, dict):
        return {k: CLIENT if (k, v) == ("model", ENGINE) else renamed(v) for k, v in value.items()}
    return [renamed(item) for item in value] if isinstance(value, list) else value


@given(st.dictionaries(TEXT, VALUE, max_size=3), st.booleans())
def test_the_key_model_is_renamed_wherever_it_stands_and_content_never(around: dict[str, Any], compact: bool) -> None:
    body = {"id": 1, "model": ENGINE, "choices": around, "response": {"model": ENGINE}}
    text = json.dumps(body, separators=(",", ":") if compact else None).encode()
    assert json.loads(RENAMING.of(text)) == renamed(body)


@given(VALUE, st.lists(st.integers(1, 40), min_size=1))
def test_wherever_the_network_cuts_a_long_answer_the_client_reads_the_same(value: Any, cuts: list[int]) -> None:
    text = json.dumps({"a": value, "model": ENGINE, "b": value}).encode()
    written = Written()
    pieces = Pieces(RENAMING, written)
    for cut in cuts:
        pieces.write(text[:cut])
        text = text[cut:]
    pieces.write(text)
    pieces.finish()
    assert json.loads(b"".join(written)) == renamed({"a": value, "model": ENGINE, "b": value})


def test_little_of_a_long_answer_is_ever_held() -> None:
    for size in range(1, 400):
        data = (b'{"text":"' + b'\\"model' * 20 + b'","model":"sql@3f9c' * 20)[:size]
        assert RENAMING.held(data) <= RENAMING.longest


def test_several_events_in_one_piece_are_each_renamed_and_an_error_among_them_names_no_engine() -> None:
    written = Written()
    events = Events(RENAMING, written)
    chunk = b'data: {"model":"%s","choices":[{"text":"%s"}]}\n\n' % (ENGINE.encode(), ENGINE.encode())
    events.write(chunk * 2 + b'data: {"error": {"message": "no %s here"}}\n\ndata: [DONE]\n\n' % ENGINE.encode())
    client = json.dumps(CLIENT)[1:-1].encode()
    renamed = b'data: {"model":"%s","choices":[{"text":"%s"}]}\n\n' % (client, ENGINE.encode())
    assert b"".join(written) == renamed * 2 + b'data: {"error": {"message": "no %s here"}}\n\ndata: [DONE]\n\n' % client


@pytest.mark.parametrize(("engine", "said"), [(ENGINE, "no `sql` here"), ("base", "no `base` here")])
def test_an_error_names_no_engine_and_words_that_look_like_a_base_models_name_stay(engine: str, said: str) -> None:
    renaming = Renaming(json.dumps(engine).encode(), b'"sql"')
    assert renaming.error(f"no `{engine}` here".encode()).decode() == said


def test_where_both_names_are_the_same_nothing_is_looked_for() -> None:
    same = Renaming(b'"base"', b'"base"')
    assert (same.longest, same.held(b'x"'), same.of(b'{"model":"base"}')) == (0, 0, b'{"model":"base"}')
