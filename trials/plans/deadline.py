"""Whether a study's trials end within their deadline, by what is known of the machine that trains. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.text.words import duration, plural
from search_space.errors import SpecError
from trials.plans.first_trials import FirstTrials
from trials.plans.foretell import ExpectedTrials
from trials.plans.known_paces import known_paces
from trials.plans.stage_estimate import TrialSeconds
from trials.study.spec import StudySpec
from trials.trial.calibration import is_open

MOST_GAINED = 100
"""Times by which threads, precision and compiled blocks together may make a trial quicker, at most."""


def require_deadline(study: StudySpec, trials: Sequence[TrialSeconds]) -> None:
    """Raise SpecError where the deadline would cut every trial of these, however much quicker a way a calibration might find; where there
    are none, nothing is cut.
    """
    limit = study.workers.deadline_seconds
    quicker = MOST_GAINED if is_open(study) else 1
    if trials and (least := min(trial.counted for trial in trials)) > quicker * limit:
        raise SpecError(
            f"workers.deadline_seconds must leave a trial the time that it takes on this machine, found {limit:g} where the quickest of "
            f"{plural(len(trials), 'shape')} looked at takes about {round(least):,} ({duration(least)}); raise it, or shorten the proxy"
        )


def require_known_deadline(study: StudySpec, first: FirstTrials, directory: Path | None = None) -> None:
    """Raise SpecError where the machine's table alone tells that; without rows, or before a calibration, nothing is told.

    What the study takes over where it begins in that `directory` needs no time.
    """
    if is_open(study):
        return
    expected = ExpectedTrials.at(study, first, directory)
    known = known_paces(study, expected.shapes)
    if known is not None:
        require_deadline(study, expected.trained_seconds(known))


def deadline_notice(study: StudySpec, trials: Sequence[TrialSeconds]) -> str | None:
    """How many of these trials the deadline would cut; None where it cuts none."""
    limit = study.workers.deadline_seconds
    cut = [trial.counted for trial in trials if trial.counted > limit]
    if not cut:
        return None
    return (
        f"{len(cut)} of {plural(len(trials), 'shape')} looked at would be cut by workers.deadline_seconds ({duration(limit)}): the slowest "
        f"takes about {duration(max(cut))}"
    )
