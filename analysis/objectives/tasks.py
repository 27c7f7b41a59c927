"""How well a shape answers the questions of a task that the study names, after its training."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from analysis.objectives.objective import Objective
from analysis.objectives.observed import Observed
from analysis.objectives.quality import bits_words, share_words
from analysis.records.task_score import TaskFigures
from analysis.text.words import capitalised

ACCURACY_ON, NORMALISED_ON, ANSWER_BITS_ON = "accuracy.", "normalised_accuracy.", "answer_bits_per_byte."
"""The beginnings of the names of what is known of a task."""


def _deployed(name: str, figure: Callable[[TaskFigures], float | None]) -> Callable[[Observed], float | None]:
    def value(seen: Observed) -> float | None:
        score = seen.tasks.get(name)
        return None if score is None else figure(score.deployed)

    return value


def _share(name: str, task: str, label: str, meaning: str, figure: Callable[[TaskFigures], float | None]) -> Objective:
    return Objective(
        name=name,
        words=share_words(label, capitalised(label), f"best by {label}", meaning),
        value=_deployed(task, figure),
        better="higher",
        known="training",
        noise="seed",
    )


@cache
def accuracy_on(task: str) -> Objective:
    """Share of the questions of a task that are answered rightly."""
    meaning = f"Share of the questions of `{task}` whose right option is the likeliest to the trained network."
    return _share(f"{ACCURACY_ON}{task}", task, f"accuracy on {task}", meaning, lambda figures: figures.accuracy)


@cache
def normalised_accuracy_on(task: str) -> Objective:
    """Share of the questions of a task whose right option is the likeliest by log-likelihood a letter."""
    label = f"normalised accuracy on {task}"
    meaning = f"Share of the questions of `{task}` whose right option has the highest log-likelihood a letter."
    return _share(f"{NORMALISED_ON}{task}", task, label, meaning, lambda figures: figures.normalised_accuracy)


@cache
def answer_bits_on(task: str) -> Objective:
    """Bits per byte of the right answers of a task."""
    label = f"bits per byte of the answers of {task}"
    meaning = f"Bits of the right options of `{task}` over all their bytes, which tell shapes apart before accuracy leaves chance."
    return Objective(
        name=f"{ANSWER_BITS_ON}{task}",
        words=bits_words(label, capitalised(label), f"{{}} {label}", f"likeliest to answer {task}", meaning),
        value=_deployed(task, lambda figures: figures.answer_bits_per_byte),
        known="training",
        noise="seed",
    )
