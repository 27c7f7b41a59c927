"""A task's result: how often the right option was the likeliest, by itself and a letter, with intervals, and held against another model's.

Intervals are Wilson's for a share (JASA 22, 1927), and Agresti and Min's for the difference of two models on the same questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from analysis.statistics.arrays import Array
from analysis.statistics.intervals import standard_errors


@dataclass(frozen=True, slots=True)
class Scored:
    """One question as a model sees it."""

    log_likelihoods: tuple[float, ...]
    """Natural logarithm of the probability of each option."""
    lengths: tuple[int, ...]
    """Letters of each option, by which log-likelihoods are divided where length counts."""
    answer: int
    answer_bytes: int
    """UTF-8 bytes of the right option."""
    is_likeliest: bool
    """Whether the right option is what the model itself would write."""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share of questions, or the difference of two, with its interval."""

    value: float
    """The share, or the difference."""
    low: float
    """Lower end of the 90 % interval."""
    high: float
    """Upper end of the 90 % interval."""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a model made of a task."""

    task: str
    """The task's name."""
    questions: int
    """How many were asked."""
    chance: float
    """Accuracy of who guesses."""
    accuracy: Estimate
    """Share of questions whose right option is the likeliest, or, where there is one option, is what the model would write."""
    accuracy_normalised: Estimate | None
    """Share by log-likelihood a letter; None where there is one option."""
    bits_per_byte: float
    """Bits of the right options over all their bytes."""
    groups: dict[str, float]
    """Accuracy of each part of the task that is told by itself."""

    @property
    def at_chance(self) -> bool:
        """Whether the interval of the accuracy holds what guessing gives."""
        return self.accuracy.low <= self.chance <= self.accuracy.high


@dataclass(frozen=True, slots=True)
class HarnessFigure:
    """One figure of a task, as the harness names it."""

    task: str
    """The harness' name of the task, or of a group of tasks."""
    metric: str
    """The harness' name of the figure, such as `acc_norm`."""
    value: float
    """The figure itself."""
    standard_error: float | None
    """How far the value may be off by the choice of questions; None where the harness does not say."""
    questions: int | None
    """How many were asked; None where the figure is of a group of tasks."""


def task_result(task: str, scored: Sequence[Scored]) -> TaskResult:
    """The result of at least one question."""
    single = all(len(each.log_likelihoods) == 1 for each in scored)
    right = rights(scored)
    groups: dict[str, list[float]] = {}
    for each, is_right in zip(scored, right, strict=True):
        if each.group:
            groups.setdefault(each.group, []).append(float(is_right))
    bits = -sum(float(each.log_likelihoods[each.answer]) for each in scored) / log(2)
    return TaskResult(
        task=task,
        questions=len(scored),
        chance=0.0 if single else float(np.mean([1 / len(each.log_likelihoods) for each in scored])),
        accuracy=share(right),
        accuracy_normalised=None if single else share(rights(scored, normalised=True)),
        bits_per_byte=bits / sum(each.answer_bytes for each in scored),
        groups={name: float(np.mean(values)) for name, values in sorted(groups.items())},
    )


def rights(scored: Sequence[Scored], *, normalised: bool = False) -> Array:
    """1 where a question was answered rightly, else 0, (questions,)."""
    return np.array([float(_is_right(each, normalised)) for each in scored])


def _is_right(each: Scored, normalised: bool) -> bool:
    if len(each.log_likelihoods) == 1:
        return each.is_likeliest
    values = np.array(each.log_likelihoods) / (np.array(each.lengths) if normalised else 1)
    return int(values.argmax()) == each.answer


def share(right: Array) -> Estimate:
    """Share of ones with Wilson's interval."""
    return share_of(float(right.sum()), len(right))


def share_of(right: float, count: int) -> Estimate:
    """Share of so many questions that were answered rightly, or of a mean of several answers to each, with Wilson's interval."""
    value, z = right / count, standard_errors()
    middle = (value + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * sqrt(value * (1 - value) / count + z * z / (4 * count * count))
    return Estimate(value, max(0.0, middle - half), min(1.0, middle + half))


def paired_difference(ours: Array, theirs: Array) -> Estimate:
    """Accuracy of one model minus another's on the same questions, each (questions,).

    The interval is Agresti and Min's (Statistics in Medicine 24, 2005): the normal one after half a question was added to each of the four
    ways in which two models can answer one, so that models which agreed on ten questions are not called equal.
    """
    count, z = len(ours) + 2, standard_errors()
    more, less = float((ours > theirs).sum()) + 0.5, float((ours < theirs).sum()) + 0.5
    middle, half = (more - less) / count, z * sqrt(more + less - (more - less) ** 2 / count) / count
    return Estimate(float((ours - theirs).mean()), middle - half, middle + half)
