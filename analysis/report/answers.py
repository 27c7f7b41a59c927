"""What moves the loss from shape to shape, by this study and by longer trainings that ship: deep or wide, heads, sharing, and how sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from analysis.fidelity.longer_trainings import LongerSet, kindred_sets
from analysis.fronts.effects import SHAPE_FACTORS, Effect, effects
from analysis.fronts.front import Front
from analysis.objectives.registry import validation_set_of
from analysis.records.record import TrialRecord
from analysis.report.html import Html, paragraphs, table
from analysis.text.columns import aligned
from analysis.text.words import ABSENT, capitalised, quantity

SHIPPED_QUALITY = "bits_per_byte"
"""The objective that the shipped trainings have."""
CAPTION = (
    "What doubling one thing does to the loss while the others are held and the widths follow the budget: slopes by least squares over all "
    "shapes, with 90 % intervals. Below zero is better. They say what shapes have in common; a single pair may differ the other way."
)


MARK_OF_OTHERS = "shipped, not of this study;"
"""The mark of longer trainings."""
MARK_OF_LATER = "where they disagree with this study, they are later in a training, which is where a model is used"
"""What to make of two answers to one question."""


@dataclass(frozen=True)
class _Answers:
    """Effects of each source by factor."""

    own: dict[str, Effect]
    times: dict[str, Effect]
    """What the first objective that is measured does."""
    timed: str
    """What that is called, such as `latency`."""
    longer: list[tuple[LongerSet, dict[str, Effect]]]
    tokens: float
    """Training tokens of this study's shapes, the middle of them."""

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Question, what is doubled and its price in what is measured, whose shapes, which way is better, and by how much."""
        found = []
        for factor in SHAPE_FACTORS:
            asked = (f"{factor.question}?", factor.name)
            own, time = self.own.get(factor.name), self.times.get(factor.name)
            price = "" if own is None or time is None else f", {1 + time.change:.2f} times the {self.timed}"
            sources = [("this study", own), *((f"longer, {each.title}", of_set.get(factor.name)) for each, of_set in self.longer)]
            for place, (source, effect) in enumerate(sources):
                verdict = "varies too little, or with the others" if effect is None else effect.verdict
                change = ABSENT if effect is None else effect.change_text
                head = (asked[0], f"{asked[1]}{price}") if not place else ("", "")
                found.append((*head, source, verdict, change))
        return found

    @property
    def sources(self) -> list[str]:
        """Where the longer trainings come from, a sentence each."""
        said = [f"longer, {each.title}: {each.described}; {MARK_OF_OTHERS} {each.command} repeats them" for each, _ in self.longer]
        return [*said, MARK_OF_LATER] if said else []


def answers_text(records: Sequence[TrialRecord], front: Front, corpus: str) -> str:
    """Each question with what this study and the longer trainings say; empty where the study cannot say anything."""
    found = _answers(records, front, corpus)
    if found is None:
        return ""
    rows = found.rows()
    told = aligned([row[2:] for row in rows], (0, 1))
    lines = [
        f"What moves the loss of {len(front.points)} shapes after {quantity(found.tokens)} tokens: "
        "one thing doubled, the others held (90 % intervals; below zero is better)"
    ]
    for row, line in zip(rows, told, strict=True):
        lines += [f"{row[0]} ({row[1]})"] if row[0] else []
        lines.append(f"  {line}")
    return "\n".join([*lines, *found.sources])


def answers_part(records: Sequence[TrialRecord], front: Front, corpus: str) -> list[Html]:
    """The questions and answers as a table; nothing where the study cannot say anything."""
    found = _answers(records, front, corpus)
    if found is None:
        return []
    columns = {"Question": False, "Doubled": False, "Whose shapes": False, "Better": False, "change in bits per byte": True}
    rows = found.rows()
    own = [place for place, row in enumerate(rows) if row[0]]
    return [
        table(columns, rows, CAPTION, own, is_sortable=False),
        *([paragraphs(f"{capitalised(text)}." for text in found.sources)]),
    ]


def _answers(records: Sequence[TrialRecord], front: Front, corpus: str) -> _Answers | None:
    """The effects on the first loss in bits per byte and on the first objective that is measured, with kindred longer trainings."""
    moved = [place for place, each in enumerate(front.objectives) if each.name == SHIPPED_QUALITY or validation_set_of(each.name)]
    timed = [place for place, objective in enumerate(front.objectives) if objective.noise == "measurement"]
    shapes = {record.number: record.architecture for record in records}
    numbers = [number for number, point in front.points.items() if min(point.values) > 0]

    def of(places: Sequence[int]) -> dict[str, Effect]:
        values = [[front.points[number].values[place] for number in numbers] for place in places[:1]]
        return _by_factor(effects([shapes[number] for number in numbers], values[0])) if values else {}

    if not (own := of(moved)):
        return None
    sets = kindred_sets(corpus, [shapes[number] for number in numbers]) if front.objectives[moved[0]].name == SHIPPED_QUALITY else []
    tokens = median(record.training.tokens for record in records if record.number in front.points and record.training is not None)
    label = front.objectives[timed[0]].words.label if timed else ""
    return _Answers(own, of(timed), label, [(each, _by_factor(each.effects())) for each in sets], tokens)


def _by_factor(found: Sequence[Effect]) -> dict[str, Effect]:
    return {effect.factor.name: effect for effect in found}
