"""The main job on a real cluster: apply, ask, kill, break, scale. A demo of its own, beside anybody's."""

import base64
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorikeet.testing.cluster import until
from lorikeet.testing.demo import ADAPTERS, GATEWAY, GOOD, QUESTION, SYSTEM, Demo
from lorikeet.testing.prober import ask

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "manifests" / "samples"
DEMO = Demo(ROOT)
CLUSTER = DEMO.cluster
kubectl = CLUSTER.kubectl
BROKEN = {
    "missing-repo": ("SourceNotFound", "check the URI"),
    "pickle-only": ("UnsafeFormat", "convert them to adapter_model.safetensors"),
    "rank-too-high": ("RankTooHigh", "raise spec.lora.maxRank"),
    "wrong-base": ("WrongBaseModel", "serve it on its own base model"),
}


def test_the_demo_shows_three_different_answers_then_a_new_version_and_a_404(demo: str) -> None:
    said = re.findall(r"^ *\d+s +(tiny|pirate|poet)  +(.*)$", demo, re.MULTILINE)
    assert [name for name, _ in said] == ["tiny", "pirate", "poet", "pirate", "poet"], demo
    tiny, pirate, poet, newer, gone = (text for _, text in said)
    assert len({tiny, pirate, poet, newer}) == 4
    assert gone.startswith("404 model_not_found")
    with urllib.request.urlopen(f"{GATEWAY}/v1/models", timeout=10) as reply:
        listed = json.load(reply)
    assert {card["id"]: card["parent"] for card in listed["data"]} == {"tiny": None, "pirate": "tiny"}


def test_the_demo_run_again_goes_on_with_the_same_pods_and_does_nothing_slow_twice(demo: str) -> None:
    before = DEMO.pods()
    again = CLUSTER.script("demo/up")
    assert "404 model_not_found" in again
    assert set(DEMO.pods()) == set(before)
    slow = re.compile("building|loading|kubeadm init|: on, at|joined")
    assert [line for line in again.splitlines() if slow.search(line)] == []


def test_a_killed_engine_gets_its_adapters_back_without_an_operator_and_no_request_fails(
    answers: dict[str, str],
) -> None:
    before = DEMO.engines()
    with DEMO.no_operator(), DEMO.probing(answers) as outcomes:
        for pod in DEMO.pods().values():
            name = pod["metadata"]["name"]
            CLUSTER.signal(pod, "engine")
            until(f"{name} has its adapters back", lambda name=name: DEMO.came_back(name, before[name]))
    assert set(outcomes()) == {"right"}, outcomes()
    assert outcomes()["right"] > 50


def test_a_deleted_pods_successor_gets_the_adapters_and_no_request_fails(answers: dict[str, str]) -> None:
    gone = next(iter(DEMO.pods().values()))["metadata"]["name"]
    with DEMO.probing(answers) as outcomes:
        kubectl("delete", "pod", gone)
        until(
            "two replicas hold all",
            lambda: (
                gone not in (now := DEMO.engines())
                and [DEMO.wanted() <= set(one["names"]) for one in now.values()] == [True] * 2
            ),
        )
        until("Ready says so", lambda: all("2 of 2 replicas serve" in DEMO.message(ADAPTERS, name) for name in GOOD))
    assert set(outcomes()) == {"right"}, outcomes()
    assert outcomes()["right"] > 50


@pytest.fixture
def broken(answers: dict[str, str]) -> Iterator[None]:
    kubectl("apply", "-f", str(SAMPLES / "broken"))
    yield
    kubectl("delete", "--ignore-not-found", "-f", str(SAMPLES / "broken"))


@pytest.mark.usefixtures("broken")
def test_broken_adapters_say_why_and_what_to_do_and_leave_nothing_behind() -> None:
    expected = {name: reason for name, (reason, _) in BROKEN.items()} | dict.fromkeys(GOOD, "Ready")
    until("each has its reason", lambda: {row[0]: row[5] for row in table(ADAPTERS)[1:]} == expected)
    for name, (reason, step) in BROKEN.items():
        until(f"{name} has an Event", lambda name=name: "Warning" in describe(name))
        assert re.search(rf"^ +Warning +{reason} .*{step}", describe(name), re.MULTILINE), describe(name)
        assert step in DEMO.message(ADAPTERS, name)
        assert ask(GATEWAY, name, QUESTION)[0] == 503
    kubectl("delete", "-f", str(SAMPLES / "broken"))
    statuses = [CLUSTER.get(ADAPTERS, name)["status"] for name in GOOD]
    good = {status["digest"] for status in statuses}
    kept = {version["digest"] for status in statuses for version in status.get("history", ())}
    for pod in DEMO.engines():
        until(f"{pod} has what is good and no more", lambda pod=pod: good <= set(staged(pod)) <= good | kept)


def test_the_columns_of_kubectl_get_tell_the_story(answers: dict[str, str]) -> None:
    header, *adapters = table(ADAPTERS)
    assert header == ["NAME", "SERVER", "READY", "LOADED", "DESIRED", "REASON", "RANK", "AGE"]
    assert [row[:-1] for row in adapters] == [[name, "tiny", "True", "2", "2", "Ready", "8"] for name in GOOD]
    header, *servers = table("msv")
    assert header == ["NAME", "MODEL", "READY", "REPLICAS", "READYREPLICAS", "ADAPTERS", "REASON", "AGE"]
    assert [row[:-1] for row in servers] == [["tiny", "tiny", "True", "2", "2", "2", "Ready"]]


def test_kubectl_scale_takes_a_replica_away_and_brings_one_back_and_no_request_fails(answers: dict[str, str]) -> None:
    with DEMO.probing(answers) as outcomes:
        for count in ("1", "2"):
            kubectl("scale", "msv", "tiny", f"--replicas={count}")
            until("all hold all", lambda count=count: rows(ADAPTERS) == {name: ["True", count, count] for name in GOOD})
            until("the pods are as many", lambda count=count: len(DEMO.pods()) == int(count))
    assert set(outcomes()) == {"right"}, outcomes()


def test_the_charts_own_test_passes(answers: dict[str, str]) -> None:
    assert re.search(r"Phase: +Succeeded", CLUSTER.helm("test", "lorikeet", *SYSTEM))


@pytest.mark.parametrize("how", ["process", "pod"])
def test_an_operator_that_is_killed_comes_back_and_disturbs_no_engine(answers: dict[str, str], how: str) -> None:
    until("no old version lingers", lambda: all(set(one["names"]) == DEMO.wanted() for one in DEMO.engines().values()))
    before, loaded = DEMO.engines(), loads()
    assert len(loaded) == 2
    assert all(loaded.values()), loaded
    (operator,) = CLUSTER.items("pod", *SYSTEM, "-l", "app.kubernetes.io/component=operator")
    if how == "process":
        CLUSTER.signal(operator, "operator")
    else:
        kubectl("delete", "pod", operator["metadata"]["name"], *SYSTEM, "--force", "--grace-period=0")
    alias("privateer")
    until("the alias answers", lambda: ask(GATEWAY, "privateer", QUESTION) == (200, answers["pirate"]))
    alias()
    until("the alias is gone", lambda: ask(GATEWAY, "privateer", QUESTION)[0] == 404)
    assert (DEMO.engines(), loads()) == (before, loaded)


def test_no_secret_is_in_any_log(answers: dict[str, str]) -> None:
    secrets = {
        text for pod in DEMO.engines() for text in DEMO.in_agent(pod, "cat", "/run/lorikeet/control-token").split()
    }
    for where in (["tiny-lorikeet-keys"], ["lorikeet-root-key", *SYSTEM]):
        held = CLUSTER.get("secret", *where)["data"].values()
        secrets |= {base64.b64decode(value).decode("ascii") for value in held}
    logs = CLUSTER.logs()
    containers = {where.rpartition("/")[2] for where, text in logs.items() if text}
    assert containers >= {"operator", "gateway", "agent", "engine"}
    assert len(secrets) == 5  # two control tokens, the agent token, the inference key, the root key
    assert not [
        (where, number) for where, text in logs.items() for number, secret in enumerate(secrets) if secret in text
    ]


def test_with_auto_an_adapter_of_a_high_rank_is_served_once_replicas_were_replaced_one_at_a_time(
    answers: dict[str, str],
) -> None:
    kubectl("apply", "-f", str(SAMPLES / "broken" / "rank-too-high.yaml"))
    until("it is refused", lambda: "server tiny allows 8" in DEMO.message(ADAPTERS, "rank-too-high"))
    with DEMO.probing(answers) as outcomes:
        kubectl("patch", "msv", "tiny", "--type=merge", "-p", json.dumps({"spec": {"lora": {"maxRank": "Auto"}}}))
        until(
            "somebody says why",
            lambda: "replaced one at a time, with maxRank 64" in DEMO.message(ADAPTERS, "rank-too-high"),
        )
        kubectl("wait", "--for=condition=Ready", f"{ADAPTERS}/rank-too-high", "msv/tiny", "--timeout=300s")
    assert set(outcomes()) == {"right"}, outcomes()
    assert ask(GATEWAY, "rank-too-high", QUESTION)[0] == 200
    before = set(DEMO.pods())
    kubectl("delete", ADAPTERS, "rank-too-high")
    until("it is gone", lambda: ask(GATEWAY, "rank-too-high", QUESTION)[0] == 404)
    assert (set(DEMO.pods()), CLUSTER.get("msv", "tiny")["status"]["slots"]["rank"]) == (before, 64)


def staged(pod: str) -> list[str]:
    return DEMO.in_agent(pod, "ls", "-A", "/adapters/store").split()


def loads() -> dict[str, int]:
    """Pod's uid → how often its agent had the engine load something, ever. Kubelets remove the logs of pods that go."""
    said = CLUSTER.logs()
    counts = dict.fromkeys(DEMO.pods(), 0)
    for where, text in said.items():
        uid = where.rpartition("/")[0].rpartition("_")[2]
        if uid in counts and where.endswith("/agent"):
            counts[uid] += text.count("lorikeet.agent.hands load ")
    return counts


def alias(*names: str) -> None:
    kubectl(
        "patch", "loraadapter.lorikeet.dev", "pirate", "--type=merge", "-p", json.dumps({"spec": {"aliases": names}})
    )


def describe(adapter: str) -> str:
    return kubectl("describe", ADAPTERS, adapter)


def table(kind: str) -> list[list[str]]:
    """What a user sees, header and rows; a cell may be empty."""
    lines = kubectl("get", kind).splitlines()
    starts = [word.start() for word in re.finditer(r"\S+", lines[0])]
    cells = [slice(start, end) for start, end in zip(starts, [*starts[1:], None], strict=True)]
    return [[line[cell].strip() for cell in cells] for line in lines]


def rows(kind: str) -> dict[str, list[str]]:
    """Adapter → READY, LOADED, DESIRED, as a user sees them."""
    return {row[0]: row[2:5] for row in table(kind)[1:]}
