"""What a proxy run measured: its curve, how well the network predicts, and what it looks like inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.records.checked import Cosine, Fraction, Measurement, PositiveCount, PositiveFloat
from analysis.records.latency import Activations
from analysis.records.task_score import TaskScore

FARTHEST = 8.0
"""Times a training's tokens beyond which nothing is forecast."""

RoundedKind = tuple[str, str, Activations]
"""Runtime, precision of the weights and what their products read: qualities of one kind compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundedQuality(Measurement):
    """How well the same network predicts the same tokens as a runtime rounds it."""

    runtime: str
    """Runtime whose rounding it is, by its name in a study."""
    precision: str
    """Precision of the weights there: `int8` or `int4`."""
    loss: PositiveFloat
    """Cross-entropy in nats per token."""
    bits_per_byte: PositiveFloat
    """Cross-entropy in bits per byte of the text."""
    next_token_accuracy: Fraction
    """Fraction of next tokens that are the most probable one."""
    difference_error: float | None
    """Standard error of its bits per byte less those in float32, documents drawn, or windows where those are not known; of a mean of seeds,
    with what the seeds add. None where there is one alone."""
    activations: Activations | None = None
    """What the products of rounded weights read in it: `int8` or `float32`. None in records of before, which have the usual way."""

    @property
    def read(self) -> Activations:
        """What the products read, also where a record of before does not say it: every runtime had one way then."""
        return self.activations or ("float32" if self.runtime == "llama.cpp" else "int8")

    @property
    def kind(self) -> RoundedKind:
        """Runtime, precision and what the products read."""
        return self.runtime, self.precision, self.read


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality(Measurement):
    """How well a network predicts one split, its weights in float32."""

    loss: PositiveFloat
    """Cross-entropy in nats per token."""
    bits_per_byte: PositiveFloat
    """Cross-entropy in bits per byte of the text: comparable across vocabularies."""
    next_token_accuracy: Fraction
    """Fraction of next tokens that are the most probable one."""
    tokens: int
    """Tokens predicted."""
    documents: int | None = None
    """Documents that these tokens are of, or sections where the corpus is split by sections; None where that is not known."""
    standard_error: float | None = None
    """Standard error of `bits_per_byte` as that of all text like this, documents drawn and not tokens (docs/method.md); None as for
    `documents`, and where there is one."""
    rounded: RoundedQuality | None = None
    """Quality as the study's latency runtime rounds the network, where that is to int8 or int4; None elsewhere, and in records of before
    this was measured."""

    @property
    def deployed(self) -> Quality | RoundedQuality:
        """The quality that is deployed: as rounded where that is known, else in float32."""
        return self.rounded or self

    @property
    def rounding_loss(self) -> float | None:
        """Bits per byte that rounding costs, below 0 where it gains; None where it was not measured."""
        return None if self.rounded is None else self.rounded.bits_per_byte - self.bits_per_byte

    def rounded_as(self, kind: RoundedKind | None) -> bool:
        """Whether that way of rounding, or none, is what was measured beside float32."""
        return kind == (None if self.rounded is None else self.rounded.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One moment of a training run."""

    tokens: int
    seconds: float
    """Since training began, pauses left out."""
    training_loss: float | None = None
    """Mean since the previous point, nats per token."""
    validation_loss: PositiveFloat | None = None
    learning_rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostics(Measurement):
    """What a trained network does inside, on a few sequences of the validation split; `analysis.records.health_checks` judges it.

    Where a field has several values, there is one for each executed block.
    """

    tokens: int
    """Tokens looked at."""
    attention_entropies: tuple[tuple[Fraction, ...], ...]
    """Entropies of each block's heads, over the entropy of a head that sees all its keys alike: 0 is one key, 1 is all of them."""
    head_similarities_in_group: tuple[Cosine, ...] | None
    """Mean cosine between attention maps of heads that share keys; None where each head has its own."""
    head_similarities_across_groups: tuple[Cosine, ...] | None
    """Mean cosine between attention maps of heads with different keys; None where all share one key-value head."""
    embedding_effective_rank: Fraction
    """Rank of the table that makes logits (the embedding where tied): exp of the entropy of its singular values, over the full rank."""
    embedding_mean_cosine: Cosine
    """Mean cosine between two rows of the table that makes logits: 0 where they point everywhere, 1 where all point one way."""
    gradient_norms: tuple[float, ...]
    """Norms of the loss's gradient, by the block's weights; for a part that runs several times the mean of its passes."""
    residual_changes: tuple[float, ...]
    """Norm of what the block adds to the residual stream over the stream's own norm, mean over tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooldown:
    """A finished loss before the run's own end: of a branch that left the run and decayed, on the validation split."""

    tokens: int
    """Tokens that the branch had been trained on at its end, those of the run before it included."""
    loss: PositiveFloat
    """Nats per token."""
    bits_per_byte: PositiveFloat


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a proxy run measured."""

    tokens: int
    """Tokens trained on."""
    planned_tokens: int
    """Tokens that the recipe asked for; more than `tokens` where the run ended early."""
    steps: int
    parameters: PositiveCount
    """Counted in the built network."""
    validation: Quality | None
    """Quality on the validation split at the end; None where the run did not reach an evaluation."""
    tokens_per_second: float
    wall_seconds: float
    """Seconds of training, without pauses and evaluation."""
    process_seconds: float
    """Processor time of training and evaluation, all threads."""
    peak_memory_bytes: int | None
    """Highest resident set of the process, or allocated device memory on a GPU."""
    device: str
    precision: str
    threads: PositiveCount
    evaluation_seconds: float | None = None
    """Seconds of all evaluations, with the look inside and named validation sets at the end; None where they were not counted."""
    cooldown_seconds: float | None = None
    """Seconds of the branches that decayed beside the run, their evaluations included; None where they were not counted."""
    validations: Mapping[str, Quality] = field(default_factory=dict)
    """Quality on each validation set that the study names beside the held-out split, at the end of a finished run."""
    tasks: Mapping[str, TaskScore] = field(default_factory=dict)
    """Answers to each task that the study names, at the end of a finished run."""
    model_flops_utilisation: float | None = None
    """Tokens a second times training_flops_per_token over the device's stated peak; None where no peak is known."""
    compiled: bool = False
    """Whether torch compiled the blocks for it."""
    micro_batches: PositiveCount = 1
    """Parts that each step's batch was split into, so that it fits the memory; their gradients are summed."""
    corpus_sha256: str | None = None
    """SHA-256 of the text that it was trained on, and of how that is split (docs/corpora.md)."""
    text_tokens: PositiveCount | None = None
    """Tokens of the train split, through which `tokens` goes as often as it takes; None where an earlier archfront trained it."""
    curve: tuple[CurvePoint, ...] = ()
    cooldowns: tuple[Cooldown, ...] = ()
    """Finished losses at fewer tokens, where the recipe asks for them."""
    diagnostics: Diagnostics | None = None
    """Taken once, when the run had ended; None where it did not reach its end."""
    reused_from: str | None = None
    """Directory and trial that this training was taken over from, such as `/data/runs/small #7`: all of these numbers, seconds and memory
    too, are of that one, and nothing was spent on it here. None where it was trained for this trial."""

    @property
    def passes(self) -> float | None:
        """Times that it went through its text; None where the text's size is not known."""
        return None if self.text_tokens is None else self.tokens / self.text_tokens
