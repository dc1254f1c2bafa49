"""The certificate for clients, from files that may change: new connections have the new one, old ones go on."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
Seen = tuple[tuple[int, int, int], ...]


class Certificate:
    """`tls.crt` and `tls.key` in a folder, as a Secret of type kubernetes.io/tls mounts them.

    Raises OSError, of which ssl.SSLError is one, where there is no pair to begin with.
    """

    def __init__(self, folder: Path) -> None:
        self._files = (folder / "tls.crt", folder / "tls.key")
        self._seen = self._look()
        self._said = ""
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """For the next connection."""
        return self._context

    def reload(self) -> bool:
        """Take the files as they are now, if they are others. Whether it did; a pair that does not fit is left."""
        try:
            seen = self._look()
            if seen == self._seen:
                return False
            self._context = self._load()
        except OSError as error:
            self._complain(error)
            return False
        self._seen, self._said = seen, ""
        log.info("new connections have the certificate that %s holds now", self._files[0])
        return True

    async def follow(self) -> None:
        """Look every few seconds. Ends when cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.reload()

    def _look(self) -> Seen:
        """A Secret's volume changes by another folder under a link: other files, of which `stat` tells."""
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in (file.stat() for file in self._files))

    def _load(self) -> ssl.SSLContext:
        """A context of its own for each pair: one that took half of a pair would serve nobody."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(*self._files, password="")  # for a locked key OpenSSL would ask the terminal
        return context

    def _complain(self, error: OSError) -> None:
        said = str(error)
        if said != self._said:  # once, and not every few seconds
            log.error("%s and %s are no pair (%s): the certificate stays as it was", *self._files, said)
        self._said = said
