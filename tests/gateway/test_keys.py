"""Who may ask, and for what."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorikeet.api.apikeys import SECRET_BYTES, digest, id_of, new_key
from lorikeet.gateway.catalog import Catalog
from lorikeet.gateway.keyfeed import Body, KeyFeed
from lorikeet.gateway.keys import Keys
from lorikeet.gateway.openai import ApiError
from lorikeet.gateway.rows import AdapterRow, ServerRow

PEPPER = b"p" * 32
NOW = 1_800_000_000.0
ROOT = b"r" * 32


def key(number: int) -> tuple[str, str]:
    return new_key(lambda size: bytes([number]) * size)


def secret(*entries: tuple[str, dict[str, Any]], pepper: bytes = PEPPER, **tenants: dict[str, Any]) -> dict[str, str]:
    """The data of a Secret that holds these keys."""
    data = {"pepper": pepper, **{f"tenant.{name}": json.dumps(entry).encode() for name, entry in tenants.items()}}
    for text, entry in entries:
        hashed = {"hmac": digest(pepper, text.encode()), "tenant": "team", **entry}
        data[f"key.{id_of(text.encode())}"] = json.dumps(hashed).encode()
    return {name: base64.b64encode(value).decode() for name, value in data.items()}


def keys_of(*entries: tuple[str, dict[str, Any]], **tenants: dict[str, Any]) -> Keys:
    keys = Keys(ROOT, open=False, clock=lambda: NOW)
    keys.put("one", secret(*entries, **tenants))
    return keys


def bearer(text: str | bytes) -> dict[bytes, bytes]:
    return {b"authorization": b"Bearer " + (text.encode() if isinstance(text, str) else text)}


MINE, OTHER = key(1)[1], key(2)[1]


def test_a_key_has_256_random_bits_and_says_which_it_is() -> None:
    key_id, text = key(7)
    assert text.startswith(f"sk-{key_id}-")
    assert len(base64.urlsafe_b64decode(text.split("-", 2)[2] + "=")) == SECRET_BYTES == 32
    assert id_of(text.encode()) == key_id
    assert len({key(n)[1] for n in range(50)}) == 50


@pytest.mark.parametrize(
    "headers",
    [
        bearer(MINE),
        {b"authorization": b"bearer  " + MINE.encode()},
        {b"x-api-key": MINE.encode()},
        {**bearer(MINE), b"x-api-key": MINE.encode()},
    ],
)
def test_a_key_is_given_as_bearer_or_as_x_api_key(headers: dict[bytes, bytes]) -> None:
    caller = keys_of((MINE, {}), (OTHER, {"tenant": "other"})).who(headers)
    assert (caller.id, caller.tenant.name) == (key(1)[0], "team")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer(""),
        bearer(OTHER),
        bearer(MINE[:-1]),
        bearer(MINE + "x"),
        bearer(MINE.upper()),
        bearer(f"sk-{key(1)[0]}-"),
        bearer("x" * 8192),
        bearer(b"sk-\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff-\xff"),
        bearer("sk-" + "0" * 12 + "-" + "0" * 43),
        {b"authorization": b"Basic " + MINE.encode()},
        {b"authorization": MINE.encode()},
        {**bearer(MINE), b"x-api-key": OTHER.encode()},
    ],
)
def test_anything_else_is_401_in_openais_shape(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(ApiError) as refused:
        keys_of((MINE, {})).who(headers)
    error = json.loads(refused.value.body())["error"]
    assert (refused.value.status, error["code"], error["type"]) == (401, "invalid_api_key", "authentication_error")
    assert (b"www-authenticate", b"Bearer") in refused.value.headers()
    assert MINE not in error["message"]


@given(st.binary(max_size=80))
def test_no_guess_opens_anything(guess: bytes) -> None:
    with pytest.raises(ApiError):
        keys_of((MINE, {})).who(bearer(guess))


def test_a_key_under_another_keys_id_opens_nothing() -> None:
    data = secret((MINE, {}))
    (field,) = (name for name in data if name.startswith("key."))
    data[f"key.{id_of(OTHER.encode())}"] = data.pop(field)
    keys = Keys(ROOT, open=False)
    keys.put("one", data)
    for text in (MINE, OTHER):
        with pytest.raises(ApiError):
            keys.who(bearer(text))


def test_keys_of_two_peppers_each_open_what_they_are_for() -> None:
    keys = Keys(ROOT, open=False)
    keys.put("one", secret((MINE, {"tenant": "one"})))
    keys.put("two", secret((OTHER, {"tenant": "two"}), pepper=b"q" * 32))
    assert [keys.who(bearer(text)).tenant.name for text in (MINE, OTHER)] == ["one", "two"]
    assert keys.number == 2


def test_keys_end_when_they_expire() -> None:
    keys = keys_of((MINE, {"expires": "2027-01-15T08:00:01Z"}), (OTHER, {"expires": "2027-01-15T09:00:00+01:00"}))
    assert keys.who(bearer(MINE))
    with pytest.raises(ApiError, match="expired"):
        keys.who(bearer(OTHER))


def test_a_change_of_the_secret_is_the_next_requests_and_a_secret_that_goes_takes_its_keys() -> None:
    keys = keys_of((MINE, {}))
    keys.put("two", secret((OTHER, {}), pepper=b"q" * 32))
    assert keys.who(bearer(MINE))
    assert keys.who(bearer(OTHER))
    keys.put("one", secret())
    with pytest.raises(ApiError):
        keys.who(bearer(MINE))
    keys.put("two", None)
    with pytest.raises(ApiError):
        keys.who(bearer(OTHER))


def test_of_one_id_in_two_secrets_the_first_secrets_counts_in_whatever_order_they_come() -> None:
    for order in (("one", "two"), ("two", "one")):
        keys = Keys(ROOT, open=False)
        for name in order:
            keys.put(name, secret((MINE, {"tenant": name})))
        assert keys.who(bearer(MINE)).tenant.name == "one"


@pytest.mark.parametrize(
    "entry",
    [{"tenant": "No Such"}, {"expires": "soon"}, {"expires": "2030-01-01T00:00:00"}, {"limits": {"concurrency": 0}}],
)
def test_an_entry_that_cannot_be_read_opens_nothing_harms_no_other_and_is_named_without_its_values(
    entry: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    keys = keys_of((MINE, entry), (OTHER, {}))
    assert keys.number == 1
    assert keys.who(bearer(OTHER))
    assert f"key.{key(1)[0]}" in caplog.text
    assert digest(PEPPER, MINE.encode()) not in caplog.text
    assert "soon" not in caplog.text


@pytest.mark.parametrize("field", [b"", b"{", b"[]", b"\xff"])
def test_a_field_that_is_no_json_opens_nothing(field: bytes) -> None:
    keys = Keys(ROOT, open=False)
    keys.put("one", {**secret((MINE, {})), "key.abc": base64.b64encode(field).decode(), "key.def": "%"})
    assert keys.number == 1


def test_without_a_pepper_no_key_counts(caplog: pytest.LogCaptureFixture) -> None:
    keys = Keys(ROOT, open=False)
    keys.put("one", {name: value for name, value in secret((MINE, {})).items() if name != "pepper"})
    assert keys.number == 0
    assert "pepper" in caplog.text


def test_each_tenant_has_its_salt_and_its_share() -> None:
    keys = keys_of((MINE, {}), (OTHER, {"tenant": "other"}), team={"weight": 3, "limits": {"concurrency": 7}})
    mine, other = keys.who(bearer(MINE)).tenant, keys.who(bearer(OTHER)).tenant
    assert (mine.weight, mine.limits.concurrency, other.weight) == (3, 7, 1)
    assert len({mine.salt, other.salt, ""}) == 3
    assert keys_of((MINE, {})).who(bearer(MINE)).tenant.salt == mine.salt, "the same on every gateway"


def test_where_no_key_is_asked_for_anybody_may() -> None:
    caller = Keys(ROOT, open=True).who({})
    assert (caller.tenant.salt, caller.models, caller.admin) == ("", (), True)


@pytest.mark.parametrize(
    ("patterns", "may"),
    [
        ([], ["base", "a:sql", "a:poet", "b:sql"]),
        (["sql"], ["a:sql"]),
        (["b:sql"], ["b:sql"]),
        (["a:*"], ["base", "a:sql", "a:poet"]),
        (["poet", "base"], ["base", "a:poet"]),
        (["*"], ["base", "a:sql", "a:poet", "b:sql"]),
        (["sq"], []),
    ],
)
def test_a_key_is_for_its_models_under_whatever_name_they_are_asked(
    objects: Any, patterns: list[str], may: list[str]
) -> None:
    catalog = Catalog()
    catalog.put(ServerRow.parse(objects.server(namespace="a")))
    catalog.put(AdapterRow.parse(objects.adapter("sql", namespace="a", created="2025-01-01T00:00:00Z")))
    catalog.put(AdapterRow.parse(objects.adapter("poet", namespace="a", names=("poet", "bard"))))
    catalog.put(AdapterRow.parse(objects.adapter("sql", namespace="b")))
    caller = keys_of((MINE, {"models": patterns})).who(bearer(MINE))
    told = []
    for name in ("base", "a:sql", "a:poet", "b:sql"):
        route = catalog.find(name)
        assert route is not None
        told += [name] if caller.may(route, catalog) else []
    assert told == may
    short = catalog.find("sql")
    assert short is not None
    assert caller.may(short, catalog) == ("a:sql" in may), "the older one's"


async def test_the_feed_follows_the_secret_and_looks_again_when_told_to() -> None:
    async def bodies() -> AsyncIterator[Body | None]:
        for body in ({"data": secret((MINE, {}))}, None, {}):
            yield body
            seen.append(keys.number)

    async def look() -> Body:
        return {"data": secret((OTHER, {}))}

    keys, seen = Keys(ROOT, open=False, clock=lambda: NOW), []
    feed = KeyFeed(keys, "one", bodies(), look)
    assert not feed.synced
    await feed.run()
    assert (seen, feed.synced) == ([1, 0, 0], True)
    await feed.reload()
    assert keys.who(bearer(OTHER))


@pytest.fixture
async def locked(stack: Any, make_engine: Any) -> Any:
    """A gateway that asks for keys; `engine` hears what is let through."""
    stack.route(engine := await make_engine())
    stack.gateway.keys._anybody = None
    stack.gateway.keys.put("one", secret((MINE, {"models": ["sql"]}), (OTHER, {"tenant": "other"})))
    stack.engine = engine
    return stack


async def test_nothing_but_the_probes_is_answered_without_a_key(locked: Any) -> None:
    for path in ("/v1/models", "/v1/models/sql", "/nowhere"):
        assert (await locked.client.get(path)).status == 401
    assert (await locked.client.ask()).status == 401
    assert (await locked.client.post(b"{", "/v1/generate")).status == 401
    assert [(await locked.client.get(path)).status for path in ("/health", "/ready")] == [200, 200]
    assert locked.engine.heard == []


async def test_a_large_body_is_not_read_without_a_key(locked: Any) -> None:
    head = b"POST /v1/completions HTTP/1.1\r\nHost: gw\r\nContent-Length: 5000000\r\n%b\r\n"
    for key, answer in ((b"", b"HTTP/1.1 401 "), (b"X-API-Key: sk-wrong\r\n", b"HTTP/1.1 401 ")):
        assert (await locked.client.raw(head % key + b" " * 20_000)).startswith(answer)
    whole = json.dumps({"model": "sql", "prompt": "x" * 20_000}).encode()
    assert (await locked.client.post(whole, headers=f"x-api-key: {MINE}\r\n")).status == 200


async def test_a_key_opens_its_models_and_of_others_does_not_even_show_the_names(locked: Any) -> None:
    mine = f"x-api-key: {MINE}\r\n"
    assert (await locked.client.ask("sql", headers=mine)).status == 200
    other = await locked.client.ask("base", headers=mine)
    missing = await locked.client.ask("bas", headers=mine)
    assert [(said.status, said.json()["error"]["code"]) for said in (other, missing)] == [(404, "model_not_found")] * 2
    assert "close matches" not in other.json()["error"]["message"] + missing.json()["error"]["message"]
    assert (await locked.client.ask("base", headers=mine, lora_name="sql")).status == 200
    assert (await locked.client.ask("sql", headers=f"authorization: Bearer {OTHER}\r\n")).status == 200


async def test_the_clients_key_stays_here_and_its_tenants_prompts_have_their_own_salt(locked: Any) -> None:
    for one in (MINE, OTHER):
        await locked.client.post(b' { "model":"sql"}', headers=f"x-api-key: {one}\r\n")
    heads = [heard.head for heard in locked.engine.heard]
    bodies = [json.loads(heard.body) for heard in locked.engine.heard]
    assert not any(one in head for head in heads for one in (MINE, OTHER))
    assert len({body["cache_salt"] for body in bodies}) == 2
    assert {body["model"] for body in bodies} == {"sql@3f9c1a7d20b4"}


async def test_no_key_and_no_prompt_is_ever_logged(locked: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    locked.engine.scripts[:] = [broken]
    for one in (MINE, "sk-wrong"):
        await locked.client.ask("sql", headers=f"authorization: Bearer {one}\r\n", prompt="my secret prompt")
    assert caplog.text
    assert not any(word in caplog.text for word in (MINE, "sk-wrong", "secret prompt"))


async def broken(_: Any, writer: Any) -> None:
    writer.close()
