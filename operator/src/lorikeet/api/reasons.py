"""What each reason means and what to do about it: the source of docs/reasons.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lorikeet.api.conditions import Reason


@dataclass(frozen=True)
class Explanation:
    """`meaning` is a sentence about the fact, `next_step` one about what a person does."""

    meaning: str
    next_step: str


_NOTHING = "Nothing."
_WAIT = "Wait; the message says for what."

EXPLAINED: Mapping[Reason, Explanation] = MappingProxyType(
    {
        Reason.READY: Explanation("Everything asked for is so.", _NOTHING),
        Reason.NAMED: Explanation("The public names it asks for are its own.", _NOTHING),
        Reason.RESOLVED: Explanation("The source names one immutable revision, shown in status.revision.", _NOTHING),
        Reason.STAGED: Explanation("The bytes are on each wanted replica's disk, complete and verified.", _NOTHING),
        Reason.COMPATIBLE: Explanation("The bytes are a LoRA that this server's model and flags can run.", _NOTHING),
        Reason.PLACED: Explanation("The adapter has a slot on as many replicas as it asks for.", _NOTHING),
        Reason.LOADED: Explanation("The engines of the wanted replicas list the adapter.", _NOTHING),
        Reason.REPLICAS_READY: Explanation("Enough replicas take requests.", _NOTHING),
        Reason.COMPLETE: Explanation("No replica is being made or replaced.", _NOTHING),
        Reason.RESOLVING: Explanation("An agent asks the source which revision it means.", _WAIT),
        Reason.FETCHING: Explanation("Replicas fetch the bytes.", _WAIT),
        Reason.LOADING: Explanation("Engines are loading the adapter.", _WAIT),
        Reason.CHECKING: Explanation("The bytes are here and are being checked against the model.", _WAIT),
        Reason.WAITING_FOR_ENGINE: Explanation(
            "The replica's engine does not answer yet.",
            "Wait; if it lasts, look at the ModelServer's conditions and the pod's `engine` container.",
        ),
        Reason.ROLLING_OUT: Explanation("Replicas are being made or replaced.", _WAIT),
        Reason.SERVER_NOT_FOUND: Explanation(
            "No ModelServer of that name exists in the adapter's namespace.",
            "Create it, or make a LoRAAdapter that names the right one.",
        ),
        Reason.NO_REPLICAS: Explanation(
            "The server has no replica that could hold the adapter.", "Raise the ModelServer's spec.replicas."
        ),
        Reason.NO_CAPACITY: Explanation(
            "The replicas' slots (the server's spec.lora.maxCpuLoras) are taken by adapters of higher priority, or of "
            "the same and older.",
            "Raise maxCpuLoras or spec.replicas to what the message names, or this adapter's spec.priority.",
        ),
        Reason.NAME_CONFLICT: Explanation(
            "An older object of the namespace holds a public name that this one asks for; it answers to its others.",
            "Choose another spec.name or alias, or delete the other object: this one then takes over.",
        ),
        Reason.NAME_RESERVED: Explanation(
            "The public name is the base model's own.", "Choose another spec.name or alias."
        ),
        Reason.INVALID_SPEC: Explanation(
            "The spec says something that cannot be done.", "Change what the message names."
        ),
        Reason.INVALID_SOURCE: Explanation(
            "The source's URI means nothing we fetch.", "Write hf://OWNER/REPO@REVISION."
        ),
        Reason.SOURCE_NOT_FOUND: Explanation(
            "The source has no such repository.",
            "Check the spelling of spec.source.uri; for a private repository set credentialsKey.",
        ),
        Reason.REVISION_NOT_FOUND: Explanation(
            "The repository has no such branch, tag or commit.", "Correct what follows the @ in spec.source.uri."
        ),
        Reason.SOURCE_UNAUTHORIZED: Explanation(
            "The source refuses the token, or wants one.",
            "Put a valid token into the server's sources Secret and name its key in credentialsKey.",
        ),
        Reason.SOURCE_GATED: Explanation(
            "The repository is gated, and the token's owner has not been let in.",
            "Accept the terms on the hub with the account the token belongs to.",
        ),
        Reason.SOURCE_RATE_LIMITED: Explanation(
            "The source asks us to come later.", "Wait; a token usually has higher limits."
        ),
        Reason.SOURCE_UNAVAILABLE: Explanation(
            "The source cannot be reached or answers with errors.",
            "Wait; if it lasts, check hub.endpoint, DNS, proxies and NetworkPolicies.",
        ),
        Reason.CREDENTIALS_MISSING: Explanation(
            "credentialsKey names a key that the server's sources Secret does not have.",
            "Add the key to the Secret that spec.sources.secretRef of the ModelServer names.",
        ),
        Reason.TOO_LARGE: Explanation(
            "The files are larger or more than an adapter may be.",
            "Check that the repository is an adapter, not a model.",
        ),
        Reason.NO_SPACE: Explanation(
            "The replica's disk is full.", "Raise the ModelServer's spec.storage.adapters, or delete adapters."
        ),
        Reason.DIGEST_MISMATCH: Explanation(
            "The bytes are not those that spec.source.sha256 or the source itself promised.",
            "Find out who changed them; correct sha256 if the change was meant.",
        ),
        Reason.UNSAFE_FORMAT: Explanation(
            "The weights are pickled (.bin, .pt): loading those can run code.",
            "Convert the adapter to safetensors and upload it.",
        ),
        Reason.INVALID_ADAPTER: Explanation(
            "The files are no well-formed PEFT LoRA adapter.", "Export it again with PEFT's save_pretrained."
        ),
        Reason.RANK_TOO_HIGH: Explanation(
            "The adapter's rank is above the server's spec.lora.maxRank.", "Raise maxRank, or train with a lower rank."
        ),
        Reason.WRONG_BASE_MODEL: Explanation(
            "The adapter was trained for another base model.", "Point modelServerRef to a server of that model."
        ),
        Reason.UNSUPPORTED_ADAPTER: Explanation(
            "The adapter uses what vLLM does not run: DoRA, modules_to_save or a bias.", "Train a plain LoRA."
        ),
        Reason.NO_EFFECT: Explanation(
            "The adapter would change nothing: no module of it matches the model, or its weights are zero.",
            "Check target_modules and the base model it was trained on.",
        ),
        Reason.LOAD_FAILED: Explanation(
            "The engine refused the adapter.", "Read the engine's words in the message; report it if they puzzle you."
        ),
        Reason.LOAD_TIMEOUT: Explanation(
            "The engine did not finish loading in time.", "Wait for the next try; look at the engine's load."
        ),
        Reason.ENGINE_UNAVAILABLE: Explanation(
            "The engine does not answer.", "Look at the pod's `engine` container: `kubectl logs POD -c engine`."
        ),
        Reason.AGENT_UNREACHABLE: Explanation(
            "The operator cannot reach the replica's agent.",
            "Look at the pod's `agent` container and at NetworkPolicies between operator and pod.",
        ),
        Reason.UNLOAD_FAILED: Explanation(
            "An engine does not let go of an adapter that nobody wants.",
            "Read the engine's words in the message; it is asked again until it does, and the pod's end ends it.",
        ),
        Reason.UNLOADED: Explanation("What a deleted adapter had left on a replica is gone.", _NOTHING),
        Reason.UNSCHEDULABLE: Explanation(
            "No node has room for a replica.",
            "Add nodes with free GPUs, or lower spec.resources, or correct nodeSelector and tolerations.",
        ),
        Reason.IMAGE_UNAVAILABLE: Explanation(
            "A node cannot pull an image.",
            "Check the image's name, the registry and spec.podTemplate.imagePullSecrets.",
        ),
        Reason.MODEL_UNAVAILABLE: Explanation(
            "The base model cannot be fetched or verified.", "Check spec.model.uri, its token and spec.storage.model."
        ),
        Reason.CRASHING: Explanation(
            "An engine ends again and again.", "Read `kubectl logs POD -c engine --previous`."
        ),
        Reason.REPLICAS_UNAVAILABLE: Explanation(
            "Replicas exist and none takes requests.", "Look at the pods: `kubectl describe pod`."
        ),
        Reason.SCALED_TO_ZERO: Explanation("spec.replicas is 0.", "Raise it to serve."),
    }
)
