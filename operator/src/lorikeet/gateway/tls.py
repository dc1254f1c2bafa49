"""TLS for clients, from files that may change: new connections have the new certificate, old ones go on."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
Seen = tuple[int, int, int]


class Certificate:
    """`tls.crt` and `tls.key` in a folder, as a Secret of type kubernetes.io/tls mounts them."""

    def __init__(self, folder: Path) -> None:
        self._chain, self._key = folder / "tls.crt", folder / "tls.key"
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._seen = self._look()
        self.context.load_cert_chain(self._chain, self._key)  # raises OSError, of which SSLError is one

    def reload(self) -> bool:
        """Take the files as they are now, if they are others. Whether it did; a pair that does not fit is left."""
        try:
            seen = self._look()
            if seen == self._seen:
                return False
            # Tried on its own first: a context that took half of a pair would serve nobody.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._chain, self._key)
            self.context.load_cert_chain(self._chain, self._key)
        except OSError as error:
            log.warning("cannot use %s and %s, keeping the certificate there was: %s", self._chain, self._key, error)
            return False
        self._seen = seen
        log.info("took the new certificate of %s", self._chain)
        return True

    async def follow(self) -> None:
        """Look every few seconds. Ends when cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.reload()

    def _look(self) -> tuple[Seen, Seen]:
        chain, key = ((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in (self._chain.stat(), self._key.stat()))
        return chain, key
