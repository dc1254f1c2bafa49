"""`helm install` of the chart on a real API server: CRDs, rights as the service accounts have them, Pod Security."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lorikeet.testing.apiserver import ApiServer, api_server
from lorikeet.testing.apiserver.binaries import find

CHART = Path(__file__).parents[2] / "charts/lorikeet"
SYSTEM = "lorikeet-system"
SERVER = {
    "apiVersion": "lorikeet.dev/v1alpha1",
    "kind": "ModelServer",
    "metadata": {"name": "tiny", "namespace": "default"},
    "spec": {"model": {"uri": "hf://lorikeet-demo/tiny-llama"}},
}
OPERATOR_MAY = [
    "list modelservers.lorikeet.dev -A",
    "watch loraadapters.lorikeet.dev -A",
    "patch modelservers.lorikeet.dev --subresource=status -n default",
    "create deployments.apps -n default",
    "patch services -n default",
    "delete deployments.apps -n default",
    "list pods -A",
    "create secrets -n default",
    "patch secrets -n default",
    "create events.events.k8s.io -n default",
    f"get secrets/lorikeet-root-key -n {SYSTEM}",
    f"update leases.coordination.k8s.io -n {SYSTEM}",
]
OPERATOR_MAY_NOT = [
    "get secrets -n default",
    "list secrets -A",
    "watch secrets -n default",
    f"get secrets/another -n {SYSTEM}",
    "get secrets/lorikeet-root-key -n default",
    "delete secrets -n default",
    "create pods -n default",
    "create pods --subresource=exec -n default",
    "get pods --subresource=log -n default",
    "patch modelservers.lorikeet.dev -n default",
    "delete loraadapters.lorikeet.dev -n default",
    "create leases.coordination.k8s.io -n default",
    "create clusterrolebindings.rbac.authorization.k8s.io",
    "impersonate users",
    "list nodes",
]
GATEWAY_MAY = [
    "list modelservers.lorikeet.dev -A",
    "watch loraadapters.lorikeet.dev -A",
    f"get secrets/lorikeet-api-keys -n {SYSTEM}",
    f"watch secrets/lorikeet-api-keys -n {SYSTEM}",
]
GATEWAY_MAY_NOT = [
    "get secrets -n default",
    f"get secrets/lorikeet-root-key -n {SYSTEM}",
    f"list secrets -n {SYSTEM}",
    "get secrets/lorikeet-api-keys -n default",
    "patch modelservers.lorikeet.dev --subresource=status -n default",
    "list pods -n default",
    "create events -n default",
]
EVERYWHERE = [("operator", question, "yes") for question in OPERATOR_MAY]
EVERYWHERE += [("operator", question, "no") for question in OPERATOR_MAY_NOT]
EVERYWHERE += [("gateway", question, "yes") for question in GATEWAY_MAY]
EVERYWHERE += [("gateway", question, "no") for question in GATEWAY_MAY_NOT]
LISTED = [
    ("operator", "list modelservers.lorikeet.dev -n team", "yes"),
    ("operator", "create deployments.apps -n team", "yes"),
    ("operator", f"get secrets/few-lorikeet-root-key -n {SYSTEM}", "yes"),
    ("operator", "list modelservers.lorikeet.dev -n default", "no"),
    ("operator", "create secrets -n default", "no"),
    ("gateway", "list loraadapters.lorikeet.dev -n team", "yes"),
    ("gateway", "list loraadapters.lorikeet.dev -A", "no"),
]


@pytest.fixture(scope="module")
def bare() -> Iterator[ApiServer]:
    """An API server that has never heard of Lorikeet."""
    with api_server() as server:
        server.kubectl("create", "namespace", SYSTEM)
        server.kubectl("label", "namespace", SYSTEM, "pod-security.kubernetes.io/enforce=restricted")
        yield server


@pytest.fixture(scope="module")
def installed(bare: ApiServer) -> ApiServer:
    """The chart with its defaults."""
    helm(bare, "install", "lorikeet", str(CHART))
    bare.kubectl("wait", "--for=condition=Established", "crd/modelservers.lorikeet.dev", "--timeout=30s")
    return bare


@pytest.fixture(scope="module")
def listed(installed: ApiServer) -> ApiServer:
    """A second release beside it, for one namespace."""
    installed.kubectl("create", "namespace", "team")
    helm(installed, "install", "few", str(CHART), "--set", "watchNamespaces={team},crds.enabled=false")
    return installed


@pytest.mark.parametrize(("component", "question", "answer"), EVERYWHERE)
def test_rights_are_what_each_process_needs(installed: ApiServer, component: str, question: str, answer: str) -> None:
    assert can_i(installed, f"lorikeet-{component}", question) == answer


@pytest.mark.parametrize(("component", "question", "answer"), LISTED)
def test_a_list_of_namespaces_bounds_the_rights(listed: ApiServer, component: str, question: str, answer: str) -> None:
    assert can_i(listed, f"few-lorikeet-{component}", question) == answer


@pytest.mark.parametrize("name", ["lorikeet-operator", "lorikeet-gateway"])
def test_pods_are_admitted_under_the_restricted_standard(installed: ApiServer, name: str) -> None:
    deployment = get(installed, f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/{name}")
    pod = {**deployment["spec"]["template"], "apiVersion": "v1", "kind": "Pod"}
    pod["metadata"] = {"name": "probe", "labels": pod["metadata"]["labels"]}
    status, reply = installed.call("POST", f"/api/v1/namespaces/{SYSTEM}/pods?dryRun=All", pod)
    assert status == 201, reply["message"]


def test_the_notes_say_what_to_do_next(installed: ApiServer) -> None:
    notes = helm(installed, "get", "notes", "lorikeet")
    assert f"kubectl -n {SYSTEM} port-forward service/lorikeet-gateway 8080:80" in notes


def test_objects_outlive_the_release_and_a_new_one_takes_them_up(bare: ApiServer, installed: ApiServer) -> None:
    installed.apply(SERVER)
    helm(bare, "uninstall", "lorikeet")
    assert bare.kubectl("get", "modelservers.lorikeet.dev", "-A", "-o", "name").stdout.strip() == (
        "modelserver.lorikeet.dev/tiny"
    )
    helm(
        bare, "install", "lorikeet", str(CHART), "--set", "gateway.service.type=NodePort,gateway.service.nodePort=30080"
    )
    service = get(bare, f"/api/v1/namespaces/{SYSTEM}/services/lorikeet-gateway")
    assert service["spec"]["ports"][0]["nodePort"] == 30080


def helm(server: ApiServer, *arguments: str) -> str:
    command = [str(find("helm")["helm"]), *arguments, "--namespace", SYSTEM, "--kubeconfig", str(server.kubeconfig)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def can_i(server: ApiServer, account: str, question: str) -> str:
    """The API server's own answer, asked as that service account."""
    who = f"--as=system:serviceaccount:{SYSTEM}:{account}"
    return server.kubectl("auth", "can-i", *question.split(), who, check=False).stdout.strip()


def get(server: ApiServer, path: str) -> dict[str, Any]:
    status, body = server.call("GET", path)
    assert status == 200, body
    return body
