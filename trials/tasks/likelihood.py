"""Log-likelihoods of a task's options by our network, in batches of texts of nearly one length.

A text longer than the context loses its beginning, as in lm-evaluation-harness.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from analysis.tasks.task_result import Scored
from trials.network.decoder import Network
from trials.tasks.encoding import EncodedOption, EncodedQuestion

BATCH_TOKENS = 4096
"""Tokens of a batch, padding counted; larger ones are no quicker on a processor."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a continuation is."""

    log_likelihood: float
    """Natural logarithm of its probability, summed over its tokens."""
    is_likeliest: bool
    """Whether each of its tokens is the likeliest one there."""


def option_likelihoods(
    network: Network, options: Sequence[EncodedOption], context_tokens: int, *, pause: Callable[[], object] | None = None
) -> list[Likelihood]:
    """What each option has, in their order; computed in float32 where the network is. `pause` is called before every pass."""
    kept = [(*option.before, *option.after)[-(context_tokens + 1) :] for option in options]
    wanted: dict[tuple[int, ...], list[int]] = {}
    for place, ids in enumerate(kept):
        wanted.setdefault(ids[:-1], []).append(place)
    rows = sorted(wanted, key=len)
    found: list[Likelihood | None] = [None] * len(options)
    begin = 0
    while begin < len(rows):
        end = begin + 1
        while end < len(rows) and len(rows[end]) * (end + 1 - begin) <= BATCH_TOKENS:
            end += 1
        batch = rows[begin:end]
        if pause is not None:
            pause()
        states = _states(network, batch)
        for row, hidden in zip(batch, states, strict=True):
            for place in wanted[row]:
                found[place] = _likelihood(network, hidden[: len(row)], options[place].after)
        begin = end
    return [each for each in found if each is not None]


def score_questions(
    network: Network, questions: Sequence[EncodedQuestion], context_tokens: int, *, pause: Callable[[], object] | None = None
) -> list[Scored]:
    """Every question with the log-likelihoods of its options."""
    every = option_likelihoods(network, [option for question in questions for option in question.options], context_tokens, pause=pause)
    found, begin = [], 0
    for question in questions:
        of_item = every[begin : begin + len(question.options)]
        begin += len(question.options)
        found.append(
            Scored(
                log_likelihoods=tuple(each.log_likelihood for each in of_item),
                lengths=question.lengths,
                answer=question.answer,
                answer_bytes=question.answer_bytes,
                is_likeliest=of_item[question.answer].is_likeliest,
                group=question.group,
            )
        )
    return found


@torch.no_grad()  # not inference_mode: what the network keeps for later (RoPE tables) must stay usable in training
def _states(network: Network, rows: Sequence[tuple[int, ...]]) -> Tensor:
    """What the output projection reads, [rows, longest, hidden_size]; what follows a row's end does not change it."""
    longest = max(map(len, rows))
    tokens = torch.from_numpy(numpy.array([[*row, *[0] * (longest - len(row))] for row in rows], numpy.int64))
    device = network.output_weight.device
    with torch.autocast(device.type, enabled=False):
        return network.hidden_states(tokens.to(device))


@torch.no_grad()
def _likelihood(network: Network, states: Tensor, continuation: Sequence[int]) -> Likelihood:
    logits = functional.linear(states[-len(continuation) :], network.output_weight).double()
    ids = torch.tensor(continuation, device=logits.device)
    chosen = logits.log_softmax(-1).gather(1, ids[:, None]).sum()
    return Likelihood(float(chosen), bool((logits.argmax(-1) == ids).all()))
