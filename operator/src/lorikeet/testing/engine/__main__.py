"""`python3 -m lorikeet.testing.engine` with vLLM's arguments: the simulator as a process.

SIGUSR1 stalls the engine's loop as SIGSTOP does vLLM's EngineCore: /health stays 200 and no token comes. SIGUSR2 ends
that.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading

import uvicorn

from lorikeet.testing.engine.app import Gate, Routes
from lorikeet.testing.engine.core import Core
from lorikeet.testing.engine.faults import Faults
from lorikeet.testing.engine.settings import parse


def main() -> None:
    settings, serve = parse(sys.argv[1:], os.environ)
    faults = Faults()
    signal.signal(signal.SIGUSR1, lambda *_: faults.core.clear())
    signal.signal(signal.SIGUSR2, lambda *_: faults.core.set())
    core = Core(settings, faults, die)
    app = Routes(core).app()
    for name in serve.middleware:
        module, _, attribute = name.rpartition(".")
        app.add_middleware(getattr(importlib.import_module(module), attribute))
    print(f"simulated engine: {settings.served_name} from {settings.model} on {serve.host}:{serve.port}", flush=True)
    uvicorn.run(Gate(app, core), host=serve.host, port=serve.port, ws="none", access_log=False, log_level="info")


def die(why: str) -> None:
    """vLLM answers what it can and is gone a moment later."""
    print(f"simulated engine: {why}", file=sys.stderr, flush=True)
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGKILL)).start()


if __name__ == "__main__":
    main()
