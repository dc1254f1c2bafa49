"""The CustomResourceDefinitions of both kinds, made from their models.

python -m lorikeet.api.crd --write     write the chart's CRDs, docs/api.md and docs/reasons.md anew
python -m lorikeet.api.crd --check     fail, naming the files, if one of them differs
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lorikeet.api import generated, reference
from lorikeet.api.kinds import Definition, definitions
from lorikeet.api.ref import GROUP, VERSION
from lorikeet.api.rules import rules
from lorikeet.api.schema import Schema, structural

GENERATED = "# Made by `make generate` from operator/src/lorikeet/api: edit there.\n"


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
    checks = rules(*definition.rules)
    return {"description": definition.about, "type": "object", "required": ["spec"], "properties": properties, **checks}


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
    return generated.main(files, "python -m lorikeet.api.crd", "Make the CRDs and their docs.", arguments)


if __name__ == "__main__":
    raise SystemExit(main())
