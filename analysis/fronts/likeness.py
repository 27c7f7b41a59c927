"""Which shapes cannot be told apart in an objective: the one rule by which sentences claim a difference, or call it a tie."""

from __future__ import annotations

from analysis.fronts.front import Front
from analysis.fronts.membership import Membership


def are_alike(front: Front, membership: Membership, place: int, one: int, other: int) -> bool:
    """Whether two trials tie in the objective at this place of the study's order.

    In the first objective it is what the table calls a tie. In another that a seed moves, their credible intervals overlap; where repeats
    were measured, the ranges from p10 to p90 do; else the numbers are equal.
    """
    first, second = membership.posteriors[one], membership.posteriors[other]
    if place == 0 and (first.ties is not None or second.ties is not None):
        return other in (first.ties or ()) or one in (second.ties or ())
    ours, theirs = first.intervals[place], second.intervals[place]
    if ours is not None and theirs is not None:
        return ours.low <= theirs.high and theirs.low <= ours.high
    here, there = front.points[one].readings[place], front.points[other].readings[place]
    if here.spread is not None and there.spread is not None:
        return here.spread.p10 <= there.spread.p90 and there.spread.p10 <= here.spread.p90
    return here.value == there.value
