"""From models to CRDs: structural, said in sentences, and in step with the files of the repository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from lorikeet.api import crd
from lorikeet.api.conditions import Reason
from lorikeet.api.kinds import definitions
from lorikeet.api.reasons import EXPLAINED
from lorikeet.api.rules import INT_OR_STRING, pattern_says
from lorikeet.api.schema import structural
from lorikeet.api.shape import Shape

REPOSITORY = Path(__file__).parents[2]
SCHEMAS = {definition.kind: crd.root_schema(definition) for definition in definitions()}


class Inner(Shape):
    """An inner thing."""

    size: Annotated[int, Field(description="How large.", ge=1, le=9)] = 3
    note: Annotated[str | None, Field(description="A note.")] = None


class Outer(Shape):
    """An outer thing."""

    inner: Annotated[Inner, Field(description="Said by the field.")] = Inner()
    plain: Annotated[tuple[Inner, ...], Field(description="Several.")] = ()
    word: Annotated[
        str | None, Field(description="A word.", pattern="^a'b$", json_schema_extra=pattern_says("must be a'b"))
    ] = None
    many: Annotated[
        int | Literal["All"],
        Field(description="How many.", json_schema_extra={"enum": [1, 2, "All"], INT_OR_STRING: True}),
    ] = "All"


def test_references_and_nulls_are_folded_in_and_the_field_describes_itself() -> None:
    inner = structural(Outer)["properties"]["inner"]
    assert inner["description"] == "Said by the field."
    assert inner["properties"]["note"] == {"description": "A note.", "type": "string"}


def test_an_object_default_is_what_its_fields_default_to_without_nulls() -> None:
    assert structural(Outer)["properties"]["inner"]["default"] == {"size": 3}


def test_an_empty_list_is_no_default() -> None:
    assert "default" not in structural(Outer)["properties"]["plain"]


def test_a_status_has_no_defaults() -> None:
    assert "default" not in structural(Outer, defaults=False)["properties"]["inner"]


def test_a_pattern_with_a_sentence_becomes_a_rule() -> None:
    word = structural(Outer)["properties"]["word"]
    assert "pattern" not in word
    assert word["x-kubernetes-validations"] == [{"rule": r"self.matches('^a\'b$')", "message": "must be a'b"}]


def test_a_number_or_a_word_has_no_type() -> None:
    found = {"description": "How many.", "enum": [1, 2, "All"], INT_OR_STRING: True, "default": "All"}
    assert structural(Outer)["properties"]["many"] == found


def test_a_field_without_a_sentence_is_refused() -> None:
    class Silent(Shape):
        """Says nothing about its field."""

        field: int = 0

    with pytest.raises(ValueError, match=r"Silent\.field has no description"):
        structural(Silent)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_schemas_are_structural(kind: str) -> None:
    for path, node in nodes(SCHEMAS[kind], kind):
        assert ("type" in node) != ("x-kubernetes-int-or-string" in node), path
        assert not {"$ref", "anyOf", "title", "additionalProperties"} & {
            key for key in node if not isinstance(node[key], dict)
        }, path


def test_unknown_fields_are_kept_only_where_kubernetes_defines_them() -> None:
    kept = [
        path
        for kind, schema in SCHEMAS.items()
        for path, node in nodes(schema, kind)
        if node.get("x-kubernetes-preserve-unknown-fields")
    ]
    assert kept == ["ModelServer.spec.podTemplate.tolerations[]", "ModelServer.spec.podTemplate.affinity"]


def test_every_reason_is_explained_once_with_a_next_step() -> None:
    assert list(EXPLAINED) == list(Reason)
    assert all(said.meaning.endswith(".") and said.next_step for said in EXPLAINED.values())


def test_the_generated_files_are_those_of_the_models() -> None:
    assert crd.main(["--check", "--root", str(REPOSITORY)]) == 0


def test_a_stale_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crd.main(["--write", "--root", str(tmp_path)])
    (tmp_path / "docs/api.md").write_text("edited by hand")
    assert crd.main(["--check", "--root", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "docs/api.md differs from the models: run `make generate`\n"


def nodes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from nodes(field, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
