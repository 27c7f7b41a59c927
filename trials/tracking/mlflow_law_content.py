"""What a scaling study's law looks like on its MLflow run: headline figures, description, artifacts. Pure data, as in `run_content`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.law_report.law_text import fit_text
from analysis.laws.fit_result import FitResult
from analysis.records.record import TrialRecord
from trials.tracking.mlflow_curves import MetricPoint
from trials.tracking.mlflow_study_content import ended_ms


def law_metrics(records: Sequence[TrialRecord], answered: FitResult | str) -> list[MetricPoint]:
    """The backtest, and the parameters that the runs determine with their intervals, so that MLflow can compare studies."""
    finished = sum(record.finished for record in records)
    values: dict[str, float | None] = {"trials": len(records), "finished_trials": finished}
    if not isinstance(answered, str):
        values |= _figures(answered.data)
    time_ms = ended_ms(records)
    known = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
    return [MetricPoint(name, value, len(records), time_ms) for name, value in known.items()]


def law_note(answered: FitResult | str) -> str:
    """The law in Markdown, for the description of the study's run."""
    return f"There is no law yet: {answered}." if isinstance(answered, str) else f"```\n{fit_text(answered.data)}\n```"


def law_data(answered: FitResult | str) -> dict[str, Any]:
    """The law as `archfront fit --json` prints it, or what is missing."""
    return {"form": None, "missing": answered} if isinstance(answered, str) else answered.data


def _figures(answer: Mapping[str, Any]) -> dict[str, float | None]:
    backtest, allocation = answer.get("backtest") or {}, answer.get("allocation") or {}
    found: dict[str, float | None] = {
        "law_losses": answer["runs"],
        "law_backtest_mean_absolute_error": backtest.get("mean_absolute_error"),
        "law_backtest_covered": backtest.get("covered"),
        "law_residual_spread": answer.get("residual_spread"),
        "law_allocation_exponent": allocation.get("exponent"),
    }
    for name, value in answer["parameters"].items():
        if name not in answer.get("unidentified", {}):
            low, high = answer["intervals"][name]
            found |= {f"law_{name}": value, f"law_{name}_low": low, f"law_{name}_high": high}
    return found
