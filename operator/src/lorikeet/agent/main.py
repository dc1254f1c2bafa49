"""`lorikeet-agent`: run the agent of this pod until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from lorikeet.agent.agent import agent
from lorikeet.agent.settings import Settings, from_environment

log = logging.getLogger(__name__)
QUIET = ("httpx", "httpx2", "huggingface_hub", "filelock")
"""Loggers that would print each request's URL."""


def main() -> None:
    """Configured by LORIKEET_* variables alone; see settings."""
    logging.basicConfig(
        level=os.environ.get("LORIKEET_LOG_LEVEL", "INFO"),
        stream=sys.stdout,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        settings = from_environment(os.environ)
    except ValueError as error:
        sys.exit(f"lorikeet-agent: {error}")
    try:
        asyncio.run(run(settings))
    except (OSError, ValueError) as error:
        sys.exit(f"lorikeet-agent: {error}")


async def run(settings: Settings) -> None:
    """Until SIGTERM or SIGINT; then at once: a fetch in a thread could hold the process for seconds."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with agent(settings) as url:
        log.info("agent of %s/%s in %s at %s", settings.namespace, settings.server, settings.pod, url)
        await stop.wait()
        log.info("stopping; the engine keeps its adapters")
        logging.shutdown()
        os._exit(0)
