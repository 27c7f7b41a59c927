"""Longer trainings of a study's shapes, to see whether the short ones rank alike; by default in processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from analysis.fidelity.rank_validity import (
    LEAST_RANKED,
    VALIDITY,
    LongRun,
    Validity,
    read_all_long_runs,
    read_long_runs,
    stratified,
    validity,
)
from analysis.records.files import append_line
from analysis.records.record import RECORDS, TrialRecord, read_records
from analysis.text.words import plural
from search_space.errors import SpecError
from trials.corpus.blocks import TokenBlocks
from trials.corpus.prepare import prepare_corpus
from trials.experiments.asked import require_ranking
from trials.experiments.workplace import HERE, TrainingCall, Workplace
from trials.study.directory import claim
from trials.study.spec import StudySpec
from trials.training.conditions import Conditions
from trials.training.recipe import lengthened
from trials.trial.reuse import Reuse
from trials.trial.training_index import TrainingText

LONG_SEED_OFFSET = 1_000
"""Added to the study's seed: a long training that shared the short one's seed noise would agree with it too well."""
ReportLongRun = Callable[[int, int, LongRun], None]
"""Told of every training that ended: how many did, of how many, and which."""


def run_validation(
    study: StudySpec,
    directory: Path,
    *,
    study_text: str,
    shapes: int,
    times: float,
    origin: Path | None = None,
    workplace: Workplace = HERE,
    progress: ReportLongRun | None = None,
) -> Validity:
    """Train shapes from the best to the worst loss so many times longer than the study did; what the directory holds is kept, and what
    failed is tried again.

    Trains `workers.count` shapes at a time. Raises SpecError where the directory is another study's, has too few finished
    trials, or the corpus is another text than theirs.
    """
    require_ranking(shapes, times)
    if not (directory / RECORDS).exists():
        raise SpecError(f"{directory} has no {RECORDS} yet; run the study first: archfront run")
    with claim(directory, study_text, origin):
        study = workplace.settled(study, directory)
        records = read_records(directory)
        chosen = stratified(records, shapes)
        if len(chosen) < LEAST_RANKED:
            raise SpecError(
                f"{directory} must have at least {LEAST_RANKED} finished shapes to compare, found {len(chosen)} among "
                f"{plural(len(records), 'trial')}; run more trials"
            )
        blocks = {size: prepare_corpus(study.corpus, size) for size in {record.architecture.vocab_size for record in chosen}}
        for found in blocks.values():
            found.require_same_text(chosen)
        reuse = Reuse(study, directory, {size: TrainingText.of(found) for size, found in blocks.items()})
        done = {(run.number, run.architecture_key) for run in finished_runs(directory, VALIDITY, times)}
        missing = [record for record in chosen if (record.number, record.architecture.key) not in done]
        for count, run in enumerate(
            long_runs(missing, study, times, reuse, directory / VALIDITY, workplace), len(chosen) - len(missing) + 1
        ):
            if progress is not None:
                progress(count, len(chosen), run)
        told = validity(records, read_long_runs(directory), times)
    assert told is not None
    return told


def finished_runs(directory: Path, file: str, times: float) -> list[LongRun]:
    """The trainings in a file of the directory that need not be made again, of those so many times longer."""
    return [run for run in read_long_runs(directory, file) if run.times == times and run.bits_per_byte is not None]


def long_runs(
    records: Sequence[TrialRecord], study: StudySpec, times: float, reuse: Reuse, file: Path, workplace: Workplace
) -> Iterator[LongRun]:
    """Train the shapes of these trials longer, those first that another study has trained; a line of the file is written for each."""
    known = {record.number: run for record in records if (run := _known(record, study, times, reuse)) is not None}
    to_train = [record for record in records if record.number not in known]
    for run in known.values():
        append_line(file, asdict(run))
        yield run
    trainings = [TrainingCall(study, record.architecture.vocab_size, (record, study, times)) for record in to_train]
    for at, run in workplace.side_by_side(train_longer, trainings, study.workers.count, lower="workers.count or proxy.batch_sequences"):
        append_line(file, asdict(run))
        if run.bits_per_byte is not None:
            reuse.leave_result("long_run", to_train[at], run.seed, partial(lengthened, times=times))
        yield run


def _known(record: TrialRecord, study: StudySpec, times: float, reuse: Reuse) -> LongRun | None:
    def read(directory: Path, there: TrialRecord) -> tuple[int, LongRun]:
        every = read_all_long_runs(directory)
        runs = {(run.number, run.times, run.architecture_key): run for run in every if run.bits_per_byte is not None}
        run = runs[there.number, times, there.architecture.key]
        return run.seed, replace(run, number=record.number)

    return reuse.result("long_run", record.architecture, study.search.seed + LONG_SEED_OFFSET, partial(lengthened, times=times), read)


def train_longer(record: TrialRecord, study: StudySpec, times: float, blocks: TokenBlocks) -> LongRun:
    """The long training of a trial's shape; whatever goes wrong is its reason."""
    from trials.training.proxy_run import train
    from trials.trial.task import outcome_of

    shape, seed = record.architecture, study.search.seed + LONG_SEED_OFFSET
    tokens, bits_per_byte, reason = None, None, None
    try:
        _, training = train(
            shape,
            blocks,
            lengthened(study.proxy, times),
            seed=seed,
            conditions=replace(Conditions.of(study.workers), deadline_seconds=times * study.workers.deadline_seconds),
        )
        tokens, bits_per_byte = training.tokens, training.validation.bits_per_byte if training.validation else None
    except Exception as error:
        outcome, said = outcome_of(error)
        reason = f"{outcome}: {said}"
    return LongRun(
        number=record.number, architecture_key=shape.key, times=times, seed=seed, tokens=tokens, bits_per_byte=bits_per_byte, reason=reason
    )
