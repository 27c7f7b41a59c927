"""Which shape to take within limits, and how probably it is the right one: what a page answers anew for each limit.

The rule is that of `analysis.fronts.recommendation`, asked of the members that keep to the limits as they were measured. How sure that is
comes from the draws of the membership: of each draw its own front is kept, for whatever is best within some limits stands on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.fronts.cost_posteriors import CostPosteriors
from analysis.fronts.domination import non_dominated_draws
from analysis.fronts.front import Front
from analysis.fronts.membership import Membership, draw_points
from analysis.fronts.recommendation import recommended
from analysis.objectives.objective import Objective
from analysis.statistics.arrays import Array, Indices

MOST_PLACES = 50_000
"""Shapes on the fronts of all draws together that are kept; of larger fronts fewer draws are. A page holds them in half a megabyte."""


@dataclass(frozen=True, slots=True)
class FrontDraws:
    """Fronts as they may truly be, one a draw."""

    numbers: tuple[int, ...]
    """The shapes that stand on one of them, by their trials."""
    counts: Indices
    """Shapes on the front of each draw; [draws]."""
    which: Indices
    """Index in `numbers` of each of these shapes, draw after draw; [places]."""
    costs: tuple[Array, ...]
    """Cost of each in the draw, an objective each in the study's order; of what no seed moves it is the logarithm. [places]"""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is taken within limits."""

    pick: int | None
    """The trial; None where no member of the front keeps to the limits."""
    best: float
    """Probability that it keeps to the limits and no other shape that does is better in the study's first objective."""
    on_front: float
    """Probability that it keeps to the limits and no other tried shape beats it."""
    ties: tuple[int, ...]
    """Members within the limits that cannot be told from the best of them in the first objective, the pick left out."""


def draw_fronts(front: Front, deviations: Mapping[int, Mapping[int, float]] | None = None) -> FrontDraws:
    """The fronts of the draws of `estimate_membership`; `deviations` are those that it was given."""
    points = sorted(front.points.values(), key=lambda point: point.number)
    objectives = len(front.objectives)
    feasible = np.array([point.infeasible is None for point in points], dtype=bool)
    if not feasible.any():
        none = np.zeros(0, dtype=np.int64)
        return FrontDraws((), none, none, (np.zeros(0),) * objectives)
    drawn = draw_points(points, CostPosteriors(points, front.problem, deviations))
    kept = feasible[drawn.among]
    costs = np.broadcast_arrays(*(each[:, kept] for each in drawn.costs))
    flags = non_dominated_draws([costs[column] for column in front.problem.columns])
    counts = flags.sum(axis=1)
    flags = flags[: max(1, int(np.searchsorted(np.cumsum(counts), MOST_PLACES, side="right")))]
    draws, shapes = np.nonzero(flags)
    there, which = np.unique(shapes, return_inverse=True)
    numbers = np.array([point.number for point in points])[drawn.among][kept][there]
    return FrontDraws(tuple(numbers.tolist()), counts[: len(flags)], which, tuple(each[draws, shapes] for each in costs))


def decide(front: Front, membership: Membership, draws: FrontDraws, limits: Mapping[str, float] | None = None) -> Decision:
    """What to take where no objective may be worse than its limit, in the objective's own unit, by its name."""
    bounds = {front.problem.names.index(name): limit for name, limit in (limits or {}).items()}
    within = [n for n in front.members if not any(o.passes(front.points[n].values[p], bounds[p]) for p, o in _bounded(front, bounds))]
    pick, ties = recommended(front, within, lambda number: membership.posteriors[number].ties)
    if pick is None:
        return Decision(None, 0.0, 0.0, ())
    best, on_front = _odds(front, draws, pick, bounds)
    return Decision(pick, best, on_front, ties)


def cost_limit(objective: Objective, limit: float) -> float:
    """A limit on the scale of `FrontDraws.costs`."""
    cost = objective.cost(limit)
    return cost if objective.noise == "seed" else float(np.log(cost)) if cost > 0 else -np.inf


def _bounded(front: Front, places: Mapping[int, float]) -> Sequence[tuple[int, Objective]]:
    return [(place, front.objectives[place]) for place in places]


def _odds(front: Front, draws: FrontDraws, pick: int, bounds: Mapping[int, float]) -> tuple[float, float]:
    if pick not in draws.numbers:
        return 0.0, 0.0
    inside: npt.NDArray[np.bool_] = np.ones(len(draws.which), dtype=bool)
    for place, objective in _bounded(front, bounds):
        inside &= draws.costs[place] <= cost_limit(objective, bounds[place])
    mine = inside & (draws.which == draws.numbers.index(pick))
    draw = np.repeat(np.arange(len(draws.counts)), draws.counts)
    least = np.full(len(draws.counts), np.inf)
    np.minimum.at(least, draw[inside], draws.costs[0][inside])
    return float(np.mean(np.bincount(draw[mine & (draws.costs[0] <= least[draw])], minlength=len(draws.counts)))), float(
        np.mean(np.bincount(draw[mine], minlength=len(draws.counts)))
    )
