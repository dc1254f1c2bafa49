"""Whether an adapter can be served on a server: named checks, facts in, a problem or nothing out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lorikeet.api.conditions import Problem, Reason
from lorikeet.api.modelserver import MAX_RANKS
from lorikeet.artifacts.adapter_config import AdapterConfig
from lorikeet.artifacts.facts import AdapterFacts, ModelFacts, Module


@dataclass(frozen=True)
class Terms:
    """Who is asked to serve what: names for the sentences, and the server's limit."""

    adapter: str
    server: str
    max_rank: int


def fit(facts: AdapterFacts, model: ModelFacts | None, terms: Terms) -> Problem | None:
    """Why `facts` cannot be served, or None. `model` is None where the agent cannot see the base model's files."""
    problem = fit_config(facts.config, terms)
    if problem is not None:
        return problem
    checks: tuple[Callable[[AdapterFacts, ModelFacts | None, Terms], Problem | None], ...] = (
        has_modules,
        acts_on_something,
        names_match,
        shapes_match,
    )
    return next((found for check in checks if (found := check(facts, model, terms)) is not None), None)


def fit_config(config: AdapterConfig, terms: Terms) -> Problem | None:
    """What adapter_config.json alone can rule out: asked before the weights are fetched."""
    if config.unsupported:
        features = ", ".join(config.unsupported)
        next_step = "merge it into the base model or train a plain LoRA"
        return _problem(terms, Reason.UNSUPPORTED_ADAPTER, f"uses {features}, which engines cannot serve: {next_step}")
    if config.rank > MAX_RANKS[-1]:
        said = f"has rank {config.rank}, engines take {MAX_RANKS[-1]} at most: train it with a lower rank"
        return _problem(terms, Reason.RANK_TOO_HIGH, said)
    if config.rank > terms.max_rank:
        said = f"has rank {config.rank}, server {terms.server} allows {terms.max_rank}"
        return _problem(terms, Reason.RANK_TOO_HIGH, f"{said}: raise spec.lora.maxRank or retrain")
    return None


def has_modules(facts: AdapterFacts, model: ModelFacts | None, terms: Terms) -> Problem | None:
    """No tensors at all would load without a word and serve the base model."""
    if facts.modules:
        return None
    return _problem(terms, Reason.NO_EFFECT, "has no LoRA weights: export it again")


def acts_on_something(facts: AdapterFacts, model: ModelFacts | None, terms: Terms) -> Problem | None:
    """All B zero is a LoRA as it is before training."""
    if facts.acts:
        return None
    return _problem(terms, Reason.NO_EFFECT, "changes nothing, all its B weights are zero: export it after training")


def names_match(facts: AdapterFacts, model: ModelFacts | None, terms: Terms) -> Problem | None:
    """vLLM loads modules that match nothing and silently serves the base model for them."""
    if model is None:
        return None
    strange = [module.name for module in facts.modules if module.name not in model.modules]
    if len(strange) == len(facts.modules):
        said = f"matches no module of server {terms.server}'s base model (it has {strange[0]!r})"
        return _problem(terms, Reason.NO_EFFECT, f"{said}: check what it was trained on{_trained_on(facts)}")
    if strange:
        said = f"adapts {strange[0]!r}, which server {terms.server}'s base model does not have"
        return _problem(terms, Reason.WRONG_BASE_MODEL, f"{said}: serve it on its own base model{_trained_on(facts)}")
    return None


def shapes_match(facts: AdapterFacts, model: ModelFacts | None, terms: Terms) -> Problem | None:
    """Weights of another size belong to another model, whatever the config calls its base."""
    for module in facts.modules if model is not None else ():
        shape = model.modules[module.name] if model is not None else None
        if shape is None or shape in _legal(module, facts.config.fan_in_fan_out):
            continue
        said = f"has {module.outputs}x{module.inputs} for {module.name!r}, server {terms.server}'s base model has "
        said += "x".join(map(str, shape))
        return _problem(terms, Reason.WRONG_BASE_MODEL, f"{said}: serve it on its own base model{_trained_on(facts)}")
    return None


def _legal(module: Module, fan_in_fan_out: bool) -> set[tuple[int, ...]]:
    turned = module.embedding or fan_in_fan_out
    return {(module.inputs, module.outputs) if turned else (module.outputs, module.inputs)}


def _trained_on(facts: AdapterFacts) -> str:
    return f", {facts.config.base_model}" if facts.config.base_model else ""


def _problem(terms: Terms, reason: Reason, message: str) -> Problem:
    return Problem(reason=reason, message=f"adapter {terms.adapter} {message}", lasting=True)
