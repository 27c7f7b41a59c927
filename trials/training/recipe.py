"""Recipes made from a study's recipe: at other learning rates, and longer."""

from __future__ import annotations

from trials.study.budget_defaults import BUDGETS
from trials.study.spec import ProxySpec


def as_it_is(proxy: ProxySpec) -> ProxySpec:
    """The study's recipe itself."""
    return proxy


def with_scaled_rates(proxy: ProxySpec, factor: float) -> ProxySpec:
    """The recipe with the learning rates of both optimizers times a factor, and no cooldowns."""
    rates = {"learning_rate": proxy.learning_rate * factor, "muon_learning_rate": proxy.muon_learning_rate * factor}
    return proxy.model_copy(update={**rates, "cooldowns": ()})


def lengthened(proxy: ProxySpec, times: float) -> ProxySpec:
    """The recipe with so many times its budget, in whole tokens where that is in tokens, and no cooldowns."""
    budget = {name: value * times for name in BUDGETS if (value := getattr(proxy, name)) is not None}
    if "tokens" in budget:
        budget["tokens"] = round(budget["tokens"])
    return proxy.model_copy(update={**budget, "cooldowns": ()})
