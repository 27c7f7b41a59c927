"""The arms of an ablation timed in turn, each round beside its own measurement of the baseline."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

from analysis.fidelity.time_ratios import TimeRatio, time_ratios
from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from analysis.records.latency import Latency, latency_from_dict
from trials.experiments.kept_answer import kept_answer
from trials.experiments.workplace import HERE, Workplace
from trials.study.ablation_spec import AblationSpec, Arm
from trials.study.latency_spec import LatencySpec

NAMED_BY = ("runtime", "precision")
"""What a workload is called by where it is the only one of them."""


def timed_arms(
    ablation: AblationSpec, scale: str, arms: Sequence[Arm], directory: Path, report: Callable[[str], None], workplace: Workplace = HERE
) -> list[TimeRatio]:
    """Every arm's times over the baseline's in each workload of the scale; what a directory holds is not measured again.

    Raises SpecError where a runtime cannot run a shape, LatencyError where a measurement does not end.
    """
    found = []
    workloads = ablation.scales[scale].latency
    for workload, name in zip(workloads, labels(workloads), strict=True):
        taken = _taken(ablation, scale, arms, workload, name, directory, report, workplace)
        found += time_ratios(taken, ablation.baseline, name, ablation.published.execution_ms)
    return found


def labels(workloads: Sequence[LatencySpec]) -> list[str]:
    """Each workload by its runtime and precision, and by what else it says where another of these has both, too."""
    said = [each.model_dump(mode="json") for each in workloads]
    found = []
    for mine in said:
        kin = [other for other in said if all(other[name] == mine[name] for name in NAMED_BY)]
        apart = {name: value for name, value in mine.items() if any(other[name] != value for other in kin)}
        found.append(" ".join([*(mine[name] for name in NAMED_BY), *(f"{name}={_written(value)}" for name, value in apart.items())]))
    return found


def _written(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else "unset" if value is None else str(value)


def _taken(
    ablation: AblationSpec,
    scale: str,
    arms: Sequence[Arm],
    workload: LatencySpec,
    name: str,
    directory: Path,
    report: Callable[[str], None],
    workplace: Workplace,
) -> dict[str, list[Latency]]:
    """The arms' latencies, one a round."""
    rounds = ablation.scales[scale].rounds
    shapes, what = {arm.name: arm.architecture.key for arm in arms}, json_of(workload.model_dump(exclude_none=True), sort_keys=True)
    file = directory / f"{ablation.name}-{scale}-{workload.runtime}-{workload.precision}-{sha256(what.encode()).hexdigest()[:8]}.json"
    asked = {"workload": parse_json(what), "arms": shapes, "rounds": rounds}

    def measure() -> dict[str, list[dict[str, Any]]]:
        taken: dict[str, list[dict[str, Any]]] = {arm.name: [] for arm in arms}
        with closing(workplace.measurer(workload)) as process:
            for place in range(rounds):
                for arm in arms:
                    latency = process.measure(arm.architecture)
                    taken[arm.name].append(dataclasses.asdict(latency))
                    report(f"round {place + 1} of {rounds}, {name}: {arm.name} takes {latency.decode_ms_per_token.median:.3g} ms a token")
        return taken

    found = kept_answer(file, "the times of an ablation's arms", asked, measure)
    return {arm: [latency for each in several if (latency := latency_from_dict(each))] for arm, several in found.items()}
