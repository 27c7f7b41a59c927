"""What may be asked of trainings beside a study: refused in the same words where they are made and where they are sent to a cluster."""

from __future__ import annotations

from analysis.fidelity.rank_validity import LEAST_RANKED
from analysis.records.training import FARTHEST
from search_space.errors import SpecError
from trials.study.spec import StudySpec


def require_ranking(shapes: int, times: float) -> None:
    """Raise SpecError where so many shapes, trained so many times longer, cannot say whether short trainings rank alike."""
    if times <= 1:
        raise SpecError(f"--times must be above 1, for a longer training is what judges, found {times:g}; raise it")
    if shapes < LEAST_RANKED:
        raise SpecError(f"--shapes must be at least {LEAST_RANKED}, for fewer have no order to compare, found {shapes}; raise it")


def require_promotion(study: StudySpec, times: float) -> None:
    """Raise SpecError where a study has no front to train so many times longer."""
    if not 1 < times <= FARTHEST:
        raise SpecError(f"--times must be above 1 and at most {FARTHEST:g}, found {times:g}; choose another")
    if study.scaling is not None:
        raise SpecError(f"{study.name} must be a search, which has a front, found a study with `scaling`; see archfront fit")
    study.problem.require_forecast_place()


def require_rates(study: StudySpec, rates: int) -> None:
    """Raise SpecError where so many rates have no middle, or the study no shape to train at them."""
    if rates % 2 == 0:
        raise SpecError(f"--rates must be odd, so that the study's own rate stands in the middle, found {rates}; add or drop one")
    study.search_space.require_feasible()
