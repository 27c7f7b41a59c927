"""A search's front, and what it may become, as plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.fidelity.forecast import FrontForecast, forecast_sentences
from analysis.fronts.doubts import selection_bias_sentences
from analysis.fronts.findings import findings
from analysis.fronts.front import Front
from analysis.fronts.last_word import last_word
from analysis.fronts.membership import Membership, estimate_membership, picks
from analysis.fronts.rows import front_rows
from analysis.objectives.objective import Objective
from analysis.objectives.quality import ROUNDING_LOSS
from analysis.objectives.registry import find_objective
from analysis.records.record import FinalRecord, TrialRecord
from analysis.report.tables import rounding_cell
from analysis.text import words
from analysis.text.columns import ON_THE_LEFT, aligned, cut, wrapped_table


def front_text(
    records: Sequence[TrialRecord],
    finals: Mapping[int, FinalRecord],
    front: Front,
    membership: Membership | None = None,
    width: int | None = None,
) -> str:
    """The front as it is listed, with the references that it beats, then all findings in sentences.

    `membership` is the front's own, where it is known already; `width` that of a terminal.
    """
    membership = membership or estimate_membership(front)
    sentences = [*findings(records, finals, front, membership), *selection_bias_sentences(records, finals, front, membership)]
    return _in_width(front_lines(records, finals, front, membership, width), sentences, width)


def last_text(
    records: Sequence[TrialRecord],
    finals: Mapping[int, FinalRecord],
    front: Front,
    membership: Membership,
    width: int | None = None,
) -> str:
    """The front as it is listed, with the references that it beats, and at most three sentences; `width` is that of a terminal."""
    return _in_width(front_lines(records, finals, front, membership, width), last_word(records, front, membership), width)


def _in_width(table: Sequence[str], sentences: Sequence[str], width: int | None) -> str:
    wrapped = sentences if width is None else [line for sentence in sentences for line in textwrap.wrap(sentence, width)]
    return "\n".join([*table, "", *wrapped]).strip()


SHAPE_CELL, NOTES_CELL = 1, -1
"""Places in a row of what a trial is and what is said of it."""
OUTSIDE_INTERVAL = (
    "* outside its credible interval, which is of the shape's true value, selection bias taken out, not of this one measurement"
)


def front_lines(
    records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership, width: int | None = None
) -> list[str]:
    """The front's lines; none where it is empty. Where a terminal is narrower than all columns, those that matter least are left out."""
    chosen, best = picks(front, membership), front.best(0)
    objectives = [front.objectives[place] for place in front.problem.columns]
    seeds = [objective for objective in objectives if objective.noise == "seed"]
    others = [objective for objective in front.problem.shown if objective not in objectives]
    known = [objective for objective in objectives if objective not in seeds]
    transfer = [name for objective in seeds for name in (objective.words.short or objective.words.label, "credible, 90 %")]
    found = front_rows(records, finals, front, membership)
    rounds = any(row[ROUNDING_LOSS] is not None for row in found)
    columns = ("trial", "shape", "parameters", *(o.words.short or o.words.label for o in known), *transfer, "on front")
    columns = (*columns, *(objective.words.short or objective.words.label for objective in others))
    columns = (*columns, *([f"{find_objective(ROUNDING_LOSS).words.label}, 90 %"] if rounds else []), "")
    rows = [columns]
    for row in found:
        notes = [*([row["name"]] if row["name"] else []), *chosen.get(row["trial"], []), *([] if row["on_front"] else ["not on the front"])]
        notes += ["reused"] if row["reused_from"] else []
        notes += ["tie"] if best in row["ties"] else []
        rows.append(
            (
                f"#{row['trial']}",
                row["shape"],
                f"{row['parameters']:,}",
                *(_written(objective, row) for objective in known),
                *(cell for objective in seeds for cell in (_measured(objective, row), _credible(objective, row))),
                words.probability(row["front_probability"]),
                *(_written(objective, row) for objective in others),
                *([rounding_cell(row)] if rounds else []),
                ", ".join(notes),
            )
        )
    if len(rows) == 1:
        return []
    spared = ("parameters", *columns[-1 - len(others) - rounds : -1], "credible, 90 %")
    lines = _narrowed(rows, spared, width)
    note = [*(textwrap.wrap(OUTSIDE_INTERVAL, width) if width is not None else [OUTSIDE_INTERVAL])]
    return [*lines, *(note if any(_is_outside(objective, row) for row in found for objective in seeds) else [])]


def _narrowed(rows: Sequence[Sequence[str]], spared: Sequence[str], width: int | None) -> list[str]:
    """The table's lines, as wide as they may be: without `spared` columns, by their headings, as many as it takes, and where that is not
    enough with a trial's notes, and then its shape too, on lines of their own below its numbers.
    """
    layouts: list[tuple[Sequence[str], tuple[int, ...]]] = [(spared[:count], ()) for count in range(len(spared) + 1)]
    for gone, below in (*layouts, (spared, (NOTES_CELL,)), (spared, (SHAPE_CELL, NOTES_CELL))):
        apart = {place % len(rows[0]) for place in below}
        kept = [place for place, heading in enumerate(rows[0]) if heading not in gone and place not in apart]
        left = [at for at, place in enumerate(kept) if rows[0][place] in ON_THE_LEFT]
        lines = aligned([[row[place] for place in kept] for row in rows], left)
        if width is None or max(map(len, lines)) <= width:
            break
    if width is None or not below:
        return lines
    under, found = " " * (2 + max(len(row[0]) for row in rows)), [cut(lines[0], width)]
    for row, line in zip(rows[1:], lines[1:], strict=True):
        said = "  ".join(row[place] for place in below if row[place])
        if SHAPE_CELL not in below and len(line) + 2 + len(said) <= width:
            found.append(f"{line}  {said}".rstrip())
        else:
            found += [cut(line, width), *_wrapped(said, width, under)]
    return found


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    """Lines that break between words, never within a name."""
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


def _is_outside(objective: Objective, row: Mapping[str, Any]) -> bool:
    """Whether a shape's measured value lies outside its credible interval."""
    value, low, high = (row[name] for name in (objective.name, f"credible_{objective.name}_low", f"credible_{objective.name}_high"))
    return value is not None and low is not None and high is not None and not low <= value <= high


def _written(objective: Objective, row: Mapping[str, Any]) -> str:
    value = row[objective.name]
    return words.ABSENT if value is None else objective.words.write(value)


def _measured(objective: Objective, row: Mapping[str, Any]) -> str:
    return f"{_written(objective, row)}{'*' if _is_outside(objective, row) else ''}"


def _credible(objective: Objective, row: Mapping[str, Any]) -> str:
    low, high = (row[f"credible_{objective.name}_{end}"] for end in ("low", "high"))
    return words.ABSENT if low is None else objective.between_text(low, high)


def forecast_text(found: FrontForecast, records: Sequence[TrialRecord], width: int | None = None) -> str:
    """What each shape may have after longer training, then the sentences; `width` is that of a terminal."""
    labels = {record.number: record.architecture.label for record in records}
    lines = [("trial", "shape", "now", "measured then", "forecast", "90 %", "on front then")]
    for p in found.forecasts:
        measured = words.ABSENT if p.measured is None else f"{p.measured:.3f}"
        numbers = (f"{p.now:.3f}", measured, f"{p.expected:.3f}", words.bits_range(p.low, p.high), f"{p.on_front:.0%}")
        lines.append((f"#{p.number}", labels[p.number], *numbers))
    return _in_width(wrapped_table(lines, range(len(lines[0])), width), forecast_sentences(found, labels), width)
