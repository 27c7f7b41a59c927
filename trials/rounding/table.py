"""Which runtime rounds how in which precision: one row each, held against what its writer writes and what it computes by tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from analysis.records.latency import Activations
from analysis.records.training import RoundedKind, RoundedQuality
from trials.catalogue.refusals import BLOCK_WEIGHTS
from trials.catalogue.runtimes import USUAL_RUNTIME
from trials.rounding.activations import RoundStates, by_block, by_token
from trials.rounding.storage import Storage
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
    stored: Storage
    """How a file of the runtime's keeps such a matrix."""
    rows: RoundMatrix | None = None
    """The embedding's table as its rows are looked up; None where it is the same as a matrix."""
    rows_stored: Storage | None = None
    """How a file keeps that table; None where it is the same as a matrix."""
    activations: RoundStates | None = None
    """What a product reads, the output projection's too; None where it stays float32, or no rounding that is known is the runtime's."""

    @property
    def reads(self) -> Activations:
        """What its products read."""
        return "float32" if self.activations is None else "int8"

    @property
    def kind(self) -> RoundedKind:
        """Runtime, precision and what its products read."""
        return self.runtime, self.precision, self.reads

    def reading(self, activations: Activations | None) -> Rounding:
        """A rounding of equal weights whose products read float32; this one where they read int8, or nothing is known."""
        return replace(self, activations=None) if activations == "float32" else self


_INT8, _INT4 = symmetric(8, BLOCK_WEIGHTS), symmetric(4, BLOCK_WEIGHTS)
_WIDE = {bits: Storage(bits, BLOCK_WEIGHTS, 4) for bits in (8, 4)}
"""Blocks with scales in float32, by bits."""
_NARROW = {bits: Storage(bits, BLOCK_WEIGHTS, 2) for bits in (8, 4)}
"""Blocks with scales in 16 bits."""
ROUNDINGS: Mapping[tuple[str, str], Rounding] = {
    (row.runtime, row.precision): row
    for row in (
        Rounding(runtime="onnxruntime", precision="int8", matrix=_INT8, stored=_WIDE[8], activations=by_block),
        Rounding(runtime="onnxruntime", precision="int4", matrix=_INT4, stored=_WIDE[4], activations=by_block),
        Rounding(runtime="llama.cpp", precision="int8", matrix=q8_0, stored=_NARROW[8]),
        Rounding(runtime="llama.cpp", precision="int4", matrix=q4_0, stored=_NARROW[4]),
        Rounding(runtime="openvino", precision="int8", matrix=_INT8, stored=_WIDE[8], activations=by_block),
        Rounding(runtime="openvino", precision="int4", matrix=_INT4, stored=_WIDE[4], activations=by_block),
        Rounding(runtime="executorch", precision="int8", matrix=symmetric(8, None), stored=Storage(8, None, 4), activations=by_token),
        Rounding(
            runtime="executorch",
            precision="int4",
            matrix=symmetric(4, BLOCK_WEIGHTS, "bfloat16"),
            stored=_NARROW[4],
            rows=_INT4,
            rows_stored=_WIDE[4],
            activations=by_token,
        ),
    )
}
"""Every rounding by runtime and precision; what is not here does not round to few bits."""


def trained_rounding(proxy: ProxySpec) -> Rounding | None:
    """How the last share of a recipe's training is rounded; None where it is not."""
    wanted = proxy.quantisation_aware
    return None if wanted is None else ROUNDINGS[wanted.runtime or USUAL_RUNTIME, wanted.precision]


def rounding_of(workload: LatencySpec, activations: Activations | None = None) -> Rounding | None:
    """How what is timed is rounded; None where its weights keep 16 bits or more.

    `activations` is the device's word (`Latency.activations`); where that is not known, the runtime's usual way is taken.
    """
    row = ROUNDINGS.get((workload.engine, workload.precision))
    return None if row is None else row.reading(activations)


def rounding_as(quality: RoundedQuality | None) -> Rounding | None:
    """The rounding that a quality was measured by."""
    return None if quality is None else ROUNDINGS[quality.runtime, quality.precision].reading(quality.read)
