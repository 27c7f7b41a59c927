"""A finished training's network judged once more: on named validation sets and tasks, and as the latency's runtime rounds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from analysis.records.task_score import TaskFigures, TaskScore
from analysis.records.training import Quality, Training
from analysis.tasks.task_result import TaskResult, task_result
from trials.catalogue.hugging_face_config import LEAST_POSITIONS
from trials.corpus.blocks import TokenBlocks
from trials.network.decoder import Network
from trials.rounding.network import rounded
from trials.rounding.table import Rounding
from trials.study.spec import ProxySpec
from trials.tasks.likelihood import score_questions
from trials.training.evaluation import Scores, evaluate_deployed


def judge_finished(
    training: Training,
    network: Network,
    blocks: TokenBlocks,
    proxy: ProxySpec,
    rounding: Rounding | None,
    *,
    scores: Scores | None = None,
    pause: Callable[[], object] | None = None,
) -> Training:
    """The training with the quality on every validation set, in float32 and as rounded.

    The network must be where it is to be evaluated. `scores` are those of the validation split where its evaluation was made here; the
    quality in float32 stays as the training has it.
    """

    def on(split: str, known: Scores | None = None) -> Quality:
        tokens, context = proxy.evaluation_tokens, proxy.context_tokens
        return evaluate_deployed(network, blocks, split, tokens, context, rounding, pause=pause, known=known)

    validation = training.validation
    if rounding is not None and validation is not None:
        validation = replace(validation, rounded=on("validation", scores).rounded)
    tasks = answer_tasks(network, blocks, proxy, rounding, pause=pause)
    return replace(training, validation=validation, validations={name: on(name) for name in blocks.validations}, tasks=tasks)


def answer_tasks(
    network: Network, blocks: TokenBlocks, proxy: ProxySpec, rounding: Rounding | None, *, pause: Callable[[], object] | None = None
) -> dict[str, TaskScore]:
    """What the network answers to each task's questions, in float32 and as rounded.

    Texts are as long as an export states that they may be, as for `archfront evaluate`, though the training's context was shorter.
    """
    context = max(proxy.context_tokens, LEAST_POSITIONS)

    def answers() -> dict[str, TaskResult]:
        asked = {name: task.questions for name, task in blocks.tasks.items()}
        return {name: task_result(name, score_questions(network, each, context, pause=pause)) for name, each in asked.items()}

    plain, in_rounded = answers(), dict[str, TaskResult]()
    if rounding is not None and plain:
        with rounded(network, rounding):
            in_rounded = answers()
    return {
        name: TaskScore(
            questions=found.questions,
            questions_sha256=blocks.tasks[name].sha256,
            chance=found.chance,
            in_float32=_figures(found),
            rounded=_figures(in_rounded[name]) if name in in_rounded else None,
        )
        for name, found in plain.items()
    }


def _figures(found: TaskResult) -> TaskFigures:
    normalised = found.accuracy_normalised
    return TaskFigures(
        accuracy=found.accuracy.value,
        normalised_accuracy=None if normalised is None else normalised.value,
        answer_bits_per_byte=found.bits_per_byte,
    )


def without_rounding(training: Training) -> Training:
    """The training with its quality in float32 alone."""
    sets = {name: replace(quality, rounded=None) for name, quality in training.validations.items()}
    validation = training.validation
    tasks = {name: replace(score, rounded=None) for name, score in training.tasks.items()}
    validation = None if validation is None else replace(validation, rounded=None)
    return replace(training, validation=validation, validations=sets, tasks=tasks)


def is_judged(training: Training, rounding: Rounding | None) -> bool:
    """Whether a training that was finished elsewhere was judged by that rounding."""
    return training.validation is None or training.validation.rounded_as(None if rounding is None else rounding.kind)
