"""What is known of a trial: TrialRecord and FinalRecord, one JSON line each; the only state of a study."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self, TypeVar

from analysis.lines import append_line, complete_lines
from analysis.timing import Latency as Latency
from analysis.timing import Spread as Spread
from analysis.timing import latency_from_dict as latency_from_dict
from search_space.architecture import Architecture
from search_space.errors import SpecError

SCHEMA = 1
RECORDS, FINALS = "records.jsonl", "finals.jsonl"
Record = TypeVar("Record")


class Outcome(StrEnum):
    """How a trial ended; only a finished one may stand on a front."""

    FINISHED = "finished"
    STOPPED = "stopped"
    """Ended early by the scheduler, at the tokens that its record says."""
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"
    FAILED = "failed"
    """Raised an exception."""
    LOST = "lost"
    """Its process vanished."""


class Kind(StrEnum):
    """Why a shape was tried."""

    SAMPLED = "sampled"
    REFERENCE = "reference"
    REPLICATE = "replicate"
    """A shape of an earlier trial with another seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Closed forms of a shape, counted before anything is built."""

    parameters: int
    non_embedding_parameters: int
    weight_bytes: int
    """Of the float16 weights."""
    kv_cache_bytes: int
    """Of a float16 cache after the latency workload (prompt and new tokens)."""
    decode_flops: int
    """Forward FLOPs of the workload's last token."""
    training_flops_per_token: int
    """At the proxy's context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How well a network predicts one split."""

    loss: float
    """Cross-entropy in nats per token."""
    bits_per_byte: float
    """Cross-entropy in bits per byte of the text: comparable across vocabularies."""
    next_token_accuracy: float
    """Share of next tokens that are the most probable one."""
    tokens: int
    """Tokens predicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One moment of a training run."""

    tokens: int
    seconds: float
    """Since training began, pauses left out."""
    training_loss: float | None = None
    """Mean since the previous point, nats per token."""
    validation_loss: float | None = None
    learning_rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostics:
    """What a trained network does inside, on a few sequences of the validation split; `analysis.signs` judges it.

    Where a field has several values, there is one for each executed block.
    """

    tokens: int
    """Tokens looked at."""
    attention_entropies: tuple[tuple[float, ...], ...]
    """Of each block's heads, over the entropy of a head that sees all its keys alike: 0 is one key, 1 is all of them."""
    head_similarities_in_group: tuple[float, ...] | None
    """Mean cosine between attention maps of heads that share keys; None where each head has its own."""
    head_similarities_across_groups: tuple[float, ...] | None
    """Mean cosine between attention maps of heads with different keys; None where all share one key-value head."""
    embedding_effective_rank: float
    """Of the table that makes logits (the embedding where tied): exp of the entropy of its singular values, over the full rank."""
    embedding_mean_cosine: float
    """Between two rows of that table: 0 where they point everywhere, 1 where all point one way."""
    gradient_norms: tuple[float, ...]
    """Of the loss, by the block's weights; for a part that runs several times the mean of its passes."""
    residual_changes: tuple[float, ...]
    """Norm of what the block adds to the residual stream over the stream's own norm, mean over tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A finished loss before the run's own end: of a branch that left the run and decayed, on the validation split."""

    tokens: int
    """Tokens that the branch had been trained on at its end, those of the run before it included."""
    loss: float
    """Nats per token."""
    bits_per_byte: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a proxy run measured."""

    tokens: int
    """Tokens trained on."""
    planned_tokens: int
    """Tokens that the recipe asked for; more than `tokens` where the run ended early."""
    steps: int
    parameters: int
    """Counted in the built network."""
    validation: Quality | None
    """On the validation split at the end; None where the run did not reach an evaluation."""
    tokens_per_second: float
    wall_seconds: float
    """Of training, without pauses and evaluation."""
    process_seconds: float
    """Processor time of training and evaluation, all threads."""
    peak_memory_bytes: int | None
    """Highest resident set of the process, or allocated device memory on a GPU."""
    device: str
    precision: str
    threads: int
    validations: Mapping[str, Quality] = field(default_factory=dict)
    """On each validation set that the study names beside the held-out split, at the end of a finished run."""
    model_flops_utilisation: float | None = None
    """Tokens a second times training_flops_per_token over the device's stated peak; None where no peak is known."""
    micro_batches: int = 1
    """Parts that each step's batch was split into, so that it fits the memory; their gradients are summed."""
    corpus_sha256: str | None = None
    """Of the text that it was trained on."""
    curve: tuple[CurvePoint, ...] = ()
    rungs: tuple[Rung, ...] = ()
    """Finished losses at fewer tokens, where the recipe asks for them."""
    diagnostics: Diagnostics | None = None
    """Taken once, when the run had ended; None where it did not reach its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """One evaluated shape."""

    number: int
    """Place in the study, from 0; references come first."""
    kind: Kind
    name: str | None = None
    """The reference's name; None for other kinds."""
    replicates: int | None = None
    """The trial whose shape this one trains again with another seed; None for other kinds."""
    point: Mapping[str, Any] | None = None
    """Raw sampled values; None for a reference."""
    architecture: Architecture
    seed: int
    outcome: Outcome
    reason: str | None = None
    """Why it did not finish, in a sentence a person can act on; None where it did."""
    costs: Costs
    latency: Latency | None = None
    training: Training | None = None
    started_at: str
    """UTC, ISO 8601."""
    wall_seconds: float
    """From start to record, pauses included."""
    machine: Mapping[str, Any] = field(default_factory=dict)
    """Host, processor and library versions."""
    schema: int = SCHEMA

    @property
    def finished(self) -> bool:
        """Whether the trial may stand on a front."""
        return self.outcome is Outcome.FINISHED

    @property
    def title(self) -> str:
        """`#7 12x64 4/2x16 f172`, with the reference's name, or the trial that it repeats, before the shape."""
        again = "" if self.replicates is None else f"again #{self.replicates}: "
        return f"#{self.number} {again}{self.name + ': ' if self.name else ''}{self.architecture.label}"

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; sharing and layer types as `Architecture.as_dict` has them."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: _plain(value) for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The reverse of `as_dict`; fields of a later schema are refused with one sentence."""
        _check_schema(values)
        fields = dict(values)
        fields["architecture"] = Architecture.from_dict(values["architecture"])
        fields["kind"], fields["outcome"] = Kind(values["kind"]), Outcome(values["outcome"])
        fields["costs"] = Costs(**values["costs"])
        fields["latency"] = latency_from_dict(values.get("latency"))
        fields["training"] = _training(values.get("training"))
        return cls(**fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatePoint:
    """What a finalist reaches at one of three learning rates, trained with its own seed."""

    factor: float
    """Of both optimizers' rates, over the study's."""
    bits_per_byte: float | None
    """On the validation split; None where that training did not come to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshSeed:
    """A chosen shape trained once more after the selection, with a seed that had no part in it."""

    seed: int
    validation: Quality | None = None
    test: Quality | None = None
    reason: str | None = None
    """Why it did not finish; None where it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalRecord:
    """What was measured of a chosen trial after the search; the trial's own record is never altered."""

    number: int
    """Of the trial."""
    latency: Latency | None = None
    """Measured again on the quiet machine."""
    test: Quality | None = None
    """On the test split, which no search has seen."""
    rate_bracket: tuple[RatePoint, ...] = ()
    """Its losses at half, once and twice the study's rate, where `search.rate_bracket` asks for them."""
    fresh: FreshSeed | None = None
    """The shape with a fresh seed, where `search.fresh_seed` asks for it and the report names the shape."""
    measured_at: str
    schema: int = SCHEMA

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The reverse of `as_dict`."""
        _check_schema(values)
        fields = dict(values)
        fields["latency"] = latency_from_dict(values.get("latency"))
        fields["test"] = _quality(values.get("test"))
        fields["fresh"] = _fresh(values.get("fresh"))
        fields["rate_bracket"] = tuple(RatePoint(**point) for point in values.get("rate_bracket", ()))
        return cls(**fields)


def read_records(directory: Path) -> list[TrialRecord]:
    """The study's records in the order of their numbers; a last line that was cut short is left out."""
    return sorted(_read(directory / RECORDS, TrialRecord.from_dict), key=lambda record: record.number)


def read_finals(directory: Path) -> dict[int, FinalRecord]:
    """The newest FinalRecord of each trial that has one."""
    return {final.number: final for final in _read(directory / FINALS, FinalRecord.from_dict)}


def append(directory: Path, record: TrialRecord | FinalRecord) -> None:
    """Write one line and bring it to the disk; a line that an earlier crash cut short is removed first.

    One process writes: the study's lock sees to that.
    """
    append_line(directory / (RECORDS if isinstance(record, TrialRecord) else FINALS), record.as_dict())


def _training(values: Mapping[str, Any] | None) -> Training | None:
    if values is None:
        return None
    parsed = {
        "validation": _quality(values["validation"]),
        "validations": {name: found for name, judged in values.get("validations", {}).items() if (found := _quality(judged))},
        "curve": tuple(CurvePoint(**point) for point in values["curve"]),
        "rungs": tuple(Rung(**rung) for rung in values.get("rungs", ())),
        "diagnostics": _diagnostics(values.get("diagnostics")),
    }
    return Training(**{**values, **parsed})


def _diagnostics(values: Mapping[str, Any] | None) -> Diagnostics | None:
    """None too where one of its numbers, such as a gradient, was not finite when it was written."""
    if values is None or any(None in _tuple(value) for value in values.values() if isinstance(value, list)):
        return None
    parsed: dict[str, Any] = {name: _tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return Diagnostics(**parsed)


def _tuple(values: list[Any]) -> tuple[Any, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)


def _fresh(values: Mapping[str, Any] | None) -> FreshSeed | None:
    if values is None:
        return None
    return FreshSeed(**{**values, "validation": _quality(values["validation"]), "test": _quality(values["test"])})


def _quality(values: Mapping[str, Any] | None) -> Quality | None:
    """None too where one of its numbers is absent, for it was not finite when it was written."""
    return None if values is None or None in values.values() else Quality(**values)


def _check_schema(values: Mapping[str, Any]) -> None:
    if values.get("schema") != SCHEMA:
        raise SpecError(f"a record must have schema {SCHEMA}, found {values.get('schema')!r}; use the archfront version that wrote it")


def _read(path: Path, parse: Callable[[Mapping[str, Any]], Record]) -> Iterable[Record]:
    """Every complete line; raises SpecError with the line's place where one does not hold a record."""
    for place, line in complete_lines(path):
        try:
            yield parse(json.loads(line))
        except SpecError as error:
            raise SpecError(f"{path}:{place}: {error}") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            cure = "restore the file from a copy, or delete that line to have the trial run again"
            raise SpecError(f"{path}:{place} does not hold a record of schema {SCHEMA}; {cure}") from None


def _plain(value: Any) -> Any:
    """JSON types only; a number that is not finite is absent (None), never NaN."""
    if isinstance(value, Architecture):
        return value.as_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if hasattr(value, "as_dict"):
            return value.as_dict()
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
