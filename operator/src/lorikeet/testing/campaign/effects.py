"""What counts as a side effect, what it is called, and how often it was had.

An effect is named by who has it, what it does to what, and the how-manieth of these it is: `b:load:sql@3f9c1a7d20b4:1`
is replica b's first load of that version. Names are the same from life to life, global numbers would not be: what is
written together depends on what comes together.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field

from lorikeet.testing.campaign.faults import Fault
from lorikeet.testing.campaign.wire import Call

OPERATOR = "operator"
OBJECT = re.compile(
    r"/apis?(?:/[^/]+)?/[^/]+/namespaces/[^/]+/(?P<plural>[^/?]+)(?:/(?P<name>[^/?]+))?(?P<status>/status)?"
)
ASKED = re.compile(r"/api/models/(?P<repo>[^/]+/[^/?]+)")
FETCHED = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/[^/]+/(?P<file>[^?]+)")
VERBS = {"POST": "create", "PATCH": "apply", "PUT": "update", "DELETE": "delete"}


@dataclass(frozen=True, order=True)
class Effect:
    """One numbered side effect."""

    who: str
    """`operator`, or the replica whose agent it is."""
    verb: str
    what: str
    number: int

    def __str__(self) -> str:
        return f"{self.who}:{self.verb}:{self.what}:{self.number}"

    @classmethod
    def parse(cls, text: str) -> Effect:
        """The inverse of str. Raises ValueError."""
        who, verb, what, number = text.split(":")
        return cls(who, verb, what, int(number))


Name = tuple[str, str, str]
"""Who, verb, what."""


@dataclass
class Ledger:
    """The effects of one life, in order. With a `fault` at `at`, it says so at that call and at no other."""

    at: Effect | None = None
    fault: Fault | None = None
    had: list[Effect] = field(default_factory=list)
    counts: Counter[Name] = field(default_factory=Counter)
    struck: bool = False

    def judge(self, who: str, what: tuple[str, str] | None) -> Fault | None:
        """Number an effect; what shall happen to it."""
        if what is None:
            return None
        self.counts[who, *what] += 1
        effect = Effect(who, *what, self.counts[who, *what])
        self.had.append(effect)
        if effect != self.at:
            return None
        self.struck = True
        return self.fault


def of_api(call: Call) -> tuple[str, str] | None:
    """What the operator writes to the API server. Renewals of the lease count, too."""
    found = OBJECT.match(call.path)
    if call.method not in VERBS or found is None:
        return None
    name = found["name"] or ""
    if found["plural"] == "events":  # their names are random
        return "tell-event", json.loads(call.body)["regarding"]["name"]
    if found["status"]:
        return "tell", f"{found['plural']}/{name}"
    return VERBS[call.method], f"{found['plural']}/{name}".rstrip("/")


def of_agent(pod: str, call: Call) -> tuple[str, str] | None:
    """What the operator tells and asks the agent of `pod`; a question may go to any of them."""
    if call.path.startswith("/v1/wanted"):
        return "push", pod
    if call.path.startswith("/v1/resolve"):
        return "resolve", json.loads(call.body)["uri"].removeprefix("hf://")
    return None


def of_engine(call: Call) -> tuple[str, str] | None:
    """What an agent asks of its engine; looks at boot, health and metrics are no effects, lists are decided on."""
    match call.path:
        case "/v1/load_lora_adapter":
            return "load", json.loads(call.body)["lora_name"]
        case "/v1/unload_lora_adapter":
            return "unload", json.loads(call.body)["lora_name"]
        case "/v1/models":
            return "list", "models"
    return None


def of_hub(call: Call) -> tuple[str, str] | None:
    """What an agent asks of the hub."""
    if found := ASKED.match(call.path):
        return "ask-hub", found["repo"]
    if found := FETCHED.match(call.path):
        return "fetch", f"{found['repo']}/{found['file']}"
    return None
