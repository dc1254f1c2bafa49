"""To which public names an adapter answers. Pure.

A name is the oldest claimant's (`names`). It passes from one adapter to another without a moment in which nobody
answers: whoever answered last goes on until the new holder answers and gateways know, and a name that was given up and
is nobody's goes on for a moment, because whoever shall have it may be asked for it only in the next edit.
"""

from __future__ import annotations

from lorikeet.api.conditions import Kind, Reason
from lorikeet.controller.conditions import Finding, no, yes
from lorikeet.controller.seen import Adapter, Seen


def names_of(adapter: Adapter, seen: Seen) -> tuple[str, ...]:
    """The names it answers to as soon as it can, its own first."""
    given_up = sorted(set(adapter.told.names) - set(adapter.claims))
    return tuple(name for name in (*adapter.claims, *given_up) if _has(adapter, name, seen))


def told_names(adapter: Adapter, seen: Seen, serves: bool) -> tuple[str, ...]:
    """The names gateways shall know: without those that somebody else answers to while it does not serve yet."""
    return tuple(
        name for name in names_of(adapter, seen) if serves or not seen.answering.get(name, frozenset()) - {adapter.ref}
    )


def named(adapter: Adapter, seen: Seen) -> Finding:
    """The condition Named."""
    for name in adapter.claims:
        holder = seen.holders.get(name)
        if holder not in (None, adapter.ref):
            names = names_of(adapter, seen)
            rest = f"; it answers to {', '.join(names)} meanwhile" if names else ""
            reason, text = _lost(adapter, name, seen)
            return no(Kind.NAMED, reason, text + rest)
    return yes(Kind.NAMED, Reason.NAMED, f"it holds {', '.join(adapter.claims)}")


def _has(adapter: Adapter, name: str, seen: Seen) -> bool:
    holder = seen.holders.get(name)
    if holder == adapter.ref:
        return True
    if holder is None:
        return name in adapter.lingering
    answering = seen.answering.get(name, frozenset())
    return bool(holder.namespace) and adapter.ref in answering and holder not in answering


def _lost(adapter: Adapter, name: str, seen: Seen) -> tuple[Reason, str]:
    holder = seen.holders[name]
    where = "spec.name" if name == adapter.public_name else "alias"
    if not holder.namespace:
        return Reason.NAME_RESERVED, f"name {name} is the base model's of {holder.name}: choose another {where}"
    text = f"name {name} belongs to the older adapter {holder.name}: choose another {where} or delete that one"
    return Reason.NAME_CONFLICT, text
