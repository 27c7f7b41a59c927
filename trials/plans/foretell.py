"""A study's seconds by stage, of the trials that it will have: what a plan shows, and what is kept with the study. No torch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from analysis.objectives.energy import training_joules
from analysis.records.stages import Foretold
from search_space import cost
from search_space.architecture import Architecture
from trials.plans.first_trials import FirstTrials
from trials.plans.pace_table import machine_of
from trials.plans.stage_estimate import KnownPaces, TrialSeconds, stage_seconds, trial_seconds
from trials.study.spec import ProxySpec, StudySpec
from trials.training.schedules import paid_tokens
from trials.trial.known_before import passed_limit

COUNTED = 100
"""Shapes whose closed forms stand for all in the sums."""


@dataclass(frozen=True)
class ExpectedTrials:
    """Which trainings a study is expected to have: those that come first, and shapes that stand for what will be proposed."""

    study: StudySpec
    first: FirstTrials
    left_out: Collection[int] = ()
    """Numbers of planned trainings that this machine does not run."""

    @cached_property
    def stated(self) -> list[tuple[Architecture, ProxySpec]]:
        """Shapes that are trained whatever is proposed, each with its recipe: a grid's, or references within the limits."""
        study = self.study
        if study.scaling is not None:
            planned = [task for task in self.first.planned if task.number not in self.left_out]
            return [(task.architecture, task.recipe(study.proxy).plain()) for task in planned]
        return [(shape, study.proxy.plain()) for _, shape in self.first.references if passed_limit(study, shape) is None]

    @cached_property
    def sampled(self) -> list[Architecture]:
        """Shapes of the space, the first ones of a plan's own sample."""
        if self.study.scaling is not None:
            return []
        space = self.study.search_space
        return space.sample(COUNTED, self.study.search.seed, space.glance) or [*space.glimpse.shapes][:COUNTED]

    @property
    def shapes(self) -> list[Architecture]:
        """All of them."""
        return [*(shape for shape, _ in self.stated), *self.sampled]

    @cached_property
    def trials(self) -> int:
        """Trials that train a new shape; the search ends where the space has no more."""
        space = None if self.study.scaling is not None else self.study.search_space
        return 0 if space is None else min(self.study.search.trials, len(space.glimpse.shapes))

    @property
    def replicates(self) -> int:
        """Trials that train one of these again."""
        return self.study.search.replicates_of(self.trials)

    @property
    def proposed(self) -> int:
        """Trials that the search proposes, replicates included."""
        return self.trials + self.replicates

    def seconds(self, known: KnownPaces) -> tuple[list[TrialSeconds], list[TrialSeconds]]:
        """What each of the stated, and each of the sampled trials takes."""
        study = self.study
        return (
            [trial_seconds(study, shape, known, recipe, is_proposed=False) for shape, recipe in self.stated],
            [trial_seconds(study, shape, known) for shape in self.sampled],
        )

    def least_flops(self) -> float:
        """Training FLOPs of the cheapest of them; 0 where the budget is seconds."""
        if self.study.proxy.seconds is not None:
            return 0.0
        recipe = self.study.proxy.plain()
        return min((_flops(shape, each) for shape, each in [*self.stated, *((shape, recipe) for shape in self.sampled)]), default=0.0)

    def flops(self, known: KnownPaces) -> float:
        """Training FLOPs of the whole search."""
        study, recipe = self.study, self.study.proxy.plain()
        if recipe.seconds is not None:
            paces = [(shape, recipe.seconds / known.law.seconds_per_token(shape, recipe)) for shape in self.shapes]
            each = [tokens * cost.training_flops_per_token(shape, recipe.context_tokens) for shape, tokens in paces]
        else:
            each = [_flops(shape, own) for shape, own in self.stated] + [_flops(shape, recipe) for shape in self.sampled]
        stated, sampled = each[: len(self.stated)], each[len(self.stated) :]
        return sum(stated) + (self.proposed * sum(sampled) / len(sampled) if study.scaling is None else 0.0)


def foretold(expected: ExpectedTrials, known: KnownPaces) -> Foretold:
    """What the study will take at this machine's pace."""
    study, (first, sampled) = expected.study, expected.seconds(known)
    flops = expected.flops(known)
    return Foretold(
        seconds=stage_seconds(study, known, first, sampled, expected.proposed),
        machine=machine_of(study),
        workers=study.workers.count,
        basis=known.basis,
        processor_share=known.processor_share,
        trials=max(1, len(first) + expected.proposed),
        training_flops=flops,
        training_joules=training_joules(flops, study.proxy.plain().precision),
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _flops(shape: Architecture, recipe: ProxySpec) -> float:
    return float(paid_tokens(shape, recipe) * cost.training_flops_per_token(shape, recipe.context_tokens))
