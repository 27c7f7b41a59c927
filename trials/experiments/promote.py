"""Longer trainings of a front's shapes, to see whether what it promised holds; by default in processes of this machine."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from threadpoolctl import threadpool_limits

from analysis.fidelity.forecast import FrontForecast, forecast_front, members_and_near_ties
from analysis.fidelity.mixed_lengths import same_length
from analysis.fidelity.promotion import Promotion, promotion
from analysis.fidelity.rank_validity import PROMOTED, LongRun, read_all_long_runs, read_long_runs
from analysis.fronts.front import Front, front_of
from analysis.fronts.membership import Membership, estimate_membership
from analysis.objectives.problem import Problem
from analysis.records.record import RECORDS, FinalRecord, TrialRecord, read_finals, read_records
from search_space.errors import SpecError
from trials.corpus.prepare import prepare_corpus
from trials.experiments.asked import require_promotion
from trials.experiments.validate import ReportLongRun, finished_runs, long_runs
from trials.experiments.workplace import HERE, Workplace
from trials.study.directory import claim
from trials.study.spec import StudySpec
from trials.trial.judgement import without_rounding
from trials.trial.reuse import Reuse
from trials.trial.training_index import TrainingText


def run_promotion(
    study: StudySpec,
    directory: Path,
    *,
    study_text: str,
    times: float,
    top: int | None = None,
    most_telling: int | None = None,
    origin: Path | None = None,
    workplace: Workplace = HERE,
    progress: ReportLongRun | None = None,
) -> Promotion:
    """Train members of the front and near-ties, or the `top` of them by their chance to be on it, so many times longer.

    With `most_telling` so many shapes, of all or of the `top`, are trained, each chosen as the one that says most about the front of that
    length for its FLOPs, in sight of those before it, `workers.count` at a time; fewer where no other would change that front much. What
    the directory holds is kept and counts. Every training has one seed, which chose nothing. Trains `workers.count` shapes at a time.
    Raises SpecError where the directory is another study's, has no front, or the corpus is another text than its trials'.
    """
    require_promotion(study, times)
    if not (directory / RECORDS).exists():
        raise SpecError(f"{directory} has no {RECORDS} yet; run the study first: archfront run")
    with claim(directory, study_text, origin):
        study = workplace.settled(study, directory)
        seen = _Promotable.of(read_records(directory), read_finals(directory), study.problem)
        if not seen.numbers:
            raise SpecError(f"{directory} must have a finished trial to promote, found none; run the study to its end")
        numbers = seen.likeliest(top)
        possible = [seen.records[number] for number in (seen.front.points if most_telling and top is None else numbers)]
        blocks = {size: prepare_corpus(study.corpus, size) for size in {record.architecture.vocab_size for record in possible}}
        for found in blocks.values():
            found.require_same_text(possible)
        reuse = Reuse(study, directory, {size: TrainingText.of(found) for size, found in blocks.items()})
        runs = seen.runs_of(finished_runs(directory, PROMOTED, times))
        before = [run for run in read_all_long_runs(directory) if run.bits_per_byte is not None]
        if most_telling is None:
            runs = {number: run for number, run in runs.items() if number in numbers}
        count = len(numbers) if most_telling is None else most_telling
        while len(runs) < count:
            if most_telling is None:
                some = [number for number in numbers if number not in runs]
            else:
                some = seen.next_telling([*before, *runs.values()], times, seen.front.points if top is None else numbers)
                some = some[: min(study.workers.count, count - len(runs))]
            if not some:
                break
            for run in long_runs([seen.records[number] for number in some], study, times, reuse, directory / PROMOTED, workplace):
                runs[run.number] = run
                if progress is not None:
                    progress(len(runs), count, run)
    return seen.told(runs, times)


def read_promotions(
    directory: Path, records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], problem: Problem
) -> list[Promotion]:
    """What the longer trainings of a front that lie in a study's directory say, the shortest first; none where there are none."""
    runs = read_long_runs(directory, PROMOTED)
    if not runs or problem.forecast_place is None:
        return []
    seen, told = _Promotable.of(records, finals, problem), list[Promotion]()
    for times in sorted({run.times for run in runs}):
        if there := seen.runs_of(run for run in runs if run.times == times):
            told.append(seen.told(there, times))
    return told


def foreseen(
    records: Sequence[TrialRecord],
    finals: Mapping[int, FinalRecord],
    problem: Problem,
    times: float,
    longer: Sequence[LongRun] = (),
) -> FrontForecast | str:
    """The front at so many times the study's tokens, in float32, in sight of `longer` trainings; a sentence where these cannot say."""
    if problem.forecast_place is None:
        return "the study's objectives have no loss in bits per byte that a training tells"
    return _Promotable.of(records, finals, problem).ahead(times, longer)


@dataclass(frozen=True, slots=True)
class _Promotable:
    """A study as its long trainings see it: with qualities in float32, which they are judged in."""

    records: Mapping[int, TrialRecord]
    front: Front
    membership: Membership
    numbers: list[int]
    """Members of the front and near ties."""

    @classmethod
    def of(cls, records: Iterable[TrialRecord], finals: Mapping[int, FinalRecord], problem: Problem) -> _Promotable:
        plain = {record.number: _in_float32(record) for record in records}
        front = front_of(plain.values(), finals, problem)
        membership = estimate_membership(front)
        return cls(plain, front, membership, members_and_near_ties(front, membership))

    def likeliest(self, top: int | None) -> list[int]:
        """So many of them by their chance to be on the front, in the order in which that is listed; by default all."""
        best = sorted(self.numbers, key=lambda number: -self.membership.posteriors[number].on_front)[:top]
        return [number for number in self.numbers if number in best]

    def runs_of(self, runs: Iterable[LongRun]) -> dict[int, LongRun]:
        """The last training of each trial that is of its shape, by the trial's number."""
        keys = {number: self.records[number].architecture.key for number in self.front.points}
        return {run.number: run for run in runs if keys.get(run.number) == run.architecture_key}

    def told(self, runs: Mapping[int, LongRun], times: float) -> Promotion:
        """What these trials' long trainings say, held against what the study alone foresaw."""
        numbers = sorted(runs, key=lambda number: self.front.costs(number)[self.front.problem.ordering])
        labels = {number: self.records[number].architecture.label for number in numbers}
        return promotion(numbers, runs, labels, self.front, times, self.ahead(times))

    def next_telling(self, longer: Sequence[LongRun], times: float, among: Container[int]) -> list[int]:
        """Shapes `among` some that were not trained to that length, by what such a training says for its FLOPs.

        There are none where no other would change the front there much; raises SpecError where that is unknown.
        """
        trained = {run.number for run in longer if same_length(run.times, times)}
        ahead = self._forecast(times, longer)
        return ahead.next_of_target_length([number for number in self.front.points if number in among and number not in trained])

    def ahead(self, times: float, longer: Sequence[LongRun] = ()) -> FrontForecast | str:
        """The front at so many times the study's tokens; a sentence where the records cannot say."""
        try:
            return self._forecast(times, longer)
        except SpecError as error:
            return str(error)

    def _forecast(self, times: float, longer: Sequence[LongRun]) -> FrontForecast:
        with threadpool_limits(limits=1):  # on a busy machine more would wait for each other, thirty times as long
            return forecast_front(list(self.records.values()), self.front, self.membership, times, longer)


def _in_float32(record: TrialRecord) -> TrialRecord:
    """The record with its quality in float32, which is what the long trainings are judged in."""
    return record if record.training is None else replace(record, training=without_rounding(record.training))
