"""From pydantic's JSON schema to what a CustomResourceDefinition takes: structural, described, without references."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lorikeet.api.rules import INT_OR_STRING, PATTERN_SAYS, VALIDATIONS, rule
from lorikeet.api.shape import Shape

Schema = dict[str, Any]

_KEPT = (
    "description",
    "type",
    "format",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    INT_OR_STRING,
    VALIDATIONS,
)
_INT32_MAX = 2**31 - 1


def structural(model: type[Shape], defaults: bool = True) -> Schema:
    """The structural schema of `model`; raises ValueError for a field without a sentence.

    `defaults` is for what users write; a status says everything itself.
    """
    generated = model.model_json_schema(by_alias=True)
    return _Conversion(generated.get("$defs", {}), defaults).schema(generated, model.__name__)


@dataclass(frozen=True)
class _Conversion:
    defs: Mapping[str, Schema]
    defaults: bool

    def schema(self, node: Mapping[str, Any], where: str) -> Schema:
        node = self._resolved(node)
        schema: Schema = {key: node[key] for key in _KEPT if key in node}
        if "description" not in schema:
            raise ValueError(f"{where} has no description")
        if self.defaults:
            schema |= _default(node.get("default"))
        match schema.get("type"):
            case "object":
                schema |= self._fields(node, where)
            case "array":
                schema |= self._items(node, where)
            case "integer":
                schema["format"] = "int32" if node.get("maximum", _INT32_MAX + 1) <= _INT32_MAX else "int64"
            case "string":
                _say_pattern(schema, node)
        return schema

    def _resolved(self, node: Mapping[str, Any]) -> Schema:
        """`node` with its $ref and its null alternative folded in; what a field says wins over what its type says."""
        merged = dict(node)
        if INT_OR_STRING in merged:
            del merged["anyOf"]
        for alternative in merged.pop("anyOf", []):
            if alternative.get("type") != "null":
                merged = {**alternative, **merged}
        if "$ref" in merged:
            merged = {**self.defs[merged.pop("$ref").removeprefix("#/$defs/")], **merged}
        return merged

    def _fields(self, node: Mapping[str, Any], where: str) -> Schema:
        if "properties" in node:
            fields = {name: self.schema(field, f"{where}.{name}") for name, field in node["properties"].items()}
            return {"properties": fields} | ({"required": list(node["required"])} if node.get("required") else {})
        if node.get("additionalProperties") is True:
            return {"x-kubernetes-preserve-unknown-fields": True}
        value = {"description": f"A value. {node['description']}"} | node["additionalProperties"]
        return {"additionalProperties": self.schema(value, f"{where}.*")}

    def _items(self, node: Mapping[str, Any], where: str) -> Schema:
        described = {"description": f"One item. {node['description']}"} | self._resolved(node["items"])
        items = self.schema(described, f"{where}[]")
        if keys := node.get("x-kubernetes-list-map-keys"):
            items["required"] = [*items.get("required", []), *(key for key in keys if key not in items["required"])]
        return {"items": items, "x-kubernetes-list-type": node.get("x-kubernetes-list-type", "atomic")}


def _default(default: object) -> Schema:
    """Keep what tells a user something: numbers, words and flags, never an empty list or a null.

    An object's default is spelled out, because the API server checks rules on it as it stands.
    """
    if isinstance(default, Mapping):
        said = {name: value for name, value in default.items() if _default(value)}
        return {"default": said} if said else {}
    return {} if default is None or default == [] else {"default": default}


def _say_pattern(schema: Schema, node: Mapping[str, Any]) -> None:
    """Turn a pattern into a rule with a sentence: the API server would only quote the expression."""
    if message := node.get(PATTERN_SAYS):
        pattern = schema.pop("pattern").replace("\\", "\\\\").replace("'", "\\'")
        schema[VALIDATIONS] = [rule(f"self.matches('{pattern}')", message), *schema.get(VALIDATIONS, [])]
