"""A study's directory as its report: reads the records and writes the page."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.fidelity.forecast import FrontForecast, forecast_front
from analysis.fidelity.rank_validity import PROMOTED, LongRun, Validity, read_long_runs, validity
from analysis.fronts.front import Front, front_of
from analysis.fronts.importance import Importance, importances
from analysis.fronts.membership import Membership, estimate_membership
from analysis.fronts.rows import trial_row
from analysis.objectives.observed import Observed
from analysis.objectives.problem import problem_of
from analysis.objectives.registry import OBJECTIVES, named_objectives
from analysis.records.attempt import Attempt, read_attempts
from analysis.records.choice import read_choice
from analysis.records.files import write_whole
from analysis.records.record import RECORDS, FinalRecord, TrialRecord, read_finals, read_records
from analysis.records.stages import Outlook
from analysis.records.summary import StudySummary
from analysis.records.training import FARTHEST
from analysis.report.study_page import REPORT, report_page
from analysis.text import words
from search_space.errors import SpecError
from trials.latency.known_devices import MeasuredStudy, known_devices
from trials.machine.provenance import environment
from trials.study.corpus_spec import CorpusSpec
from trials.study.directory import require_unchanged
from trials.study.load_study import STUDY, parse_stored, stored_corpus
from trials.study.spec import StudySpec
from trials.trial.calibration import as_settled, mode_of
from trials.trial.scaling_grid import planned_tasks
from trials.trial.study_fit import misfit

if TYPE_CHECKING:
    from analysis.laws.fit_result import FitResult

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class StoredStudy:
    """What lies in a study's directory."""

    directory: Path
    study: StudySpec
    text: str
    """The study as it was given."""
    records: list[TrialRecord]
    finals: dict[int, FinalRecord]
    long_runs: list[LongRun]
    """Longer trainings that judge the short ones; none before `archfront validate`."""
    promoted: list[LongRun]
    """Longer trainings of the front's shapes; none before `archfront promote`."""
    attempts: tuple[Attempt, ...] = ()
    """Attempts at trials that were lost with their workers."""
    left_out: tuple[str, ...] = ()
    """A sentence for each line of its files that is no record, where these were not refused."""

    @cached_property
    def corpus(self) -> CorpusSpec:
        """The text without tasks, its files where they lie now; raises SpecError, with where it was looked for, where they are gone."""
        return stored_corpus(self.study.corpus.without_tasks, self.directory)

    @cached_property
    def law(self) -> FitResult | str | None:
        """A scaling study's law, or a sentence on what it lacks; None for a search."""
        if self.study.scaling is None:
            return None
        from analysis.law_report.law_study_page import fitted

        return fitted(self.records, self.study.scaling.form)

    @cached_property
    def forecast(self) -> FrontForecast | str | None:
        """The front at the study's target, or a sentence on what it lacks.

        Without a target that of the longest training there is, which is one of `archfront promote` or `validate`; None without any.
        """
        target, tokens, longer = self.study.target, self.study.proxy.tokens, self.longer
        times = max((run.times for run in longer if run.times <= FARTHEST), default=None)
        if target is not None and tokens is not None:
            times = target.tokens / tokens
        if times is None or (target is None and self.study.problem.forecast_place is None):
            return None
        if longer:
            from trials.experiments.promote import foreseen

            return foreseen(self.records, self.finals, self.study.problem, times, longer)
        try:
            return forecast_front(self.records, self.front, self.membership, times)
        except SpecError as error:
            return str(error)

    @property
    def longer(self) -> list[LongRun]:
        """All trainings of its shapes that were longer than its own and finished."""
        return [run for run in (*self.long_runs, *self.promoted) if run.bits_per_byte is not None]

    @cached_property
    def front(self) -> Front:
        """The front by the study's objectives, with what was measured again after the search."""
        return front_of(self.records, self.finals, self.study.problem)

    @property
    def measured(self) -> MeasuredStudy:
        """What other devices' tables are read against."""
        return MeasuredStudy(self.directory, self.records, self.finals, self.study.problem)

    @property
    def outlook(self) -> Outlook:
        """What the study was planned to take, and took."""
        return Outlook.of(self.directory, self.records)

    @cached_property
    def membership(self) -> Membership:
        """How sure that front is."""
        return estimate_membership(self.front)

    def columns(self) -> dict[str, list[Any]]:
        """A list a column, one value a trial, as tables and MLflow have them; what was not measured is None."""
        rows = [trial_row(record, self.finals.get(record.number), self.front, self.membership) for record in self.records]
        return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}

    def frame(self) -> Any:
        """The columns as a pandas DataFrame, a trial a row; pandas comes with Ray Tune."""
        import pandas

        return pandas.DataFrame(self.columns()).set_index("trial") if self.records else pandas.DataFrame()

    def importances(self) -> dict[str, list[Importance]]:
        """How much of what decides an objective is each dimension's, by the objective's name, with intervals (PED-ANOVA)."""
        return importances(self.records, self.front)

    def figures(self) -> dict[str, Any]:
        """Each figure of the page by its name, as Plotly's: the front along each pair of its objectives, the curves, and the search's."""
        from analysis.report.figures import curves_figure, front_figures
        from analysis.report.search_figures import search_figures

        pairs = front_figures(self.records, self.front, self.membership)
        others = search_figures(self.records, self.front, self.membership)
        return {**pairs, "curves": curves_figure(self.records, self.front), **others}

    def record(self, number: int) -> TrialRecord:
        """The trial of that number; raises SpecError naming those that exist."""
        for record in self.records:
            if record.number == number:
                return record
        there = f"0 to {self.records[-1].number}" if self.records else "none yet"
        raise SpecError(f"{self.directory} has no trial {number}; its trials are {there}")


def read_study(directory: Path, *, leaves_out: bool = False) -> StoredStudy:
    """Everything that a study's directory holds; raises SpecError where it is not one, or its study was changed since.

    A line that is no record is refused, or left out where `leaves_out` says so, as a report does.

    Records that the study cannot have made are told by a warning: what is said of them may be of two studies.
    """
    path = directory / STUDY
    if not path.is_file():
        raise SpecError(f"{directory} is not a study's directory (it has no {STUDY}); name one that `archfront run` has made")
    if not (directory / RECORDS).exists():
        raise SpecError(f"{directory} has no {RECORDS} yet; `archfront run` writes it when the first trial ends")
    content = path.read_bytes()
    left_out: list[str] | None = [] if leaves_out else None
    asked, records = parse_stored(content, str(path)), read_records(directory, left_out)
    require_unchanged(directory, asked)
    if (found := misfit(asked, records)) is not None:
        logger.warning("%s does not fit its %s: %s; restore the one that was changed", path, RECORDS, found)
    return StoredStudy(
        directory,
        as_settled(asked, directory),
        content.decode(),
        records,
        read_finals(directory, left_out),
        read_long_runs(directory),
        read_long_runs(directory, PROMOTED),
        tuple(read_attempts(directory, left_out)),
        tuple(left_out or ()),
    )


def under_objectives(stored: StoredStudy, names: Sequence[str]) -> StoredStudy:
    """The study read under other objectives, its limits as they were; SpecError where one does not exist or was not measured there."""
    problem = problem_of(names, stored.study.limits.of_shapes)
    finished = [Observed.of(record, stored.finals.get(record.number)) for record in stored.records if record.finished]
    for objective in problem.objectives:
        if finished and all(objective.value(seen) is None for seen in finished):
            there = [name for name, known in OBJECTIVES.items() if any(known.value(seen) is not None for seen in finished)]
            there += sorted({named.name for seen in finished for named in named_objectives(seen)})
            raise SpecError(f"{objective.name} was not measured in {stored.directory}; name others of {', '.join(there)}")
    return dataclasses.replace(stored, study=stored.study.model_copy(update={"objectives": problem.names}))


def report_again(stored: StoredStudy, output: Path | None = None) -> Path:
    """Write the report of a study that is read under other objectives, beside its own as `report-NAMES.html`; return its path."""
    if stored.law is not None:
        raise SpecError(f"{stored.directory} holds a study with `scaling`, which has no front to read again; leave --objectives out")
    page = stored.directory / f"report-{'-'.join(stored.study.objectives)}.html"
    return _write_page(stored, output or page, None)


def report_study(stored: StoredStudy, output: Path | None = None) -> Path:
    """Write the study's report.html, or another file, and return its path."""
    law, page = stored.law, output or stored.directory / REPORT
    if law is None:
        judged = validity(stored.records, stored.long_runs)
        return _write_page(stored, page, judged)
    from analysis.law_report.law_page import write_page
    from analysis.law_report.law_study_page import scaling_report

    return write_page(page, scaling_report(summarise(stored), stored.records, law))


def _write_page(stored: StoredStudy, path: Path, longer: Validity | None) -> Path:
    summary, problem = summarise(stored), stored.study.problem
    known = longer, stored.forecast, problem, stored.membership, stored.left_out, known_devices(stored.measured)
    page = report_page(summary, stored.records, stored.finals, *known)
    return write_whole(path, page.encode())


def summarise(stored: StoredStudy) -> StudySummary:
    """The study's intent in words."""
    study, latency, search = stored.study, stored.study.latency, stored.study.search
    return StudySummary(
        name=study.name,
        study_yaml=stored.text,
        directory=str(stored.directory),
        planned_trials=search.trials if study.scaling is None else len(planned_tasks(study)),
        budget=str(study.search_space.budget if study.scaling is None else study.scaling),
        space=str(study.search_space.explain()) if study.scaling is None else "",
        corpus=_corpus(stored),
        corpus_name=study.corpus.title,
        recipe=_recipe(study),
        latency=f"{latency.prompt_tokens} prompt tokens and {latency.new_tokens} new ones with the KV cache, batch 1, {latency.runtime}, "
        f"{latency.threads} pinned thread{'s' if latency.threads > 1 else ''}",
        search=_search(study),
        law=None if study.scaling is None else study.scaling.form,
        without_record=_without_record(stored),
        attempts=stored.attempts,
        outlook=stored.outlook,
        choice=read_choice(stored.directory),
        environment=environment(),
    )


def _without_record(stored: StoredStudy) -> Mapping[int, str]:
    """Planned trainings that have none, with the reason where the directory knows this machine's pace."""
    there = {record.number for record in stored.records}
    missing = {task.number: task for task in planned_tasks(stored.study) if task.number not in there}
    if not missing:
        return {}
    from trials.plans.feasible_here import infeasible_here  # torch: a second or more

    reasons = infeasible_here(stored.study, stored.directory, list(missing.values())) or {}
    return {
        number: f"{task.name or ''} {task.architecture.label}, {reasons.get(number, 'not trained yet')}".strip()
        for number, task in missing.items()
    }


def _search(study: StudySpec) -> str:
    search, workers = study.search, study.workers
    if study.scaling is not None:
        return f"a grid for the law {study.scaling.form}, from seed {search.seed}, {workers.count} at a time"
    stops = "; those unlikely to add to the front stop early" if search.early_stopping == "front" else ""
    replicates = search.replicates_of(search.trials)
    again = f"{words.plural(replicates, 'contender')} trained again" if replicates else "no shape is trained again"
    return f"proposed by {search.sampler} from seed {search.seed}, {workers.count} at a time; {again} with another seed{stops}"


def _corpus(stored: StoredStudy) -> str:
    name = stored.study.corpus.title
    digests = {record.training.corpus_sha256 for record in stored.records if record.training and record.training.corpus_sha256}
    return f"{name}, SHA-256 {' and '.join(sorted(digests))}" if digests else name


def _recipe(study: StudySpec) -> str:
    proxy = study.proxy
    budgets = {
        "tokens": proxy.tokens,
        "tokens per parameter": proxy.tokens_per_parameter,
        "training FLOPs": proxy.flops,
        "seconds": proxy.seconds,
    }
    length = next(f"{value:,} {name}" if name == "tokens" else f"{value:g} {name}" for name, value in budgets.items() if value is not None)
    rates = f"AdamW at {proxy.learning_rate:g}"
    if proxy.optimizer == "muon":
        rates = f"Muon at {proxy.muon_learning_rate:g} for the matrices of the blocks, {rates} for the rest"
    if proxy.parametrization != "standard":
        rates += f" at {proxy.base.num_hidden_layers} x {proxy.base.hidden_size} and by {proxy.parametrization} elsewhere"
    return (
        f"{length} in steps of {proxy.batch_sequences} x {proxy.context_tokens}, {rates}, weight decay {proxy.weight_decay:g}, "
        f"{proxy.schedule} schedule, {mode_of(study)}"
    )
