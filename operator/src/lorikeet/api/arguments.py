"""Which vLLM arguments spec.engine.extraArgs may not carry: one list for the CRD's rule and for our own code.

vLLM reads `_` as `-` in an argument's name, takes `--name=value` and `--name.key=value`, negates with `--no-` and, like
any argparse, may take the beginning of a name for the name. All of these forms are refused alike.
"""

from __future__ import annotations

REFUSED = (
    # the engine's address, and who may talk to it: the guard's business
    "--host",
    "--port",
    "--uds",
    "--root-path",
    "--api-key",
    "--middleware",
    "--headless",
    "--grpc",
    "--enable-prompt-embeds",
    "--enable-sleep-mode",
    "--enable-tokenizer-info-endpoint",
    # code or files from elsewhere
    "--config",
    "--trust-remote-code",
    "--allowed-local-media-path",
    "--load-format",
    "--download-dir",
    "--tool-parser-plugin",
    "--reasoning-parser-plugin",
    "--io-processor-plugin",
    "--logits-processors",
    "--model-class-overrides",
    "--worker-cls",
    "--worker-extension-cls",
    "--scheduler-cls",
    "--log-config-file",
    "--logging-config",
    "--weight-transfer-config",
    "--hf-config-path",
    "--hf-token",
    # one engine process in one pod: more would split the adapter registry
    "--api-server-count",
    "--distributed-executor-backend",
    "--pipeline-parallel-size",
    "--nnodes",
    "--node-rank",
    "--master-addr",
    "--master-port",
    "--enable-elastic-ep",
    # what typed fields say, or what the operator decides
    "--model",
    "--revision",
    "--served-model-name",
    "--enable-lora",
    "--max-loras",
    "--max-lora-rank",
    "--max-cpu-loras",
    "--fully-sharded-loras",
    "--default-mm-loras",
    "--dtype",
    "--max-model-len",
    "--max-num-seqs",
    "--gpu-memory-utilization",
    "--quantization",
    "--tensor-parallel-size",
    "--enable-prefix-caching",
    "--compilation-config",
    "--enforce-eager",
    "--disable-log-stats",
    "--help",
)
"""Names refused whole and by their beginnings."""

REFUSED_FAMILIES = (
    "--ssl",
    "--lora-",
    "--data-parallel",
    "--kv-transfer",
    "--ec-transfer",
    "-asc",
    "-cc",
    "-dp",
    "-h",
    "-n",
    "-q",
    "-r",
    "-tp",
)
"""Beginnings of names: everything that starts so is refused."""

MESSAGE = (
    "is not for extraArgs: Lorikeet sets it, or it would open the engine or load code; "
    "see spec.model, spec.engine, spec.lora and spec.resources for what can be set"
)


def refused(argument: str) -> bool:
    """Whether one item of extraArgs is on the list; a value (no leading dash) never is."""
    name = argument.split("=")[0].split(".")[0].replace("_", "-").replace("--no-", "--", 1)
    return argument.startswith("-") and (
        any(known.startswith(name) for known in REFUSED) or any(name.startswith(family) for family in REFUSED_FAMILIES)
    )


def cel_rule() -> dict[str, str]:
    """`refused` as a validation rule of the CRD on one item: the same list, the same steps."""
    name = "self.split('=')[0].split('.')[0].replace('_', '-').replace('--no-', '--', 1)"
    listed = f"{list(REFUSED)}.exists(known, known.startsWith(name))"
    family = f"{list(REFUSED_FAMILIES)}.exists(family, name.startsWith(family))"
    return {
        "rule": f"!self.startsWith('-') || [{name}].all(name, !{listed} && !{family})",
        "message": f"an argument {MESSAGE}",
        "messageExpression": f"'argument ' + self + ' {MESSAGE}'",
    }
