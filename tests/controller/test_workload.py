"""What runs for a server: facts about the objects we make, that nobody may lose by accident."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lorikeet.api import layout
from lorikeet.api.ref import Ref
from lorikeet.controller.workload import FINGERPRINT, Child, children, spec_problem
from lorikeet.testing import builders as b

Body = dict[str, Any]
INSTALLATION = b.installation()


def made(**spec: Any) -> dict[str, Child]:
    return {child.resource.kind: child for child in children(b.server(**spec), INSTALLATION)}


def pod(**spec: Any) -> Body:
    found: Body = made(**spec)["Deployment"].body["spec"]["template"]["spec"]
    return found


def engine(**spec: Any) -> Body:
    found: Body = pod(**spec)["containers"][0]
    return found


def agent(**spec: Any) -> Body:
    found: Body = pod(**spec)["initContainers"][0]
    return found


def mounts(container: Body) -> dict[str, bool]:
    """Volume → whether it is read-only."""
    return {mount["name"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}


def test_one_replica_at_a_time_is_taken_away_and_a_broken_one_holds_up_no_drain() -> None:
    budget, deployment = made()["PodDisruptionBudget"].body["spec"], made()["Deployment"].body["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    assert budget["selector"] == deployment["selector"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


class TestSecurity:
    def test_the_pod_meets_the_restricted_standard(self) -> None:
        found = pod()
        assert found["securityContext"]["runAsNonRoot"] is True
        assert found["securityContext"]["runAsUser"] != 0
        assert found["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & found.keys()
        assert all(volume.keys() <= {"name", "emptyDir", "secret"} for volume in found["volumes"])

    @pytest.mark.parametrize("container", [engine, agent])
    def test_so_does_each_container(self, container: Any) -> None:
        assert container()["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }

    def test_it_has_no_token_of_the_api_server(self) -> None:
        assert pod()["automountServiceAccountToken"] is False

    def test_the_engine_may_write_only_what_is_its_own(self) -> None:
        assert {name for name, read_only in mounts(engine()).items() if not read_only} == {"engine-tmp", "shm"}
        assert "engine-tmp" not in mounts(agent())

    def test_the_engine_sees_no_secret(self) -> None:
        found = pod(sources={"secretRef": {"name": "tokens"}})
        secrets = {volume["name"] for volume in found["volumes"] if "secret" in volume}
        assert secrets == {"keys", "sources"}
        assert not secrets & mounts(found["containers"][0]).keys()
        assert {name: mounts(found["initContainers"][0])[name] for name in secrets} == {"keys": True, "sources": True}

    def test_no_key_stands_in_the_pod_s_template(self) -> None:
        keys = made()["Secret"].body["stringData"]
        assert set(keys) == {layout.AGENT_TOKEN, layout.INFERENCE_KEY}
        assert not any(key in str(made()["Deployment"].body) for key in keys.values())

    def test_every_server_has_keys_of_its_own(self) -> None:
        servers = (b.server(), b.server(Ref(b.NAMESPACE, "llama")), replace(b.server(), uid="anew"))
        values = [value for one in servers for value in children(one, INSTALLATION)[0].body["stringData"].values()]
        assert len(set(values)) == 6

    def test_a_user_s_labels_do_not_displace_ours(self) -> None:
        theirs = {"labels": {"team": "data", "lorikeet.dev/server": "other"}}
        found = made(podTemplate=theirs)["Deployment"].body["spec"]
        labels = found["template"]["metadata"]["labels"]
        assert labels == {"team": "data", **found["selector"]["matchLabels"]}
        assert labels["lorikeet.dev/server"] == "qwen"


class TestShape:
    def test_gpus_are_asked_for_and_limited(self) -> None:
        found = engine(resources={"gpus": 2})["resources"]
        assert found["requests"]["nvidia.com/gpu"] == found["limits"]["nvidia.com/gpu"] == "2"

    def test_without_a_gpu_none_is_asked_for(self) -> None:
        assert "nvidia.com/gpu" not in str(engine(resources={"gpus": 0})["resources"])

    def test_the_agent_is_a_sidecar_that_is_up_before_the_engine(self) -> None:
        assert agent()["restartPolicy"] == "Always"
        assert agent()["startupProbe"]["httpGet"]["path"] == "/startupz"

    def test_an_update_frees_a_gpu_before_it_asks_for_one(self) -> None:
        strategy = made()["Deployment"].body["spec"]["strategy"]["rollingUpdate"]
        assert (strategy["maxSurge"], strategy["maxUnavailable"]) == (0, 1)

    def test_the_image_is_the_profile_s_unless_the_spec_names_one(self) -> None:
        assert engine()["image"] == "engine:cpu"
        assert engine(engine={"profile": "CPU", "image": "mine:1"})["image"] == "mine:1"

    def test_a_slow_start_has_the_time_that_the_spec_gives_it(self) -> None:
        assert engine(startup={"timeout": "1h"})["startupProbe"]["failureThreshold"] == 3600

    def test_an_engine_that_hangs_is_killed_soon_and_one_that_is_slow_to_say_anything_is_not(self) -> None:
        probe = engine()["livenessProbe"]
        assert probe["httpGet"]["port"] == 8000  # not the agent's: while it is down it would fail a good engine's probe
        hangs = probe["periodSeconds"] * probe["failureThreshold"] + probe["terminationGracePeriodSeconds"]
        found_out = 25
        assert found_out + hangs <= 120
        assert probe["timeoutSeconds"] * probe["failureThreshold"] >= 180

    def test_everything_goes_with_its_server(self) -> None:
        for child in made().values():
            (owner,) = child.body["metadata"]["ownerReferences"]
            assert (owner["kind"], owner["name"], owner["uid"]) == ("ModelServer", "qwen", "uid-qwen")

    def test_a_refused_argument_is_named(self) -> None:
        spec = b.server(engine={"profile": "CPU"}).spec
        assert spec_problem(spec) == ""
        refused = spec.model_copy(
            update={"engine": spec.engine.model_copy(update={"extra_args": ("--trust-remote-code",)})}
        )
        assert "--trust-remote-code" in spec_problem(refused)


class TestFingerprint:
    def test_the_same_server_has_the_same_one(self) -> None:
        assert made() == made()

    def test_it_stands_on_the_object(self) -> None:
        for child in made().values():
            assert child.body["metadata"]["annotations"][FINGERPRINT] == child.fingerprint

    @pytest.mark.parametrize(
        ("spec", "changed"),
        [
            ({"replicas": 3}, {"Deployment"}),
            ({"engine": {"profile": "CPU", "image": "other:2"}}, {"Deployment"}),
            ({"lora": {"maxLoras": 2}}, {"Deployment"}),
            ({"podTemplate": {"annotations": {"a": "b"}}}, {"Deployment"}),
            ({}, set()),
        ],
        ids=str,
    )
    def test_it_changes_exactly_where_the_object_does(self, spec: Body, changed: set[str]) -> None:
        before, after = made(), made(**spec)
        assert {kind for kind in before if before[kind].fingerprint != after[kind].fingerprint} == changed
        assert {kind for kind in before if before[kind].body != after[kind].body} == changed

    def test_another_root_key_is_another_secret_alone(self) -> None:
        other = replace(INSTALLATION, root_key=b"1" * 64)
        changed = [
            one.resource.kind
            for one, two in zip(children(b.server(), INSTALLATION), children(b.server(), other), strict=True)
            if one.fingerprint != two.fingerprint
        ]
        assert changed == ["Secret"]
