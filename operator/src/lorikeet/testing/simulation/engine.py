"""One engine as its agent meets it: lists, loads one after the other, unloads, crashes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from lorikeet.testing.simulation.network import Call, Reply

LOAD_SECONDS, START_SECONDS = 0.03, 5.0
UNLOADABLE = "e" * 40
"""A revision that engines refuse."""


@dataclass
class SimEngine:
    """`lists`: engine name → folder."""

    pod: str
    boot: int = 1
    lists: dict[str, Path] = field(default_factory=dict)
    loads: list[tuple[int, str]] = field(default_factory=list)
    """(boot, engine name) of each load that was carried out."""
    stuck: set[str] = field(default_factory=set)
    """Adapters whose loads never answer."""
    unloads_refused: bool = False
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def forget(self) -> None:
        """A new life."""
        self.boot += 1
        self.lists.clear()
        self._turn = asyncio.Lock()

    async def handle(self, call: Call) -> Reply:
        match call.method, call.path:
            case "GET", "/-/boot":
                return self._says({"boot": f"{self.pod}-{self.boot}", "startedAt": 0.0, "inFlight": 0, "quietFor": 0.0})
            case "GET", "/health":
                return self._says("")
            case "GET", "/v1/models":
                cards = [{"id": name, "root": str(path), "parent": "base"} for name, path in self.lists.items()]
                return self._says({"data": [{"id": "base", "root": "/", "parent": None}, *cards]})
            case "GET", "/metrics":
                return self._says("")
            case "POST", "/v1/load_lora_adapter":
                return await self._load(call.body["lora_name"], Path(call.body["lora_path"]))
            case "POST", "/v1/unload_lora_adapter":
                return self._unload(call.body["lora_name"])
        return Reply(404, "Not Found")

    async def _load(self, name: str, path: Path) -> Reply:
        boot = self.boot
        while name.split("@")[0] in self.stuck:  # noqa: ASYNC110 - a set has no event
            await asyncio.sleep(0.1)
        if name in self.lists:
            return self._error(400, "InvalidUserInput", f"The lora adapter '{name}' has already been loaded.")
        async with self._turn:
            await asyncio.sleep(LOAD_SECONDS)
            if not await asyncio.to_thread(path.is_dir):
                return self._error(404, "NotFoundError", f"No adapter found for {path}")
            if await asyncio.to_thread((path / UNLOADABLE).exists):
                return self._error(500, "InternalServerError", "it makes no sense to this engine")
            if boot == self.boot:
                self.lists[name] = path
                self.loads.append((boot, name))
        return self._says(f"Success: LoRA adapter '{name}' added successfully.")

    def _unload(self, name: str) -> Reply:
        if self.unloads_refused:
            return self._error(500, "InternalServerError", "scripted")
        if name not in self.lists:
            return self._error(404, "NotFoundError", f"The lora adapter '{name}' cannot be found.")
        del self.lists[name]
        return self._says(f"Success: LoRA adapter '{name}' removed successfully.")

    def _says(self, body: object) -> Reply:
        return Reply(200, body)

    def _error(self, status: int, kind: str, message: str) -> Reply:
        return Reply(status, {"error": {"message": message, "type": kind, "code": status}})
