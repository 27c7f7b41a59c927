"""A study's seconds by stage, of the trials that it will have: what a plan shows, and what is kept with the study. No torch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Self

from analysis.objectives.energy import training_joules
from analysis.records.record import Kind
from analysis.records.stages import Foretold
from search_space import cost
from search_space.architecture import Architecture
from trials.plans.first_trials import FirstTrials
from trials.plans.pace_table import machine_of
from trials.plans.stage_estimate import KnownPaces, TrialSeconds, stage_seconds, trial_seconds
from trials.study.spec import ProxySpec, StudySpec
from trials.training.schedules import paid_tokens
from trials.trial.finished_elsewhere import NONE_FINISHED, FinishedElsewhere, finished_elsewhere
from trials.trial.known_before import passed_limit
from trials.trial.task import TrialTask

COUNTED = 100
"""Shapes whose closed forms stand for all in the sums."""
WHOLE_WITHIN = 1e-9
"""What sums of a share may lack of a whole number."""


@dataclass(frozen=True)
class ExpectedTrials:
    """Which trainings a study is expected to have: those that come first, and shapes that stand for what will be proposed."""

    study: StudySpec
    first: FirstTrials
    left_out: Collection[int] = ()
    """Numbers of planned trainings that this machine does not run."""
    elsewhere: FinishedElsewhere = NONE_FINISHED
    """The trainings that are taken over, which cost no step."""

    @classmethod
    def at(cls, study: StudySpec, first: FirstTrials, directory: Path | None, left_out: Collection[int] = ()) -> Self:
        """The trials of a study that begins in a directory and takes over there; where none is named, nothing is taken over."""
        elsewhere = NONE_FINISHED if directory is None else finished_elsewhere(study, directory, first.vocab_sizes(study))
        return cls(study, first, left_out, elsewhere)

    @cached_property
    def stated(self) -> list[TrialTask]:
        """What is trained whatever is proposed: a grid's trainings, or references within the limits."""
        study = self.study
        if study.scaling is not None:
            return [task for task in self.first.planned if task.number not in self.left_out]
        return [
            TrialTask(number=number, kind=Kind.REFERENCE, name=name, architecture=shape, seed=study.search.seed)
            for number, (name, shape) in enumerate(self.first.references)
            if passed_limit(study, shape) is None
        ]

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
        return [*(task.architecture for task in self.stated), *self.sampled]

    @cached_property
    def taken(self) -> tuple[list[bool], float]:
        """Whether the training of each of the stated is taken over, and the share of those of what is proposed: of an earlier run of the
        same search, or of the shapes that stand for proposals.
        """
        stated = [self.elsewhere.holds(task) for task in self.stated]
        if not self.sampled or self.elsewhere is NONE_FINISHED:
            return stated, 0.0
        seed = self.study.search.seed
        held = [self.elsewhere.holds(TrialTask(number=0, kind=Kind.SAMPLED, architecture=shape, seed=seed)) for shape in self.sampled]
        twin = self.elsewhere.of_twin(self.study, self.stated)
        return stated, min(1.0, max(fmean(held), twin / max(1, self.proposed)))

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
        """Seconds of the stated and of the sampled trials; what is taken over is measured alone."""
        study, (taken, share) = self.study, self.taken
        stated = [
            trial_seconds(study, task.architecture, known, task.recipe(study.proxy).plain(), is_proposed=False) for task in self.stated
        ]
        sampled = [trial_seconds(study, shape, known) for shape in self.sampled]
        return _without(stated, taken), _without(sampled, _spread(share, len(sampled)))

    def trained_seconds(self, known: KnownPaces) -> list[TrialSeconds]:
        """Seconds of those alone that are trained, which a deadline may cut: nothing that is taken over makes them quicker."""
        study, (tasks, shapes) = self.study, self._trained
        stated = [trial_seconds(study, task.architecture, known, task.recipe(study.proxy).plain(), is_proposed=False) for task in tasks]
        return [*stated, *(trial_seconds(study, shape, known) for shape in shapes)]

    def least_flops(self) -> float:
        """Training FLOPs of the cheapest of those that are trained; 0 where the budget is seconds, or none is."""
        if self.study.proxy.seconds is not None:
            return 0.0
        proxy, (tasks, shapes) = self.study.proxy, self._trained
        stated = [_flops(task.architecture, task.recipe(proxy).plain()) for task in tasks]
        return min([*stated, *(_flops(shape, proxy.plain()) for shape in shapes)], default=0.0)

    @property
    def _trained(self) -> tuple[list[TrialTask], list[Architecture]]:
        """The stated that are not taken over, and, unless all proposals are, every shape that stands for them: which ones those are is
        not known.
        """
        taken, share = self.taken
        tasks = [task for task, over in zip(self.stated, taken, strict=True) if not over]
        return tasks, [] if share >= 1 - WHOLE_WITHIN else self.sampled

    def flops(self, known: KnownPaces) -> float:
        """Training FLOPs of the whole search."""
        study, recipe = self.study, self.study.proxy.plain()
        if recipe.seconds is not None:
            paces = [(shape, recipe.seconds / known.law.seconds_per_token(shape, recipe)) for shape in self.shapes]
            each = [tokens * cost.training_flops_per_token(shape, recipe.context_tokens) for shape, tokens in paces]
        else:
            each = [*self._stated_flops(), *self._sampled_flops()]
        stated, sampled = each[: len(self.stated)], each[len(self.stated) :]
        return sum(stated) + (self.proposed * sum(sampled) / len(sampled) if study.scaling is None else 0.0)

    def _stated_flops(self) -> list[float]:
        proxy = self.study.proxy
        each = zip(self.stated, self.taken[0], strict=True)
        return [0.0 if taken else _flops(task.architecture, task.recipe(proxy).plain()) for task, taken in each]

    def _sampled_flops(self) -> list[float]:
        recipe, taken = self.study.proxy.plain(), _spread(self.taken[1], len(self.sampled))
        return [0.0 if over else _flops(shape, recipe) for shape, over in zip(self.sampled, taken, strict=True)]


def _spread(share: float, count: int) -> list[bool]:
    """Which of `count` places are marked where that share of them is, evenly."""
    return [int((place + 1) * share + WHOLE_WITHIN) > int(place * share + WHOLE_WITHIN) for place in range(count)]


def _without(trials: Sequence[TrialSeconds], taken: Sequence[bool]) -> list[TrialSeconds]:
    """The trials with nothing to train where that is taken over."""
    return [replace(trial, training=0.0, evaluation=0.0) if over else trial for trial, over in zip(trials, taken, strict=True)]


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
