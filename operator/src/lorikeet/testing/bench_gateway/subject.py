"""Our whole gateway with a table of its own: `python3 -m … PORT ENGINE_PORT`. Keys, quotas, metrics and all."""

from __future__ import annotations

import asyncio
import base64
import json
import sys

import uvloop

from lorikeet.api.apikeys import digest, id_of
from lorikeet.collector import spare_the_collector
from lorikeet.gateway.catalog import Catalog
from lorikeet.gateway.gateway import Gateway
from lorikeet.gateway.keys import Keys
from lorikeet.gateway.limits import Limits
from lorikeet.gateway.machine import keep_memory
from lorikeet.gateway.rows import AdapterRow, ServerRow

ROOT, PEPPER = b"r" * 32, b"p" * 32
KEY = "sk-" + "a" * 12 + "-" + "b" * 43
DIGEST = "3f9c1a7d20b4" + "0" * 52
LIMITS = {"requestsPerSecond": 1_000_000, "tokensPerMinute": 1_000_000_000, "concurrency": 100_000}


def keys() -> Keys:
    """One key, with each kind of limit, of a tenant with each kind of limit."""
    entry = {"hmac": digest(PEPPER, KEY.encode()), "tenant": "team", "limits": LIMITS}
    tenant = {"weight": 2, "limits": LIMITS}
    fields = {"pepper": PEPPER, f"key.{id_of(KEY.encode())}": json.dumps(entry).encode()}
    fields["tenant.team"] = json.dumps(tenant).encode()
    made = Keys(ROOT, open=False)
    made.put("keys", {name: base64.b64encode(value).decode() for name, value in fields.items()})
    return made


def catalog(engine: str, adapters: int = 1000) -> Catalog:
    """One server, and many adapters on it."""
    meta = {"namespace": "ns", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}
    status = {"modelName": "base", "endpoints": [{"pod": "pod-0", "address": engine, "ready": True}]}
    made = Catalog()
    spec = {"engine": {"maxNumSeqs": 100_000}}
    made.put(ServerRow.parse({"metadata": {**meta, "name": "qwen"}, "spec": spec, "status": status}))
    for name in ("sql", *(f"adapter-{number}" for number in range(adapters))):
        replica = {"pod": "pod-0", "digest": DIGEST, "state": "Loaded"}
        told = {"engineName": f"{name}@{DIGEST[:12]}", "names": [name], "replicas": [replica]}
        body = {"metadata": {**meta, "name": name}, "spec": {"modelServerRef": {"name": "qwen"}}, "status": told}
        made.put(AdapterRow.parse(body))
    return made


async def serve(port: int, engine: int) -> None:
    """For ever."""
    loop = asyncio.get_running_loop()
    gateway = Gateway(catalog(f"127.0.0.1:{engine}"), ROOT, Limits(upstream_spare=8192), loop, keys())
    await gateway.listen("127.0.0.1", port)
    spare_the_collector()
    keep_memory()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
