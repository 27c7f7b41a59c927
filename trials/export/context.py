"""The context that an export states, where it is not that of the training: whether it can be had, and what quality is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.objectives.quality import half_width_of
from analysis.records.record import TrialRecord
from analysis.records.training import Quality
from analysis.text.words import disk
from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.catalogue.formats import FORMATS

if TYPE_CHECKING:
    from trials.corpus.blocks import TokenBlocks
    from trials.reporting.stored_study import StoredStudy

LEAST_WINDOWS = 16
"""Texts of the stated length that are judged, where the split has so many."""
MASK_BYTES = 5
"""Bytes that a pass keeps for each pair of tokens where a window hides some: the mask as it is written, and as attention wants it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedContext:
    """Quality on the validation split at the context that an export states, beside that at the training's; both of as many tokens."""

    trained_tokens: int
    stated_tokens: int
    trained: Quality
    stated: Quality

    @property
    def sentence(self) -> str:
        """`context 128 tokens, trained at 32: 2.61 ± 0.05 bits per byte on the validation split, 2.55 ± 0.05 at 32 (0.06 more)`."""
        more = self.stated.bits_per_byte - self.trained.bits_per_byte
        return (
            f"context {self.stated_tokens:,} tokens, trained at {self.trained_tokens:,}: {_bits(self.stated)} bits per byte on the "
            f"validation split, {_bits(self.trained)} at {self.trained_tokens:,} ({abs(more):.3f} {'more' if more > 0 else 'less'})"
        )


def require_context(context: int, formats: Sequence[str], shape: Architecture) -> None:
    """Raise SpecError, before anything is written, where a format or this machine cannot have so long a context."""
    from trials.machine.memory import usable_bytes

    usable = usable_bytes("cpu")
    for name in formats:
        needed = 4 * 2 * shape.num_hidden_layers * shape.num_key_value_heads * shape.head_dim * context
        if FORMATS[name].keeps_cache and needed > usable:
            raise SpecError(
                f"--context {context:,} must leave room for the keys and values that the format {name} has inside, found {disk(needed)} "
                f"where this machine has {disk(usable)}; lower it, or leave {name} out of --format"
            )
    masked = MASK_BYTES * context**2
    if shape.sliding_window is not None and masked > usable:
        raise SpecError(
            f"--context {context:,} must be such that the quality there can be measured here, found {disk(masked)} for what a window of "
            f"attention hides where this machine has {disk(usable)}; lower it"
        )


def measured_context(stored: StoredStudy, record: TrialRecord, weights: Path, context: int) -> StatedContext:
    """Judge the trained network at the stated context and at the training's, on the validation split of the text that it was trained on.

    Raises SpecError where the text is not there, is another one, or is shorter than the context.
    """
    from trials.corpus.prepare import prepare_corpus
    from trials.network.weights import load_network
    from trials.training.evaluation import evaluate
    from trials.training.failures import OutOfMemory, memory_errors

    blocks, study = prepare_corpus(stored.corpus, record.architecture.vocab_size), stored.study
    blocks.require_same_text([record])
    longest = len(blocks.validation) - 1
    if context > longest:
        raise SpecError(
            f"--context must be at most the {longest:,} tokens of the validation split, where quality at that length is measured, "
            f"found {context:,}; lower it"
        )
    network, trained = load_network(weights, record.architecture), study.proxy.context_tokens
    tokens = max(study.proxy.evaluation_tokens, LEAST_WINDOWS * context)

    def at(length: int) -> Quality:
        return evaluate(network, blocks, "validation", _common(tokens, context, blocks), length)

    try:
        with memory_errors():
            return StatedContext(trained_tokens=trained, stated_tokens=context, trained=at(trained), stated=at(context))
    except OutOfMemory:
        raise SpecError(f"--context {context:,} must fit into this machine's memory, found that it does not; lower it") from None


def _common(tokens: int, context: int, blocks: TokenBlocks) -> int:
    """Tokens that whole windows of the context make of the split, at most so many."""
    return min(tokens, len(blocks.validation) - 1) // context * context


def _bits(quality: Quality) -> str:
    width = half_width_of(quality)
    return f"{quality.bits_per_byte:.3f}" + ("" if width is None else f" ± {width:.3f}")
