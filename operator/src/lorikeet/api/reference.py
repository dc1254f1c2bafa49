"""docs/api.md and docs/reasons.md, written from the models and from the list of reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lorikeet.api.reasons import EXPLAINED
from lorikeet.api.ref import API_VERSION
from lorikeet.api.rules import VALIDATIONS
from lorikeet.api.schema import Schema

_HEAD = "<!-- Made by `make generate` from operator/src/lorikeet/api: edit there. -->\n"


def objects(schemas: Mapping[str, Schema]) -> str:
    """docs/api.md: each kind's fields, with types, defaults and rules."""
    intro = (
        f"# The API: `{API_VERSION}`\n\n"
        "`kubectl explain modelservers.lorikeet.dev.spec` says the same. Write the plural with its group "
        "(`loraadapters.lorikeet.dev`): other projects have a `loraadapters` too. "
        "What reasons of conditions mean is in [reasons.md](reasons.md).\n"
    )
    return _HEAD + intro + "".join(_kind(kind, schema) for kind, schema in schemas.items())


def reasons() -> str:
    """docs/reasons.md: each reason, what it means and what to do."""
    rows = "".join(f"| `{reason}` | {said.meaning} | {said.next_step} |\n" for reason, said in EXPLAINED.items())
    intro = (
        "# Reasons\n\nThe `reason` of a condition or an Event is one word of this list; its `message` names the "
        "object, the fact and the next step. `kubectl get loraadapters.lorikeet.dev -o wide` shows both.\n\n"
    )
    return f"{_HEAD}{intro}| reason | means | what to do |\n|---|---|---|\n{rows}"


def _kind(kind: str, schema: Schema) -> str:
    spec, status = schema["properties"]["spec"], schema["properties"]["status"]
    object_rules = "".join(f"- {_escape(found['message'])}\n" for found in schema.get(VALIDATIONS, []))
    return (
        f"\n## {kind}\n\n{schema['description']}\n\n{object_rules}"
        f"\n### {kind} spec\n\n{_table('spec', spec)}"
        f"\n### {kind} status\n\n{status['description']}\n\n{_table('status', status)}"
    )


def _table(name: str, schema: Schema) -> str:
    rows = "".join(
        f"| `{path}` | {_type(field)}{', required' if required else ''} | {_cell(field)} |\n"
        for path, field, required in _fields(name, schema)
    )
    return f"| field | type | what it says |\n|---|---|---|\n{rows}"


def _fields(path: str, schema: Schema) -> Iterator[tuple[str, Schema, bool]]:
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field, name in schema.get("required", ())
        yield from _fields(f"{path}.{name}", field)
        yield from _fields(f"{path}.{name}[]", field.get("items", {}))


def _type(field: Schema) -> str:
    match field:
        case {"enum": values}:
            return " \\| ".join(f"`{value}`" for value in values)
        case {"type": "array", "items": items}:
            return f"list of {_type(items)}"
        case {"type": "object", "additionalProperties": value}:
            return f"map of {_type(value)}"
    return str(field["type"])


def _cell(field: Schema) -> str:
    """The description, then limits, default and rules."""
    said = [field["description"], *_limits(field)]
    if not isinstance(field.get("default"), dict | None):
        said.append(
            f"Default: `{str(field['default']).lower() if field.get('type') == 'boolean' else field['default']}`."
        )
    said += [f"Rule: {found['message']}." for found in _rules(field)]
    return _escape(" ".join(said))


def _limits(field: Schema) -> Iterator[str]:
    match field:
        case {"minimum": low, "maximum": high}:
            yield f"{low} to {high}."
        case {"minimum": low}:
            yield f"At least {low}."
        case {"maxItems": most}:
            yield f"At most {most}."


def _rules(field: Schema) -> list[Mapping[str, Any]]:
    return [*field.get(VALIDATIONS, []), *field.get("items", {}).get(VALIDATIONS, [])]


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
