"""How much a seed moved trainings that were made with several seeds, as measured: data, written by `python -m benchmarks.noise_rows`.

The trainings are those of benchmarks/results (python-stdlib; which recipes and shapes: benchmarks/proxy.yaml and docs/findings.md,
2026-11-29: intervals where nobody knows how much a seed moves a loss).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NoiseRow:
    """Seed noise of one optimizer at one size and length."""

    optimizer: str
    parameters: int
    """About."""
    tokens: int
    share: float
    """Standard deviation between seeds of one shape, over the quality itself."""
    freedom: int
    """Degrees of freedom of it."""
    source: str
    """File of benchmarks/results."""


NOISE_ROWS = (
    NoiseRow("adamw", 300_000, 74_752, 0.01378, 12, "proxy-0.3M.jsonl"),
    NoiseRow("adamw", 300_000, 149_504, 0.01316, 12, "proxy-0.3M.jsonl"),
    NoiseRow("adamw", 300_000, 300_032, 0.00752, 12, "proxy-0.3M.jsonl"),
    NoiseRow("adamw", 300_000, 600_064, 0.00640, 12, "proxy-0.3M.jsonl"),
    NoiseRow("adamw", 300_000, 1_200_128, 0.00556, 12, "proxy-0.3M.jsonl"),
    NoiseRow("muon", 300_000, 74_752, 0.00373, 12, "proxy-0.3M.jsonl"),
    NoiseRow("muon", 300_000, 149_504, 0.00254, 12, "proxy-0.3M.jsonl"),
    NoiseRow("muon", 300_000, 300_032, 0.00602, 12, "proxy-0.3M.jsonl"),
    NoiseRow("muon", 300_000, 600_064, 0.00410, 12, "proxy-0.3M.jsonl"),
    NoiseRow("muon", 300_000, 1_200_128, 0.00427, 12, "proxy-0.3M.jsonl"),
    NoiseRow("muon", 300_000, 2_400_256, 0.00391, 12, "proxy-0.3M.jsonl"),
)
"""Every setting with several seeds of several shapes."""
