"""The chart: what it renders, what it refuses, and the rights it gives."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from lorikeet.api.crd import manifest
from lorikeet.api.kinds import definitions
from lorikeet.testing.apiserver.binaries import find

Body = dict[str, Any]
CHART = Path(__file__).parents[2] / "charts/lorikeet"
DIGEST = "sha256:" + "0" * 64
ODD: list[Body] = [
    {},
    {"watchNamespaces": ["team-a", "team-b"]},
    {"crds": {"enabled": False}, "networkPolicy": {"enabled": False}},
    {"gateway": {"replicas": 1, "service": {"type": "NodePort", "nodePort": 30080}}, "operator": {"replicas": 3}},
    {"gateway": {"tls": {"secretName": "cert"}, "traces": {"endpoint": "http://collector:4318", "sample": 0.5}}},
    {
        "image": {"registry": "localhost:5000/team", "digest": DIGEST},
        "imagePullSecrets": [{"name": "pull"}],
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"operator": "Exists"}],
        "nameOverride": "birds",
        "hub": {"endpoint": "http://hub.models:8080"},
    },
]
BAD: list[tuple[Body, str]] = [
    ({"operator": {"replicas": "two"}}, "at '/operator/replicas': got string, want integer"),
    ({"gateway": {"replicas": -1}}, "at '/gateway/replicas': minimum: got -1, want 0"),
    ({"image": {"digest": "sha256:abc"}}, "at '/image/digest': 'sha256:abc' does not match pattern"),
    ({"image": {"tag": "a b"}}, "at '/image/tag': 'a b' does not match pattern"),
    ({"image": None}, "missing property 'image'"),
    ({"image": {"repository": None}}, "at '/image': missing property 'repository'"),
    ({"gatway": {}}, "additional properties 'gatway' not allowed"),
    ({"gateway": {"service": {"nodePort": 99999}}}, "at '/gateway/service/nodePort': maximum: got 99,999, want 65,535"),
    ({"gateway": {"service": {"type": "Headless"}}}, "value must be one of 'ClusterIP', 'NodePort', 'LoadBalancer'"),
    ({"gateway": {"service": {"port": 0}}}, "at '/gateway/service/port': minimum: got 0, want 1"),
    ({"gateway": {"tls": {"secretName": "a/b"}}}, "at '/gateway/tls/secretName': 'a/b' does not match pattern"),
    ({"gateway": {"tls": {"secret": "a"}}}, "additional properties 'secret' not allowed"),
    ({"gateway": {"traces": {"endpoint": "collector:4317"}}}, "at '/gateway/traces/endpoint'"),
    ({"gateway": {"traces": {"sample": 2}}}, "at '/gateway/traces/sample': maximum: got 2, want 1"),
    ({"nameOverride": "n" * 200}, "at '/nameOverride'"),
    ({"nameOverride": "Über"}, "at '/nameOverride'"),
    ({"watchNamespaces": ["*"]}, "at '/watchNamespaces/0': '*' does not match pattern"),
    ({"watchNamespaces": ["a", "a"]}, "at '/watchNamespaces': items at 0 and 1 are equal"),
    ({"hub": {"endpoint": "huggingface.co"}}, "at '/hub/endpoint'"),
    ({"engineImages": {"t4": "vllm/vllm-openai"}}, "at '/engineImages/t4'"),
    (
        {"engineImages": {"t4": "vllm/vllm-openai:latest"}},
        "name a version, because latest changes under running adapters",
    ),
    ({"operator": {"logLevel": "loud"}}, "value must be one of 'debug', 'info', 'warning', 'error'"),
    ({"operator": {"resources": {"limits": {"memory": "much"}}}}, "at '/operator/resources/limits/memory'"),
    ({"networkPolicy": {"apiServerPorts": []}}, "at '/networkPolicy/apiServerPorts': minItems: got 0, want 1"),
    ({"imagePullSecrets": ["pull"]}, "at '/imagePullSecrets/0': got string, want object"),
]


def test_lint_has_nothing_to_say() -> None:
    command = [str(find("helm")["helm"]), "lint", "--strict", "--quiet", str(CHART)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


@pytest.mark.parametrize("values", ODD, ids=str)
def test_every_pod_meets_the_restricted_standard(render: Any, values: Body) -> None:
    rendered = render(values)
    assert rendered.refusal == ""
    pods = [body["spec"]["template"]["spec"] for body in rendered.of("Deployment")]
    pods += [body["spec"] for body in rendered.of("Pod")]
    assert len(pods) == 3
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("values", ODD, ids=str)
def test_selectors_meet_their_pods_and_accounts_exist(render: Any, values: Body) -> None:
    rendered = render(values)
    accounts = {body["metadata"]["name"] for body in rendered.of("ServiceAccount")}
    labels = {}
    for body in rendered.of("Deployment"):
        template = body["spec"]["template"]
        assert template["spec"]["serviceAccountName"] in accounts
        assert body["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        labels[body["metadata"]["name"]] = template["metadata"]["labels"]
    for service in rendered.of("Service"):
        assert service["spec"]["selector"].items() <= labels[service["metadata"]["name"]].items()
    for policy in rendered.of("NetworkPolicy"):
        assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels[policy["metadata"]["name"]].items()


@pytest.mark.parametrize(("values", "sentence"), BAD, ids=lambda part: str(part)[:60])
def test_bad_values_are_refused_by_their_path(render: Any, values: Body, sentence: str) -> None:
    assert sentence in render(values).refusal


def test_crds_are_those_of_the_models_and_kept(render: Any) -> None:
    for definition in definitions():
        body = render().one("CustomResourceDefinition", definition.name)
        assert body["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert body == manifest(definition)


def test_crds_can_be_left_out_or_let_go(render: Any) -> None:
    assert render({"crds": {"enabled": False}}).of("CustomResourceDefinition") == []
    assert all(
        "annotations" not in body["metadata"]
        for body in render({"crds": {"keep": False}}).of("CustomResourceDefinition")
    )


@pytest.mark.parametrize("values", ODD, ids=str)
def test_rights_are_few(render: Any, values: Body) -> None:
    rules = [rule for kind in ("Role", "ClusterRole") for body in render(values).of(kind) for rule in body["rules"]]
    assert rules
    for rule in rules:
        assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert not {"pods/exec", "pods/attach", "pods/portforward", "nodes", "namespaces"} & set(rule["resources"])
        if "secrets" in rule["resources"]:
            assert set(rule["verbs"]) <= {"create", "patch"} or rule["resourceNames"]
            assert "list" not in rule["verbs"]
        if "pods" in rule["resources"]:
            assert set(rule["verbs"]) == {"get", "list", "watch"}


def test_the_gateway_only_reads_our_two_kinds(render: Any) -> None:
    rules = render().one("ClusterRole", "lorikeet-gateway")["rules"]
    assert rules == [
        {
            "apiGroups": ["lorikeet.dev"],
            "resources": ["modelservers", "loraadapters"],
            "verbs": ["get", "list", "watch"],
        }
    ]


def test_the_gateway_reads_the_secrets_of_keys_by_name_and_no_other(render: Any) -> None:
    for values, names in (({}, ["lorikeet-api-keys"]), ({"gateway": {"keySecrets": ["a", "b"]}}, ["a", "b"])):
        rendered = render(values)
        (rule,) = rendered.one("Role", "lorikeet-gateway-home")["rules"]
        assert (rule["resourceNames"], rule["verbs"]) == (names, ["get", "watch"])
        said = environment(rendered.one("Deployment", "lorikeet-gateway"))
        assert said["LORIKEET_KEY_SECRETS"] == ",".join(names)
        assert said["LORIKEET_AUTH"] == "keys"


def test_without_keys_the_gateway_reads_no_secret(render: Any) -> None:
    rendered = render({"gateway": {"auth": "none"}})
    assert rendered.of("Role", "lorikeet-gateway-home") == []
    said = environment(rendered.one("Deployment", "lorikeet-gateway"))
    assert said["LORIKEET_AUTH"] == "none"
    assert "LORIKEET_KEY_SECRETS" not in said


def test_clients_speak_plain_http_unless_a_certificate_is_named(render: Any) -> None:
    rendered = render()
    (port,) = rendered.one("Service", "lorikeet-gateway")["spec"]["ports"]
    assert (port["name"], port["port"], port["appProtocol"]) == ("http", 80, "http")
    assert "LORIKEET_TLS_DIR" not in environment(rendered.one("Deployment", "lorikeet-gateway"))
    assert url_of_the_test(rendered) == "http://lorikeet-gateway:80/ready"


@pytest.mark.parametrize(("given", "port"), [({}, 443), ({"service": {"port": 8443}}, 8443)])
def test_with_a_certificate_clients_speak_https_and_probes_do_not(render: Any, given: Body, port: int) -> None:
    rendered = render({"gateway": {"tls": {"secretName": "cert"}, **given}})
    (said,) = rendered.one("Service", "lorikeet-gateway")["spec"]["ports"]
    assert (said["name"], said["port"], said["targetPort"], said["appProtocol"]) == ("https", port, "http", "https")
    assert url_of_the_test(rendered) == f"https://lorikeet-gateway:{port}/ready"
    deployment = rendered.one("Deployment", "lorikeet-gateway")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "tls"]
    assert mount == {"name": "tls", "mountPath": environment(deployment)["LORIKEET_TLS_DIR"], "readOnly": True}
    (volume,) = [volume["secret"] for volume in pod["volumes"] if volume["name"] == "tls"]
    assert volume["secretName"] == "cert"
    assert [item["path"] for item in volume["items"]] == ["tls.crt", "tls.key"]


def url_of_the_test(rendered: Any) -> str:
    (pod,) = rendered.of("Pod")
    (url,) = [item["value"] for item in pod["spec"]["containers"][0]["env"]]
    return str(url)


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [
        ("http://collector.monitoring:4318", 4318),
        ("https://otlp.example.com/otlp", 443),
        ("http://collector", 80),
        ("http://[fd00::1]:4318/", 4318),
    ],
)
def test_a_collector_of_traces_is_told_to_the_gateway_and_its_network_policy(
    render: Any, endpoint: str, port: int
) -> None:
    before, rendered = render(), render({"gateway": {"traces": {"endpoint": endpoint, "sample": 0.25}}})
    said = environment(rendered.one("Deployment", "lorikeet-gateway"))
    told = {name: value for name, value in said.items() if name.startswith("OTEL_")}
    assert told == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_SERVICE_NAME": "lorikeet-gateway",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.25",
    }
    assert "OTEL" not in str(before.objects)
    policies = [one.one("NetworkPolicy", "lorikeet-gateway")["spec"]["egress"] for one in (before, rendered)]
    (new,) = [rule for rule in policies[1] if rule not in policies[0]]
    assert new == {"ports": [{"protocol": "TCP", "port": port}]}
    assert rendered.of("NetworkPolicy", "lorikeet-operator") == before.of("NetworkPolicy", "lorikeet-operator")


def test_with_a_list_of_namespaces_no_right_reaches_further(render: Any) -> None:
    rendered = render({"watchNamespaces": ["team-a", "team-b"]})
    assert rendered.of("ClusterRole") + rendered.of("ClusterRoleBinding") == []
    where = {(body["metadata"]["namespace"], body["metadata"]["name"]) for body in rendered.of("RoleBinding")}
    assert where == {
        ("lorikeet-system", "lorikeet-operator-home"),
        ("lorikeet-system", "lorikeet-gateway-home"),
        ("team-a", "lorikeet-operator"),
        ("team-a", "lorikeet-gateway"),
        ("team-b", "lorikeet-operator"),
        ("team-b", "lorikeet-gateway"),
    }
    assert environment(rendered.one("Deployment", "lorikeet-operator"))["LORIKEET_WATCH_NAMESPACES"] == "team-a,team-b"
    assert environment(rendered.one("Deployment", "lorikeet-gateway"))["LORIKEET_NAMESPACES"] == "team-a,team-b"


def test_the_operator_hears_of_images_hub_and_root_key(render: Any) -> None:
    values = {"image": {"registry": "localhost:5000", "tag": "v9"}, "hub": {"endpoint": "http://hub:1"}}
    said = environment(render(values).one("Deployment", "lorikeet-operator"))
    assert said == {
        "LORIKEET_NAMESPACE": "metadata.namespace",
        "LORIKEET_POD": "metadata.name",
        "LORIKEET_WATCH_NAMESPACES": "",
        "LORIKEET_AGENT_IMAGE": "localhost:5000/lorikeet:v9",
        "LORIKEET_ENGINE_IMAGE_GENERIC": "vllm/vllm-openai:v0.32.0",
        "LORIKEET_ENGINE_IMAGE_T4": "vllm/vllm-openai:v0.32.0",
        "LORIKEET_ENGINE_IMAGE_CPU": "localhost:5000/lorikeet-engine-cpu:v9",
        "LORIKEET_IMAGE_PULL_POLICY": "IfNotPresent",
        "LORIKEET_HUB_ENDPOINT": "http://hub:1",
        "LORIKEET_ROOT_KEY_SECRET": "lorikeet-root-key",
        "LORIKEET_LOG_LEVEL": "info",
    }


def test_a_digest_wins_over_the_tag(render: Any) -> None:
    rendered = render({"image": {"tag": "v9", "digest": DIGEST}})
    images = {
        container["image"]
        for body in rendered.of("Deployment")
        for container in body["spec"]["template"]["spec"]["containers"]
    }
    assert images == {f"lorikeet@{DIGEST}"}


def test_two_releases_have_different_names(render: Any) -> None:
    names = [
        {(body["kind"], body["metadata"]["name"]) for body in render({"crds": {"enabled": False}}, release).objects}
        for release in ("one", "two")
    ]
    assert not names[0] & names[1]


@pytest.mark.parametrize("release", ["a" * 53, "lorikeet-" + "b" * 44])
def test_long_release_names_still_give_legal_names(render: Any, release: str) -> None:
    assert all(len(body["metadata"]["name"]) <= 63 for body in render({}, release).objects)


def environment(deployment: Body) -> dict[str, str]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {
        item["name"]: item["value"] if "value" in item else item["valueFrom"]["fieldRef"]["fieldPath"]
        for item in container["env"]
    }
