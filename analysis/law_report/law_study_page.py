"""The report of a scaling study: its law with the backtest first, or what it lacks where too few trainings have finished."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.fronts.front import front_of
from analysis.law_report.law_figures import points_figure
from analysis.law_report.law_page import FIT_SECTIONS, fit_parts
from analysis.law_report.law_tables import losses_table
from analysis.laws.fit_result import FitResult, fit_runs
from analysis.laws.options import FitOptions
from analysis.laws.runs import runs_from_records
from analysis.records.record import TrialRecord
from analysis.records.summary import StudySummary
from analysis.report.figures import curves_figure, picture, plotly_script
from analysis.report.html import Html, element, sections_page, table
from analysis.report.sections import asked_facts, cost_facts, environment_facts, health_part
from analysis.report.tables import unfinished
from analysis.text import words
from search_space.errors import SpecError

LAW_SECTIONS = {
    "trainings": "The trainings",
    "asked": "What was asked",
    "curves": "Learning curves",
    "health": "Health checks",
    "unfinished": "Trainings that did not finish",
    "cost": "What it cost",
    "environment": "Environment",
}
TRUNK_CAPTION = (
    "Loss on the validation split at each evaluation of the trunk; the losses that the law is fitted to are those after a decay."
)


def fitted(records: Sequence[TrialRecord], law: str) -> FitResult | str:
    """The study's law, or a sentence on what it lacks."""
    try:
        return fit_runs(runs_from_records(records), FitOptions(form=law))
    except SpecError as error:
        return str(error)


def scaling_report(summary: StudySummary, records: Sequence[TrialRecord], answered: FitResult | str) -> str:
    """The whole page; the same records give the same page. `answered` is what `fitted` says."""
    finished = [record for record in records if record.finished]
    found = _law_parts(records, answered)
    curves = curves_figure(records, front_of(records))
    failed = [record for record in records if not record.finished]
    bodies = found | {
        "trainings": [losses_table(records)] if finished else [],
        "known": [*found.get("known", []), *_without_record(summary)],
        "asked": asked_facts(summary, records),
        "curves": [picture("curves", curves, TRUNK_CAPTION)] if curves.data else [],
        "health": health_part(records),
        "unfinished": [unfinished(records)] if failed else [],
        "cost": cost_facts(summary, records),
        "environment": environment_facts(summary, records),
    }
    lead = f"Scaling study: {words.plural(summary.planned_trials, 'training')} planned for the law {summary.law}, {len(finished)} finished."
    return sections_page(summary.name, lead, {**FIT_SECTIONS, **LAW_SECTIONS}, bodies, plotly_script())


def _law_parts(records: Sequence[TrialRecord], answered: FitResult | str) -> dict[str, list[Html]]:
    """The parts about the law, or in place of one what is missing and the losses that there are."""
    if not isinstance(answered, str):
        return fit_parts(answered)
    finished = [record for record in records if record.finished]
    points = (
        [picture("points", points_figure(runs_from_records(finished)), "Each point is a loss; no law is fitted yet.")] if finished else []
    )
    return {"found": [element("p", element("strong", f"There is no law yet: {answered}.")), *points]}


def _without_record(summary: StudySummary) -> list[Html]:
    if not summary.without_record:
        return []
    rows = [(f"#{number}", text) for number, text in summary.without_record.items()]
    share = f"{len(rows)} of {words.plural(summary.planned_trials, 'planned training')} have no record and are not in the law."
    return [table({"Training": False, "What and why": False}, rows, share)]
