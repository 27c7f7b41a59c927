"""Longer trainings of a front's shapes, to see whether what it promised holds; needs neither Ray nor MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from analysis.fidelity.forecast import FrontForecast, forecast_front, members_and_near_ties
from analysis.fidelity.promotion import Promotion, promotion
from analysis.fidelity.rank_validity import PROMOTED
from analysis.fronts.front import Front, front_of
from analysis.fronts.membership import Membership, estimate_membership
from analysis.records.record import RECORDS, TrialRecord, read_finals, read_records
from analysis.records.training import FARTHEST
from search_space.errors import SpecError
from trials.corpus.prepare import prepare_corpus
from trials.experiments.validate import ReportLongRun, finished_runs, long_runs
from trials.study.directory import claim
from trials.study.spec import StudySpec
from trials.trial.calibration import settled
from trials.trial.judgement import without_rounding
from trials.trial.reuse import Reuse
from trials.trial.training_index import TrainingText


def run_promotion(
    study: StudySpec, directory: Path, *, study_text: str, times: float, top: int | None = None, progress: ReportLongRun | None = None
) -> Promotion:
    """Train members of the front and near-ties, or the `top` of them by their chance to be on it, so many times longer.

    What the directory holds is kept. Every training has one seed, which chose nothing. Runs `workers.count` processes on this
    machine. Raises SpecError where the directory is another study's, has no front, or the corpus is another text than its trials'.
    """
    if not 1 < times <= FARTHEST:
        raise SpecError(f"--times must be above 1 and at most {FARTHEST:g}, found {times:g}; choose another")
    if not (directory / RECORDS).exists():
        raise SpecError(f"{directory} has no {RECORDS} yet; run the study first: archfront run")
    if study.scaling is not None:
        raise SpecError(f"{study.name} must be a search, which has a front, found a study with `scaling`; see archfront fit")
    study.problem.require_forecast_place()
    with claim(directory, study_text):
        study = settled(study, directory)
        records = {record.number: _in_float32(record) for record in read_records(directory)}
        front = front_of(records.values(), read_finals(directory), study.problem)
        membership = estimate_membership(front)
        numbers = members_and_near_ties(front, membership)
        if not numbers:
            raise SpecError(f"{directory} must have a finished trial to promote, found none; run the study to its end")
        if top is not None:
            best = sorted(numbers, key=lambda number: -membership.posteriors[number].on_front)[:top]
            numbers = [number for number in numbers if number in best]
        chosen = [records[number] for number in numbers]
        blocks = {size: prepare_corpus(study.corpus, size) for size in {record.architecture.vocab_size for record in chosen}}
        for found in blocks.values():
            found.require_same_text(chosen)
        reuse = Reuse(study, directory, {size: TrainingText.of(found) for size, found in blocks.items()})
        keys = {record.number: record.architecture.key for record in chosen}
        done = finished_runs(directory, PROMOTED, times)
        runs = {run.number: run for run in done if keys.get(run.number) == run.architecture_key}
        missing = [record for record in chosen if record.number not in runs]
        for count, run in enumerate(long_runs(missing, study, times, reuse, directory / PROMOTED), len(chosen) - len(missing) + 1):
            runs[run.number] = run
            if progress is not None:
                progress(count, len(chosen), run)
    labels, ahead = (
        {record.number: record.architecture.label for record in chosen},
        _ahead(list(records.values()), front, membership, times),
    )
    return promotion(numbers, runs, labels, front, times, ahead)


def _in_float32(record: TrialRecord) -> TrialRecord:
    """The record with its quality in float32, which is what the long trainings are judged in."""
    return record if record.training is None else replace(record, training=without_rounding(record.training))


def _ahead(records: Sequence[TrialRecord], front: Front, membership: Membership, times: float) -> FrontForecast | str:
    try:
        return forecast_front(records, front, membership, times)
    except SpecError as error:
        return str(error)
