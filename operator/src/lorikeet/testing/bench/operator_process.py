"""`python3 -m lorikeet.testing.bench.operator_process KUBECONFIG NAMESPACE`: our operator, until it is killed.

All that `lorikeet-operator` runs, but for its health port, which on a developer's machine somebody else may have.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from lorikeet.kube.lease import Terms
from lorikeet.testing.operator import operator


async def run(kubeconfig: Path, namespace: str) -> None:
    async with operator(kubeconfig, namespace, "bench", Terms()):
        await asyncio.Event().wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kopf").setLevel(logging.WARNING)
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2]))
