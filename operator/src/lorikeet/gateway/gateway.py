"""One gateway process: its table, its two ports, its end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from aiohttp import web

from lorikeet.gateway.accesslog import AccessLog
from lorikeet.gateway.admin import admin_app
from lorikeet.gateway.admission import Admission
from lorikeet.gateway.answers import Answers
from lorikeet.gateway.catalog import Catalog
from lorikeet.gateway.cold import Cold
from lorikeet.gateway.control import Control
from lorikeet.gateway.counters import Counters
from lorikeet.gateway.forward import Forwarder
from lorikeet.gateway.keyfeed import KeyFeed
from lorikeet.gateway.keyring import Keyring
from lorikeet.gateway.keys import Keys
from lorikeet.gateway.limits import Limits
from lorikeet.gateway.models import Models
from lorikeet.gateway.outliers import Outliers
from lorikeet.gateway.pick import Picker
from lorikeet.gateway.tally import Tally
from lorikeet.gateway.trace import Traces
from lorikeet.gateway.warmup import Warmup
from lorikeet.gateway.wire.pool import Pool
from lorikeet.gateway.wire.request import Fields
from lorikeet.gateway.wire.server import WireServer


class Synced(Protocol):
    """A stream into one of our tables; `whole` once its first list is in."""

    @property
    def whole(self) -> asyncio.Event: ...
    @property
    def synced(self) -> bool: ...


class Gateway:
    """Built from a catalog that somebody feeds. `listen`, then `drain`."""

    def __init__(
        self,
        catalog: Catalog,
        root_key: bytes,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        keys: Keys | None = None,
        access_log: AccessLog | None = None,
        traces: Traces | None = None,
        tally: Tally | None = None,
    ) -> None:
        self.counters = Counters()
        self._pool = Pool(limits, loop)
        picker = Picker(loop.time, Outliers(loop.time, self.counters.ejected))
        forwarder = Forwarder(self._pool, picker, Keyring(root_key), self.counters, limits)
        self.keys = keys or Keys(root_key, open=True)
        self._feeds: Sequence[Synced] = ()
        self._restored = False
        self.cold = Cold(catalog, limits, loop)
        self.warmup = Warmup(catalog, forwarder)
        self.admission = Admission(picker, limits, loop, tally)
        catalog.listeners.append(self.admission.call_all)
        self.answers = Answers(
            catalog,
            Models(catalog),
            self.keys,
            self.cold,
            self.admission,
            forwarder,
            self.counters,
            access_log or AccessLog(),
            loop.time,
            self.ready,
            traces,
        )
        self._server = WireServer(self.answers.answer, limits, loop, self.counters.answered, self._holder)
        self.counters.count_models(lambda: catalog.size)
        self.counters.count_waiting("place", lambda: self.admission.waiting)
        self.counters.count_waiting("model", lambda: self.cold.waiting)

    def _holder(self, headers: Fields) -> str:
        return self.answers.keys.who(headers).tenant.name

    def follow(self, feeds: Sequence[Synced], *, restored: bool = False) -> None:
        """Be ready once all of these are whole; `restored`: an older table does as well, for who listens already."""
        self._feeds, self._restored = feeds, restored

    @property
    def synced(self) -> bool:
        """The table is what the API server said."""
        return all(feed.synced for feed in self._feeds)

    def ready(self) -> bool:
        """Clients may come, the table is whole, and nobody told us to stop."""
        return self._server.listening and not self._server.closing and (self.synced or self._restored)

    async def listen(
        self, host: str, port: int, *, shared: bool = False, tls: Callable[[], ssl.SSLContext] | None = None
    ) -> int:
        """Serve clients; the bound port. `shared`: with other processes that listen there. `tls`: told for each one."""
        return await self._server.listen(host, port, shared=shared, tls=tls)

    async def drain(self, linger: float, grace: float) -> None:
        """Stop without failing anybody; see WireServer.drain."""
        await self._server.drain(linger, grace)
        self._pool.close()


async def serve_admin(
    gateway: Gateway, key_feeds: Sequence[KeyFeed], host: str, port: int, socket: Path | None = None
) -> web.AppRunner:
    """Serve the admin port, or the socket in place of it; `cleanup` of what is returned ends it."""
    app = admin_app(gateway.ready, gateway.counters)
    Control(gateway.keys, key_feeds, gateway.warmup).add_to(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.UnixSite(runner, socket) if socket is not None else web.TCPSite(runner, host, port)
    await site.start()
    return runner
