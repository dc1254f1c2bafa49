"""The models there are, as clients see them; computed again only when the catalog has changed."""

from __future__ import annotations

from bisect import bisect_left
from difflib import get_close_matches

import orjson

from lorikeet.gateway.callers import Caller
from lorikeet.gateway.catalog import Catalog, Route
from lorikeet.gateway.openai import ApiError, ModelCard, model_list, unknown_model
from lorikeet.gateway.rows import created_seconds

NEIGHBOURS = 100
"""Names compared with one that is not known: those beside it in the alphabet. Comparing all 10,000 would take 0.1 s."""
CLOSE = 3


class Models:
    """Answers to "what is there"."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._seen = -1
        self._names: list[str] = []
        self._lists: dict[tuple[str, ...], bytes] = {}  # by the models that a key is for

    def list(self, caller: Caller) -> bytes:
        """The body of GET /v1/models: what `caller` can ask now."""
        self._refresh()
        known = self._lists.get(caller.models)
        if known is None:
            routes = ((name, self._catalog.find(name)) for name in self._names)
            there = ((name, route) for name, route in routes if route and self._there(route, caller))
            known = self._lists[caller.models] = model_list(card(name, route) for name, route in there)
        return known

    def one(self, name: str, caller: Caller) -> bytes:
        """The body of GET /v1/models/{name}. Raises ApiError (404), also for a model that cannot be asked yet."""
        route = self._catalog.find(name)
        if route is None or not self._there(route, caller):
            raise self.unknown(name, caller)
        return orjson.dumps(card(name, route).dump())

    def unknown(self, name: str, caller: Caller, param: str = "model") -> ApiError:
        """The error for a name that means nothing to `caller`."""
        self._refresh()
        place = bisect_left(self._names, name)
        near = self._names[max(0, place - NEIGHBOURS // 2) : place + NEIGHBOURS // 2]
        close = get_close_matches(name[:128], near, len(near) or 1)
        theirs = [name for name in close if (route := self._catalog.find(name)) and caller.may(route, self._catalog)]
        return unknown_model(name, theirs[:CLOSE], param)

    def _there(self, route: Route, caller: Caller) -> bool:
        return bool(route.targets) and caller.may(route, self._catalog)

    def _refresh(self) -> None:
        if self._seen != self._catalog.version:
            self._names, self._lists, self._seen = self._catalog.names(), {}, self._catalog.version


def card(name: str, route: Route) -> ModelCard:
    """The row of one name. Two names of one object have the same root."""
    root = f"{route.row.ref.namespace}:{route.row.names[0]}"
    return ModelCard(name, created_seconds(route.row), root, route.parent)
