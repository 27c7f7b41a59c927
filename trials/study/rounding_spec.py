"""Rounding in a study: `proxy.quantisation_aware`, which a training gets used to, and what an ablation's arms are judged by."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from search_space.cost import ROUNDED_PRECISIONS
from trials.catalogue.runtimes import RUNTIMES, USUAL_RUNTIME
from trials.study.section import Number, OneOf, Section

ROUNDING_RUNTIMES = tuple(name for name, row in RUNTIMES.items() if set(ROUNDED_PRECISIONS) & set(row.precisions))
"""Runtimes that have such a precision; each has both."""


class QuantisationAwareSpec(Section):
    """Rounding in the forward pass over the last share of a training, the gradient going straight through (docs/method.md)."""

    precision: Annotated[str, OneOf(ROUNDED_PRECISIONS)]
    """Precision of the weights as they are rounded."""
    last: Annotated[float, Number, Field(gt=0, le=1)] = 0.1
    """Share of the steps that are trained so; where the schedule is `wsd`, `decay` at most."""
    runtime: Annotated[str, OneOf(ROUNDING_RUNTIMES)] | None = None
    """Runtime whose rounding it is; by default the one that latency is taken in, where it rounds, and else onnxruntime."""


class RoundingSpec(Section):
    """A runtime's rounding that finished networks are judged by, beside float32."""

    runtime: Annotated[str, OneOf(ROUNDING_RUNTIMES)]
    """Runtime whose rounding it is; it need not be installed."""
    precision: Annotated[str, OneOf(ROUNDED_PRECISIONS)]
    """Precision of the weights; activations are rounded where that runtime rounds them (docs/method.md)."""


def with_runtime(proxy: Any, engine: str) -> Any:
    """A recipe's values, or the recipe, with the runtime whose rounding is meant stated."""
    runtime = engine if engine in ROUNDING_RUNTIMES else USUAL_RUNTIME
    if isinstance(proxy, dict):
        wanted = proxy.get("quantisation_aware")
        if isinstance(wanted, dict) and wanted.get("runtime") is None:
            return {**proxy, "quantisation_aware": {**wanted, "runtime": runtime}}
    return proxy
