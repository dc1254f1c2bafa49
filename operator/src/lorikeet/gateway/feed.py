"""Keeps the catalog like the cluster: one stream of changes for each kind and namespace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from pydantic import ValidationError

from lorikeet.gateway.catalog import Catalog
from lorikeet.gateway.rows import Row
from lorikeet.kube.watch import Change, Changed, Gone, Listed, ref_of

log = logging.getLogger(__name__)


class Feed:
    """One stream into the catalog. `whole` once the first list is in."""

    def __init__(
        self, catalog: Catalog, kind: type[Row], changes: AsyncIterator[Change], namespace: str | None
    ) -> None:
        self._catalog, self._kind, self._changes, self._namespace = catalog, kind, changes, namespace
        self.whole = asyncio.Event()

    @property
    def synced(self) -> bool:
        """Whether it is whole."""
        return self.whole.is_set()

    async def run(self) -> None:
        """Until the stream ends, which the API server's never does: the last table outlives every outage."""
        async for change in self._changes:
            match change:
                case Listed(items):
                    self._replace(items)
                case Changed(body):
                    self._put(body)
                case Gone(ref):
                    self._catalog.drop(self._kind, ref)

    def _replace(self, items: Any) -> None:
        """Everything of this stream's namespace that is not listed is gone."""
        listed = {ref_of(body) for body in items}
        for ref in self._catalog.refs(self._kind) - listed:
            if self._namespace in (None, ref.namespace):
                self._catalog.drop(self._kind, ref)
        for body in items:
            self._put(body)
        self.whole.set()

    def _put(self, body: dict[str, Any]) -> None:
        ref = ref_of(body)
        if body["metadata"].get("deletionTimestamp"):
            # Somebody waits for the object's children to go; for clients it is gone already.
            self._catalog.drop(self._kind, ref)
            return
        try:
            self._catalog.put(self._kind.parse(body))
        except (ValidationError, KeyError, TypeError) as error:
            # Most likely a newer operator's: the last row we understood routes better than none.
            log.warning("%s %s: cannot read its status, keeping the last one: %s", self._kind.__name__, ref, error)
