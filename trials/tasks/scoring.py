"""Log-likelihoods of a task's options by our network, in batches of texts of nearly one length.

Texts become ids as in lm-evaluation-harness: context and continuation are encoded as one, and what the context alone does not explain is
the continuation's. The space between belongs to the continuation. A text longer than the model's context loses its beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from analysis.tasks.task_result import Scored
from search_space.errors import SpecError
from trials.models.loaded_model import LoadedModel
from trials.tasks.question import Option, Question

BATCH_TOKENS = 4096
"""Tokens of a batch, padding counted; larger ones are no quicker on a processor."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a continuation is."""

    log_likelihood: float
    """Natural logarithm of its probability, summed over its tokens."""
    is_likeliest: bool
    """Whether each of its tokens is the likeliest one there."""


def pair_of_ids(model: LoadedModel, option: Option) -> tuple[list[int], list[int]]:
    """Ids of context and continuation."""
    context, continuation = option.context.rstrip(), option.continuation
    continuation = option.context[len(context) :] + continuation
    if not context:
        return [model.prefix_token_id], model.encode(continuation)
    whole, before = model.encode(context + continuation), model.encode(context)
    return before, whole[len(before) :]


def likelihoods(model: LoadedModel, options: Sequence[Option]) -> list[Likelihood]:
    """What each option has, in their order. Raises SpecError where a continuation has no token, or more than the context has room for."""
    pairs = [pair_of_ids(model, option) for option in options]
    for option, (_, ids) in zip(options, pairs, strict=True):
        if not 0 < len(ids) <= model.context_tokens:
            raise SpecError(
                f"an answer must have 1 to {model.context_tokens} tokens (the context that {model.name} states), found {len(ids)} in "
                f"{option.continuation.strip()[:80]!r}; leave the question out"
            )
    kept = [(before + after)[-(model.context_tokens + 1) :] for before, after in pairs]
    wanted: dict[tuple[int, ...], list[int]] = {}
    for place, ids in enumerate(kept):
        wanted.setdefault(tuple(ids[:-1]), []).append(place)
    rows = sorted(wanted, key=len)
    found: list[Likelihood | None] = [None] * len(options)
    begin = 0
    while begin < len(rows):
        end = begin + 1
        while end < len(rows) and len(rows[end]) * (end + 1 - begin) <= BATCH_TOKENS:
            end += 1
        batch = rows[begin:end]
        states = _states(model, batch)
        for row, hidden in zip(batch, states, strict=True):
            for place in wanted[row]:
                found[place] = _likelihood(model, hidden[: len(row)], pairs[place][1])
        begin = end
    return [each for each in found if each is not None]


def scored(model: LoadedModel, questions: Sequence[Question]) -> list[Scored]:
    """Every question with the log-likelihoods of its options."""
    every = likelihoods(model, [option for question in questions for option in question.options])
    found, begin = [], 0
    for question in questions:
        of_item = every[begin : begin + len(question.options)]
        begin += len(question.options)
        found.append(
            Scored(
                log_likelihoods=tuple(each.log_likelihood for each in of_item),
                lengths=tuple(len(option.continuation) - (1 if option.continuation.startswith(" ") else 0) for option in question.options),
                answer=question.answer,
                answer_bytes=question.options[question.answer].answer_bytes,
                is_likeliest=of_item[question.answer].is_likeliest,
                group=question.group,
            )
        )
    return found


@torch.inference_mode()
def _states(model: LoadedModel, rows: Sequence[tuple[int, ...]]) -> Tensor:
    """What the output projection reads, [rows, longest, hidden_size]; what follows a row's end does not change it."""
    longest = max(map(len, rows))
    tokens = torch.from_numpy(numpy.array([[*row, *[0] * (longest - len(row))] for row in rows], numpy.int64))
    return model.network.hidden_states(tokens)


@torch.inference_mode()
def _likelihood(model: LoadedModel, states: Tensor, continuation: Sequence[int]) -> Likelihood:
    logits = functional.linear(states[-len(continuation) :], model.network.output_weight).double()
    ids = torch.tensor(continuation)
    chosen = logits.log_softmax(-1).gather(1, ids[:, None]).sum()
    return Likelihood(float(chosen), bool((logits.argmax(-1) == ids).all()))
