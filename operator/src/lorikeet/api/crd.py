"""The CustomResourceDefinitions of both kinds, made from their models.

python -m lorikeet.api.crd --write     write the chart's CRDs, docs/api.md and docs/reasons.md anew
python -m lorikeet.api.crd --check     fail, naming the files, if one of them differs
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lorikeet.api import loraadapter, modelserver, reference
from lorikeet.api.loraadapter import LoRAAdapterSpec, LoRAAdapterStatus
from lorikeet.api.modelserver import ModelServerSpec, ModelServerStatus
from lorikeet.api.names import OBJECT_NAME_BUDGET
from lorikeet.api.ref import GROUP, VERSION
from lorikeet.api.rules import Extra, rule, rules
from lorikeet.api.schema import Schema, structural
from lorikeet.api.shape import Shape

GENERATED = "# Made by `make generate` from operator/src/lorikeet/api: edit there.\n"


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


def definitions() -> tuple[Definition, ...]:
    """Both kinds, in the order a reader meets them."""
    return (_MODEL_SERVER, _LORA_ADAPTER)


def manifest(definition: Definition) -> dict[str, Any]:
    """The CustomResourceDefinition, as the API server takes it."""
    names = {
        "kind": definition.kind,
        "listKind": f"{definition.kind}List",
        "plural": definition.plural,
        "singular": definition.kind.lower(),
        "shortNames": [definition.short],
        "categories": ["lorikeet"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": definition.name},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [_version(definition)]},
    }


def _version(definition: Definition) -> dict[str, Any]:
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}} | ({"scale": scale} if definition.scale else {}),
        "additionalPrinterColumns": [dict(column) for column in definition.columns],
        "schema": {"openAPIV3Schema": root_schema(definition)},
    }
    if definition.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in definition.selectable]
    return version


def root_schema(definition: Definition) -> Schema:
    """The schema of a whole object."""
    properties = {
        "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
        "kind": {"type": "string", "description": f"{definition.kind}."},
        # The bound is Kubernetes' own: without it the API server finds rules on the name too costly.
        "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
        "spec": structural(definition.spec),
        "status": structural(definition.status, defaults=False),
    }
    checks = rules(_SHORT_NAME, *definition.rules)
    return {"description": definition.about, "type": "object", "required": ["spec"], "properties": properties, **checks}


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


def files() -> dict[Path, str]:
    """Every generated file, by its path below the repository's root."""
    crds = {
        Path(f"charts/lorikeet/files/crds/{definition.name}.yaml"): GENERATED + _yaml(manifest(definition))
        for definition in definitions()
    }
    schemas = {definition.kind: root_schema(definition) for definition in definitions()}
    return crds | {
        Path("docs/api.md"): reference.objects(schemas),
        Path("docs/reasons.md"): reference.reasons(),
    }


def _yaml(body: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(body), sort_keys=False, allow_unicode=True, width=120)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the generated files; 1 if a check found a difference."""
    parser = argparse.ArgumentParser(prog="python -m lorikeet.api.crd", description="Make the CRDs and their docs.")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help="write the files")
    mode.add_argument("--check", action="store_true", help="fail if a file differs")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[4], help="the repository's root")
    chosen = parser.parse_args(arguments)
    if chosen.write:
        _write(chosen.root)
        return 0
    stale = [path for path, text in files().items() if _read(chosen.root / path) != text]
    for path in stale:
        print(f"{path} differs from the models: run `make generate`", file=sys.stderr)
    return 1 if stale else 0


def _write(root: Path) -> None:
    for path, text in files().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def _read(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


if __name__ == "__main__":
    raise SystemExit(main())
