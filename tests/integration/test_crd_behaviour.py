"""What the API server does with a good object: defaults, columns, scale, selection, and who may write what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lorikeet.api.kinds import definitions
from lorikeet.api.loraadapter import LoRAAdapterSpec
from lorikeet.api.modelserver import ModelServerSpec
from lorikeet.testing.apiserver import ApiServer

Body = dict[str, Any]
APPLY = "application/apply-patch+yaml"
SERVER: Body = {
    "apiVersion": "lorikeet.dev/v1alpha1",
    "kind": "ModelServer",
    "metadata": {"name": "tiny"},
    "spec": {"model": {"uri": "hf://lorikeet-demo/tiny-llama"}},
}
ADAPTER: Body = {
    "apiVersion": "lorikeet.dev/v1alpha1",
    "kind": "LoRAAdapter",
    "metadata": {"name": "pirate"},
    "spec": {"modelServerRef": {"name": "tiny"}, "source": {"uri": "hf://lorikeet-demo/pirate@v1"}},
}
READY: Body = {
    "type": "Ready",
    "status": "False",
    "reason": "RankTooHigh",
    "message": "adapter pirate has rank 64, server tiny allows 16: raise spec.lora.maxRank or retrain",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-11-21T12:00:00Z",
}
ADAPTER_STATUS: Body = {
    "conditions": [READY],
    "digest": "3f9c1a7d20b4",
    "engineName": "pirate@3f9c1a7d20b4",
    "revision": "c0ffee",
    "rank": 64,
    "desiredReplicas": 2,
    "readyReplicas": 1,
    "replicas": [
        {"pod": "tiny-0", "digest": "3f9c1a7d20b4", "state": "Loaded"},
        {"pod": "tiny-1", "digest": "", "state": "Fetching"},
    ],
}


def test_defaults_are_those_of_the_models(api: ApiServer, namespace: str) -> None:
    for body, model in ((SERVER, ModelServerSpec), (ADAPTER, LoRAAdapterSpec)):
        stored = write(api, namespace, body)["spec"]
        assert model.parse(stored) == model.parse(body["spec"])
    assert read(api, namespace, "modelservers/tiny")["spec"] == {
        "model": {"uri": "hf://lorikeet-demo/tiny-llama"},
        "replicas": 1,
        "engine": {"profile": "Generic", "prefixCaching": True},
        "lora": {"maxLoras": 4, "maxCpuLoras": 16, "maxRank": "Auto"},
        "resources": {"gpus": 1, "cpu": "3", "memory": "12Gi"},
        "startup": {"timeout": "20m"},
        "storage": {"adapters": "20Gi", "model": "40Gi"},
    }


def test_a_field_that_is_set_keeps_its_neighbours_defaults(api: ApiServer, namespace: str) -> None:
    stored = write(api, namespace, {**SERVER, "spec": {**SERVER["spec"], "lora": {"maxRank": 64}}})
    assert stored["spec"]["lora"] == {"maxLoras": 4, "maxCpuLoras": 16, "maxRank": 64}


def test_the_columns_of_an_adapter_tell_its_story(api: ApiServer, namespace: str) -> None:
    write(api, namespace, ADAPTER)
    write(api, namespace, {**ADAPTER, "status": ADAPTER_STATUS}, "status")
    assert columns(api, namespace, "lora") == {
        "NAME": "pirate",
        "SERVER": "tiny",
        "READY": "False",
        "LOADED": "1",
        "DESIRED": "2",
        "REASON": "RankTooHigh",
        "RANK": "64",
    }
    wide = api.kubectl("get", "loraadapters.lorikeet.dev", "-n", namespace, "-o", "wide").stdout
    assert "pirate@3f9c1a7d20b4" in wide
    assert "raise spec.lora.maxRank or retrain" in wide


def test_the_columns_of_a_server_tell_its_story(api: ApiServer, namespace: str) -> None:
    write(api, namespace, SERVER)
    ready = {**READY, "status": "True", "reason": "Ready"}
    status = {"conditions": [ready], "readyReplicas": 1, "modelName": "tiny", "adapters": {"wanted": 3, "ready": 2}}
    write(api, namespace, {**SERVER, "status": status}, "status")
    assert columns(api, namespace, "msv") == {
        "NAME": "tiny",
        "MODEL": "tiny",
        "READY": "True",
        "REPLICAS": "1",
        "READYREPLICAS": "1",
        "ADAPTERS": "2",
        "REASON": "Ready",
    }


def test_the_category_lists_both_kinds(api: ApiServer, namespace: str) -> None:
    write(api, namespace, SERVER)
    write(api, namespace, ADAPTER)
    listed = api.kubectl("get", "lorikeet", "-n", namespace, "-o", "name").stdout.split()
    assert listed == ["loraadapter.lorikeet.dev/pirate", "modelserver.lorikeet.dev/tiny"]


def test_scale_sets_replicas_and_shows_the_selector(api: ApiServer, namespace: str) -> None:
    write(api, namespace, SERVER)
    status = {"replicas": 1, "selector": "lorikeet.dev/server=tiny"}
    write(api, namespace, {**SERVER, "status": status}, "status")
    api.kubectl("scale", "modelservers.lorikeet.dev/tiny", "--replicas=3", "-n", namespace)
    scale = read(api, namespace, "modelservers/tiny/scale")
    assert (scale["spec"], scale["status"]) == ({"replicas": 3}, status)
    assert read(api, namespace, "modelservers/tiny")["spec"]["replicas"] == 3


def test_a_user_cannot_write_status(api: ApiServer, namespace: str) -> None:
    stored = write(api, namespace, {**ADAPTER, "status": ADAPTER_STATUS})
    assert "status" not in stored


def test_a_status_write_leaves_the_spec_and_its_generation(api: ApiServer, namespace: str) -> None:
    before = write(api, namespace, ADAPTER)
    body = {**ADAPTER, "spec": {**ADAPTER["spec"], "priority": 9}, "status": ADAPTER_STATUS}
    after = write(api, namespace, body, "status")
    assert (after["spec"], after["metadata"]["generation"]) == (before["spec"], 1)


def test_adapters_can_be_selected_by_their_server(api: ApiServer, namespace: str) -> None:
    write(api, namespace, ADAPTER)
    other = {"modelServerRef": {"name": "other"}, "source": ADAPTER["spec"]["source"]}
    write(api, namespace, {**ADAPTER, "metadata": {"name": "poet"}, "spec": other})
    listed = read(api, namespace, "loraadapters?fieldSelector=spec.modelServerRef.name%3Dother")["items"]
    assert [item["metadata"]["name"] for item in listed] == ["poet"]


def test_server_side_apply_keeps_what_others_own(api: ApiServer, namespace: str) -> None:
    apply(api, namespace, "gitops", {**ADAPTER, "metadata": {"name": "pirate", "labels": {"team": "sea"}}})
    apply(api, namespace, "someone", {**ADAPTER, "metadata": {"name": "pirate"}, "spec": {"priority": 5}})
    stored = apply(api, namespace, "gitops", {**ADAPTER, "metadata": {"name": "pirate"}})
    assert stored["spec"]["priority"] == 5
    assert "labels" not in stored["metadata"]


def test_two_managers_of_conditions_keep_each_others(api: ApiServer, namespace: str) -> None:
    write(api, namespace, ADAPTER)
    for manager, kind in (("lorikeet-operator", "Ready"), ("another", "Audited")):
        status = {"conditions": [{**READY, "type": kind}]}
        stored = apply(api, namespace, manager, {**identity(ADAPTER), "status": status}, "/status")
    assert sorted(condition["type"] for condition in stored["status"]["conditions"]) == ["Audited", "Ready"]


def test_one_pod_holds_two_versions_during_an_update(api: ApiServer, namespace: str) -> None:
    write(api, namespace, ADAPTER)
    row = {"pod": "tiny-0", "state": "Loaded"}
    replicas = [{**row, "digest": "aaa"}, {**row, "digest": "bbb"}]
    stored = apply(api, namespace, "us", {**identity(ADAPTER), "status": {"replicas": replicas}}, "/status")
    assert stored["status"]["replicas"] == replicas


@pytest.mark.parametrize("kind", [definition.kind for definition in definitions()])
def test_every_field_is_explained(api: ApiServer, kind: str) -> None:
    _, document = api.call("GET", "/openapi/v3/apis/lorikeet.dev/v1alpha1")
    schema = document["components"]["schemas"][f"dev.lorikeet.v1alpha1.{kind}"]
    silent = [path for path, field in fields(schema, kind) if not field.get("description", "").strip().endswith(".")]
    assert silent == []


def test_explain_prints_a_sentence(api: ApiServer) -> None:
    said = api.kubectl("explain", "loraadapters.lorikeet.dev.spec.source.sha256").stdout
    assert "The content digest to insist on" in said


def fields(schema: Body, path: str) -> Iterator[tuple[str, Body]]:
    for name, field in schema.get("properties", {}).items():
        if "." not in path and name in ("apiVersion", "kind", "metadata"):  # Kubernetes explains its own
            continue
        yield f"{path}.{name}", field
        yield from fields(field, f"{path}.{name}")
        yield from fields(field.get("items", {}), f"{path}.{name}[]")


def identity(body: Body) -> Body:
    return {key: body[key] for key in ("apiVersion", "kind", "metadata")}


def columns(api: ApiServer, namespace: str, short_name: str) -> dict[str, str]:
    """What `kubectl get` prints of the one object, without its age."""
    head, row = api.kubectl("get", short_name, "-n", namespace).stdout.splitlines()
    return {name: value for name, value in zip(head.split(), row.split(), strict=True) if name != "AGE"}


def path(namespace: str, rest: str) -> str:
    return f"/apis/lorikeet.dev/v1alpha1/namespaces/{namespace}/{rest}"


def read(api: ApiServer, namespace: str, rest: str) -> Body:
    return answered(api.call("GET", path(namespace, rest)))


def write(api: ApiServer, namespace: str, body: Body, subresource: str = "") -> Body:
    """Create the object, or replace one of its subresources."""
    plural = f"{body['kind'].lower()}s"
    if not subresource:
        return answered(api.call("POST", path(namespace, plural), body))
    name = body["metadata"]["name"]
    version = read(api, namespace, f"{plural}/{name}")["metadata"]["resourceVersion"]
    fresh = {**body, "metadata": {**body["metadata"], "resourceVersion": version}}
    return answered(api.call("PUT", path(namespace, f"{plural}/{name}/{subresource}"), fresh))


def apply(api: ApiServer, namespace: str, manager: str, body: Body, subresource: str = "") -> Body:
    rest = f"{body['kind'].lower()}s/{body['metadata']['name']}{subresource}?fieldManager={manager}"
    return answered(api.call("PATCH", path(namespace, rest), body, APPLY))


def answered(reply: tuple[int, Body]) -> Body:
    status, body = reply
    assert status in (200, 201), json.dumps(body, indent=1)
    return body
