"""`python3 -m lorikeet.testing.hub`: serve a folder of repositories until stopped."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from aiohttp import web

from lorikeet.testing.hub.server import application


def main() -> None:
    """Flags: --root (folder of repositories), --host, --port. Logs one line for each request."""
    parser = argparse.ArgumentParser(prog="lorikeet.testing.hub", description="A local model hub.")
    parser.add_argument("--root", type=Path, required=True, help="folder of <owner>/<repo>/<revision>/<files>")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on")
    parser.add_argument("--port", type=int, default=8080)
    flags = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(message)s")
    logging.info("hub: %s on port %d", flags.root, flags.port)
    log = logging.getLogger("hub")
    web.run_app(
        application(flags.root),
        host=flags.host,
        port=flags.port,
        print=None,
        access_log=log,
        access_log_format="%r %s %b",
    )


main()
