"""The kind LoRAAdapter: one adapter on one server, under a public name."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from lorikeet.api.conditions import Condition
from lorikeet.api.names import PUBLIC_NAME, PUBLIC_NAME_SAYS
from lorikeet.api.rules import NO_PARENT, immutable, list_map, pattern_says, rule, rules
from lorikeet.api.shape import Shape

PLURAL = "loraadapters"
ADAPTER_URI = (
    r"^hf://[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}(@[A-Za-z0-9][A-Za-z0-9._/-]{0,127})?$"
)


class ServerRef(Shape):
    """A ModelServer of the same namespace: namespaces are walls."""

    name: Annotated[
        str,
        Field(
            description="The ModelServer's name.",
            min_length=1,
            max_length=63,
            json_schema_extra=rules(immutable("an adapter stays with its server: make a new LoRAAdapter instead")),
        ),
    ]


class Source(Shape):
    """Where the adapter's bytes come from."""

    uri: Annotated[
        str,
        Field(
            description="hf://OWNER/REPO@REVISION on the Hugging Face hub or a mirror of it. A branch or tag, or none "
            "(main), is resolved once to a commit, which status.revision then shows.",
            pattern=ADAPTER_URI,
            max_length=512,
            json_schema_extra=pattern_says("must be hf://OWNER/REPO or hf://OWNER/REPO@REVISION", NO_PARENT),
        ),
    ]
    credentials_key: Annotated[
        str | None,
        Field(
            description="The key in the server's sources Secret that holds the token for this source.",
            pattern=r"^[A-Za-z0-9._-]{1,253}$",
            max_length=253,
            json_schema_extra=pattern_says("must be a key of a Secret: 1 to 253 letters, digits, '.', '_' or '-'"),
        ),
    ] = None
    sha256: Annotated[
        str | None,
        Field(
            description="The content digest to insist on (64 hex digits, as status.digest shows it): other bytes are "
            "refused.",
            pattern=r"^[0-9a-f]{64}$",
            max_length=64,
            json_schema_extra=pattern_says("must be a sha256 in 64 lower-case hex digits"),
        ),
    ] = None


class LoRAAdapterSpec(Shape):
    """What a user asks for."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.aliases) || !has(self.name) || !self.aliases.exists(alias, alias == self.name)",
                "an alias repeats spec.name: aliases are further names",
            )
        )
    )

    model_server_ref: Annotated[ServerRef, Field(description="The server that serves it.")]
    source: Annotated[Source, Field(description="Where the bytes come from.")]
    name: Annotated[
        str | None,
        Field(
            description="The public name that clients write in `model`. Default: the object's name.",
            pattern=PUBLIC_NAME,
            max_length=128,
            json_schema_extra=pattern_says(PUBLIC_NAME_SAYS),
        ),
    ] = None
    aliases: Annotated[
        tuple[
            Annotated[
                str, Field(pattern=PUBLIC_NAME, max_length=128, json_schema_extra=pattern_says(PUBLIC_NAME_SAYS))
            ],
            ...,
        ],
        Field(description="Further public names.", max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    replicas: Annotated[
        int | None, Field(description="Replicas that hold it. Default: every replica of the server.", ge=0, le=1000)
    ] = None
    priority: Annotated[
        int, Field(description="Who keeps a slot when there are too few: higher first.", ge=-1000, le=1000)
    ] = 0


class State(StrEnum):
    """Where one version of an adapter stands on one replica."""

    FETCHING = "Fetching"
    STAGED = "Staged"
    LOADING = "Loading"
    LOADED = "Loaded"
    DRAINING = "Draining"
    FAILED = "Failed"


class ReplicaState(Shape):
    """One version of the adapter on one replica."""

    pod: Annotated[str, Field(description="The replica's pod.")]
    digest: Annotated[str, Field(description="The version's content digest; empty while it is being fetched.")] = ""
    state: Annotated[State, Field(description="Where it stands there.")]
    message: Annotated[str, Field(description="Why, where that is not plain.")] = ""
    since: Annotated[str, Field(description="Since when (RFC 3339).")] = ""


class PinnedSource(Shape):
    """Which revision a source was resolved to."""

    uri: Annotated[str, Field(description="spec.source.uri as it was resolved.")]
    revision: Annotated[str, Field(description="The immutable revision it meant then, such as a commit.")]


class ServedVersion(Shape):
    """A version that the public names meant, or mean."""

    uri: Annotated[str, Field(description="The source, pinned: write it into spec.source.uri to go back.")]
    revision: Annotated[str, Field(description="The source's immutable revision.")] = ""
    digest: Annotated[str, Field(description="The content digest.")] = ""
    engine_name: Annotated[str, Field(description="What engines call it.")]
    since: Annotated[str, Field(description="When the names came to mean it (RFC 3339).")] = ""


class LoRAAdapterStatus(Shape):
    """What is so. Written by the operator, whole, once per change."""

    observed_generation: Annotated[int, Field(description="The spec's generation this was computed from.", ge=0)] = 0
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            description="Ready, and what it is derived from: Named, Resolved, Staged, Compatible, Placed, Loaded.",
            json_schema_extra=list_map("type"),
        ),
    ] = ()
    pin: Annotated[
        PinnedSource | None,
        Field(
            description="The source and what it was resolved to: kept, so that a moving branch moves no replica "
            "until spec.source changes."
        ),
    ] = None
    revision: Annotated[str, Field(description="The source's immutable revision now wanted.")] = ""
    digest: Annotated[str, Field(description="The content digest of the version that is served.")] = ""
    engine_name: Annotated[str, Field(description="What engines call the version that is served.")] = ""
    history: Annotated[
        tuple[ServedVersion, ...],
        Field(
            description="The last 5 versions that the names meant, the latest first. Replicas keep their files while "
            "there is room: going back to one then needs no download."
        ),
    ] = ()
    names: Annotated[
        tuple[str, ...], Field(description="The public names this adapter holds: gateways route these and no others.")
    ] = ()
    rank: Annotated[int, Field(description="The LoRA rank.", ge=0)] = 0
    bytes: Annotated[int, Field(description="Size of the adapter's files, in bytes.", ge=0)] = 0
    desired_replicas: Annotated[int, Field(description="Replicas that should hold it.", ge=0)] = 0
    ready_replicas: Annotated[int, Field(description="Replicas that serve it.", ge=0)] = 0
    replicas: Annotated[
        tuple[ReplicaState, ...],
        Field(description="Each version on each replica."),
    ] = ()
