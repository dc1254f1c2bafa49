"""A simulator of the engine: vLLM's HTTP contract and command line, without the model."""

from lorikeet.testing.engine.core import Core, EngineDied
from lorikeet.testing.engine.faults import Faults
from lorikeet.testing.engine.server import Engine
from lorikeet.testing.engine.settings import Settings

__all__ = ["Core", "Engine", "EngineDied", "Faults", "Settings"]
