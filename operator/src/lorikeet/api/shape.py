"""The shape every model of the API shares: frozen values, camelCase on the wire."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Shape(BaseModel):
    """A frozen value that reads and writes Kubernetes' camelCase and ignores fields of a newer version."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")

    @classmethod
    def parse(cls, body: dict[str, Any]) -> Self:
        """The value in `body`, a JSON object as the API server or a peer sends it."""
        return cls.model_validate(body)

    def dump(self) -> dict[str, Any]:
        """A JSON object for the wire: camelCase, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
