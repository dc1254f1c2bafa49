"""The gateway's process in front of one life."""

from __future__ import annotations

import asyncio
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from lorikeet.testing import builders
from lorikeet.testing.apiserver.process import Process, free_ports

PATIENCE = 60.0


@asynccontextmanager
async def gateway(kubeconfig: Path, namespace: str, folder: Path) -> AsyncIterator[str]:
    """Its URL, once its table is whole. `folder` takes its key and its log."""
    port, admin = free_ports(2)
    key = folder / "root-key"
    key.write_bytes(builders.installation().root_key)
    environment = {
        "KUBECONFIG": kubeconfig,
        "LORIKEET_ROOT_KEY_FILE": key,
        "LORIKEET_NAMESPACES": namespace,
        "LORIKEET_HOST": "127.0.0.1",
        "LORIKEET_PORT": port,
        "LORIKEET_ADMIN_PORT": admin,
    }
    named = [f"{name}={value}" for name, value in environment.items()]
    process = Process("gateway", ["env", *named, sys.executable, "-m", "lorikeet.gateway.main"], folder / "gateway.log")
    try:
        await asyncio.to_thread(process.wait_until, lambda: is_ready(f"http://127.0.0.1:{admin}/readyz"), PATIENCE)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310 - by us
            return bool(reply.status == 200)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return False
    except OSError:
        return False
