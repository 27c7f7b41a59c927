"""A model beside the first of a table: bits per byte of the same documents and answers to the same questions, differences in pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from analysis.statistics.arrays import Array
from analysis.statistics.cluster_error import half_width, ratio_error
from analysis.statistics.intervals import standard_errors
from analysis.tasks.task_result import Estimate, TaskResult


@dataclass(frozen=True, slots=True)
class TextEstimate:
    """A figure of some documents, with the interval that others like them would give."""

    value: float
    """The figure itself."""
    low: float | None
    """Lower end; None of a single document."""
    high: float | None
    """Upper end; None of a single document."""


@dataclass(frozen=True, slots=True)
class TextScore:
    """What a model made of text, a document a value."""

    bits: Array
    """[documents] Bits of the predicted tokens."""
    sizes: Array
    """[documents] Bytes of the predicted text."""

    @property
    def bits_per_byte(self) -> TextEstimate:
        """All bits over all bytes."""
        return _ratio(self.bits, self.sizes)

    def less(self, other: TextScore) -> TextEstimate:
        """Bits per byte beyond those of another model on the same documents."""
        return _ratio(self.bits - other.bits, self.sizes)


def _ratio(bits: Array, sizes: Array) -> TextEstimate:
    count, error = ratio_error(bits, sizes, np.arange(len(bits)))
    value = float(bits.sum() / sizes.sum())
    width = None if error is None else half_width(error, count)
    return TextEstimate(value, None if width is None else value - width, None if width is None else value + width)


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """One row of a comparison."""

    model: str
    """The model's name, of a study's trial its directory and number."""
    shape: str
    """The architecture's label."""
    way: str
    """How its weights are kept."""
    parameters: int
    """Stored weights before any is left out."""
    stored_bytes: int
    """Every stored weight once, with its scales and with what says which weights are left."""
    retrained_tokens: int | None
    """Tokens that it was trained on after weights were left out; None where it was not."""
    trained_here: bool
    """Whether the study at hand trained it."""
    bits_per_byte: TextEstimate | None
    """Bits per byte of the text; None where none was read."""
    more_bits_per_byte: TextEstimate | None
    """Bits per byte beyond the first row's; None of the first."""
    tasks: Sequence[TaskResult]
    """What it made of each task; none where no task is asked."""
    more_accuracy: Mapping[str, Estimate]
    """Accuracy beyond the first row's, by task; none of the first."""
    more_accuracy_in_all: Estimate | None
    """Mean of that over the tasks; None of the first, and without tasks."""


def mean_difference(pairs: Sequence[tuple[Array, Array]]) -> Estimate:
    """The mean over tasks of one model's accuracy less another's, each pair of the same questions; every task counts alike.

    The interval is the normal one of the questions' choice: tasks are taken as they are, not as draws of all tasks there could be.
    """
    values = [float((ours - theirs).mean()) for ours, theirs in pairs]
    variances = []
    for ours, theirs in pairs:  # Agresti and Min's half a question, as in `paired_difference`
        count = len(ours) + 2
        more, less = float((ours > theirs).sum()) + 0.5, float((ours < theirs).sum()) + 0.5
        variances.append((more + less - (more - less) ** 2 / count) / count**2)
    middle, half = sum(values) / len(pairs), standard_errors() * sqrt(sum(variances)) / len(pairs)
    return Estimate(middle, middle - half, middle + half)
