"""`kubectl-lorikeet`, which kubectl finds as `kubectl lorikeet`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from lorikeet.api.apikeys import DEFAULT_SECRET
from lorikeet.api.ref import Ref
from lorikeet.cli import keys
from lorikeet.cli.keyring import Keyring, NoSuchKey
from lorikeet.kube.client import Kube
from lorikeet.kube.errors import KubeError

NAMESPACE = "lorikeet-system"


def main() -> None:
    """Run one command; errors in a sentence, exit status 1."""
    asked = parser().parse_args()
    try:
        print(asyncio.run(run(asked)))
    except (KubeError, NoSuchKey, ValueError) as error:
        sys.exit(f"kubectl lorikeet: {error}")


def parser() -> argparse.ArgumentParser:
    """The words there are."""
    words = argparse.ArgumentParser(prog="kubectl lorikeet", description="Lorikeet by hand.")
    words.add_argument("--kubeconfig", type=Path, help="default: as kubectl finds it")
    words.add_argument("-n", "--namespace", default=NAMESPACE, help=f"where the gateway is; default: {NAMESPACE}")
    words.add_argument("--secret", default=DEFAULT_SECRET, help=f"the Secret of keys; default: {DEFAULT_SECRET}")
    keys.add_to(words.add_subparsers(dest="command", required=True))
    return words


async def run(asked: argparse.Namespace) -> str:
    """What the command says."""
    async with await Kube.connect(asked.kubeconfig) as kube:
        return await keys.run(asked, Keyring(kube, Ref(asked.namespace, asked.secret)))


if __name__ == "__main__":
    main()
