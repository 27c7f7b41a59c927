"""What a study lacks, from its records alone; no Ray, so that one that is over is answered without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.records.record import FinalRecord, Outcome, TrialRecord
from analysis.records.unmeasured import UnmeasuredTrial
from trials.driver.agenda import Agenda
from trials.driver.finals import missing_finals
from trials.driver.retrainings import named_shapes, wanted_retrainings
from trials.plans.first_trials import FirstTrials
from trials.study.directory import weights_file
from trials.study.spec import StudySpec
from trials.trial.calibration import as_settled
from trials.trial.scaling_grid import largest_first
from trials.trial.task import TrialTask

if TYPE_CHECKING:
    from trials.plans.feasible_here import MeasurePace
    from trials.search.proposer import Proposer


def nothing_to_propose() -> Proposer:
    """A proposer for whoever never asks for one."""
    raise AssertionError("a plan has no proposals")


def agenda_of(
    first: FirstTrials,
    study: StudySpec,
    records: Iterable[TrialRecord],
    left_out: Mapping[int, str],
    proposer: Callable[[], Proposer] = nothing_to_propose,
    unmeasured: Mapping[int, UnmeasuredTrial] = {},
) -> Agenda:
    """What is tried in which order, from these records on, and from trials that are trained and `unmeasured`."""
    trained = {number: trial.record for number, trial in unmeasured.items()}
    return Agenda(study, first.references, records, proposer, largest_first(first.planned, study), left_out, trained)


def still_unmeasured(
    directory: Path, records: Iterable[TrialRecord], unmeasured: Mapping[int, UnmeasuredTrial], *, has_weights: bool
) -> dict[int, UnmeasuredTrial]:
    """The trials among the `unmeasured` that no record has settled, one that says `lost` being none that does.

    Where a study `has_weights`, one whose weights are missing is left out: it is trained again.
    """
    settled = {record.number for record in records if record.outcome is not Outcome.LOST}
    return {
        number: trial
        for number, trial in unmeasured.items()
        if number not in settled and not (has_weights and trial.record.finished and not weights_file(directory, number).exists())
    }


def left_out_here(study: StudySpec, directory: Path, planned: Sequence[TrialTask], measure: MeasurePace | None = None) -> dict[int, str]:
    """Planned trainings that are out of this machine's reach, with the reasons; none while its pace is not known."""
    if not planned:
        return {}
    from trials.plans.feasible_here import infeasible_here  # torch: a second or more, for scaling studies alone

    return infeasible_here(as_settled(study, directory), directory, planned, measure) or {}


def lacks_finals(study: StudySpec, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord]) -> bool:
    """Whether anything is still to be measured or trained after the search."""
    if missing_finals(records, finals, study.problem):
        return True
    wanted = wanted_retrainings(study)
    named = named_shapes(records, finals, study.problem) if wanted else []
    return any(not getattr(finals[record.number], field) for record in named for field in wanted)
