"""The members of a front that have a word of their own: what is recommended, the knee, and the best in each objective."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.fronts.front import Front
from analysis.fronts.membership import Membership
from analysis.objectives.problem import Problem

PICKS = ("recommended", "knee")
"""Picks beside what the best shape in each objective of the study is called, such as `fastest`."""


def pick_words(problem: Problem) -> list[str]:
    """Every pick's word: `PICKS`, then what the best shape in each objective is called, in the study's order."""
    return [*PICKS, *(objective.words.best.replace(" ", "-") for objective in problem.objectives)]


def picked(front: Front, membership: Membership) -> Mapping[str, int | None]:
    """Trial of each pick by its word; None where nothing finished."""
    best = (front.best(place) for place in range(len(front.objectives)))
    return dict(zip(pick_words(front.problem), (membership.recommended, front.knee, *best), strict=True))
