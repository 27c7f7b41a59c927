"""Answers that call tools or tell what came of it: how many are right, and the figures that were published for the same question.

Intent: the names of what is called are the expected ones. Structure: all of the call is, arguments with their values too, read as JSON.
ROUGE-1 and ROUGE-L are of the answers that are text. The paper scores the same four; it does not publish its data or its arithmetic, so its
figures stand beside ours as an order of size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.tasks.answer_loss import mean_estimate
from analysis.tasks.task_result import Estimate, share


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredAnswer:
    """One written answer against the expected one."""

    is_intent_right: bool | None = None
    """Whether the right tools are called; None where none is to be called."""
    is_structure_right: bool | None = None
    """Whether the whole call is right."""
    rouge_1: float | None = None
    """F-measure of single words; None for calls, or where it was not computed."""
    rouge_l: float | None = None
    """F-measure of the longest common row of words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiScores:
    """Scores of a model's answers."""

    calls: int
    """Answers that call a tool."""
    texts: int
    """Answers that are text."""
    intent: Estimate | None
    """Share of calls with the right tools; None where no answer calls one."""
    structure: Estimate | None
    """Share of calls that are right as a whole; None where no answer calls a tool."""
    rouge_1: Estimate | None
    """Mean over the texts; None where it was not computed, or of fewer than two."""
    rouge_l: Estimate | None
    """Mean over the texts of the F-measure of the longest row of words in common; None where it was not computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedScores:
    """A row of a publication, in percent."""

    model: str
    """The model's name."""
    tuned_on: str
    """What it was tuned on."""
    intent: float
    """Calls with the right tools."""
    structure: float
    """Calls that are right as a whole."""
    rouge_1: float
    """Single words in common."""
    rouge_l: float
    """The longest row of words in common."""
    source: str
    """Where the figures were published."""
    grade: str
    """How sure the figures are: B, two transcriptions of the paper agree."""


PUBLISHED = (
    PublishedScores(
        model="MobileLLM-350M", tuned_on="the paper's API calls", intent=65.3, structure=48.8, rouge_1=46.8, rouge_l=44.6,
        source="arXiv 2402.14905, API calling", grade="B",
    ),
)  # fmt: skip


def api_scores(answers: Sequence[ScoredAnswer]) -> ApiScores:
    """Shares with Wilson's intervals, means with Student's."""
    intents, structures = ([getattr(each, name) for each in answers] for name in ("is_intent_right", "is_structure_right"))
    rouges = [[value for each in answers if (value := getattr(each, name)) is not None] for name in ("rouge_1", "rouge_l")]
    return ApiScores(
        calls=sum(value is not None for value in intents),
        texts=sum(value is None for value in intents),
        intent=_share(intents),
        structure=_share(structures),
        rouge_1=mean_estimate(rouges[0]),
        rouge_l=mean_estimate(rouges[1]),
    )


def _share(values: Sequence[bool | None]) -> Estimate | None:
    known = [float(value) for value in values if value is not None]
    return share(np.array(known)) if known else None
