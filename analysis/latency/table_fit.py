"""How well a published table's latencies are predicted from a few of its rows: fitted to some, judged on the rest, several times."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.latency.errors import Errors, errors, mean_errors
from analysis.latency.feature_table import Features
from analysis.latency.latency_model import LEAST_SHAPES, stretch
from analysis.latency.time_model import Powers, Prices, TimeModel, log_distance
from analysis.statistics.arrays import Array, Indices
from search_space.errors import SpecError

FITTED_AT_MOST = 0.8
"""Share of a small table's rows."""
BACKBONE_RIDGE = 1e-4
"""Weight of the squared prices of the backbone, as `analysis.latency.time_model.RIDGES` are."""
FADING = 0.1
"""Distance outside of the seen rows, as the logarithm of a factor, over which all terms give way to the backbone; chosen, not measured."""
TELLING_WIDTHS = 4
"""Widths among the seen rows from which on they tell how a time grows: a constant, a line and a square have three."""
LEAST_ABOVE = 10
"""Rows larger than half of the largest, below which nothing is said of twice the size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFit:
    """What came of it."""

    table: str
    column: str
    rows: int
    fitted: int
    """Rows that each fit saw."""
    fits: tuple[Errors, ...]
    """Errors on the rows that were not in the fit, one for each seed."""
    larger: tuple[Errors, ...]
    """Fitted to rows up to half of the largest size, judged on all above; none where the table has too few of either."""
    used: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        larger = {"mean": asdict(mean_errors(self.larger)), "fits": list(map(asdict, self.larger))} if self.larger else None
        unseen = {"mean": asdict(mean_errors(self.fits)), "fits": list(map(asdict, self.fits))}
        return {
            "table": self.table,
            "column": self.column,
            "rows": self.rows,
            "fitted": self.fitted,
            "seeds": len(self.fits),
            "not_in_the_fit": unseen,
            "above_half_of_the_largest": larger,
            "features": list(self.used),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        lines = [f"{self.table}: {self.rows:,} rows, {self.fitted} of them in each of {len(self.fits)} fits of {self.column}"]
        for name, found in (("not in the fit", self.fits), ("above half of the largest, fitted below", self.larger)):
            if found:
                lines += [f"{name}: {found[0].shapes:,} rows", f"  mean    {mean_errors(found)}"]
                lines += [f"  seed {seed:<2} {each}" for seed, each in enumerate(found)]
        return "\n".join([*lines, f"features: {', '.join(self.used)}", *self.notes])


def fit_table(features: Features, path: Path, column: str, shapes: int, seeds: int) -> TableFit:
    """Fit `shapes` rows of a table, predict all others, once for each seed; raises SpecError where they are too few."""
    fitted = min(shapes, int(FITTED_AT_MOST * len(features)))
    if fitted < LEAST_SHAPES:
        least = int(np.ceil(LEAST_SHAPES / FITTED_AT_MOST))
        raise SpecError(
            f"a fit needs at least {LEAST_SHAPES} rows and others to judge it, found {len(features)} rows in {path} and --shapes {shapes}"
            f"{''.join(f'; {note}' for note in features.notes)}; give {least} rows or more, and --shapes {LEAST_SHAPES} or more"
        )
    everything = np.arange(len(features))
    fits = [_judged(features, everything, fitted, seed) for seed in range(seeds)]
    return TableFit(
        table=str(path),
        column=column,
        rows=len(features),
        fitted=fitted,
        fits=tuple(fits),
        larger=tuple(_larger(features, fitted, seeds)),
        used=features.used,
        notes=features.notes,
    )


def _larger(features: Features, fitted: int, seeds: int) -> list[Errors]:
    if features.sizes is None:
        return []
    small = np.flatnonzero(features.sizes <= features.sizes.max() / 2)
    large = np.flatnonzero(features.sizes > features.sizes.max() / 2)
    if len(small) < max(fitted, LEAST_SHAPES) or len(large) < LEAST_ABOVE:
        return []
    return [_judged(features, small, fitted, seed, large) for seed in range(seeds)]


def _judged(features: Features, rows: Indices, fitted: int, seed: int, others: Indices | None = None) -> Errors:
    """Errors on other rows, or on those of `rows` that are not fitted."""
    order = np.random.default_rng(seed).permutation(rows)
    seen, unseen = order[:fitted], order[fitted:] if others is None else others
    means, deviations = predict_rows(features, seen, unseen)
    return errors(np.exp(means), deviations, features.times[unseen])


def predict_rows(features: Features, seen: Indices, unseen: Indices) -> tuple[Array, Array]:
    """Logarithms of times and their deviations, noise included.

    Columns go by the trend that predicts the seen rows better from each other. A decoder goes by all terms and what they leave over among
    the seen rows, and by its backbone alone the further it lies outside of them, unless they say themselves what becomes of larger shapes.
    """
    logs, outlines = np.log(features.times[seen]), features.outlines
    models = [(features.terms, TimeModel(Prices(), features.terms[seen], outlines[seen], features.times[seen]))]
    if features.sizes is None:
        powers = np.column_stack([np.ones(len(features)), outlines])
        models.append((powers, TimeModel(Powers(), powers[seen], outlines[seen], features.times[seen])))
    terms, model = min(models, key=lambda each: float(np.abs(each[1].left_out[0] - logs).mean()))
    left, doubts = model.left_out
    wide = stretch((left - logs) / np.hypot(doubts, model.noise))
    means, deviations = model.predict(terms[unseen], outlines[unseen])
    if features.backbone is not None and _is_told_by_backbone(features, seen):
        inside = np.exp(-log_distance(outlines[unseen], outlines[seen]) / FADING)
        means = inside * means + (1 - inside) * _by_prices(features.backbone, features.times, seen, unseen)
    return means, wide * np.hypot(deviations, model.noise)


def _is_told_by_backbone(features: Features, seen: Indices) -> bool:
    """Whether the backbone says more of larger shapes than all terms do.

    Among few widths nothing tells a time that grows like the width from one that grows like its square, and the backbone knows. Among
    more, the larger half of the seen rows is predicted from the smaller one, and the nearer of the two wins.
    """
    assert features.backbone is not None
    assert features.widths is not None
    assert features.sizes is not None
    if len(np.unique(features.widths[seen])) < TELLING_WIDTHS:
        return True
    ordered = seen[np.argsort(features.sizes[seen], kind="stable")]
    smaller, larger = np.array_split(ordered, 2)
    logs = np.log(features.times[larger])
    missed = [
        float(np.median(np.abs(_by_prices(terms, features.times, smaller, larger) - logs))) for terms in (features.backbone, features.terms)
    ]
    return missed[0] < missed[1]


def _by_prices(terms: Array, times: Array, seen: Indices, unseen: Indices) -> Array:
    """Logarithms of the times of unseen rows by a sum of priced terms alone; shape [rows]."""
    prices = Prices().fit(terms[seen], times[seen], np.ones(len(seen)), BACKBONE_RIDGE)
    return Prices().logs(terms[unseen], prices)
