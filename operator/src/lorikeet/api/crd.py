"""The CustomResourceDefinitions of both kinds, made from their models.

python -m lorikeet.api.crd --write     write the chart's CRDs, docs/api.md and docs/reasons.md anew
python -m lorikeet.api.crd --check     fail, naming the files, if one of them differs
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lorikeet.api import reference
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
