"""Which runtime rounds how in which precision: one row each, held against what its writer writes and what it computes by tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trials.catalogue.refusals import BLOCK_WEIGHTS
from trials.catalogue.runtimes import USUAL_RUNTIME
from trials.rounding.activations import RoundStates, by_block, by_token
from trials.rounding.weights import RoundMatrix, q4_0, q8_0, symmetric
from trials.study.latency_spec import LatencySpec
from trials.study.spec import ProxySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """How a runtime sees a network in one precision. Norms and biases stay float32 in all of them; so does the arithmetic of attention."""

    runtime: str
    precision: str
    matrix: RoundMatrix
    """Every matrix that something is multiplied with, the output projection too."""
    rows: RoundMatrix | None = None
    """The embedding's table as its rows are looked up; None where it is the same as a matrix."""
    activations: RoundStates | None = None
    """What a product reads, the output projection's too; None where it stays float32, or no rounding that is known is the runtime's."""

    @property
    def kind(self) -> tuple[str, str]:
        """Runtime and precision."""
        return self.runtime, self.precision


_INT8, _INT4 = symmetric(8, BLOCK_WEIGHTS), symmetric(4, BLOCK_WEIGHTS)
ROUNDINGS: Mapping[tuple[str, str], Rounding] = {
    (row.runtime, row.precision): row
    for row in (
        Rounding(runtime="onnxruntime", precision="int8", matrix=_INT8, activations=by_block),
        Rounding(runtime="onnxruntime", precision="int4", matrix=_INT4, activations=by_block),
        Rounding(runtime="llama.cpp", precision="int8", matrix=q8_0),
        Rounding(runtime="llama.cpp", precision="int4", matrix=q4_0),
        Rounding(runtime="openvino", precision="int8", matrix=_INT8, activations=by_block),
        Rounding(runtime="openvino", precision="int4", matrix=_INT4, activations=by_block),
        Rounding(runtime="executorch", precision="int8", matrix=symmetric(8, None), activations=by_token),
        Rounding(runtime="executorch", precision="int4", matrix=symmetric(4, BLOCK_WEIGHTS, "bfloat16"), rows=_INT4, activations=by_token),
    )
}
"""Every rounding by runtime and precision; what is not here does not round to few bits."""


def trained_rounding(proxy: ProxySpec) -> Rounding | None:
    """How the last share of a recipe's training is rounded; None where it is not."""
    wanted = proxy.quantisation_aware
    return None if wanted is None else ROUNDINGS[wanted.runtime or USUAL_RUNTIME, wanted.precision]


def rounding_of(workload: LatencySpec) -> Rounding | None:
    """How what is timed is rounded; None where its weights keep 16 bits or more."""
    return ROUNDINGS.get((workload.engine, workload.precision))
