"""Seconds of trainings and evaluations by what was timed before: a small law of a step, fitted to a table's rows. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from search_space import cost
from search_space.architecture import Architecture
from trials.plans.pace_table import TrainingPace, trusted
from trials.study.spec import ProxySpec

ENOUGH_ROWS = 6
"""Rows from which each part of a step has a price of its own; with fewer, FLOPs and executed blocks alone have."""
FARTHEST_SIZE = 4.0
"""Times the FLOPs of the largest row, or of the smallest, beyond which a table's rows say too little of a shape."""
MUON_ITERATIONS = 5
"""Iterations of `trials.training.muon`, which needs torch."""
USUAL_EVALUATION = 1.0
"""Speed of an evaluation in FLOPs a second over that of a step, where none was timed."""


def step_flops(shape: Architecture, proxy: ProxySpec) -> float:
    """FLOPs of a step of the recipe, those of the optimizer's products included."""
    tokens = proxy.batch_sequences * proxy.context_tokens
    return float(tokens * cost.training_flops_per_token(shape, proxy.context_tokens)) + optimizer_flops(shape, proxy.optimizer)


def optimizer_flops(shape: Architecture, optimizer: str) -> float:
    """FLOPs of the products that an optimizer's step makes: of Muon's iteration on each stored matrix of the blocks; AdamW makes none."""
    if optimizer != "muon":
        return 0.0
    width, heads = shape.hidden_size, (shape.num_attention_heads * shape.head_dim, shape.num_key_value_heads * shape.head_dim)
    attention = 2 * sum(_iterated(width, head) for head in heads)
    mlp = (3 if shape.mlp == "swiglu" else 2) * _iterated(width, shape.intermediate_size)
    return float(shape.stored_attentions * attention + shape.stored_mlps * mlp)


def _iterated(rows: int, columns: int) -> int:
    """FLOPs of the iteration's three products on one matrix: its square, the square of that, and a product with the matrix."""
    short, long = sorted((rows, columns))
    return MUON_ITERATIONS * (4 * short**2 * long + 2 * short**3)


@dataclass(frozen=True, slots=True)
class StepLaw:
    """Seconds of a training's step: not negative prices of its FLOPs, executed blocks, weights (the optimizer) and of each step."""

    prices: tuple[float, ...]
    evaluation_flops_per_second: float
    start_seconds: float
    rows: int
    are_of_studies: bool
    """Whether whole trainings of studies are what it rests on, not steps that were timed for a plan."""

    @classmethod
    def of(cls, known: Sequence[TrainingPace]) -> StepLaw:
        """The law of these rows, at least one, by relative errors."""
        import numpy as np  # here, with scipy: a study of which nothing is known is refused, or not, without them
        from scipy.optimize import nnls

        rows = trusted(known)
        terms = np.array([_terms(row.step_flops, row.executed_blocks, row.parameters, 1.0)[: _prices(rows)] for row in rows])
        seconds = np.array([row.seconds_per_token * row.step_tokens for row in rows])
        scales = terms.max(axis=0)
        prices = nnls(terms / scales / seconds[:, None], np.ones(len(rows)))[0] / scales
        judged = [row.evaluation_flops_per_second for row in rows if row.evaluation_flops_per_second]
        speed = median(row.step_flops / (row.seconds_per_token * row.step_tokens) for row in rows)
        return cls(
            prices=tuple(float(price) for price in prices),
            evaluation_flops_per_second=median(judged) if judged else USUAL_EVALUATION * speed,
            start_seconds=median(row.start_seconds for row in rows),
            rows=len(rows),
            are_of_studies=rows[0].origin == "run",
        )

    def seconds_per_token(self, shape: Architecture, proxy: ProxySpec) -> float:
        """Seconds of training a token of a shape by the recipe."""
        tokens = proxy.batch_sequences * proxy.context_tokens
        terms = (step_flops(shape, proxy), shape.num_hidden_layers, cost.parameters(shape), 1.0)
        return sum(price * term for price, term in zip(self.prices, terms, strict=False)) / tokens

    def evaluation_seconds(self, shape: Architecture, tokens: float, context_tokens: int) -> float:
        """Seconds of an evaluation of so many tokens."""
        return tokens * cost.decode_flops(shape, context_tokens) / self.evaluation_flops_per_second


def covers(rows: Sequence[TrainingPace], shapes: Sequence[Architecture], proxy: ProxySpec) -> bool:
    """Whether the rows are near enough in size to all of the shapes to say what they take."""
    if not rows:
        return False
    asked = [step_flops(shape, proxy) for shape in shapes]
    there = [row.stands_for_flops for row in rows]
    return min(asked) * FARTHEST_SIZE >= min(there) and max(asked) <= FARTHEST_SIZE * max(there)


def _terms(flops: float, blocks: int, parameters: int, step: float) -> tuple[float, ...]:
    return flops, blocks, parameters, step


def _prices(rows: Sequence[TrainingPace]) -> int:
    """How many parts of a step have a price: FLOPs alone where blocks stand for far larger steps, for rows of one size cannot tell them
    from the rest.
    """
    if any(row.stands_for_flops > FARTHEST_SIZE * row.step_flops for row in rows):
        return 1
    return 4 if len(rows) >= ENOUGH_ROWS else 2
