"""`kubectl lorikeet keys create|list|rotate|revoke`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from lorikeet.api.apikeys import KeyEntry, KeyLimits
from lorikeet.cli.keyring import Keyring, stamp

UNITS = {"m": "minutes", "h": "hours", "d": "days"}
OVERLAP = "24h"
NEVER = "never"


def add_to(commands: Any) -> None:
    """The words of `keys`."""
    words = commands.add_parser("keys", help="API keys of the gateway's clients").add_subparsers(
        dest="action", required=True
    )
    create = words.add_parser("create", help="make a key, and show it once")
    create.add_argument("--tenant", required=True, help="whom it belongs to: quotas and queues are by tenant")
    create.add_argument(
        "--model", action="append", default=[], help="a model it is for: NAME, NAMESPACE:NAME or START*"
    )
    create.add_argument("--expires", type=duration, help="such as 90d, 12h, 30m; default: never")
    create.add_argument("--requests-per-second", type=float)
    create.add_argument("--tokens-per-minute", type=int)
    create.add_argument("--concurrency", type=int, help="requests at once")
    create.add_argument("--admin", action="store_true", help="may use the admin port's POST routes")
    words.add_parser("list", help="what is kept of each key")
    rotate = words.add_parser("rotate", help="make a key like another, which ends after the overlap")
    rotate.add_argument("id")
    rotate.add_argument("--overlap", type=duration, default=duration(OVERLAP), help=f"default: {OVERLAP}")
    words.add_parser("revoke", help="end a key now").add_argument("id")


async def run(asked: argparse.Namespace, ring: Keyring) -> str:
    """Do it. What is returned goes to standard output: of create and rotate, the key alone on the last line."""
    match asked.action:
        case "create":
            key_id, key = await ring.create(lambda kept: entry(asked, kept, ring.now()))
            return f"# key {key_id} of tenant {asked.tenant}; it is shown this once\n{key}"
        case "rotate":
            until = ring.now() + asked.overlap
            key_id, key = await ring.rotate(asked.id, until)
            return f"# key {key_id} in place of {asked.id}, which ends {stamp(until)}; it is shown this once\n{key}"
        case "revoke":
            await ring.revoke(asked.id)
            return f"key {asked.id} is revoked"
        case _:
            return table(await ring.list())


def entry(asked: argparse.Namespace, kept: str, now: datetime) -> KeyEntry:
    """What is kept of a new key. Raises ValueError, with the option's name, for what cannot be."""
    limits = {name: getattr(asked, name) for name in ("requests_per_second", "tokens_per_minute", "concurrency")}
    try:
        return KeyEntry(
            hmac=kept,
            tenant=asked.tenant,
            created=stamp(now),
            expires=now + asked.expires if asked.expires else None,
            models=tuple(asked.model),
            limits=KeyLimits(**limits),
            admin=asked.admin,
        )
    except ValidationError as error:
        problem = error.errors()[0]
        option = str(problem["loc"][-1]).replace("_", "-")
        raise ValueError(f"--{option}: {problem['msg']}") from error


def table(keys: Mapping[str, KeyEntry]) -> str:
    """One line for each key."""
    head = ("ID", "TENANT", "CREATED", "EXPIRES", "MODELS", "LIMITS")
    rows = [head, *(_row(key_id, keys[key_id]) for key_id in keys)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _row(key_id: str, kept: KeyEntry) -> tuple[str, ...]:
    limits = [f"{name}={value}" for name, value in kept.limits.dump().items()] + (["admin"] if kept.admin else [])
    expires = stamp(kept.expires) if kept.expires else NEVER
    return key_id, kept.tenant, kept.created, expires, ",".join(kept.models) or "all", ",".join(limits) or "none"


def duration(text: str) -> timedelta:
    """Such as 90d, 12h or 30m. Raises argparse's error."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number with d, h or m, such as 90d")
    return timedelta(**{UNITS[match[2]]: int(match[1])})
