"""What the gateway is told by its environment."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lorikeet.gateway.limits import Limits

MOST_WORKERS = 4
"""A core serves thousands of requests a second; a node with a hundred cores has other uses for them."""
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
KEYS, NONE = "keys", "none"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Settings:
    """LORIKEET_ROOT_KEY_FILE must be given; the others have defaults."""

    root_key_file: Path
    namespaces: tuple[str | None, ...] = (None,)
    """LORIKEET_NAMESPACES, with commas: the namespaces to serve. Empty: all, which is written (None,)."""
    host: str = "0.0.0.0"
    port: int = 8080
    admin_port: int = 8081
    linger_seconds: float = 5.0
    """LORIKEET_LINGER_SECONDS: after SIGTERM, how long new clients are served while the news travels."""
    grace_seconds: float = 120.0
    """LORIKEET_GRACE_SECONDS: after that, how long replies may take to end."""
    request_seconds: float = Limits.request_seconds
    """LORIKEET_REQUEST_SECONDS: from a request's first byte to its last."""
    state: Path | None = None
    """LORIKEET_STATE_DIR: a folder for the last good table, which outlives this process. Empty: none is kept."""
    tls: Path | None = None
    """LORIKEET_TLS_DIR: a folder with tls.crt and tls.key. Empty: clients speak plain HTTP."""
    auth: str = KEYS
    """LORIKEET_AUTH: `keys`, or `none` where the network alone says who may ask."""
    access_log: float = 0.01
    """LORIKEET_ACCESS_LOG: the share of requests that went well and have a line in the log, from 0 to 1."""
    workers: int = 1
    """LORIKEET_WORKERS: processes of this gateway; `auto`: one for each core that it may use, and 4 at most."""
    worker: int = 0
    """LORIKEET_WORKER: which of them this is; the first one keeps the table on disk."""
    part: int = 1
    """LORIKEET_PART: workers that share this gateway's memory and clients."""
    tally: Path | None = None
    """LORIKEET_TALLY: the file in which workers count together what quotas bound."""
    admin_socket: Path | None = None
    """LORIKEET_ADMIN_SOCKET: where a worker's admin listens in place of the port."""
    gateways: int = 1
    """LORIKEET_GATEWAYS: gateway processes that share the replicas."""
    key_secrets: tuple[str, ...] = ()
    """LORIKEET_KEY_SECRETS, with commas: the Secrets of API keys in LORIKEET_NAMESPACE, which is ours."""
    namespace: str = ""

    @property
    def open(self) -> bool:
        """No key is asked for."""
        return self.auth == NONE or not self.key_secrets

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises ValueError, naming the variable, for what cannot be."""
        key_file = environment.get("LORIKEET_ROOT_KEY_FILE")
        if not key_file:
            raise ValueError("LORIKEET_ROOT_KEY_FILE must name the file of the root key")
        host = environment.get("LORIKEET_HOST", cls.host)
        auth, secrets = environment.get("LORIKEET_AUTH") or KEYS, _names(environment, "LORIKEET_KEY_SECRETS")
        _check_keys(auth, secrets, host, environment)
        return cls(
            root_key_file=Path(key_file),
            namespaces=_names(environment, "LORIKEET_NAMESPACES") or (None,),
            host=host,
            port=int(_number(environment, "LORIKEET_PORT", cls.port)),
            admin_port=int(_number(environment, "LORIKEET_ADMIN_PORT", cls.admin_port)),
            linger_seconds=_number(environment, "LORIKEET_LINGER_SECONDS", cls.linger_seconds),
            grace_seconds=_number(environment, "LORIKEET_GRACE_SECONDS", cls.grace_seconds),
            request_seconds=_number(environment, "LORIKEET_REQUEST_SECONDS", cls.request_seconds),
            tls=Path(folder) if (folder := environment.get("LORIKEET_TLS_DIR")) else None,
            auth=auth,
            access_log=min(_number(environment, "LORIKEET_ACCESS_LOG", cls.access_log), 1.0),
            workers=_workers(environment),
            part=max(int(_number(environment, "LORIKEET_PART", cls.part)), 1),
            worker=int(_number(environment, "LORIKEET_WORKER", 0)),
            tally=Path(file) if (file := environment.get("LORIKEET_TALLY")) else None,
            admin_socket=Path(socket) if (socket := environment.get("LORIKEET_ADMIN_SOCKET")) else None,
            gateways=max(int(_number(environment, "LORIKEET_GATEWAYS", cls.gateways)), 1),
            key_secrets=secrets,
            namespace=environment.get("LORIKEET_NAMESPACE", ""),
            state=Path(folder) if (folder := environment.get("LORIKEET_STATE_DIR")) else None,
        )


def _workers(environment: Mapping[str, str]) -> int:
    if environment.get("LORIKEET_WORKERS") == "auto":
        return usable_cores()
    return max(int(_number(environment, "LORIKEET_WORKERS", Settings.workers)), 1)


def usable_cores() -> int:
    """Cores that this process may use: by its affinity, and by its cgroup's quota where it has one."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = CPU_MAX.read_text().split()
        cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no cgroup v2, or `max`
        pass
    return max(1, min(cores, MOST_WORKERS))


def _check_keys(auth: str, secrets: tuple[str, ...], host: str, environment: Mapping[str, str]) -> None:
    if auth not in (KEYS, NONE):
        raise ValueError(f"LORIKEET_AUTH must be {KEYS} or {NONE}, not {auth!r}")
    if auth == NONE:
        return
    if secrets and not environment.get("LORIKEET_NAMESPACE"):
        raise ValueError("LORIKEET_NAMESPACE must say where the Secrets of LORIKEET_KEY_SECRETS are")
    if not secrets and host not in LOOPBACK:
        raise ValueError(
            f"without API keys this gateway does not listen on {host}: name their Secrets in LORIKEET_KEY_SECRETS, "
            "listen on 127.0.0.1, or say LORIKEET_AUTH=none"
        )


def _names(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    given = (part.strip() for part in environment.get(name, "").split(","))
    return tuple(sorted({part for part in given if part}))


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "")
    try:
        number = float(text) if text else float(default)
    except ValueError as error:
        raise ValueError(f"{name} must be a number, not {text!r}") from error
    if not 0 <= number <= 65535:
        raise ValueError(f"{name} must be from 0 to 65535, not {text}")
    return number
