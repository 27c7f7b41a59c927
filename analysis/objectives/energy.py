"""What a decoded token takes in energy: an estimate from its arithmetic and the bytes that it moves, never a measurement.

The coefficients are those of Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, of a 45 nm process at 0.9 V.
Newer processes take less of both, arithmetic above all, so the estimate compares shapes and says nothing of a battery.
"""

from __future__ import annotations

from analysis.objectives.objective import Objective, Wording
from analysis.objectives.observed import Observed
from analysis.text.words import share_less
from search_space.cost import executed_matrix_parameters

PICOJOULES_PER_FLOP = {32: (3.7 + 0.9) / 2, 16: (1.1 + 0.4) / 2, 8: (0.2 + 0.03) / 2}
"""Half a multiply-add, by the bits of a weight; fewer than eight are computed with as eight."""
PICOJOULES_PER_BYTE = 1300 / 8
"""Read from DRAM: the lower of the two figures for 64 bits."""
PREFIXES = ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ"), (1e-9, "nJ"))


def _joules(seen: Observed) -> float:
    """Energy of the workload's last token: its FLOPs, the weights of every executed block and of the output, and the cache."""
    costs = seen.costs
    bytes_per_weight = costs.weight_bytes / costs.parameters
    bits = next(bits for bits in sorted(PICOJOULES_PER_FLOP) if round(8 * bytes_per_weight) <= bits)
    moved = executed_matrix_parameters(seen.architecture) * bytes_per_weight + costs.kv_cache_bytes
    return 1e-12 * (PICOJOULES_PER_FLOP[bits] * costs.decode_flops + PICOJOULES_PER_BYTE * moved)


def training_joules(flops: float, precision: str) -> float:
    """Estimated energy of the arithmetic of so many training FLOPs in `float32` or `bfloat16`; what memory moves comes on top."""
    return 1e-12 * PICOJOULES_PER_FLOP[32 if precision == "float32" else 16] * flops


def _write(value: float) -> str:
    unit, name = next((each for each in PREFIXES if value >= each[0]), PREFIXES[-1])
    return f"{value / unit:.3g} {name}"


ENERGY = (
    Objective(
        name="joules_per_token",
        words=Wording(
            label="estimated energy",
            axis="Estimated energy, joules a decoded token",
            tick_format="~s",
            tick=_write,
            write=_write,
            phrase="an estimated {} a token",
            best="least in estimated energy",
            no_worse="for no more estimated energy",
            gain=lambda ours, theirs: f"takes an estimated {share_less(ours, theirs)} less energy",
            amount=_write,
            meaning="An estimate, not a measurement: energy of a decoded token from its FLOPs and the bytes that it reads, with the "
            "coefficients of Horowitz, ISSCC 2014. It compares shapes; a measured energy would be another objective.",
        ),
        value=_joules,
        scale="log",
        known="shape",
        noise="none",
    ),
)
