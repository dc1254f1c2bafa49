"""docs/openapi.yaml, from the code.

python -m lorikeet.gateway.openapi --write     write it anew
python -m lorikeet.gateway.openapi --check     fail if it differs
"""

from __future__ import annotations

from pathlib import Path

import yaml

from lorikeet.api.generated import main
from lorikeet.gateway.openapi.document import document

GENERATED = "# Made by `make generate` from operator/src/lorikeet/gateway/openapi: edit there.\n"


class Plain(yaml.SafeDumper):
    """Without anchors: what is used twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def files() -> dict[Path, str]:
    """The generated file, by its path below the repository's root."""
    text = yaml.dump(document(), Dumper=Plain, sort_keys=False, allow_unicode=True, width=120)
    return {Path("docs/openapi.yaml"): GENERATED + text}


if __name__ == "__main__":
    raise SystemExit(main(files, "python -m lorikeet.gateway.openapi", "Make the OpenAPI document."))
