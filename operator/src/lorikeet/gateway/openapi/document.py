"""The whole document: both ports, and the parts that routes share."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson

from lorikeet.gateway.openapi import clients, scripts
from lorikeet.gateway.openapi.operation import Parts

Document = dict[str, Any]
ABOUT = (
    "OpenAI's API in front of every base model and adapter. Exact methods on exact raw paths: everything else is 404, "
    "`not_found`, also a query, `//v1`, `%2e`, another case or method. docs/gateway.md says more."
)


def document() -> Document:
    """The OpenAPI document, as plain values in a stable order."""
    parts = Parts()
    paths = {**clients.paths(parts), **scripts.paths(parts)}
    return {
        "openapi": "3.1.1",
        "info": {"title": "Lorikeet gateway", "version": "v1", "description": ABOUT, "license": LICENSE},
        "servers": [clients.SERVER],
        "tags": [clients.TAG, scripts.TAG],
        "security": [{"bearer": []}, {"apiKey": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer sk-…`"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
            **parts.components(),
        },
    }


LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}


@cache
def as_json() -> bytes:
    """The same, as it is served."""
    return orjson.dumps(document())
