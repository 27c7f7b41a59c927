"""How wrong predicted times are, on shapes that were not in the fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from analysis.statistics.arrays import Array
from analysis.statistics.intervals import standard_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Predicted against measured times."""

    shapes: int
    median_error: float
    """Median distance from the measured time, as a share of it."""
    p90_error: float
    spearman: float | None
    """Rank correlation; None below three shapes, and where all predicted or all measured times are alike."""
    kendall: float | None
    coverage: float | None
    """Share of the measured times that lie in their 90 % intervals; None where these shapes decided how wide the intervals are."""
    width: float
    """Median reach of those intervals either way: 0.05 is from 5 % below to 5 % above."""

    def __str__(self) -> str:
        ranks = "" if self.spearman is None else f", rank correlation {self.spearman:.4f} (Kendall {self.kendall:.3f})"
        reach = f"(about {self.width:.1%} either way)"
        held = f"90 % intervals {reach}" if self.coverage is None else f"{self.coverage:.0%} within their 90 % intervals {reach}"
        return f"median error {self.median_error:.1%}, 90th percentile {self.p90_error:.1%}{ranks}, {held}"


def errors(predicted: Array, deviations: Array, measured: Array) -> Errors:
    """Times [shapes], deviations of the predicted ones' logarithms, and what was measured."""
    from scipy.stats import kendalltau, spearmanr  # a third of a second, which a study that reads a table of errors does not need

    missed = np.abs(predicted / measured - 1)
    reach = standard_errors() * deviations
    enough = len(measured) > 2 and np.ptp(predicted) > 0 and np.ptp(measured) > 0
    return Errors(
        shapes=len(measured),
        median_error=float(np.median(missed)),
        p90_error=float(np.quantile(missed, 0.9)),
        spearman=float(spearmanr(predicted, measured).statistic) if enough else None,
        kendall=float(kendalltau(predicted, measured).statistic) if enough else None,
        coverage=float((np.abs(np.log(predicted / measured)) <= reach).mean()),
        width=math.expm1(float(np.median(reach))),
    )


def mean_errors(found: Sequence[Errors]) -> Errors:
    """Each number's mean over several fits."""

    def mean(name: str) -> float:
        return fmean(getattr(each, name) for each in found)

    ranked = all(each.spearman is not None for each in found)
    return Errors(
        shapes=found[0].shapes,
        median_error=mean("median_error"),
        p90_error=mean("p90_error"),
        spearman=mean("spearman") if ranked else None,
        kendall=mean("kendall") if ranked else None,
        coverage=mean("coverage"),
        width=mean("width"),
    )
