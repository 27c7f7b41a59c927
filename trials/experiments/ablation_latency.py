"""Arms of equal latency: each spends as many parameters as make it as slow as the baseline, measured, not modelled."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from search_space.architecture import Architecture
from search_space.budget import Budget
from search_space.cost import parameters
from search_space.errors import SpecError
from trials.experiments.kept_answer import kept_answer
from trials.experiments.workplace import HERE, Workplace
from trials.study.ablation_spec import AblationSpec, Arm, arm_at

FACTOR = 8.0
"""An arm may have up to this many times the baseline's budget, or that part of it."""
HALVINGS = 7
"""Halvings of the logarithm of that range: the last one moves the parameters by about 3 %."""


def equalised(
    ablation: AblationSpec, scale: str, arms: list[Arm], directory: Path, report: Callable[[str], None], workplace: Workplace = HERE
) -> list[Arm]:
    """The arms with budgets that give them the baseline's latency; a second call on the directory finds them there."""
    spec = ablation.scales[scale].equal_latency
    assert spec is not None
    (target,) = (arm for arm in arms if arm.name == ablation.baseline)
    file = directory / f"{ablation.name}-{scale}-latency.json"
    asked = {"workload": spec.model_dump(exclude_none=True), "arms": {arm.name: arm.architecture.key for arm in arms}}

    def measure() -> dict[str, dict[str, Any]]:
        with closing(workplace.measurer(spec)) as process:
            return _search(ablation, scale, arms, target, lambda shape: process.measure(shape).total_ms.median, report)

    found = kept_answer(file, "the latencies of an ablation's arms", asked, measure)
    return [_restored(arm, found[arm.name]) for arm in arms]


def _search(
    ablation: AblationSpec,
    scale: str,
    arms: list[Arm],
    target: Arm,
    measure: Callable[[Architecture], float],
    report: Callable[[str], None],
) -> dict[str, dict[str, Any]]:
    """Shape and latency of every arm; the baseline is measured again before each arm, so that a machine that drifts takes it along."""
    found = {target.name: {"architecture": target.architecture.as_dict(), "total_ms": measure(target.architecture)}}
    for arm in arms:
        if arm.name != target.name:
            wanted_ms = measure(target.architecture)
            shape, total_ms = _as_slow(ablation, scale, arm.name, wanted_ms, measure)
            found[arm.name] = {"architecture": shape.as_dict(), "total_ms": total_ms}
            report(f"{arm.name}: {shape.label}, {parameters(shape):,} parameters take {total_ms:.1f} ms, the baseline {wanted_ms:.1f}")
    return found


def _as_slow(
    ablation: AblationSpec, scale: str, name: str, wanted_ms: float, measure: Callable[[Architecture], float]
) -> tuple[Architecture, float]:
    """The shape of that arm whose latency is nearest; sizes too small or too large for a shape count as too fast or too slow."""
    low, high = -math.log(FACTOR), math.log(FACTOR)
    tried: list[tuple[float, Architecture, float]] = []
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        try:
            shape = arm_at(ablation, scale, name, _times(ablation.scales[scale].budget or {}, math.exp(middle))).architecture
        except SpecError:
            too_small = middle < 0
        else:
            taken_ms = measure(shape)
            tried.append((abs(math.log(taken_ms / wanted_ms)), shape, taken_ms))
            too_small = taken_ms < wanted_ms
        low, high = (middle, high) if too_small else (low, middle)
    _, shape, taken_ms = min(tried, key=lambda each: each[0])  # the first try is the arm as the scale's budget has it, so there is one
    return shape, taken_ms


def _times(budget: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """The budget with so many times its target."""
    target = Budget.parse(budget).target
    assert target is not None  # arms that solve a size have one
    stated = budget[target.quantity]
    more = {"target": target.value * factor, "tolerance": target.tolerance}
    return {**budget, target.quantity: {**stated, **more} if isinstance(stated, Mapping) else more}


def _restored(arm: Arm, found: Mapping[str, Any]) -> Arm:
    return replace(arm, architecture=Architecture.from_dict(found["architecture"]))
