"""The arms of an ablation timed in turn, each round beside its own measurement of the baseline."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from analysis.fidelity.time_ratios import TimeRatio, time_ratios
from analysis.records.files import write_whole
from analysis.records.json_text import parse_json, read_json
from analysis.records.json_writer import json_of
from analysis.records.latency import Latency, latency_from_dict
from trials.study.ablation_spec import AblationSpec, Arm
from trials.study.latency_spec import LatencySpec


def timed_arms(ablation: AblationSpec, scale: str, arms: Sequence[Arm], directory: Path, report: Callable[[str], None]) -> list[TimeRatio]:
    """Every arm's times over the baseline's in each workload of the scale; what a directory holds is not measured again.

    Raises SpecError where a runtime cannot run a shape, LatencyError where a measurement does not end.
    """
    found = []
    for workload in ablation.scales[scale].latency:
        name = f"{workload.runtime} {workload.precision}"
        taken = _taken(ablation, scale, arms, workload, name, directory, report)
        found += time_ratios(taken, ablation.baseline, name, ablation.published.execution_ms)
    return found


def _taken(
    ablation: AblationSpec,
    scale: str,
    arms: Sequence[Arm],
    workload: LatencySpec,
    name: str,
    directory: Path,
    report: Callable[[str], None],
) -> dict[str, list[Latency]]:
    """The arms' latencies, one a round."""
    from trials.latency.process import LatencyProcess

    rounds = ablation.scales[scale].rounds
    file = directory / f"{ablation.name}-{scale}-{name.replace(' ', '-')}.json"
    shapes = {arm.name: arm.architecture.key for arm in arms}
    asked = parse_json(json_of({"workload": workload.model_dump(exclude_none=True), "arms": shapes, "rounds": rounds}))
    stored = read_json(file, "the times of an ablation's arms", "delete it to have them measured again") if file.is_file() else {}
    if stored.get("asked") == asked:
        return {arm: [latency for each in several if (latency := latency_from_dict(each))] for arm, several in stored["found"].items()}
    taken: dict[str, list[Latency]] = {arm.name: [] for arm in arms}
    with closing(LatencyProcess(workload)) as process:
        for place in range(rounds):
            for arm in arms:
                latency = process.measure(arm.architecture)
                taken[arm.name].append(latency)
                report(f"round {place + 1} of {rounds}, {name}: {arm.name} takes {latency.decode_ms_per_token.median:.3g} ms a token")
    found = {arm: [dataclasses.asdict(each) for each in several] for arm, several in taken.items()}
    write_whole(file, f"{json_of({'asked': asked, 'found': found}, indent=2)}\n".encode())
    return taken
