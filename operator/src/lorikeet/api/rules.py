"""How a model says what its CRD shall check and in which words: values for pydantic's `json_schema_extra`."""

from __future__ import annotations

from pydantic.types import JsonValue

VALIDATIONS = "x-kubernetes-validations"
PATTERN_SAYS = "x-lorikeet-pattern-says"
INT_OR_STRING = "x-kubernetes-int-or-string"
"""A field that takes a number or a word: in a structural schema it has no type."""

Extra = dict[str, JsonValue]


def rule(cel: str, message: str, expression: str = "") -> Extra:
    """One CEL rule: `message` is a sentence, `expression` CEL that makes a better one out of the values."""
    said: Extra = {"rule": cel, "message": message}
    return said | {"messageExpression": expression} if expression else said


def rules(*listed: Extra) -> Extra:
    """The rules of a field or of a whole model."""
    return {VALIDATIONS: list(listed)}


def pattern_says(message: str, *more: Extra) -> Extra:
    """What a user reads when the field's pattern does not match: the API server alone would quote the expression."""
    return {PATTERN_SAYS: message} | (rules(*more) if more else {})


def list_map(*keys: str) -> Extra:
    """A list whose items are told apart by `keys`, so that server-side apply merges item by item."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def immutable(message: str) -> Extra:
    """The field keeps its first value."""
    return rule("self == oldSelf", message)


NO_PARENT = rule("!self.contains('..')", "may not contain '..'")


def plain_keys(what: str) -> Extra:
    """A map whose keys leave Lorikeet's own prefix to Lorikeet."""
    return rule(
        "self.all(key, !key.startsWith('lorikeet.dev/') && !key.contains('.lorikeet.dev/'))",
        f"{what} under lorikeet.dev/ are Lorikeet's own",
    )
