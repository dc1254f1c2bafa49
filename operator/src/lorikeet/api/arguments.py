"""Which vLLM arguments spec.engine.extraArgs may not carry: one list for the CRD's rule and for our own code.

vLLM reads `_` as `-` in an argument's name, takes `--name=value` and `--name.key=value`, negates with `--no-` and, like
any argparse, may take the beginning of a name for the name. All of these forms are refused alike. Short forms (`-tp`)
are refused too: vLLM's own set fields of the spec.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Ours to set (a field of the spec says it once), or a door: code, files, routes, other processes, other hosts, logs of
# prompts.
_REFUSED_WORDS = """
model served-model-name tokenizer revision code-revision tokenizer-revision hf-config-path config-format
dtype max-model-len max-num-seqs gpu-memory-utilization quantization tensor-parallel-size
enable-prefix-caching compilation-config enforce-eager optimization-level
enable-lora max-loras max-lora-rank max-cpu-loras fully-sharded-loras default-mm-loras
host port uds root-path middleware api-key config grpc headless disable-log-stats help
trust-remote-code load-format model-loader-extra-config download-dir hf-token hf-overrides model-class-overrides
model-impl chat-template trust-request-chat-template trust-request-mm-kwargs default-chat-template-kwargs
tool-server tool-parser-plugin reasoning-parser-plugin logits-processors io-processor-plugin
worker-cls worker-extension-cls scheduler-cls additional-config mm-encoder-fp8-scale-save-path
api-server-count nnodes node-rank distributed-executor-backend pipeline-parallel-size prefill-context-parallel-size
enable-log-requests enable-log-outputs enable-log-deltas logging-config log-config-file profiler-config
otlp-traces-endpoint enable-prompt-embeds enable-mm-embeds enable-sleep-mode enable-scale-out enable-elastic-ep
enable-tokenizer-info-endpoint enable-server-load-tracking tokens-only
kv-transfer-config kv-events-config ec-transfer-config weight-transfer-config
"""
REFUSED = tuple(_REFUSED_WORDS.split())
"""Names refused whole and by their beginnings."""

REFUSED_FAMILIES = ("allow", "data-parallel", "dp-supervisor", "elastic-ep", "grpc", "lora-", "master-", "ssl")
"""Beginnings of names: everything that starts so is refused."""

_NUMBER = r"^-[0-9]+(\.[0-9]+)?$"
_SAYS = (
    "is not for extraArgs: Lorikeet sets it, or it would open the engine or load code; "
    "see spec.model, spec.engine, spec.lora and spec.resources for what can be set"
)


def refused_arguments(extra: Iterable[str]) -> tuple[str, ...]:
    """The items of `extra` that a user may not set; values (no leading dash, or a number) always pass."""
    return tuple(argument for argument in extra if _is_refused(argument))


def _is_refused(argument: str) -> bool:
    if not argument.startswith("-") or re.fullmatch(_NUMBER, argument):
        return False
    name = argument[2:].split("=")[0].split(".")[0].replace("_", "-").removeprefix("no-")
    return (
        not argument.startswith("--")
        or name.startswith(REFUSED_FAMILIES)
        or any(known.startswith(name) for known in REFUSED)
    )


def cel_rule() -> dict[str, str]:
    """`refused_arguments` as a rule of the CRD on one item: the same lists, the same steps."""
    number = _NUMBER.replace("\\", "\\\\")
    name = "self.substring(2).split('=')[0].split('.')[0].replace('_', '-')"
    bare = "name.startsWith('no-') ? name.substring(3) : name"
    known = f"{list(REFUSED)}.exists(known, known.startsWith(bare))"
    family = f"{list(REFUSED_FAMILIES)}.exists(family, bare.startsWith(family))"
    allowed = f"[{name}].all(name, [{bare}].all(bare, !{known} && !{family}))"
    return {
        "rule": f"!self.startsWith('-') || self.matches('{number}') || (self.startsWith('--') && {allowed})",
        "message": f"an argument {_SAYS}",
        "messageExpression": f"'argument ' + self + ' {_SAYS}'",
    }
