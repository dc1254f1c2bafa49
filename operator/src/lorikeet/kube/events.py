"""Events: what was done to an object, for `kubectl describe` and `kubectl events`."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from lorikeet.kube.client import Kube
from lorikeet.kube.errors import KubeError
from lorikeet.kube.resource import EVENTS

log = logging.getLogger(__name__)
CONTROLLER = "lorikeet.dev/operator"
NOTE_LIMIT = 1024


class Events:
    """Writes Events in the name of this operator; an Event that cannot be written is logged and forgotten."""

    def __init__(self, kube: Kube, instance: str) -> None:
        self._kube, self._instance = kube, instance

    async def tell(
        self, regarding: dict[str, Any], reason: str, note: str, kind: Literal["Normal", "Warning"] = "Normal"
    ) -> None:
        """One Event about `regarding`, an object as the API server sends it."""
        meta = regarding["metadata"]
        event = {
            "metadata": {"namespace": meta["namespace"], "name": f"{meta['name']}.{uuid4().hex[:16]}"},
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "action": reason,
            "reason": reason,
            "note": note[:NOTE_LIMIT],
            "type": kind,
            "regarding": {
                "apiVersion": regarding["apiVersion"],
                "kind": regarding["kind"],
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta.get("uid", ""),
            },
        }
        try:
            await self._kube.create(EVENTS, event)
        except KubeError as error:
            log.warning("event for %s/%s: %s", meta["namespace"], meta["name"], error)
