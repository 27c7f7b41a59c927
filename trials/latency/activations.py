"""How a device's runtime reads the activations of rounded weights: whether it rounds them can depend on the processor, so it is asked."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
from numpy.typing import NDArray

from analysis.records.latency import Activations
from search_space.architecture import Architecture
from trials.formats.model import Model
from trials.latency.runtimes import find_runtime

if TYPE_CHECKING:
    from trials.rounding.table import Rounding

KNOWN = Architecture(
    vocab_size=64,
    hidden_size=64,
    num_unique_layers=1,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=32,
    intermediate_size=128,
)
"""The known network: every runtime can hold it in every precision."""
LARGER = 5.0
"""Times a fresh network's matrices, so that rounding shows in the logits."""
PROMPTS = ([[token] for token in range(16)], [[*range(first, first + 12)] for first in range(8)])
"""Single tokens, as decoding reads them, and short texts, each of which a runtime may compute in its own way."""
CLOSE = 1e-3
"""Root mean square of the logits' difference over their spread, at the median of prompts: below 5e-7 where the rounding is the runtime's,
and 0.008 or more where it is another one (docs/findings.md, 2026-11-30: how a device rounds, asked by a known network)."""
LogitRows = list[NDArray[numpy.float32]]


@cache
def activations_read(runtime: str, precision: str, threads: int) -> Activations | None:
    """What the products of rounded weights read in a runtime on this machine; None where nothing is rounded, or it is neither of the two.

    A known network's logits are compared with our own network's, rounded in each way; at most a second, once for a process.
    """
    from trials.rounding.table import ROUNDINGS  # torch, which the parent of a `LatencyProcess` never needs

    row = ROUNDINGS.get((runtime, precision))
    if row is None:
        return None
    try:
        found = _asked(runtime, precision, threads)
        ways = [way for way in (row, replace(row, activations=None)) if _apart(found, _ours(way)) < CLOSE]
    except Exception:  # whatever a runtime makes of the known network, the shape that is to be timed may do
        return None
    return ways[0].reads if ways else None


def _asked(runtime: str, precision: str, threads: int) -> list[LogitRows]:
    """The runtime's logits after each prompt, [vocab_size]."""
    module = find_runtime(runtime)
    with tempfile.TemporaryDirectory(prefix="archfront-activations-") as folder:
        module.prepare(Path(folder), _known(precision))
        session = module.load(Path(folder), KNOWN, max(len(prompt) for some in PROMPTS for prompt in some), threads)
        try:
            return [[session.prefill(prompt).copy() for prompt in some] for some in PROMPTS]
        finally:
            session.close()


def _ours(way: Rounding) -> list[LogitRows]:
    """Logits of our network after each prompt, rounded in that way."""
    import torch

    from trials.network.decoder import Network
    from trials.rounding.network import rounded

    network = Network(KNOWN)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(_known().weights[name])
        with rounded(network, way):
            return [list(network(torch.tensor(some))[:, -1].numpy()) for some in PROMPTS]


def _known(precision: str = "float32") -> Model:
    import torch

    from trials.network.decoder import Network

    with torch.no_grad():
        weights = {name: (LARGER * each if each.ndim == 2 else each.clone()) for name, each in Network(KNOWN).named_parameters()}
    return Model(KNOWN, weights, precision)


def _apart(found: list[LogitRows], ours: list[LogitRows]) -> float:
    """The larger of both kinds of prompts' medians: one activation may lie so near the middle of two codes that its prompt differs."""
    differences = [
        [numpy.sqrt(((there - here) ** 2).mean()) / here.std() for there, here in zip(some, own, strict=True)]
        for some, own in zip(found, ours, strict=True)
    ]
    return float(max(numpy.median(each) for each in differences))
