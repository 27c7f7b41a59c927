"""The report's tables of what shapes were judged by beside the held-out split: validation sets and tasks that the study names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.fronts.domains import domain_sentences
from analysis.fronts.front import Front
from analysis.fronts.membership import Membership
from analysis.fronts.rows import front_rows
from analysis.objectives.objective import Objective
from analysis.objectives.observed import Observed
from analysis.objectives.quality import ON, half_width_of
from analysis.objectives.registry import FORECAST, find_objective
from analysis.objectives.tasks import accuracy_on, answer_bits_on, normalised_accuracy_on
from analysis.records.record import FinalRecord, TrialRecord
from analysis.records.replicates import averaged
from analysis.records.task_score import TaskScore
from analysis.report.html import Html, element, paragraphs, table
from analysis.report.tables import name_cell
from analysis.tasks.task_result import share_of
from analysis.text import words

HELD_OUT = "held-out split"


def validation_tables(
    records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership
) -> list[Html]:
    """Table of the shapes on each validation set that the study names, and whether these rank alike; nothing where it names none."""
    seen = {record.number: Observed.of(record) for record in averaged(records)}
    names = sorted({name for each in seen.values() for name in each.validations})
    if not names:
        return []
    objectives = {HELD_OUT: find_objective(FORECAST)} | {name: find_objective(f"{ON}{name}") for name in names}
    rows = [
        (
            name_cell(r["trial"], r["name"], []),
            element("code", r["shape"]),
            *(_with_documents(objective, seen[r["trial"]], name) for name, objective in objectives.items()),
        )
        for r in front_rows(records, finals, front, membership)
    ]
    columns = {"Trial": False, "Shape": False} | dict.fromkeys(objectives, True)
    return [
        table(
            columns,
            rows,
            "Bits per byte on the validation sets that the study names; the search has chosen by the held-out split. After ± stands half "
            "the 90 % interval of that of all text like it, by documents.",
            named={name: objectives[name].words.meaning for name in names},
        ),
        *([paragraphs(said)] if (said := domain_sentences(records)) else []),
    ]


def _with_documents(objective: Objective, seen: Observed, name: str) -> str:
    """A value with half its interval, where the documents of the split or set of that name are known."""
    quality = seen.quality if name == HELD_OUT else seen.validations.get(name)
    width = None if quality is None else half_width_of(quality)
    return objective.cell(objective.value(seen)) + ("" if width is None else f" ± {width:.3f}")


def task_tables(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership) -> list[Html]:
    """A table of the shapes' answers for each task that the study names; nothing where it names none."""
    seen = {record.number: Observed.of(record) for record in averaged(records)}
    names = sorted({name for each in seen.values() for name in each.tasks})
    rows = front_rows(records, finals, front, membership) if names else []
    return [_task_table(name, rows, seen) for name in names]


def _task_table(name: str, rows: Sequence[Mapping[str, Any]], seen: Mapping[int, Observed]) -> Html:
    [first, *_] = (each.tasks[name] for each in seen.values() if name in each.tasks)
    objectives = (accuracy_on(name), normalised_accuracy_on(name), answer_bits_on(name))
    lines = [
        (
            name_cell(r["trial"], r["name"], []),
            element("code", r["shape"]),
            _with_chance(seen[r["trial"]].tasks.get(name)),
            *(objective.cell(objective.value(seen[r["trial"]])) for objective in objectives[1:]),
        )
        for r in rows
    ]
    caption = (
        f"Answers to the {first.questions:,} questions of {name}, where guessing gives {first.chance:.1%}. In brackets stands the 90 % "
        "interval of that of all questions like these; a star says that it is not above what guessing gives, so the task says nothing of "
        "the shape. All shapes answered the same questions, so their differences are surer than that."
    )
    headings = ("accuracy", "by letter", "bits per byte of the answers")
    named = {heading: objective.words.meaning for heading, objective in zip(headings, objectives, strict=True)}
    return table({"Trial": False, "Shape": False} | dict.fromkeys(headings, True), lines, caption, named=named)


def _with_chance(score: TaskScore | None) -> str:
    """The accuracy with its interval; a dash where it was not asked."""
    if score is None:
        return words.ABSENT
    found = share_of(score.deployed.accuracy * score.questions, score.questions)
    star = "*" if found.low <= score.chance else ""
    return f"{score.deployed.accuracy:.1%} ({found.low:.1%} to {found.high:.1%}){star}"
