"""`kubectl lorikeet keys`, with an API server's Secret in memory."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from lorikeet.api.apikeys import digest
from lorikeet.api.ref import Ref
from lorikeet.cli import keys
from lorikeet.cli.keyring import Keyring, NoSuchKey
from lorikeet.cli.main import parser
from lorikeet.gateway.keys import Keys
from lorikeet.gateway.openai import ApiError
from lorikeet.kube.errors import Conflict, NotFound

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
REF = Ref("lorikeet-system", "lorikeet-api-keys")


class OneSecret:
    """An API server that holds one Secret, and refuses what was read before somebody else wrote."""

    def __init__(self) -> None:
        self.body: dict[str, Any] | None = None
        self.disturbances = 0

    async def get(self, _: object, ref: Ref) -> dict[str, Any]:
        assert ref == REF
        if self.body is None:
            raise NotFound
        return json.loads(json.dumps(self.body))  # type: ignore[no-any-return]

    async def create(self, _: object, body: dict[str, Any]) -> dict[str, Any]:
        if self.body is not None:
            raise Conflict
        return self._write(body, 0)

    async def update(self, _: object, body: dict[str, Any]) -> dict[str, Any]:
        assert self.body is not None
        version = self.body["metadata"]["resourceVersion"]
        if self.disturbances:
            self.disturbances -= 1
            self._write(self.body, version)
        if body["metadata"]["resourceVersion"] != self.body["metadata"]["resourceVersion"]:
            raise Conflict
        return self._write(body, version)

    def _write(self, body: dict[str, Any], version: int) -> dict[str, Any]:
        self.body = {**body, "metadata": {**body["metadata"], "resourceVersion": version + 1}}
        return self.body


@pytest.fixture
def api() -> OneSecret:
    return OneSecret()


@pytest.fixture
def ring(api: OneSecret) -> Keyring:
    return Keyring(api, REF, now=lambda: NOW)  # type: ignore[arg-type]


async def do(ring: Keyring, line: str) -> str:
    return await keys.run(parser().parse_args(line.split()), ring)


def tenant_of(api: OneSecret, key: str, now: datetime = NOW) -> str:
    """Whom the gateway takes the key's holder for; nobody: empty."""
    assert api.body is not None
    known = Keys(b"r" * 32, open=False, clock=now.timestamp)
    known.put(REF.name, api.body["data"])
    try:
        return known.who({b"x-api-key": key.encode()}).tenant.name
    except ApiError:
        return ""


async def test_a_key_is_shown_once_and_only_its_digest_is_kept(api: OneSecret, ring: Keyring) -> None:
    said = await do(ring, "keys create --tenant team-a --model sql --expires 90d --concurrency 4")
    key = said.splitlines()[-1]
    assert tenant_of(api, key) == "team-a"
    assert api.body is not None
    kept = {name: base64.b64decode(value) for name, value in api.body["data"].items()}
    assert digest(kept["pepper"], key.encode()).encode() in b"".join(kept.values())
    assert not any(key.encode() in value or key.split("-", 2)[2].encode() in value for value in kept.values())
    listed = await do(ring, "keys list")
    assert "2026-07-30T12:00:00Z" in listed
    assert "concurrency=4" in listed
    assert key not in listed


async def test_several_keys_of_one_tenant_live_side_by_side_and_one_ends_alone(api: OneSecret, ring: Keyring) -> None:
    one, two = [(await do(ring, "keys create --tenant team")).splitlines()[-1] for _ in range(2)]
    await do(ring, f"keys revoke {one.split('-')[1]}")
    assert (tenant_of(api, one), tenant_of(api, two)) == ("", "team")


async def test_a_rotated_key_is_like_the_old_one_which_lives_through_the_overlap(api: OneSecret, ring: Keyring) -> None:
    old = (await do(ring, "keys create --tenant team --model sql --admin")).splitlines()[-1]
    new = (await do(ring, f"keys rotate {old.split('-')[1]} --overlap 2h")).splitlines()[-1]
    inside, after = NOW.replace(hour=13), NOW.replace(hour=14)
    assert [tenant_of(api, key, inside) for key in (old, new)] == ["team", "team"]
    assert [tenant_of(api, key, after) for key in (old, new)] == ["", "team"]
    kept = await ring.list()
    assert {(entry.models, entry.admin) for entry in kept.values()} == {(("sql",), True)}


async def test_an_overlap_never_lengthens_a_life(api: OneSecret, ring: Keyring) -> None:
    old = (await do(ring, "keys create --tenant team --expires 30m")).splitlines()[-1]
    await do(ring, f"keys rotate {old.split('-')[1]} --overlap 2d")
    assert tenant_of(api, old, NOW.replace(hour=13)) == ""


async def test_a_change_of_somebody_else_in_between_is_kept(api: OneSecret, ring: Keyring) -> None:
    await do(ring, "keys create --tenant one")
    api.disturbances = 3
    await do(ring, "keys create --tenant two")
    assert {entry.tenant for entry in (await ring.list()).values()} == {"one", "two"}


async def test_what_is_not_there_is_said(ring: Keyring) -> None:
    for line in ("keys revoke abc", "keys rotate abc"):
        with pytest.raises(NoSuchKey, match="no key abc"):
            await do(ring, line)
    assert (await do(ring, "keys list")).startswith("ID")


@pytest.mark.parametrize(
    ("line", "named"), [("--tenant No!", "--tenant"), ("--tenant a --concurrency 0", "--concurrency")]
)
async def test_what_cannot_be_is_refused_by_its_option(ring: Keyring, line: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        await do(ring, f"keys create {line}")


@pytest.mark.parametrize("text", ["90", "0d", "-1h", "1y", "d", ""])
def test_a_duration_has_a_unit(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["keys", "create", "--tenant", "a", "--expires", text])
    assert "90d" in capsys.readouterr().err or text.startswith("-")
