"""Which trainings stand beside a study: what its directory, and that of its check of learning rates, hold of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from analysis.fidelity.lr_transfer import check_directories
from analysis.fidelity.rank_validity import read_long_runs, validity
from analysis.records.record import FinalRecord, TrialRecord
from search_space.errors import SpecError
from trials.experiments.lr_check import read_rate_checks
from trials.experiments.promote import read_promotions
from trials.reporting.beside_run import BesideRun, promotion_run, rate_check_run, validation_run
from trials.study.spec import StudySpec


def beside_runs(directory: Path, study: StudySpec, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord]) -> list[BesideRun]:
    """Every promotion, validation and check of learning rates that lies beside a study, as runs; a damaged file counts as none.

    The verb that reads such a file says what is wrong with it, and a study's runs do not wait for that.
    """
    if study.scaling is not None:
        return []
    reads: list[Callable[[], list[BesideRun]]] = [
        lambda: [promotion_run(study.name, found) for found in read_promotions(directory, records, finals, study.problem)],
        lambda: _validations(directory, study.name, records),
        *(partial(_rate_checks, folder, study.name) for folder in check_directories(directory, study.name)),
    ]
    return [run for read in reads for run in _unless_damaged(read)]


def _validations(directory: Path, study: str, records: Sequence[TrialRecord]) -> list[BesideRun]:
    runs = read_long_runs(directory)
    told = [validity(records, runs, times) for times in sorted({run.times for run in runs})]
    return [validation_run(study, found) for found in told if found is not None]


def _rate_checks(folder: Path, study: str) -> list[BesideRun]:
    return [rate_check_run(study, recipe, found) for recipe, found in read_rate_checks(folder).items()]


def _unless_damaged(read: Callable[[], list[BesideRun]]) -> list[BesideRun]:
    try:
        return read()
    except SpecError:
        return []
