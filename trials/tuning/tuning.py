"""A network tuned on the answers of chats, and how well it foretells those of chats that it has not seen."""

from __future__ import annotations

import logging
import math
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from analysis.tasks.answer_loss import AnswerNats
from search_space.errors import WorkError
from trials.network.decoder import Network
from trials.training.failures import OutOfMemory, memory_errors
from trials.training.lean_lightning import lightning
from trials.training.lightning_loop import trainer
from trials.training.loss import cross_entropy, tokens_at_once
from trials.training.optimizers import BETAS, EPSILON
from trials.tuning.examples import Example

WARMUP = 0.05
"""Share of the steps over which the learning rate rises; it falls linearly to 0 over the others."""
RATE_TIMES_WIDTH = 0.1
"""Learning rate where none is given, times `hidden_size`: Adam's for hidden matrices goes with one over the width (arXiv 2203.03466)."""
CLIPPED_NORM = 1.0
LOOKED_AT_TOKENS = 8192
"""Tokens of a batch that is only looked at, padding counted."""

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningRecipe:
    """How a network is tuned."""

    epochs: int
    """How often each chat is gone through."""
    batch_chats: int
    """Chats of a step."""
    learning_rate: float
    """Highest of AdamW's."""
    seed: int
    """Seed of the order of the chats."""


def usual_rate(network: Network) -> float:
    """The learning rate where none is given."""
    return RATE_TIMES_WIDTH / network.architecture.hidden_size


def steps_of(recipe: TuningRecipe, chats: int) -> int:
    """Steps of a tuning on so many chats."""
    return recipe.epochs * math.ceil(chats / recipe.batch_chats)


def tune_network(network: Network, examples: Sequence[Example], recipe: TuningRecipe, told: Callable[[int, int, float], None]) -> None:
    """Move the network's weights, in place, towards the answers; what is shared stays so.

    `told` hears of the step, of how many there are, and of the loss, in nats a token of an answer. Raises WorkError where the loss is no
    number any more.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.requires_grad_(True)
    try:
        module = _Tuning(network, recipe, steps_of(recipe, len(examples)), told)
        with memory_errors(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)`", category=FutureWarning)  # Lightning's own
            trainer(device, "float32").fit(module, _Batches(examples, recipe))
    except OutOfMemory:
        raise WorkError(
            "a step of the tuning must fit into memory, found that it does not, so nothing is written; lower --batch-chats, or leave out "
            "long chats"
        ) from None
    finally:
        network.cpu().requires_grad_(False)


class _Tuning(lightning.LightningModule):  # type: ignore[misc]  # Lightning is not typed for mypy's strict mode
    def __init__(self, network: Network, recipe: TuningRecipe, steps: int, told: Callable[[int, int, float], None]) -> None:
        super().__init__()
        self.automatic_optimization = False  # the rate is set for each step, and the loss is told
        self.network, self.recipe, self.steps, self.told, self.step = network, recipe, steps, told, 0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW over every stored weight, a shared one once."""
        self.adam = torch.optim.AdamW(self.network.parameters(), self.recipe.learning_rate, BETAS, EPSILON, weight_decay=0.0)
        return self.adam

    def training_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Forward, backward and update for ids and places of answers, both [chats, longest]."""
        ids, learned = batch
        for group in self.adam.param_groups:
            group["lr"] = self.recipe.learning_rate * rate_share(self.step, self.steps)
        states = self.network.hidden_states(ids[:, :-1])
        loss = cross_entropy(states[learned[:, 1:]], self.network.output_weight, ids[:, 1:][learned[:, 1:]])
        if not math.isfinite(found := loss.item()):
            raise WorkError(f"the loss is {found} after {self.step} of {self.steps} steps, so nothing is written; lower --learning-rate")
        self.adam.zero_grad()
        self.manual_backward(loss)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIPPED_NORM)
        self.adam.step()
        self.step += 1
        self.told(self.step, self.steps, found)


def rate_share(step: int, steps: int) -> float:
    """Learning rate of a step relative to the highest."""
    rising = max(1, round(WARMUP * steps))
    return (step + 1) / rising if step < rising else (steps - step) / max(1, steps - rising)


class _Batches:
    """Every chat once an epoch, in an order of the seed's, chats of a step padded at their ends."""

    def __init__(self, examples: Sequence[Example], recipe: TuningRecipe) -> None:
        self.examples, self.recipe = examples, recipe

    def __len__(self) -> int:
        return steps_of(self.recipe, len(self.examples))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        chance = random.Random(self.recipe.seed)
        for _ in range(self.recipe.epochs):
            order = chance.sample(range(len(self.examples)), len(self.examples))
            for begin in range(0, len(order), self.recipe.batch_chats):
                yield padded([self.examples[place] for place in order[begin : begin + self.recipe.batch_chats]])


def padded(examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Ids and places that are learned, both [examples, longest]; what follows an end is neither seen nor learned."""
    longest = max(len(example.ids) for example in examples)
    ids, learned = numpy.zeros((len(examples), longest), numpy.int64), numpy.zeros((len(examples), longest), bool)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)], learned[row, : len(example.ids)] = example.ids, example.learned
    return torch.from_numpy(ids), torch.from_numpy(learned)


@torch.inference_mode()
def answer_nats(network: Network, examples: Sequence[Example]) -> list[AnswerNats]:
    """Nats of each chat's answers after what stands before them."""
    found: list[AnswerNats | None] = [None] * len(examples)
    order = sorted(range(len(examples)), key=lambda place: len(examples[place].ids))
    while order:
        longest = len(examples[order[-1]].ids)
        batch = [order.pop() for _ in range(min(len(order), max(1, LOOKED_AT_TOKENS // longest)))]
        ids, learned = padded([examples[place] for place in batch])
        states = network.hidden_states(ids[:, :-1])
        for row, place in enumerate(batch):
            places = learned[row, 1:]
            found[place] = _nats(states[row][places], network.output_weight, ids[row, 1:][places])
    return [each for each in found if each is not None]


def _nats(states: Tensor, weight: Tensor, targets: Tensor) -> AnswerNats:
    pieces = zip(*(torch.split(whole, tokens_at_once(len(weight))) for whole in (states, targets)), strict=True)
    nats = sum(float(functional.cross_entropy(some @ weight.T, wanted, reduction="sum")) for some, wanted in pieces)
    return AnswerNats(nats, len(targets))
