"""Keys are made, rotated and revoked while clients go on asking, and none of them is ever seen (P27, P28)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from lorikeet.testing.apiserver import ApiServer
from lorikeet.testing.gateways.process import KEY_SECRET, ROOT_KEY, GatewayProcess, call, running, until
from lorikeet.testing.gateways.published import key_id, keys, publish
from lorikeet.testing.gateways.steady import steady
from lorikeet.testing.place import Place, is_ready

RATE = 200.0
ROUNDS = 10 if "LORIKEET_LONG" in os.environ else 2
WITHIN = 5.0
"""Seconds of the promise, after which a key that was revoked opens nothing anywhere."""
LOCKED = {"KEY_SECRETS": KEY_SECRET, "ACCESS_LOG": "1"}
pytestmark = pytest.mark.timeout(600)


async def test_keys_are_added_rotated_and_revoked_under_load_and_no_good_one_is_ever_refused(
    api: ApiServer, namespace: str, cheap_engine: Callable[..., str], tmp_path: Path
) -> None:
    await asyncio.to_thread(publish, api, namespace, [cheap_engine()])
    two = tuple(GatewayProcess(api.kubeconfig, tmp_path / name, namespace, **LOCKED) for name in "ab")
    lags = []
    with running(*two):
        old = await keys(api, namespace, "create", "--tenant", "team")
        await known(two, old)
        began = time.monotonic()
        async with steady(RATE, *two) as load:
            load.keys = [old]
            for _ in range(ROUNDS):
                other = await keys(api, namespace, "create", "--tenant", "other")
                await known(two, other)
                load.keys = [old, other]
                new = await keys(api, namespace, "rotate", key_id(old), "--overlap", "1h")
                await known(two, new)
                load.keys = [old, other, new]
                await load.more(100, old, other, new)
                load.keys = [other, new]
                await load.more(50, other, new)
                await load.answered(old)
                lags.append(await revoke(api, namespace, old, two))
                old = new
        seconds, sent = time.monotonic() - began, sum(load.outcomes.values())
    print(f"{sent} requests, {sent / seconds:.0f} a second; revocations reached both after {lags} s")
    assert {status for _, _, status in load.outcomes} == {200}, "no good key was ever refused"
    assert max(lags) <= WITHIN


async def known(gateways: tuple[GatewayProcess, ...], key: str) -> None:
    """Wait until each of them knows it: then it is given to clients."""
    for gateway in gateways:
        await until(partial(gateway.answers, 200, "sql", key))


async def revoke(api: ApiServer, namespace: str, key: str, gateways: tuple[GatewayProcess, ...]) -> float:
    """Seconds from then until both refuse it; who refused it once does so ever after."""
    await keys(api, namespace, "revoke", key_id(key))
    began = time.monotonic()
    for gateway in gateways:
        await until(partial(gateway.answers, 401, "sql", key), pause=0.01)
    lag = time.monotonic() - began
    assert {gateway.ask("sql", key) for gateway in gateways for _ in range(20)} == {401}
    return lag


@pytest.mark.usefixtures("world")
async def test_a_secret_holds_a_keyed_digest_of_each_key_and_no_log_holds_a_key_a_pepper_or_a_prompt(
    api: ApiServer,
    namespace: str,
    place: Place,
    cheap_engine: Callable[..., str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    await place.create_server()  # for the operator, which has a namespace of its own here
    await place.add_replica("a")
    await place.adapter_until(await place.create_adapter("sql"), is_ready)
    made = json.loads(api.kubectl("get", "secrets", "-n", namespace, "-o", "json").stdout)["items"]
    operators = [base64.b64decode(value).decode() for one in made for value in one["data"].values()]
    assert operators
    namespace += "-gateway"
    api.kubectl("create", "namespace", namespace)
    await asyncio.to_thread(publish, api, namespace, [cheap_engine()])
    key, said = await asyncio.to_thread(by_hand, api, namespace, "create", "--tenant", "team", "--admin")
    new, more = await asyncio.to_thread(by_hand, api, namespace, "rotate", key_id(key))
    gateway = GatewayProcess(api.kubeconfig, tmp_path / "a", namespace, **LOCKED)
    with running(gateway):
        await known((gateway,), new)
        await asyncio.to_thread(in_every_way, gateway, key, new)
        await until(lambda: (gateway.folder / "table.json").exists())
    _, again = await asyncio.to_thread(by_hand, api, namespace, "revoke", key_id(key))
    data = json.loads(api.kubectl("get", "secret", KEY_SECRET, "-n", namespace, "-o", "json").stdout)["data"]
    held = {name: base64.b64decode(value) for name, value in data.items()}
    kept = json.loads(held[f"key.{key_id(new)}"])["hmac"]
    assert kept == hmac.new(held["pepper"], new.encode(), hashlib.sha256).hexdigest()
    secret_parts = [one.split("-", 2)[2] for one in (key, new)]
    assert not [part for part in secret_parts for value in held.values() if part.encode() in value]
    assert not [part for part in secret_parts if part in (gateway.folder / "table.json").read_text()]
    peppers = [data["pepper"], held["pepper"].hex(), repr(held["pepper"])[2:-1]]
    logs = {"gateway": gateway.log.read_text(), "commands": said + more + again, "operator": caplog.text}
    assert PROMPT not in "".join(logs.values())
    for where, text in logs.items():
        assert text or where == "commands", f"{where} logged something, so that there is something to look at"
        for secret in (*secret_parts, *peppers, *operators, ROOT_KEY, kept, GUESS, "x" * 50):
            assert secret not in text, where


PROMPT = "what my company plans"
GUESS = "a-guess-of-somebodys"


def in_every_way(gateway: GatewayProcess, *good: str) -> None:
    """Ask with good keys and bad ones, where they belong and where not, well and badly."""
    url = f"http://127.0.0.1:{gateway.port}"
    for key in (*good, GUESS, f"sk-{'a' * 12}-{GUESS}", good[0][:-1], good[0] + GUESS):
        gateway.ask("sql", key, prompt=PROMPT)
        gateway.ask(PROMPT, key, prompt=PROMPT)
        gateway.ask("sql", key, prompt=PROMPT, cache_salt=PROMPT)
        call(f"{url}/v1/models?api_key={key}", key=key)
        call(f"{url}/v1/models/{key}", key=key)
        call(f"{url}/v1/generate", {"prompt": PROMPT, "adapter": "sql"}, key)
        call(f"http://127.0.0.1:{gateway.admin}/admin/reload-keys", {}, key)
        call(f"http://127.0.0.1:{gateway.admin}/admin/warm?key={key}", {"adapters": [PROMPT.replace(" ", "-")]}, key)
    assert call(f"http://127.0.0.1:{gateway.admin}/metrics")[1].count(PROMPT) == 0


def by_hand(api: ApiServer, namespace: str, *words: str) -> tuple[str, str]:
    """The command as a process: the last line that it says, which may be a key, and all that it logs."""
    command = [sys.executable, "-m", "lorikeet.cli.main", "--kubeconfig", str(api.kubeconfig), "-n", namespace, "keys"]
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=120, check=True)
    *before, last = done.stdout.splitlines()
    return last, done.stderr + "".join(before)
