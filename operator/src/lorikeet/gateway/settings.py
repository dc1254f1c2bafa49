"""What the gateway is told by its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


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
    state: Path | None = None
    """LORIKEET_STATE_DIR: a folder for the last good table, which outlives this process. Empty: none is kept."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises ValueError, naming the variable, for what cannot be."""
        key_file = environment.get("LORIKEET_ROOT_KEY_FILE")
        if not key_file:
            raise ValueError("LORIKEET_ROOT_KEY_FILE must name the file of the root key")
        names = [name.strip() for name in environment.get("LORIKEET_NAMESPACES", "").split(",")]
        return cls(
            root_key_file=Path(key_file),
            namespaces=tuple(sorted({name for name in names if name})) or (None,),
            host=environment.get("LORIKEET_HOST", cls.host),
            port=int(_number(environment, "LORIKEET_PORT", cls.port)),
            admin_port=int(_number(environment, "LORIKEET_ADMIN_PORT", cls.admin_port)),
            linger_seconds=_number(environment, "LORIKEET_LINGER_SECONDS", cls.linger_seconds),
            grace_seconds=_number(environment, "LORIKEET_GRACE_SECONDS", cls.grace_seconds),
            state=Path(folder) if (folder := environment.get("LORIKEET_STATE_DIR")) else None,
        )


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "")
    try:
        number = float(text) if text else float(default)
    except ValueError as error:
        raise ValueError(f"{name} must be a number, not {text!r}") from error
    if not 0 <= number <= 65535:
        raise ValueError(f"{name} must be from 0 to 65535, not {text}")
    return number
