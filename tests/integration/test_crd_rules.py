"""One good object of each kind, changed row by row into each bad one, and the sentence its author reads."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from lorikeet.api.arguments import refused_arguments
from lorikeet.testing.apiserver import ApiServer

Body = dict[str, Any]
GROUP = "/apis/lorikeet.dev/v1alpha1/namespaces"

SERVER: Body = {
    "apiVersion": "lorikeet.dev/v1alpha1",
    "kind": "ModelServer",
    "metadata": {"name": "qwen"},
    "spec": {
        "model": {"uri": "hf://Qwen/Qwen2.5-1.5B-Instruct@989aa7980e4cf806f80c7fef2b1adb7bc71aa306"},
        "replicas": 2,
        "engine": {"profile": "T4", "extraArgs": ["--seed", "-1", "--block_size=16"]},
        "lora": {"maxLoras": 4, "maxCpuLoras": 16, "maxRank": 32},
        "resources": {"gpus": 1, "cpu": "500m", "memory": "12Gi"},
        "startup": {"timeout": "1h30m"},
        "storage": {"adapters": "1.5Gi"},
        "sources": {"secretRef": {"name": "tokens"}},
        "podTemplate": {
            "labels": {"team": "search"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
        },
    },
}
ADAPTER: Body = {
    "apiVersion": "lorikeet.dev/v1alpha1",
    "kind": "LoRAAdapter",
    "metadata": {"name": "sql-expert"},
    "spec": {
        "modelServerRef": {"name": "qwen"},
        "source": {"uri": "hf://acme/sql-expert@v1.2", "credentialsKey": "acme-hf-token", "sha256": "0" * 64},
        "name": "acme/sql-expert",
        "aliases": ["sql", "sql-v1.2"],
        "replicas": 2,
        "priority": -1,
    },
}
URI = "must be hf://OWNER/REPO or hf://OWNER/REPO@REVISION"
MODEL_URI = "must be hf://OWNER/REPO, hf://OWNER/REPO@REVISION or image:///PATH"
PUBLIC_NAME = "must be 1 to 128 letters, digits, '.', '_', '/' or '-', beginning and ending with a letter or digit"
QUANTITY = "must be a quantity such as 500m, 3, 512Mi or 12Gi"
NAME_BUDGET = "metadata.name may have at most 40 characters: pods and engine names are called after it"
ABSENT = object()

SERVER_ROWS: list[tuple[str, Any, str]] = [
    ("spec", ABSENT, "spec: Required value"),
    ("spec", {}, "spec.model: Required value"),
    ("spec.colour", "red", 'unknown field "spec.colour"'),
    ("spec.engine.profil", "T4", 'unknown field "spec.engine.profil"'),
    ("metadata.name", "q" * 41, NAME_BUDGET),
    ("metadata.name", "q" * 64, NAME_BUDGET),
    ("metadata.name", "9b", "beginning with a letter: a Service has it too"),
    ("metadata.name", "a.b", "must be lower-case letters, digits and '-'"),
    ("spec.model.uri", ABSENT, "spec.model.uri: Required value"),
    ("spec.model.uri", "", MODEL_URI),
    ("spec.model.uri", "Qwen/Qwen2.5", MODEL_URI),
    ("spec.model.uri", "hf://../x", MODEL_URI),
    ("spec.model.uri", "hf://a/b/c", MODEL_URI),
    ("spec.model.uri", "hf://a/--help", MODEL_URI),
    ("spec.model.uri", "file:///etc", MODEL_URI),
    ("spec.model.uri", "http://169.254.169.254/", MODEL_URI),
    ("spec.model.uri", "http://[::1]", MODEL_URI),
    ("spec.model.uri", "http://2130706433/", MODEL_URI),
    ("spec.model.uri", "image://etc", MODEL_URI),
    ("spec.model.uri", "image:///models/../etc", "may not contain '..'"),
    ("spec.model.uri", "hf://a/b@HEAD~1", MODEL_URI),
    ("spec.model.uri", "hf://a/b@" + "x" * 1024, "spec.model.uri: Too long: may not be more than 512 bytes"),
    ("spec.model.name", "qwen@1", PUBLIC_NAME),
    ("spec.replicas", -1, "spec.replicas in body should be greater than or equal to 0"),
    ("spec.replicas", 2**31, "spec.replicas in body should be less than or equal to 1000"),
    ("spec.replicas", "two", 'spec.replicas in body must be of type integer: "string"'),
    ("spec.engine.profile", "V100", 'Unsupported value: "V100": supported values: "T4", "Generic", "CPU"'),
    ("spec.engine.dtype", "fp8", 'Unsupported value: "fp8"'),
    ("spec.engine.gpuMemoryPercent", 99, "should be less than or equal to 98"),
    ("spec.engine.maxModelLen", 0, "should be greater than or equal to 1"),
    ("spec.engine.compile", "Maybe", 'supported values: "None", "Piecewise", "Full"'),
    ("spec.engine.extraArgs", [""], "should be at least 1 chars long"),
    ("spec.engine.extraArgs", ["--seed=1"] * 33, "must have at most 32 items"),
    ("spec.lora.maxLoras", 0, "should be greater than or equal to 1"),
    ("spec.lora.maxLoras", 17, "maxLoras may not be more than maxCpuLoras"),
    ("spec.lora", {"maxCpuLoras": 2}, "maxLoras may not be more than maxCpuLoras"),
    ("spec.lora.maxRank", 7, 'Unsupported value: 7: supported values: "1", "8", "16", "32", "64"'),
    ("spec.lora.maxRank", 0, "Unsupported value: 0"),
    ("spec.lora.maxRank", "auto", 'Unsupported value: "auto"'),
    ("spec.lora.maxRank", "16", 'Unsupported value: "16"'),
    ("spec.lora.maxRank", 10**5, "Unsupported value: 100000"),
    ("spec.resources.gpus", -1, "should be greater than or equal to 0"),
    ("spec.resources.cpu", "lots", QUANTITY),
    ("spec.resources.memory", "-1Gi", QUANTITY),
    ("spec.storage.adapters", "20 Gi", QUANTITY),
    ("spec.startup.timeout", "soon", "must be a duration such as 90s, 20m or 1h30m"),
    ("spec.startup.timeout", "20", "must be a duration such as 90s, 20m or 1h30m"),
    ("spec.sources.secretRef.name", "", "should be at least 1 chars long"),
    ("spec.podTemplate.labels", {"lorikeet.dev/server": "other"}, "labels under lorikeet.dev/ are Lorikeet's own"),
    ("spec.podTemplate.annotations", {"x.lorikeet.dev/y": ""}, "annotations under lorikeet.dev/ are Lorikeet's own"),
    ("spec.podTemplate.labels", {f"k{number}": "" for number in range(33)}, "must have at most 32 items"),
    ("spec.podTemplate.tolerations", ["all"], "must be of type object"),
]
ADAPTER_ROWS: list[tuple[str, Any, str]] = [
    ("spec", ABSENT, "spec: Required value"),
    ("spec", {}, "[spec.modelServerRef: Required value, spec.source: Required value"),
    ("spec.rank", 8, 'unknown field "spec.rank"'),
    ("metadata.name", "s" * 41, NAME_BUDGET),
    ("metadata.name", "s" * 64, NAME_BUDGET),
    ("metadata.name", "sql.expert", "spec.name takes any public name"),
    ("metadata.name", "sql/expert", "a lowercase RFC 1123 subdomain"),
    ("metadata.name", "..", "a lowercase RFC 1123 subdomain"),
    ("metadata.name", "sql expert", "a lowercase RFC 1123 subdomain"),
    ("metadata.name", "sql@1", "a lowercase RFC 1123 subdomain"),
    ("metadata.name", "s\x00", "a lowercase RFC 1123 subdomain"),
    ("spec.modelServerRef", ABSENT, "spec.modelServerRef: Required value"),
    ("spec.modelServerRef.name", "", "should be at least 1 chars long"),
    ("spec.modelServerRef.kind", "Pod", 'unknown field "spec.modelServerRef.kind"'),
    ("spec.modelServerRef.namespace", "other", 'unknown field "spec.modelServerRef.namespace"'),
    ("spec.source", ABSENT, "spec.source: Required value"),
    ("spec.source.uri", "", URI),
    ("spec.source.uri", "hf://../x", URI),
    ("spec.source.uri", "hf://a/b/c", URI),
    ("spec.source.uri", "hf://--help/x", URI),
    ("spec.source.uri", "hf://a/b@HEAD~1", URI),
    ("spec.source.uri", "hf://a/b@refs/../x", "may not contain '..'"),
    ("spec.source.uri", "hf://a/b@" + "x" * 129, URI),
    ("spec.source.uri", "hf://a/b\n", URI),
    ("spec.source.uri", "hf://а/b", URI),  # a Cyrillic look-alike
    ("spec.source.uri", "s3://b/../../x", URI),
    ("spec.source.uri", "file:///etc", URI),
    ("spec.source.uri", "http://169.254.169.254/", URI),
    ("spec.source.uri", "pvc:///etc", URI),
    ("spec.source.credentialsKey", "", "must be a key of a Secret"),
    ("spec.source.credentialsKey", "../token", "must be a key of a Secret"),
    ("spec.source.sha256", "abc", "must be a sha256 in 64 lower-case hex digits"),
    ("spec.source.sha256", "A" * 64, "must be a sha256 in 64 lower-case hex digits"),
    ("spec.name", "", PUBLIC_NAME),
    ("spec.name", "a@digest", PUBLIC_NAME),
    ("spec.name", "sql expert", PUBLIC_NAME),
    ("spec.name", "/sql", PUBLIC_NAME),
    ("spec.name", "sql\n", PUBLIC_NAME),
    ("spec.name", "sql\x00", PUBLIC_NAME),
    ("spec.name", "sqꓡ", PUBLIC_NAME),  # a Lisu look-alike
    ("spec.name", "\u202elqs", PUBLIC_NAME),  # right to left
    ("spec.name", "s" * 129, "Too long: may not be more than 128 bytes"),
    ("spec.aliases", ["acme/sql-expert"], "an alias repeats spec.name: aliases are further names"),
    ("spec.aliases", ["sql", "sql"], 'spec.aliases[1]: Duplicate value: "sql"'),
    ("spec.aliases", ["a:b"], PUBLIC_NAME),
    ("spec.aliases", [f"a{number}" for number in range(17)], "must have at most 16 items"),
    ("spec.replicas", -1, "should be greater than or equal to 0"),
    ("spec.replicas", 2**31, "should be less than or equal to 1000"),
    ("spec.priority", 1001, "should be less than or equal to 1000"),
]
ARGUMENTS = [
    "--trust-remote-code", "--api-key", "--api_key=x", "--api-k", "--lora-modules", "--lora_dtype=half", "--host",
    "--allowed-local-media-path", "--middleware=x.Y", "--port=1", "--uds", "--root-path", "--ssl-keyfile=x",
    "--no-enable-lora", "--max-loras=9", "--max-cpu-loras", "--api-server-count=2", "--data-parallel-size=2",
    "--model=x", "--served-model-name", "--compilation-config.mode=3", "--config", "--", "-tp=2", "-O3", "-q",
    "--load-format", "--Model", "--seed=--model", "--seed", "-1", "-1.5", "0", "model", "--block-size=32",
    "--tokenizer-mode=slow", "--max-num-batched-tokens", "--no-async-scheduling", "---model", "-", "--_model",
]  # fmt: skip


@pytest.mark.parametrize("good", [SERVER, ADAPTER], ids=lambda body: body["kind"])
def test_the_good_object_is_good(api: ApiServer, good: Body) -> None:
    assert refusal(api, good) == ""


@pytest.mark.parametrize(("path", "value", "sentence"), SERVER_ROWS)
def test_a_bad_model_server_is_refused_in_words(api: ApiServer, path: str, value: Any, sentence: str) -> None:
    assert sentence in refusal(api, changed(SERVER, path, value))


@pytest.mark.parametrize(("path", "value", "sentence"), ADAPTER_ROWS)
def test_a_bad_adapter_is_refused_in_words(api: ApiServer, path: str, value: Any, sentence: str) -> None:
    assert sentence in refusal(api, changed(ADAPTER, path, value))


@pytest.mark.parametrize("name", ["acme/sql", "a", "Qwen2.5-1.5B_x", "s" * 128])
def test_public_names_of_hubs_are_taken(api: ApiServer, name: str) -> None:
    assert refusal(api, changed(ADAPTER, "spec.name", name)) == ""


def test_an_alias_may_not_be_the_name_that_the_object_lends(api: ApiServer) -> None:
    body = changed(changed(ADAPTER, "spec.name", ABSENT), "spec.aliases", ["sql-expert"])
    assert "an alias repeats metadata.name" in refusal(api, body)


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_the_rule_on_extra_arguments_agrees_with_our_own_code(api: ApiServer, argument: str) -> None:
    said = refusal(api, changed(SERVER, "spec.engine.extraArgs", [argument]))
    expected = f"argument {argument} is not for extraArgs: Lorikeet sets it" if refused_arguments([argument]) else ""
    assert expected in said
    assert bool(said) == bool(expected)


@pytest.mark.parametrize(
    ("good", "path", "value", "sentence"),
    [
        (SERVER, "spec.model.uri", "hf://Qwen/Qwen3-4B", "a server keeps its base model: make a new ModelServer"),
        (ADAPTER, "spec.modelServerRef.name", "llama", "an adapter stays with its server: make a new LoRAAdapter"),
    ],
)
def test_what_may_not_change_says_what_to_do_instead(
    api: ApiServer, namespace: str, good: Body, path: str, value: str, sentence: str
) -> None:
    stored = create(api, namespace, good)
    status, reply = api.call(
        "PUT", f"{collection(namespace, good)}/{stored['metadata']['name']}", changed(stored, path, value)
    )
    assert (status, sentence in reply["message"]) == (422, True)


def refusal(api: ApiServer, body: Body) -> str:
    """What the API server says against `body`; empty where it would take it."""
    query = "?dryRun=All&fieldValidation=Strict"
    status, reply = api.call("POST", collection("default", body) + query, body)
    return "" if status == 201 else str(reply["message"])


def create(api: ApiServer, namespace: str, body: Body) -> Body:
    status, reply = api.call("POST", collection(namespace, body), body)
    assert status == 201, reply
    return reply


def collection(namespace: str, body: Body) -> str:
    return f"{GROUP}/{namespace}/{body['kind'].lower()}s"


def changed(body: Body, path: str, value: Any) -> Body:
    """A copy of `body` in which the field at `path` is `value`, or not there."""
    copied = copy.deepcopy(body)
    *parents, last = path.split(".")
    node = copied
    for parent in parents:
        node = node.setdefault(parent, {})
    if value is ABSENT:
        del node[last]
    else:
        node[last] = value
    return copied
