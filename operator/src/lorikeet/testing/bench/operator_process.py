"""`python3 -m lorikeet.testing.bench.operator_process KUBECONFIG NAMESPACE [HOLDER]`: our operator, until it is killed.

One that is given a name shall lose its lease in seconds; else the lease is as in a cluster.

All that `lorikeet-operator` runs, but for its health port, which on a developer's machine somebody else may have.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from lorikeet.collector import spare_the_collector
from lorikeet.kube.lease import Terms
from lorikeet.testing.operator import QUICK, operator


async def run(kubeconfig: Path, namespace: str, holder: str = "") -> None:
    async with operator(kubeconfig, namespace, holder or "bench", QUICK if holder else Terms()):
        await asyncio.Event().wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kopf").setLevel(logging.WARNING)
    spare_the_collector()
    asyncio.run(run(Path(sys.argv[1]), *sys.argv[2:]))
