"""How the plan of a study did: each stage's seconds as they were foretold and as they were, on a page and, in a sentence, on a terminal."""

from __future__ import annotations

from analysis.records.stages import STAGES, Outlook
from analysis.report.html import Html, paragraphs, table
from analysis.text import words

WORTH_A_ROW_SECONDS = 0.05
WORTH_SAYING = 0.1
"""Difference of the shares of the processors, planned and had, from which it is said."""
UNPLANNED = (
    "No plan was kept when it began: `archfront plan` before a run, or an earlier run of its recipe, on the machine that trains, gives one."
)


def outlook_sentence(found: Outlook) -> str | None:
    """`It was planned to take 4 min 10 s and took 4 min 2 s (3 % less).`, or that nothing was planned; None where nothing is known."""
    if not found.seconds:
        return None
    if found.foretold is None:
        return f"It took {words.duration(sum(found.seconds.values()))}. {UNPLANNED}"
    planned = sum(seconds for name, seconds in found.foretold.seconds.items() if name in found.seconds)
    took = sum(found.seconds.values())
    if found.trained > found.foretold.trials:  # it was continued with more of them, and no ratio would be of one thing
        said = (
            f"{found.foretold.trials} trials were planned to take {words.duration(planned)} and {found.trained} took {words.duration(took)}"
        )
    else:
        ratio = took / planned - 1 if planned else 0.0
        said = f"It was planned to take {words.duration(planned)} and took {words.duration(took)}"
        said += f" ({abs(ratio):.0%} {'more' if ratio > 0 else 'less'})"
    said += f", by {found.foretold.basis}."
    if (had := found.taken.processor_share) and abs(had / found.foretold.processor_share - 1) > WORTH_SAYING:
        share = found.foretold.processor_share
        said += (
            f" Its trials had {had:.0%} of their processors beside other work of the machine, and {share:.0%} was planned with: with what "
            f"they had the plan is {words.duration(planned * share / had)}."
        )
    if (cut := found.taken.begun - found.taken.ended) > 0:
        said += f" {words.plural(cut, 'run')} of {found.taken.begun} did not come to an end; those seconds are not counted."
    return said


def _rows(found: Outlook) -> list[tuple[str, str, str]]:
    """Every stage that was planned or took time: its name, seconds planned and seconds taken."""
    rows = []
    for name, title in STAGES.items():
        both = (None if found.foretold is None else found.foretold.seconds.get(name), found.seconds.get(name))
        if max(each or 0.0 for each in both) >= WORTH_A_ROW_SECONDS:
            planned, took = (words.ABSENT if each is None else words.duration(each) for each in both)
            rows.append((title, planned, took))
    return rows


STAGES_CAPTION = (
    "Seconds on the clock of the wall. What the trials took together is shared among training, evaluation and latency as they share the "
    "workers; waiting for others' measurements counts as latency, and a worker without a trial as training."
)


def plan_part(found: Outlook) -> list[Html]:
    """A sentence and a table; nothing where it is not known what the study took."""
    if not found.seconds:
        return []
    said = outlook_sentence(found)
    return [*([paragraphs([said])] if said else []), table({"Stage": False, "planned": True, "took": True}, _rows(found), STAGES_CAPTION)]
