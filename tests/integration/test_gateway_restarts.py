"""Gateways end in every way, and their API server too, while the official client asks through a Service (P25, P12)."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from lorikeet.testing.apiserver import ApiServer
from lorikeet.testing.gateways.chat import chatting
from lorikeet.testing.gateways.line import line
from lorikeet.testing.gateways.process import KEY_SECRET, GatewayProcess, call, running, until
from lorikeet.testing.gateways.published import key_id, keys, publish
from lorikeet.testing.gateways.service import service

LONG = "LORIKEET_LONG" in os.environ
"""The promise's own lengths (make gateway-long)."""
ROUNDS, PAUSE = (20, 15.0) if LONG else (2, 2.0)
OUTAGE = 300.0 if LONG else 0.0
RATE = 40.0
LOCKED = {"KEY_SECRETS": KEY_SECRET}

pytestmark = pytest.mark.timeout(1200 if LONG else 600)


async def test_gateways_are_restarted_and_killed_in_turn_and_no_request_fails(
    api: ApiServer, namespace: str, cheap_engine: Callable[..., str], tmp_path: Path
) -> None:
    await asyncio.to_thread(publish, api, namespace, [cheap_engine(delay=0.05), cheap_engine(delay=0.05)])
    key = await keys(api, namespace, "create", "--tenant", "team")
    two = [GatewayProcess(api.kubeconfig, tmp_path / name, namespace, **LOCKED) for name in "ab"]
    with running(*two):
        for gateway in two:
            await until(partial(gateway.answers, 200, "sql", key))
        async with service(two) as front, chatting(front, key, "sql", RATE) as chat:
            for number in range(2 * ROUNDS):
                gateway = two[number % 2]
                await asyncio.sleep(PAUSE)  # under load
                if number < 2:
                    await gateway.stop()
                else:
                    gateway.kill()
                await front.sees(gateway, ready=False)
                gateway.start()
                await front.sees(gateway, ready=True)
            await asyncio.sleep(PAUSE)
    assert set(chat.outcomes) == {"right"}, chat.outcomes
    print(f"{chat.outcomes['right']} requests over {2 * ROUNDS} ends of gateways")


async def test_a_worker_that_is_killed_is_replaced_and_no_request_fails(
    api: ApiServer, namespace: str, cheap_engine: Callable[..., str], tmp_path: Path
) -> None:
    await asyncio.to_thread(publish, api, namespace, [cheap_engine(delay=0.05)])
    key = await keys(api, namespace, "create", "--tenant", "team")
    gateway = GatewayProcess(api.kubeconfig, tmp_path / "a", namespace, WORKERS="2", **LOCKED)
    with running(gateway):
        await until(partial(gateway.listening, 2))
        async with service([gateway]) as front, chatting(front, key, "sql", RATE) as chat:
            for number in range(3):
                os.kill(gateway.workers[0], signal.SIGKILL)
                await until(partial(gateway.listening, 3 + number))
                so_far = chat.outcomes["right"]
                await until(lambda: chat.outcomes["right"] > so_far + 20)  # noqa: B023
            assert front.ready(gateway)
    assert set(chat.outcomes) == {"right"}, chat.outcomes


async def test_a_gateway_that_has_seen_no_table_is_not_ready_and_lets_nobody_in(
    api: ApiServer, namespace: str, cheap_engine: Callable[..., str], tmp_path: Path
) -> None:
    await asyncio.to_thread(publish, api, namespace, [cheap_engine()])
    key = await keys(api, namespace, "create", "--tenant", "team")
    async with line(api, tmp_path) as to_api:
        await to_api.cut()
        gateway = GatewayProcess(to_api.kubeconfig, tmp_path / "a", namespace, **LOCKED)
        with running(gateway):
            # Both kinds and the Secret: each was asked for again and again.
            await until(lambda: gateway.log.read_text().count("; again in ") >= 3 * 5)
            assert call(f"http://127.0.0.1:{gateway.admin}/healthz")[0] == 200
            assert call(f"http://127.0.0.1:{gateway.admin}/readyz")[0] == 503
            assert gateway.ask("sql", key) == 0
            await to_api.mend()
            heard = set()

            def answers() -> bool:
                heard.add(status := gateway.ask("sql", key))
                return status == 200

            await until(answers, pause=0)
            assert heard <= {0, 200}, "neither the key nor the model was ever unknown"
            assert gateway.ready()


async def test_without_the_api_server_gateways_answer_restart_and_afterwards_know_all_that_they_missed(
    api: ApiServer, namespace: str, cheap_engine: Callable[..., str], tmp_path: Path
) -> None:
    address = cheap_engine(delay=0.05)
    await asyncio.to_thread(publish, api, namespace, [address])
    key, doomed = [await keys(api, namespace, "create", "--tenant", name) for name in ("team", "doomed")]
    async with line(api, tmp_path) as to_api:
        two = [GatewayProcess(to_api.kubeconfig, tmp_path / name, namespace, **LOCKED) for name in "ab"]
        with running(*two):
            for gateway in two:
                await until(partial(kept, gateway, "sql", key_id(key), key_id(doomed)))
            async with service(two) as front, chatting(front, key, "sql", RATE) as chat:
                await to_api.cut()
                await keys(api, namespace, "revoke", key_id(doomed))
                await asyncio.to_thread(publish, api, namespace, [address], ["sql", "poet"])
                for gateway in two:
                    await (gateway.stop() if gateway is two[0] else asyncio.to_thread(gateway.kill))
                    await front.sees(gateway, ready=False)
                    gateway.start()
                    await front.sees(gateway, ready=True)
                await asyncio.sleep(OUTAGE)
                told = [
                    (gateway.ask("sql", key), gateway.ask("sql", doomed), gateway.ask("poet", key)) for gateway in two
                ]
                assert told == [(200, 200, 404)] * 2, "nobody told them"
                await to_api.mend()
                began = time.monotonic()
                for gateway in two:
                    await until(partial(gateway.answers, 401, "sql", doomed))
                    await until(partial(gateway.answers, 200, "poet", key))
                seconds = time.monotonic() - began
        assert set(chat.outcomes) == {"right"}, chat.outcomes
        assert seconds <= 30, "of the promise"
        print(f"{chat.outcomes['right']} requests; all was known {seconds:.1f} s after the outage")


def kept(gateway: GatewayProcess, *words: str) -> bool:
    """Whether its table on disk has all of these."""
    table = gateway.folder / "table.json"
    text = table.read_text() if table.exists() else ""
    return all(word in text for word in words)
