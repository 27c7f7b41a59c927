"""What a search keeps of its trials, read from what it left on disk: `python -m benchmarks.peers.readers PEER DIRECTORY`.

Prints how many have a result, how many of these a loss that is no number, how many failed, and how many it still takes for running.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

Kept = Iterable[tuple[str, float | None]]
"""Of each trial: `finished`, `failed` or `running`, and the loss where it has one."""


def _optuna(directory: Path) -> Kept:
    import optuna

    study = optuna.load_study(study_name="search", storage=f"sqlite:///{directory}/study.db")
    return _of_optuna(study)


def _ray(directory: Path) -> Kept:
    from ray.tune.search.optuna import OptunaSearch

    search = OptunaSearch(metric=["loss", "latency_ms"], mode=["min", "min"])
    search.restore_from_dir(str(directory / "search"))
    return _of_optuna(search._ot_study)


def _of_optuna(study) -> Kept:  # type: ignore[no-untyped-def]
    names = {"COMPLETE": "finished", "PRUNED": "finished", "FAIL": "failed", "RUNNING": "running", "WAITING": "running"}
    return [(names[trial.state.name], trial.values[0] if trial.values else None) for trial in study.trials]


def _syne_tune(directory: Path) -> Kept:
    from syne_tune import Tuner

    status = Tuner.load(str(directory / "search")).tuning_status
    names = {"Completed": "finished", "Stopped": "finished", "Failed": "failed"}
    seen = status.last_trial_status_seen
    losses = {trial: metrics.get("loss") for trial, metrics in status.trial_rows.items()}
    return [(names.get(word, "running"), losses.get(trial)) for trial, word in seen.items()]


def _neps(directory: Path) -> Kept:
    import yaml

    kept = []
    names = {"success": "finished", "failed": "failed", "crashed": "failed", "corrupted": "failed"}
    for folder in sorted((directory / "search" / "configs").glob("config_*")):
        state = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))["state"]
        report = folder / "report.yaml"
        loss = yaml.safe_load(report.read_text(encoding="utf-8"))["objective_to_minimize"] if report.exists() else None
        kept.append((names.get(state, "running"), loss))
    return kept


def _archfront(directory: Path) -> Kept:
    from analysis.records.record import read_records

    judged = [(record, record.training and record.training.validation) for record in read_records(directory / "search")]
    return [("finished" if record.finished else "failed", quality.loss if quality else None) for record, quality in judged]


READERS: dict[str, Callable[[Path], Kept]] = {
    "optuna": _optuna, "ray": _ray, "syne-tune": _syne_tune, "neps": _neps, "archfront": _archfront,
}  # fmt: skip


def main() -> None:
    """One line of JSON."""
    kept = list(READERS[sys.argv[1]](Path(sys.argv[2])))
    counts = {state: sum(word == state for word, _ in kept) for state in ("finished", "failed", "running")}
    no_number = sum(word == "finished" and (loss is None or math.isnan(loss)) for word, loss in kept)
    print(json.dumps({**counts, "no_number": no_number}))


if __name__ == "__main__":
    main()
