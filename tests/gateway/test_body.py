"""Which model a body asks, byte by byte, and which bodies no engine sees."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorikeet.gateway.body import LONG, QUOTES, REFUSED, WHOLE_BATCH, parse
from lorikeet.gateway.openai import ApiError

ENGINE = b'"sql@1"'


@pytest.mark.parametrize(
    ("body", "spliced"),
    [
        (b'{"model":"a"}', b'{"model":"sql@1"}'),
        (b' { "x" : 1.50 , "model" \n:\t"a" , "y":[] } ', b' { "x" : 1.50 , "model" \n:\t"sql@1" , "y":[] } '),
        (b'{"model":"a\\"b"}', b'{"model":"sql@1"}'),
        (b'{"mod\\u0065l":"a"}', b'{"mod\\u0065l":"sql@1"}'),
        (b'{"x":{"model":1},"model":"a"}', b'{"x":{"model":1},"model":"sql@1"}'),
        (b'{"model":"a","x":[{"model":"b"}]}', b'{"model":"sql@1","x":[{"model":"b"}]}'),
        (b'{"x":"\\"model\\":\\"b\\"","model":"a"}', b'{"x":"\\"model\\":\\"b\\"","model":"sql@1"}'),
        (b'{"x":"model","model":"a"}', b'{"x":"model","model":"sql@1"}'),
        (b'{"x":"\\\\","model":"model"}', b'{"x":"\\\\","model":"sql@1"}'),
        (b'{"a":"\\"model","model":"m"}', b'{"a":"\\"model","model":"sql@1"}'),
    ],
)
def test_only_the_bytes_of_the_models_name_change(body: bytes, spliced: bytes) -> None:
    assert parse(body).of(ENGINE) == spliced


TEXT = st.text('model"\\{}[]:, é\u2028\n', max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT | st.sampled_from(["model", '"model":', "\\"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT | st.just("model"), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=40, deadline=None)
@given(
    before=st.dictionaries(TEXT.filter(lambda key: key not in ("model", "messages") and key not in REFUSED), JSON),
    name=TEXT.filter(bool),
    ascii_only=st.booleans(),
)
def test_whatever_is_around_it_an_engine_reads_the_same_body_with_another_model(
    before: dict[str, object], name: str, ascii_only: bool
) -> None:
    fields = {**before, "model": name, "after": before}
    asked = parse(json.dumps(fields, ensure_ascii=ascii_only).encode())
    assert asked.model == name
    assert json.loads(asked.of(ENGINE)) == {**fields, "model": "sql@1"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"[]", None),
        (b"nul", None),
        (b'{"model":"a"}x', None),
        (b'{"model":"a","x":NaN}', None),
        (b'{"model":"\xff"}', None),
        (b'\xef\xbb\xbf{"model":"a"}', None),
        (b'{"model":"a","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}", None),
        (b"{}", "model"),
        (b'{"model":null}', "model"),
        (b'{"model":["a"]}', "model"),
        (b'{"model":""}', "model"),
        (b'{"model":"' + b"a" * 10_240 + b'"}', "model"),
        (b'{"model":"a","model":"b"}', "model"),
        (b'{"model":"a","model":"a"}', "model"),
        (b'{"model":"a","\\u006dodel":"b"}', "model"),
        (b'{"\\u006Dodel":"a","mode\\u006C":"b"}', "model"),
        (b'{"model":"a","model":{"x":1}}', "model"),
        (b'{"model":{"x":1},"model":"a"}', "model"),
        (b'{"model":"a","x":[{"model":1}' + b",[]" * 60_000 + b"]}", "model"),
    ],
)
def test_a_body_that_two_parsers_could_read_in_two_ways_is_refused(body: bytes, param: str | None) -> None:
    with pytest.raises(ApiError) as refused:
        parse(body)
    assert (refused.value.status, refused.value.param) == (400, param)


@pytest.mark.parametrize("field", sorted(REFUSED))
def test_fields_that_reach_into_the_engine_are_refused_by_name(field: str) -> None:
    with pytest.raises(ApiError, match=field) as refused:
        parse(json.dumps({"model": "a", field: None}).encode())
    assert (refused.value.status, refused.value.param) == (400, field)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}},
        {"type": "image_url", "image_url": "https://example.com/x.png"},
        {"audio_url": {"url": "file:///etc/passwd"}},
        {"video_url": {}},
        {"type": "image_embeds", "image_embeds": "AAAA"},
    ],
)
def test_an_engine_fetches_nothing_for_a_client(part: dict[str, object]) -> None:
    with pytest.raises(ApiError) as refused:
        parse(json.dumps({"model": "a", "messages": [{"role": "user", "content": [part]}]}).encode())
    assert (refused.value.status, refused.value.param) == (400, "messages")


@pytest.mark.parametrize(
    "body",
    [
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://10.0.0.1/"}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://example.com"}]}]},
        {"input": [{"type": "computer_call_output", "output": {"image_url": "http://10.0.0.1/"}}]},
        {"tools": [{"type": "mcp", "server_url": "http://10.0.0.1/"}]},
        {"tools": [{"type": "function", "function": {}}, {"type": "web_search"}]},
    ],
)
def test_nor_for_a_response_or_a_tool(body: dict[str, object]) -> None:
    with pytest.raises(ApiError) as refused:
        parse(json.dumps({"model": "a", **body}).encode())
    assert (refused.value.status, refused.value.param) == (400, next(iter(body)))


def test_long_prompts_are_told_apart_by_their_beginning() -> None:
    def prefix(**fields: object) -> int:
        return parse(json.dumps({"model": "a", **fields}).encode()).prefix

    long, other = "x" * 5000, "y" * 5000
    system = {"role": "system", "content": long}
    chats = [prefix(messages=[system, {"role": "user", "content": text}]) for text in ("a", "b")]
    assert chats[0] == chats[1] != 0
    assert prefix(messages=[system], seed=1) == chats[0]
    assert prefix(messages=[{"role": "user", "content": [{"type": "text", "text": other}]}]) not in (0, chats[0])
    assert prefix(prompt=long) == prefix(prompt=long + "z") != prefix(prompt=other)
    assert prefix(prompt="short") == 0
    assert prefix(prompt=[1] * 5000) == 0


@pytest.mark.parametrize(
    ("fields", "sequences"),
    [
        ({}, 1),
        ({"n": 3}, 3),
        ({"n": True}, 1),
        ({"input": []}, 1),
        ({"n": -2}, 1),
        ({"n": "x"}, 1),
        ({"n": 10**9}, WHOLE_BATCH),
        ({"prompt": "one"}, 1),
        ({"prompt": []}, 1),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": ["one", "two"], "n": 2}, 4),
        ({"prompt": [[1, 2], [3]]}, 2),
        ({"input": ["one"] * 1000}, WHOLE_BATCH),
        ({"input": [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}]}, 1),
    ],
)
def test_each_answer_to_each_prompt_is_one_that_the_engine_works_at(fields: dict[str, object], sequences: int) -> None:
    assert parse(json.dumps({"model": "a", **fields}).encode()).sequences == sequences


def test_functions_are_the_clients_to_call() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"model": "x"}}}]
    body = json.dumps({"model": "a", "input": "hi", "tools": tools, "tool_choice": "auto"}).encode()
    assert json.loads(parse(body).of(ENGINE))["tools"] == tools


def test_plain_messages_and_media_inside_the_request_pass() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages = [{"role": "user", "content": "hi"}, {"role": "user", "content": [{"type": "text", "text": "x"}, image]}]
    assert parse(json.dumps({"model": "a", "messages": messages}).encode()).model == "a"


@pytest.mark.parametrize("quotes", [0, QUOTES - 2, QUOTES, QUOTES + 2])
@pytest.mark.parametrize("size", [LONG, 4 * LONG])
def test_a_second_model_is_found_wherever_it_stands_in_a_long_body(size: int, quotes: int) -> None:
    text = "x" * size + '\\"' * quotes
    once = f'{{"model":"sql","prompt":"{text}"}}'.encode()
    assert parse(once).written == b'"sql"'
    deep = f'{{"model":"sql","prompt":"{text}","metadata":{{"model":"other"}}}}'.encode()
    assert parse(deep).written == b'"sql"'
    with pytest.raises(ApiError, match="twice"):
        parse(f'{{"model":"sql","prompt":"{text}","model":"other"}}'.encode())
