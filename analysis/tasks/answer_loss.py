"""How well a model foretells answers of chats: nats a token, with the interval of so many chats, and before against after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.statistics.arrays import Array
from analysis.statistics.cluster_error import half_width, ratio_error
from analysis.tasks.task_result import Estimate


@dataclass(frozen=True, slots=True)
class AnswerNats:
    """The answers of one chat."""

    nats: float
    """Summed over their tokens."""
    tokens: int


def loss_estimate(chats: Sequence[AnswerNats]) -> Estimate | None:
    """Nats a token over all chats; None of fewer than two. Words of one chat are no independent draws, chats are."""
    return _ratio(np.array([chat.nats for chat in chats]), np.array([float(chat.tokens) for chat in chats]))


def loss_change(after: Sequence[AnswerNats], before: Sequence[AnswerNats]) -> Estimate | None:
    """Nats a token more (below 0: fewer) than before, on the same chats."""
    apart = np.array([new.nats - old.nats for new, old in zip(after, before, strict=True)])
    return _ratio(apart, np.array([float(chat.tokens) for chat in after]))


def mean_estimate(values: Sequence[float]) -> Estimate | None:
    """The mean of figures of one answer each; None of fewer than two."""
    return _ratio(np.array(values), np.ones(len(values)))


def _ratio(amounts: Array, sizes: Array) -> Estimate | None:
    count, error = ratio_error(amounts, sizes, np.arange(len(amounts)))
    if error is None:
        return None
    value, half = float(amounts.sum() / sizes.sum()), half_width(error, count)
    return Estimate(value, value - half, value + half)
