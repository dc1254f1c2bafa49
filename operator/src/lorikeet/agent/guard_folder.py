"""The memory volume between agent and engine: the guard's module and the keys it checks."""

from __future__ import annotations

import secrets
from importlib import resources
from pathlib import Path

from lorikeet.agent.disk import Disk
from lorikeet.api import layout
from lorikeet.engine.guard import HUNG


class GuardFolder:
    """`folder` is shared with the engine, `server_keys` is the mounted Secret."""

    def __init__(self, folder: Path, server_keys: Path, disk: Disk | None = None) -> None:
        self._folder, self._server_keys = folder, server_keys
        self._disk = disk or Disk()

    def fill(self) -> str:
        """Write what the engine needs before it starts; the control token. Raises OSError, ValueError.

        A token that is already there is used again: the engine of an earlier life of the agent checks it.
        """
        self._disk.make(self._folder)
        self.condemn("")
        token = read_secret(self._folder / layout.CONTROL_TOKEN) or secrets.token_hex(32)
        self._put(layout.CONTROL_TOKEN, token.encode())
        self.refresh()
        source = resources.files("lorikeet.engine").joinpath("guard.py").read_bytes()
        self._put(f"{layout.GUARD_MODULE}.py", source)
        return token

    def refresh(self) -> None:
        """Hand a changed inference key on; the guard reads the file again. Raises ValueError where there is none."""
        key = read_secret(self._server_keys / layout.INFERENCE_KEY)
        if not key:
            raise ValueError(f"there is no {layout.INFERENCE_KEY} in {self._server_keys}")
        self._put(layout.INFERENCE_KEY, key.encode())

    def condemn(self, boot: str) -> None:
        """Have the guard of this life of the engine say that it hangs, until the kubelet ends it; empty: none does."""
        if boot:
            self._put(HUNG, boot.encode())
        else:
            self._disk.remove(self._folder / HUNG)

    def _put(self, name: str, data: bytes) -> None:
        path = self._folder / name
        if path.is_file() and path.read_bytes() == data:
            return
        fresh = path.with_name(f".{name}.tmp")
        fresh.touch(mode=0o640, exist_ok=True)
        self._disk.write(fresh, data)
        self._disk.rename(fresh, path)


def read_secret(path: Path) -> str:
    """The text in a small file; empty where there is none."""
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
