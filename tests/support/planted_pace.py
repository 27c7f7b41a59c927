"""A machine whose pace is known by a formula, in place of timing it."""

from __future__ import annotations

from collections.abc import Sequence

from search_space import cost
from search_space.architecture import Architecture
from trials.plans.pace_model import step_flops
from trials.plans.pace_table import LatencyPace, Origin, OverheadPace, TrainingPace
from trials.study.spec import ProxySpec, StudySpec

FLOPS_PER_SECOND, EVALUATION_FLOPS_PER_SECOND = 1.5e10, 2e10
BLOCK_SECONDS = 2e-4
"""Seconds of a step for each executed block, whatever its size."""
LATENCY_SECONDS = 2.0


def planted_seconds_per_token(shape: Architecture, proxy: ProxySpec) -> float:
    """What a token of training takes on that machine."""
    tokens = proxy.batch_sequences * proxy.context_tokens
    return (step_flops(shape, proxy) / FLOPS_PER_SECOND + BLOCK_SECONDS * shape.num_hidden_layers) / tokens


def planted_row(shape: Architecture, proxy: ProxySpec, origin: Origin = "timed", times: float = 1.0) -> TrainingPace:
    """The row of a shape, or of one that goes so many times slower."""
    tokens = proxy.batch_sequences * proxy.context_tokens
    flops = step_flops(shape, proxy)
    return TrainingPace(
        label=shape.label,
        step_flops=flops,
        step_tokens=tokens,
        stands_for_flops=flops,
        executed_blocks=shape.num_hidden_layers,
        parameters=cost.parameters(shape),
        seconds_per_token=times * planted_seconds_per_token(shape, proxy),
        evaluation_flops_per_second=EVALUATION_FLOPS_PER_SECOND,
        start_seconds=0.0,
        origin=origin,
    )


def planted_paces(requests: Sequence[tuple[StudySpec, Sequence[Architecture]]]) -> tuple[list[list[TrainingPace]], OverheadPace]:
    """As `trials.plans.pace_measure.measured_paces`, at once."""
    paces = [[planted_row(shape, study.proxy) for shape in shapes] for study, shapes in requests]
    return paces, OverheadPace(seconds={"imports": 2.5}, origin="timed")


def planted_latency(spec: object, shapes: Sequence[Architecture]) -> LatencyPace:
    """As `trials.plans.pace_measure.measured_latency`, at once."""
    return LatencyPace(label=shapes[-1].label, parameters=cost.parameters(shapes[-1]), seconds=LATENCY_SECONDS, origin="timed")
