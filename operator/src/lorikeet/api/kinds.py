"""What the CRD of each kind says beyond its models: names, columns, rules on the whole object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lorikeet.api import loraadapter, modelserver
from lorikeet.api.loraadapter import LoRAAdapterSpec, LoRAAdapterStatus
from lorikeet.api.modelserver import ModelServerSpec, ModelServerStatus
from lorikeet.api.names import OBJECT_NAME_BUDGET
from lorikeet.api.ref import GROUP
from lorikeet.api.rules import Extra, rule
from lorikeet.api.shape import Shape


def definitions() -> tuple[Definition, ...]:
    """Both kinds, in the order a reader meets them."""
    return (_MODEL_SERVER, _LORA_ADAPTER)


@dataclass(frozen=True)
class Definition:
    """What a CRD says beyond the two models."""

    kind: str
    plural: str
    short: str
    about: str
    spec: type[Shape]
    status: type[Shape]
    columns: tuple[Mapping[str, Any], ...]
    rules: tuple[Extra, ...] = ()
    scale: bool = False
    selectable: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.plural}.{GROUP}"


_SHORT_NAME = rule(
    f"self.metadata.name.size() <= {OBJECT_NAME_BUDGET}",
    f"metadata.name may have at most {OBJECT_NAME_BUDGET} characters: pods and engine names are called after it",
)
_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": "Its age."}


def _column(name: str, path: str, description: str, kind: str = "string", wide: bool = False) -> Mapping[str, Any]:
    column = {"name": name, "type": kind, "jsonPath": path, "description": description}
    return column | ({"priority": 1} if wide else {})


def _ready(field: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{field}'


_MODEL_SERVER = Definition(
    kind="ModelServer",
    plural=modelserver.PLURAL,
    short="msv",
    about="One base model, served by vLLM on some replicas, which LoRAAdapters of its namespace join while it runs.",
    spec=ModelServerSpec,
    status=ModelServerStatus,
    scale=True,
    rules=(
        _SHORT_NAME,
        rule(
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "metadata.name must be lower-case letters, digits and '-', beginning with a letter: a Service has it too",
        ),
    ),
    columns=(
        _column("Model", ".status.modelName", "The base model's public name."),
        _column("Ready", _ready("status"), "Whether it serves."),
        _column("Replicas", ".spec.replicas", "Replicas asked for.", "integer"),
        _column("ReadyReplicas", ".status.readyReplicas", "Replicas that take requests.", "integer"),
        _column("Adapters", ".status.adapters.ready", "Adapters that are Ready.", "integer"),
        _column("Reason", _ready("reason"), "Why, in a word of docs/reasons.md."),
        _AGE,
        _column("Message", _ready("message"), "Why, in a sentence.", wide=True),
    ),
)

_LORA_ADAPTER = Definition(
    kind="LoRAAdapter",
    plural=loraadapter.PLURAL,
    short="lora",
    about="One LoRA adapter on a ModelServer of its namespace, served under a public name of its own.",
    spec=LoRAAdapterSpec,
    status=LoRAAdapterStatus,
    selectable=(".spec.modelServerRef.name",),
    rules=(
        _SHORT_NAME,
        rule(
            "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
            "metadata.name must be lower-case letters, digits and '-'; spec.name takes any public name",
        ),
        rule(
            "has(self.spec.name) || !has(self.spec.aliases) || "
            "!self.spec.aliases.exists(alias, alias == self.metadata.name)",
            "an alias repeats metadata.name, which is the public name where spec.name is absent",
        ),
    ),
    columns=(
        _column("Server", ".spec.modelServerRef.name", "The server that serves it."),
        _column("Ready", _ready("status"), "Whether each wanted replica serves it."),
        _column("Loaded", ".status.readyReplicas", "Replicas that serve it.", "integer"),
        _column("Desired", ".status.desiredReplicas", "Replicas that should serve it.", "integer"),
        _column("Reason", _ready("reason"), "Why, in a word of docs/reasons.md."),
        _column("Rank", ".status.rank", "The LoRA rank.", "integer"),
        _AGE,
        _column("Engine", ".status.engineName", "What engines call it, with the content digest.", wide=True),
        _column("Revision", ".status.revision", "The source's immutable revision.", wide=True),
        _column("Message", _ready("message"), "Why, in a sentence.", wide=True),
    ),
)
