"""`lorikeet-gateway`: the process."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import uvloop

from lorikeet.api.ref import Ref
from lorikeet.collector import spare_the_collector
from lorikeet.gateway.accesslog import AccessLog
from lorikeet.gateway.catalog import Catalog
from lorikeet.gateway.feed import Feed
from lorikeet.gateway.gateway import Gateway, Synced, serve_admin
from lorikeet.gateway.keyfeed import KeyFeed
from lorikeet.gateway.keys import Keys
from lorikeet.gateway.limits import Limits
from lorikeet.gateway.machine import keep_memory, take_descriptors
from lorikeet.gateway.rows import AdapterRow, ServerRow
from lorikeet.gateway.settings import Settings
from lorikeet.gateway.snapshot import Snapshot
from lorikeet.gateway.tally import Tally
from lorikeet.gateway.tls import Certificate
from lorikeet.gateway.trace import make_traces
from lorikeet.gateway.workers import supervise
from lorikeet.kube.client import Kube
from lorikeet.kube.resource import LORAADAPTERS, MODELSERVERS, SECRETS
from lorikeet.kube.watch import follow, follow_one, get_if_there

log = logging.getLogger(__name__)

PATIENCE = 3.0
"""Seconds for the API server's first lists, before an older table will do."""


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings.from_environment(os.environ)
        root_key = settings.root_key_file.read_bytes().strip()
    except (ValueError, OSError) as error:
        sys.exit(f"lorikeet-gateway: {error}")
    take_descriptors()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if settings.workers > 1:
            runner.run(supervise(settings))
            return
        spare_the_collector()
        keep_memory()
        kubeconfig = os.environ.get("KUBECONFIG")
        runner.run(run(settings, root_key, Path(kubeconfig) if kubeconfig else None))


async def run(settings: Settings, root_key: bytes, kubeconfig: Path | None = None) -> None:
    """Serve until told to stop; then end as `Gateway.drain` does."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if settings.admin_socket is not None:
        loop.add_reader(0, stop.set)  # a worker's standard input ends with its supervisor
    catalog, keys = Catalog(), Keys(root_key, open=settings.open)
    limits = Limits.of(settings.gateways, settings.part, settings.request_seconds)
    certificate = certificate_of(settings.tls)
    try:
        traces = make_traces(os.environ, loop.time)
    except ValueError as error:
        sys.exit(f"lorikeet-gateway: {error}")
    tally = Tally(settings.tally, settings.worker, settings.part) if settings.tally is not None else None
    gateway = Gateway(catalog, root_key, limits, loop, keys, AccessLog(settings.access_log), traces, tally)
    async with await Kube.connect(kubeconfig) as kube, asyncio.TaskGroup() as group:
        key_feeds = [] if settings.open else make_key_feeds(kube, keys, settings)
        every: list[Feed | KeyFeed] = [*make_feeds(kube, catalog, settings.namespaces), *key_feeds]
        restored, running = False, [group.create_task(feed.run()) for feed in every]
        if settings.state is not None:
            snapshot = Snapshot(settings.state / "table.json", catalog, keys)
            restored = snapshot.restore()
            if settings.worker == 0:
                running.append(group.create_task(snapshot.keep(lambda: gateway.synced)))
        if certificate is not None:
            running.append(group.create_task(certificate.follow()))
        gateway.follow(every, restored=restored)
        admin = await serve_admin(gateway, key_feeds, settings.host, settings.admin_port, settings.admin_socket)
        patience = PATIENCE if restored else None
        opening = group.create_task(let_in(gateway, settings, certificate, every, patience))
        await stop.wait()
        opening.cancel()
        loop.remove_reader(0)
        log.info("stopping: new clients for %g s, replies for %g s", settings.linger_seconds, settings.grace_seconds)
        await gateway.drain(settings.linger_seconds, settings.grace_seconds)
        if traces is not None:
            await traces.end()
        await admin.cleanup()
        for task in running:
            task.cancel()


def certificate_of(folder: Path | None) -> Certificate | None:
    """What clients are shown; None: they speak plain HTTP."""
    try:
        return None if folder is None else Certificate(folder)
    except OSError as error:  # ssl.SSLError is one
        sys.exit(f"lorikeet-gateway: LORIKEET_TLS_DIR {folder} must hold tls.crt and its tls.key: {error}")


async def let_in(
    gateway: Gateway,
    settings: Settings,
    certificate: Certificate | None,
    feeds: Sequence[Synced],
    patience: float | None,
) -> None:
    """Clients, once there is a table; see `table`."""
    await table(feeds, patience)
    shared = settings.admin_socket is not None
    tls = None if certificate is None else certificate.context
    port = await gateway.listen(settings.host, settings.port, shared=shared, tls=tls)
    log.info("serving on port %d, admin on %s", port, settings.admin_socket or settings.admin_port)


async def table(feeds: Sequence[Synced], patience: float | None) -> None:
    """Wait until each feed is whole, for `patience` seconds at most where an older table will do.

    Who listens without a table refuses good keys and good names, and clients do not try that again.
    """
    whole = [asyncio.create_task(feed.whole.wait()) for feed in feeds]
    try:
        await asyncio.wait(whole, timeout=patience)
    finally:
        for each in whole:
            each.cancel()


def make_feeds(kube: Kube, catalog: Catalog, namespaces: tuple[str | None, ...]) -> list[Feed]:
    """A stream for each kind and namespace."""
    return [
        Feed(catalog, kind, follow(kube, resource, namespace), namespace)
        for namespace in namespaces
        for kind, resource in ((ServerRow, MODELSERVERS), (AdapterRow, LORAADAPTERS))
    ]


def make_key_feeds(kube: Kube, keys: Keys, settings: Settings) -> list[KeyFeed]:
    """A stream for each Secret of keys."""
    refs = [Ref(settings.namespace, name) for name in settings.key_secrets]
    return [
        KeyFeed(keys, ref.name, follow_one(kube, SECRETS, ref), partial(get_if_there, kube, SECRETS, ref))
        for ref in refs
    ]


if __name__ == "__main__":
    main()
