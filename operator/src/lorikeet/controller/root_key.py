"""The installation's root key: made once by the operator, read by name only."""

from __future__ import annotations

import base64
import secrets

from lorikeet.api.keys import ROOT_KEY_BYTES
from lorikeet.api.ref import Ref
from lorikeet.kube.client import Kube
from lorikeet.kube.errors import Conflict, NotFound
from lorikeet.kube.resource import SECRETS

FIELD = "key"


async def root_key(kube: Kube, ref: Ref) -> bytes:
    """The key in Secret `ref`, created when there is none. It holds hex text, which is what the gateway mounts too."""
    try:
        found = await kube.get(SECRETS, ref)
    except NotFound:
        found = await _create(kube, ref)
    key = base64.b64decode(found.get("data", {}).get(FIELD, ""))
    if len(key) < ROOT_KEY_BYTES:
        raise ValueError(f"Secret {ref} has no field {FIELD} of at least {ROOT_KEY_BYTES} bytes: delete the Secret")
    return key


async def _create(kube: Kube, ref: Ref) -> dict[str, object]:
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": ref.namespace, "name": ref.name, "labels": {"app.kubernetes.io/part-of": "lorikeet"}},
        "type": "Opaque",
        "stringData": {FIELD: secrets.token_hex(ROOT_KEY_BYTES)},
    }
    try:
        return await kube.create(SECRETS, body)
    except Conflict:
        return await kube.get(SECRETS, ref)
