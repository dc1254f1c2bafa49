"""The bearer tokens this gateway shows to engines."""

from __future__ import annotations

from lorikeet.api.keys import Purpose, derive
from lorikeet.api.ref import Ref


class Keyring:
    """Each server's inference key, derived from the root key once and kept."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._known: dict[tuple[Ref, str], bytes] = {}

    def authorization(self, server: Ref, uid: str) -> bytes:
        """The Authorization header's value for the engines of `server`. Raises ValueError for a short root key."""
        known = self._known.get((server, uid))
        if known is None:
            key = derive(self._root, Purpose.INFERENCE, server, uid)
            known = self._known[server, uid] = b"Bearer " + key.encode()
        return known
