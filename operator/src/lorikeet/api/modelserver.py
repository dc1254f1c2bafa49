"""The kind ModelServer: one base model on some replicas, ready for adapters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from lorikeet.api import arguments
from lorikeet.api.conditions import Condition
from lorikeet.api.names import PUBLIC_NAME, PUBLIC_NAME_SAYS
from lorikeet.api.rules import INT_OR_STRING, NO_PARENT, immutable, list_map, pattern_says, plain_keys, rule, rules
from lorikeet.api.shape import Shape

PLURAL = "modelservers"
MAX_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM accepts for --max-lora-rank."""
AUTO = "Auto"

QUANTITY_SAYS = "must be a quantity such as 500m, 3, 512Mi or 12Gi"
QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
DURATION = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"
MODEL_URI = (
    r"^(hf://[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}(@[A-Za-z0-9][A-Za-z0-9._/-]{0,127})?"
    r"|image:///[A-Za-z0-9][A-Za-z0-9._/-]{0,254})$"
)


class Model(Shape):
    """Which base model."""

    uri: Annotated[
        str,
        Field(
            description="Where the base model comes from: hf://OWNER/REPO@REVISION is fetched and verified before the "
            "engine starts; image:///PATH is already in the engine's image.",
            pattern=MODEL_URI,
            max_length=512,
            json_schema_extra=pattern_says(
                "must be hf://OWNER/REPO, hf://OWNER/REPO@REVISION or image:///PATH",
                NO_PARENT,
                immutable("a server keeps its base model: make a new ModelServer and point adapters to it"),
            ),
        ),
    ]
    name: Annotated[
        str | None,
        Field(
            description="The public name that clients write to ask the base model itself. Default: the repository's "
            "id in lower case, or the path's last part.",
            pattern=PUBLIC_NAME,
            max_length=128,
            json_schema_extra=pattern_says(PUBLIC_NAME_SAYS),
        ),
    ] = None


class Engine(Shape):
    """How vLLM runs. Typed fields for what people set; extraArgs for the rest."""

    profile: Annotated[
        Literal["T4", "Generic", "CPU"],
        Field(
            description="The hardware the defaults are chosen for: T4 (float16, Triton attention, 80 % of GPU memory), "
            "Generic (vLLM's own choices on a newer GPU) or CPU (no GPU is needed by the engine)."
        ),
    ] = "Generic"
    image: Annotated[
        str | None, Field(description="The engine's image, in place of the profile's.", max_length=512)
    ] = None
    dtype: Annotated[
        Literal["auto", "half", "float16", "bfloat16", "float32"] | None,
        Field(description="Number format of weights and activations. Default: the profile's."),
    ] = None
    max_model_len: Annotated[
        int | None, Field(description="Longest prompt plus answer, in tokens. Default: the profile's.", ge=1)
    ] = None
    max_num_seqs: Annotated[
        int | None, Field(description="Requests decoded together at most. Default: vLLM's.", ge=1)
    ] = None
    gpu_memory_percent: Annotated[
        int | None, Field(description="Share of the GPU's memory the engine takes, in percent.", ge=10, le=98)
    ] = None
    quantization: Annotated[
        str | None, Field(description="How the base model's weights are quantized, such as awq.", max_length=32)
    ] = None
    tensor_parallel_size: Annotated[
        int | None, Field(description="GPUs one replica spreads the model over. Default: resources.gpus.", ge=1, le=16)
    ] = None
    compile: Annotated[
        Literal["None", "Piecewise", "Full"] | None,
        Field(description="How much is compiled at start: None starts soonest, Full decodes fastest."),
    ] = None
    prefix_caching: Annotated[bool, Field(description="Keep the attention blocks of shared prompt beginnings.")] = True
    extra_args: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=1024, json_schema_extra=rules(arguments.cel_rule()))], ...],
        Field(
            description="Further arguments for vLLM. Those that would open the engine or load code are refused.",
            max_length=32,
        ),
    ] = ()


class Lora(Shape):
    """How many adapters, and how large."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.maxLoras <= self.maxCpuLoras",
                "maxLoras may not be more than maxCpuLoras: what is on the GPU is in main memory too",
            )
        )
    )

    max_loras: Annotated[int, Field(description="Adapters in one batch: slots in GPU memory.", ge=1, le=256)] = 4
    max_cpu_loras: Annotated[int, Field(description="Adapters kept in main memory.", ge=1, le=4096)] = 16
    max_rank: Annotated[
        int | Literal["Auto"],
        Field(
            description="The highest rank an adapter may have: 1, 8, 16, 32, 64, 128, 256, 320 or 512. Memory is "
            "reserved for this rank in each slot. Auto begins with 16 and is raised, by replacing replicas one at a "
            "time, when an adapter needs more; it is never lowered.",
            json_schema_extra={"enum": [*MAX_RANKS, AUTO], INT_OR_STRING: True},
        ),
    ] = "Auto"


class Resources(Shape):
    """What one replica asks of its node."""

    gpus: Annotated[int, Field(description="GPUs (nvidia.com/gpu) for each replica.", ge=0, le=16)] = 1
    cpu: Annotated[
        str,
        Field(
            description="Cores for each replica, as a Kubernetes quantity.",
            pattern=QUANTITY,
            max_length=32,
            json_schema_extra=pattern_says(QUANTITY_SAYS),
        ),
    ] = "3"
    memory: Annotated[
        str,
        Field(
            description="Memory for each replica, as a Kubernetes quantity.",
            pattern=QUANTITY,
            max_length=32,
            json_schema_extra=pattern_says(QUANTITY_SAYS),
        ),
    ] = "12Gi"


class Startup(Shape):
    """How long a start may take."""

    timeout: Annotated[
        str,
        Field(
            description="Time for the engine to load the model before it is restarted, such as 20m.",
            pattern=DURATION,
            min_length=2,
            max_length=32,
            json_schema_extra=pattern_says("must be a duration such as 90s, 20m or 1h30m"),
        ),
    ] = "20m"


class Storage(Shape):
    """Disk of one replica."""

    adapters: Annotated[
        str,
        Field(
            description="Room for staged adapters, as a Kubernetes quantity.",
            pattern=QUANTITY,
            max_length=32,
            json_schema_extra=pattern_says(QUANTITY_SAYS),
        ),
    ] = "20Gi"
    model: Annotated[
        str,
        Field(
            description="Room for the base model, as a Kubernetes quantity.",
            pattern=QUANTITY,
            max_length=32,
            json_schema_extra=pattern_says(QUANTITY_SAYS),
        ),
    ] = "40Gi"


class SecretRef(Shape):
    """A Secret of the server's namespace."""

    name: Annotated[str, Field(description="The Secret's name.", min_length=1, max_length=253)]


class Sources(Shape):
    """Credentials for private sources."""

    secret_ref: Annotated[
        SecretRef | None,
        Field(
            description="One Secret of tokens, mounted into the agent alone; an adapter's credentialsKey names its key."
        ),
    ] = None


class PodTemplate(Shape):
    """What the replicas' pods carry besides what the operator sets."""

    labels: Annotated[
        dict[str, str],
        Field(description="Labels added to the pods.", max_length=32, json_schema_extra=rules(plain_keys("labels"))),
    ] = {}
    annotations: Annotated[
        dict[str, str],
        Field(
            description="Annotations added to the pods.",
            max_length=32,
            json_schema_extra=rules(plain_keys("annotations")),
        ),
    ] = {}
    node_selector: Annotated[dict[str, str], Field(description="Labels a node must have.", max_length=32)] = {}
    tolerations: Annotated[
        tuple[dict[str, Any], ...],
        Field(description="Taints the pods tolerate, as in a pod's spec.tolerations.", max_length=32),
    ] = ()
    affinity: Annotated[dict[str, Any] | None, Field(description="As in a pod's spec.affinity.")] = None
    priority_class_name: Annotated[str | None, Field(description="As in a pod's spec.", max_length=253)] = None
    runtime_class_name: Annotated[
        str | None, Field(description="As in a pod's spec, such as nvidia.", max_length=253)
    ] = None
    image_pull_secrets: Annotated[
        tuple[SecretRef, ...], Field(description="Secrets for pulling the images.", max_length=8)
    ] = ()


class ModelServerSpec(Shape):
    """What a user asks for."""

    model: Annotated[Model, Field(description="The base model.")]
    replicas: Annotated[int, Field(description="How many replicas (engine pods).", ge=0, le=1000)] = 1
    engine: Annotated[Engine, Field(description="How vLLM runs.")] = Engine()
    lora: Annotated[Lora, Field(description="How many adapters fit, and how large.")] = Lora()
    resources: Annotated[Resources, Field(description="What one replica asks of its node.")] = Resources()
    startup: Annotated[Startup, Field(description="How long a start may take.")] = Startup()
    storage: Annotated[Storage, Field(description="Disk of one replica.")] = Storage()
    sources: Annotated[Sources, Field(description="Credentials for private sources.")] = Sources()
    pod_template: Annotated[PodTemplate, Field(description="Additions to the replicas' pods.")] = PodTemplate()


class Endpoint(Shape):
    """One replica, as gateways see it."""

    pod: Annotated[str, Field(description="The pod's name.")]
    address: Annotated[str, Field(description="HOST:PORT of the engine.")]
    boot: Annotated[str, Field(description="This life of the engine process, as its guard names it.")] = ""
    ready: Annotated[bool, Field(description="Whether it takes requests.")] = False


class AdapterCount(Shape):
    """Adapters bound to the server."""

    wanted: Annotated[int, Field(description="Adapters that name this server.", ge=0)] = 0
    ready: Annotated[int, Field(description="Adapters among them that are Ready.", ge=0)] = 0


class Slots(Shape):
    """What the flags give each replica room for, and what is asked of it."""

    gpu: Annotated[int, Field(description="Adapters in one batch: spec.lora.maxLoras.", ge=0)] = 0
    rank: Annotated[
        int, Field(description="The highest rank an adapter may have: spec.lora.maxRank, or what Auto came to.", ge=0)
    ] = 0
    bytes: Annotated[
        int,
        Field(
            description="Memory that each replica's engine sets aside for the slots of one batch at that rank, of "
            "the GPU or with profile CPU of the node: two bytes a number, four with dtype float32. 0 while nobody has "
            "looked at the base model's weights.",
            ge=0,
        ),
    ] = 0
    memory: Annotated[int, Field(description="Adapters a replica may hold: spec.lora.maxCpuLoras.", ge=0)] = 0
    used: Annotated[int, Field(description="Slots in memory that are taken on the fullest replica.", ge=0)] = 0
    wanted: Annotated[
        int,
        Field(
            description="Slots in memory that each replica needs so that no adapter lacks one; above `memory` some "
            "adapters say NoCapacity.",
            ge=0,
        ),
    ] = 0


class ModelServerStatus(Shape):
    """What is so. Written by the operator, whole, once per change."""

    observed_generation: Annotated[int, Field(description="The spec's generation this was computed from.", ge=0)] = 0
    replicas: Annotated[int, Field(description="Replicas that exist.", ge=0)] = 0
    ready_replicas: Annotated[int, Field(description="Replicas that take requests.", ge=0)] = 0
    selector: Annotated[str, Field(description="Label selector of the replicas, for the scale subresource.")] = ""
    model_name: Annotated[str, Field(description="The base model's public name.")] = ""
    model_revision: Annotated[str, Field(description="The base model's own revision that replicas run.")] = ""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(description="Ready, Available and Progressing.", json_schema_extra=list_map("type")),
    ] = ()
    endpoints: Annotated[
        tuple[Endpoint, ...],
        Field(description="The replicas, as gateways see them.", json_schema_extra=list_map("pod")),
    ] = ()
    adapters: Annotated[AdapterCount, Field(description="Adapters bound to the server.")] = AdapterCount()
    slots: Annotated[Slots, Field(description="Room for adapters in each replica.")] = Slots()
