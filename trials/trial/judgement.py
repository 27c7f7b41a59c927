"""A finished training's network judged once more: on the named validation sets, and as the latency's runtime rounds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from analysis.records.training import Quality, Training
from trials.corpus.blocks import TokenBlocks
from trials.network.decoder import Network
from trials.rounding.table import Rounding
from trials.study.spec import ProxySpec
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
    return replace(training, validation=validation, validations={name: on(name) for name in blocks.validations})


def without_rounding(training: Training) -> Training:
    """The training with its quality in float32 alone."""
    sets = {name: replace(quality, rounded=None) for name, quality in training.validations.items()}
    validation = training.validation
    return replace(training, validation=None if validation is None else replace(validation, rounded=None), validations=sets)


def is_judged(training: Training, rounding: Rounding | None) -> bool:
    """Whether a training that was finished elsewhere was judged by that rounding."""
    return training.validation is None or training.validation.rounded_as(None if rounding is None else rounding.kind)
