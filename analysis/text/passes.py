"""How often trainings go through their text, and from when on that is told as a doubt."""

from __future__ import annotations

from collections.abc import Iterable

from analysis.records.record import TrialRecord
from analysis.text.words import quantity

GOOD_EPOCHS = 4
"""Passes over a text up to which repeated tokens are worth about as much as new ones (arXiv 2305.16264)."""


def passes_text(passes: float) -> str:
    """`0.42 passes`, `3.1 passes`, `22 passes`."""
    return f"{passes:.2f} passes" if passes < 1 else f"{passes:.1f} passes" if passes < 10 else f"{passes:,.0f} passes"


def passes_range(fewest: float, most: float) -> str:
    """`3.1 passes`, or `0.42 to 3.1 passes` where they differ as they are written."""
    low, high = passes_text(fewest), passes_text(most)
    return high if low == high else f"{low.removesuffix(' passes')} to {high}"


def repetition_warning(passes: float) -> str | None:
    """What so many passes over a text mean; None where repeated tokens are as good as new ones."""
    if passes <= GOOD_EPOCHS:
        return None
    return (
        f"beyond {GOOD_EPOCHS} passes repeated text is worth less than new (arXiv 2305.16264), and losses are those of repetition; name a "
        "larger corpus, or fewer training tokens"
    )


def passes_sentences(records: Iterable[TrialRecord], beyond: float = 0) -> list[str]:
    """How often the finished trainings went through the train split, with a warning where they repeat it much.

    None where no record knows its size, or none made more passes than `beyond`.
    """
    trainings = [record.training for record in records if record.finished and record.training is not None]
    passes = [training.passes for training in trainings if training.passes is not None]
    if not passes or max(passes) <= beyond:
        return []
    tokens = sorted({training.text_tokens for training in trainings if training.text_tokens is not None})
    of = quantity(tokens[0]) if len(tokens) == 1 else f"{quantity(tokens[0])} to {quantity(tokens[-1])}"
    warning = repetition_warning(max(passes))
    said = f"Each training made {passes_range(min(passes), max(passes))} over the {of} tokens of its text"
    return [f"{said}{f': {warning}' if warning else ''}."]
