"""`make demo` with the engine simulator, on a cluster of the tests' own, and what users and operators see of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lorikeet.testing.cluster import Cluster, Failed, until
from lorikeet.testing.prober import TIMEOUT, Prober, ask

PORT = "18080"
GATEWAY = f"http://127.0.0.1:{PORT}"
QUESTION = "What is a pod?"
GOOD = ("pirate", "poet")
WORKERS = ("gpu1", "gpu2")
SYSTEM = ("-n", "lorikeet-system")
OPERATOR = "deployment/lorikeet-operator"
ADAPTERS = "loraadapters.lorikeet.dev"
OBJECTS = (("msv", "tiny"), *((ADAPTERS, name) for name in GOOD))
Body = dict[str, Any]
ASK_ENGINE = """
import json, urllib.request
token = open("/run/lorikeet/control-token").read()
def get(path):
    request = urllib.request.Request("http://127.0.0.1:8000" + path, headers={"Authorization": "Bearer " + token})
    return json.load(urllib.request.urlopen(request, timeout=5))
names = sorted(card["id"] for card in get("/v1/models")["data"] if card["parent"])
print(json.dumps({"boot": get("/-/boot")["boot"], "names": names}))
"""
"""What an engine says of itself, to its agent's container: with the control token, on loopback."""


class Demo:
    """`root`: the work tree. Whoever makes one speaks of the same cluster."""

    def __init__(self, root: Path) -> None:
        self.cluster = Cluster(root, "mainjob", "10.205.0", {"GATEWAY_PORT": PORT, "ENGINE": "sim"})
        self._samples = root / "manifests" / "samples"

    def up(self) -> str:
        """What `demo/up` said, on a cluster of two workers."""
        self.power_on()
        return self.cluster.script("demo/up", seconds=1700)

    def down(self) -> None:
        """Nothing of it stays."""
        self.cluster.script("demo/down")
        self.cluster.script("cluster-setup/local/down", "--images")

    def power_on(self) -> None:
        """Every machine runs, also one that was off."""
        self.cluster.script("cluster-setup/local/up", "--workers", str(len(WORKERS)), seconds=1700)

    def answers(self) -> dict[str, str]:
        """Two replicas and both adapters, once all is Ready; what each answers to QUESTION."""
        self.cluster.kubectl("apply", "-f", f"{self._samples}/poet.yaml")
        self.cluster.kubectl("scale", "msv", "tiny", "--replicas=2")
        until("all is Ready", lambda: all("2 of 2 replicas" in self.message(*one) for one in OBJECTS))
        said = {name: ask(GATEWAY, name, QUESTION) for name in GOOD}
        assert {status for status, _ in said.values()} == {200}, said
        return {name: text for name, (_, text) in said.items()}

    def pods(self) -> dict[str, Body]:
        """uid → engine pod, without those on their way out."""
        listed = self.cluster.items("pod", "-l", "lorikeet.dev/server=tiny")
        return {pod["metadata"]["uid"]: pod for pod in listed if "deletionTimestamp" not in pod["metadata"]}

    def engines(self) -> dict[str, Body]:
        """Pod → what its engine says."""
        names = [pod["metadata"]["name"] for pod in self.pods().values()]
        return {name: self.engine(name) for name in names}

    def engine(self, pod: str) -> Body:
        """`boot` and `names` as the pod's engine says; nothing where it does not answer."""
        try:
            found: Body = json.loads(self.in_agent(pod, "python3", "-c", ASK_ENGINE))
        except Failed:
            return {"boot": "", "names": []}
        return found

    def came_back(self, pod: str, before: Body) -> bool:
        """Whether the pod's engine has another life than `before`, and all adapters in it."""
        now = self.engine(pod)
        return bool(now["boot"]) and now["boot"] != before["boot"] and set(now["names"]) == self.wanted()

    def wanted(self) -> set[str]:
        """The engine names that statuses give; an old version may linger beside them while nobody wants its slot."""
        return {self.cluster.get(ADAPTERS, name)["status"]["engineName"] for name in GOOD}

    def in_agent(self, pod: str, *command: str) -> str:
        """What a command in the agent's container printed. Raises Failed."""
        return self.cluster.kubectl("exec", pod, "-c", "agent", "--", *command)

    def message(self, kind: str, name: str) -> str:
        """Of condition Ready; empty where there is none yet."""
        conditions = self.cluster.get(kind, name).get("status", {}).get("conditions", [])
        return str(next((one["message"] for one in conditions if one["type"] == "Ready"), ""))

    @contextmanager
    def probing(
        self, answers: Mapping[str, str], clients: int = 1, patience: float = TIMEOUT
    ) -> Iterator[Callable[[], Counter[str]]]:
        """So many clients for each adapter. Gives what tells the outcomes so far, and after the block those of all."""
        with ExitStack() as stack:
            probers = [
                stack.enter_context(Prober(GATEWAY, name, QUESTION, said, patience=patience))
                for name, said in answers.items()
                for _ in range(clients)
            ]
            yield lambda: sum((prober.outcomes for prober in probers), Counter())
        print(
            f"probers: {[dict(one.outcomes) for one in probers]}, slowest {max(one.slowest for one in probers):.2f} s"
        )

    @contextmanager
    def no_operator(self) -> Iterator[None]:
        """From before the block to its end."""

        def running() -> bool:
            return bool(self.cluster.items("pod", *SYSTEM, "-l", "app.kubernetes.io/component=operator"))

        self.cluster.kubectl("scale", OPERATOR, *SYSTEM, "--replicas=0")
        until("no operator runs", lambda: not running())
        try:
            yield
            assert not running()
        finally:
            self.cluster.kubectl("scale", OPERATOR, *SYSTEM, "--replicas=1")
            self.cluster.kubectl("rollout", "status", OPERATOR, *SYSTEM)
