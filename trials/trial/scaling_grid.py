"""The trainings of a scaling study: every budget times every shape times every number of tokens, as tasks in a fixed order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from analysis.records.record import Kind
from search_space import cost
from search_space.architecture import Architecture
from search_space.budget import Budget
from search_space.errors import SpecError, unknown_key
from search_space.families import FAMILIES, family
from search_space.proportions import Proportions, scaled
from search_space.sharing import Sharing
from trials.study.scaling_spec import ScalingSpec, ShapeSpec
from trials.study.spec import StudySpec
from trials.training.schedules import RunLength
from trials.trial.references import MODELS
from trials.trial.task import TrialTask

SIZE_STEPS = 12
"""Most sizes that are tried until one spends its FLOPs at the tokens that are asked for."""
CLOSE_SIZE = 0.02
"""A size whose tokens are so near to those asked for is taken; what is left over goes into its tokens."""


@dataclass(frozen=True, slots=True)
class _Point:
    """One training of the grid, seeds aside."""

    name: str
    architecture: Architecture
    tokens: int
    """Tokens at the end of the trunk, in whole steps, so that what is asked for is what the record will say."""


def planned_tasks(study: StudySpec) -> list[TrialTask]:
    """The trainings in the order of their FLOPs, those of later seeds after all others; empty where the study is a search.

    A number is a place in this list, on whatever machine, whether or not the machine can run it. Shapes that come out equal are one,
    under all their names. Raises SpecError where a shape cannot spend a budget.
    """
    if study.scaling is None:
        return []
    facts = study.model_dump_json(include={"scaling", "space", "proxy", "search"}, exclude={"proxy": {"precision", "compile"}})
    return [*_planned(_Asked(facts, study))]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A study of which only what decides its grid tells it from another."""

    facts: str
    study: StudySpec = field(compare=False)


@lru_cache(maxsize=4)
def _planned(asked: _Asked) -> tuple[TrialTask, ...]:
    study = asked.study
    assert study.scaling is not None
    context, merged = study.proxy.context_tokens, dict[tuple[Architecture, int], str]()
    for point in _points(study, study.scaling):
        key = point.architecture, point.tokens
        merged[key] = f"{merged[key]} and {point.name}" if key in merged else point.name
    found = [_Point(name, shape, tokens) for (shape, tokens), name in merged.items()]
    found.sort(key=lambda point: (point.tokens * cost.training_flops_per_token(point.architecture, context), point.name))
    first = [
        TrialTask(
            number=number, kind=Kind.GRID, name=point.name, architecture=point.architecture, seed=study.search.seed, tokens=point.tokens
        )
        for number, point in enumerate(found)
    ]
    again = [
        replace(task, number=turn * len(first) + task.number, kind=Kind.REPLICATE, replicates=task.number, seed=task.seed + turn)
        for turn in range(1, study.scaling.seeds)
        for task in first
    ]
    return *first, *again


def largest_first(tasks: Sequence[TrialTask], study: StudySpec) -> list[TrialTask]:
    """The order in which they are handed out, so that workers side by side end at about one time; a first seed before its others."""
    context = study.proxy.context_tokens
    return sorted(tasks, key=lambda task: (-(task.tokens or 0) * cost.training_flops_per_token(task.architecture, context), task.number))


def proportions(spec: ShapeSpec) -> Proportions:
    """What a shape of the grid keeps at every budget; SpecError for a model that nobody has published."""
    if spec.like not in MODELS and spec.like.lower() not in FAMILIES:
        raise unknown_key(f"scaling.shapes: {spec.like}", spec.like, (*MODELS, *FAMILIES))
    stated = {
        name: getattr(spec, name) for name in ("aspect_ratio", "num_unique_layers", "mlp_ratio", "head_ratio", "key_value_ratio", "mlp")
    }
    changes = {name: value for name, value in stated.items() if value is not None}
    if spec.sharing is not None:
        changes["sharing"] = Sharing.parse(spec.sharing)
    return replace(Proportions.of(MODELS.get(spec.like) or family(spec.like)), **changes)


def _points(study: StudySpec, scaling: ScalingSpec) -> Iterator[_Point]:
    quantity = scaling.budgets.quantity
    if quantity != "flops":  # a vocabulary that leaves nothing shows at the smallest size, and is told before the large ones are solved for
        for name, spec in scaling.shapes.items():
            _sized(study, scaling, name, proportions(spec), scaling.budgets.values[0], quantity)
    for name, spec in scaling.shapes.items():
        model = proportions(spec)
        for value in scaling.budgets.values:
            if quantity == "flops":
                for length in scaling.lengths:
                    yield _spending(study, scaling, name, model, value, length)
            else:
                shape = _sized(study, scaling, name, model, value, quantity)
                yield _Point(name, shape, _whole_steps(study, shape, _tokens(scaling, scaling.lengths[-1], shape)))


def _tokens(scaling: ScalingSpec, length: float, shape: Architecture) -> int:
    """Tokens of a training that is so long."""
    return round(length if scaling.tokens else length * cost.parameters(shape))


def _sized(study: StudySpec, scaling: ScalingSpec, name: str, model: Proportions, size: float, quantity: str) -> Architecture:
    """The shape of that size; SpecError where its proportions cannot spend it."""
    budget = Budget.parse({quantity: size, "tolerance": scaling.budgets.tolerance})
    shape = scaled(model, study.space_at(budget))
    if shape is None:
        raise SpecError(
            f"scaling.shapes.{name} has no shape of {budget} with a vocabulary of {study.space_at(budget).choices('vocab_size')[0]:,}; "
            "leave that budget or shape out, raise scaling.budgets.tolerance, or lower space.vocab_size or space.head_dim"
        )
    return shape


def _spending(study: StudySpec, scaling: ScalingSpec, name: str, model: Proportions, flops: float, length: float) -> _Point:
    """The size that spends these FLOPs on about so many tokens (or tokens per parameter); its own tokens spend the rest exactly.

    FLOPs grow about as the size at equal tokens, and as its square at equal tokens per parameter.
    """
    power = 1.0 if scaling.tokens else 0.5
    size = flops / (6 * length) if scaling.tokens else math.sqrt(flops / (6 * length))
    best: tuple[float, Architecture] | None = None
    tried: set[int] = set()
    for _ in range(SIZE_STEPS):
        whole = max(1, round(size))
        if whole in tried:
            break  # sizes go round in a circle from here on
        tried.add(whole)
        shape = _sized(study, scaling, name, model, whole, "parameters")
        spent = cost.training_flops_per_token(shape, study.proxy.context_tokens) * _tokens(scaling, length, shape)
        off = abs(math.log(spent / flops))
        if best is None or off < best[0]:
            best = off, shape
        if off < CLOSE_SIZE:
            break
        size *= (flops / spent) ** power
    assert best is not None
    shape = best[1]
    return _Point(
        name, shape, _whole_steps(study, shape, max(1, round(flops / cost.training_flops_per_token(shape, study.proxy.context_tokens))))
    )


def _whole_steps(study: StudySpec, shape: Architecture, tokens: int) -> int:
    plan = RunLength.of(study.proxy.with_tokens(tokens), shape)
    assert plan.steps is not None
    return plan.steps * plan.tokens_per_step
