"""The rule by which one member of a front is taken: the one place where it stands."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from analysis.fronts.front import Front


def recommended(front: Front, among: Sequence[int], ties: Callable[[int], Collection[int] | None]) -> tuple[int | None, tuple[int, ...]]:
    """The member that is best in the first objective or, of those that tie with it, the best in another; and the others of those.

    `ties` names the shapes that tie with a trial in the first objective. Of equals the first one that is listed counts. The page's script
    has the same rule (`page.js`), and a test sees to it.
    """
    if not among:
        return None, ()
    top = min(among, key=lambda number: front.costs(number)[0])
    tied = ties(top) or ()
    alike = [number for number in among if number == top or number in tied]
    pick = min(alike, key=lambda number: front.costs(number)[second_place(front)])
    return pick, tuple(number for number in alike if number != pick)


def second_place(front: Front) -> int:
    """Place of the objective that decides among shapes which tie in the first."""
    return next(place for place in front.problem.columns if place != 0)
