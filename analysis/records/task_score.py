"""TaskScore: how a trained network answers the questions of a task that its study names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from analysis.records.checked import Fraction, Measurement, PositiveCount, PositiveFloat


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFigures(Measurement):
    """What a network made of the questions, its weights in one form."""

    accuracy: Fraction
    """Share of questions whose right option is the likeliest, or, where there is one option, is what the network itself would write."""
    normalised_accuracy: Fraction | None
    """Share by log-likelihood a letter; None where questions have one option."""
    answer_bits_per_byte: PositiveFloat
    """Bits of the right options over all their bytes, the network not being asked for the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskScore(Measurement):
    """A task's figures."""

    questions: PositiveCount
    questions_sha256: str
    """SHA-256 of them, hexadecimal."""
    chance: Fraction
    """Accuracy of who guesses; 0 where there is one option."""
    in_float32: TaskFigures
    rounded: TaskFigures | None = None
    """Figures as the study's latency runtime rounds the network, as the quality on the validation split says; None elsewhere."""

    @property
    def deployed(self) -> TaskFigures:
        """What is deployed: as rounded where that is known, else in float32."""
        return self.rounded or self.in_float32


def mean_score(scores: Sequence[TaskScore]) -> TaskScore:
    """The mean of several seeds' answers to the same questions; as rounded where all of them were."""
    rounded = [score.rounded for score in scores if score.rounded is not None]
    return TaskScore(
        questions=scores[0].questions,
        questions_sha256=scores[0].questions_sha256,
        chance=scores[0].chance,
        in_float32=_mean([score.in_float32 for score in scores]),
        rounded=_mean(rounded) if len(rounded) == len(scores) else None,
    )


def _mean(figures: Sequence[TaskFigures]) -> TaskFigures:
    normalised = [each.normalised_accuracy for each in figures if each.normalised_accuracy is not None]
    return TaskFigures(
        accuracy=fmean(each.accuracy for each in figures),
        normalised_accuracy=fmean(normalised) if len(normalised) == len(figures) else None,
        answer_bits_per_byte=fmean(each.answer_bits_per_byte for each in figures),
    )
