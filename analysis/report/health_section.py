"""The report's part about signs of trouble: what the trials show, and by which rules."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.records.health_checks import SIGNS, fired, readings, sentence
from analysis.records.record import TrialRecord
from analysis.report.html import Html, element, folded, paragraphs, table
from analysis.text.format import ABSENT, plural


def signs_part(records: Sequence[TrialRecord]) -> list[Html]:
    """Every sign that fires, then the rules and every number; nothing where no trial was diagnosed."""
    judged = [record for record in records if readings(record)]
    if not judged:
        return []
    sick = [record for record in judged if fired(record)]
    shown = [_fired(sick)] if sick else []
    lead = f"{len(sick)} of {plural(len(judged), 'diagnosed trial')} {'shows' if len(sick) == 1 else 'show'} a sign of trouble."
    return [paragraphs([lead]), *shown, folded(f"The rules ({len(SIGNS)})", _rules()), folded("Every number", _numbers(judged))]


def _fired(records: Sequence[TrialRecord]) -> Html:
    rows = [
        (f"#{record.number}", element("code", record.architecture.label), reading.sign.name, f"{reading.value:.3g}", reading.sign.rule,
         sentence(reading, record))
        for record in records
        for reading in fired(record)
    ]  # fmt: skip
    columns = {"Trial": False, "Shape": False, "Sign": False, "Value": True, "Fires": False, "What it means": False}
    return table(columns, rows, "A sign says that something is known to go wrong so, not that the shape is bad.")


def _rules() -> Html:
    rows = [(sign.name, sign.measure, sign.rule, sign.source) for sign in SIGNS]
    return table({"Sign": False, "What is measured": False, "Fires": False, "Source": False}, rows, "Thresholds are those of archfront.")


def _numbers(records: Sequence[TrialRecord]) -> Html:
    rows = []
    for record in records:
        values = {reading.sign.name: f"{reading.value:.3g}{' !' if reading.fires else ''}" for reading in readings(record)}
        rows.append((f"#{record.number}", element("code", record.architecture.label), *(values.get(s.name, ABSENT) for s in SIGNS)))
    columns = {"Trial": False, "Shape": False, **{sign.name: True for sign in SIGNS}}
    return table(columns, rows, "A dash: the shape cannot have that failure. An exclamation mark: the sign fires.")
