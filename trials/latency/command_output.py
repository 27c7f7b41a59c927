"""What a latency command prints: its fields, how it is read, and what is wrong with one that cannot be."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from analysis.records.json_text import parse_json
from analysis.records.latency import Activations
from search_space.errors import WorkError, quoted
from trials.latency.repeats import LEAST_REPEATS, Repeat
from trials.study.latency_spec import LatencySpec
from trials.study.section import AboveZero, Positive, Section, error_sentence

LAST_WORDS = 400
"""Most characters of what a command said at last."""

Times = Annotated[tuple[AboveZero, ...], Field(min_length=1)]
NonEmptyText = Annotated[str, Field(min_length=1)]


class CommandTimes(Section):
    """What a command measured of one model."""

    prefill_ms: Times
    """Milliseconds of the prompt in every repeat."""
    decode_ms_per_token: Times
    """Mean milliseconds of a new token in every repeat."""
    load_ms: AboveZero | None = None
    first_prefill_ms: AboveZero | None = None
    peak_memory_bytes: Positive | None = None

    @model_validator(mode="after")
    def _both_of_every_repeat(self) -> CommandTimes:
        if len(self.prefill_ms) != len(self.decode_ms_per_token):
            found = f"{len(self.prefill_ms)} and {len(self.decode_ms_per_token)}"
            raise ValueError(f"prefill_ms and decode_ms_per_token must have a value for every repeat each, found {found}")
        return self

    def repeats(self, new_tokens: int) -> list[Repeat]:
        """One for each; what their threads waited is not known."""
        return [Repeat(prefill, token * new_tokens, 0.0) for prefill, token in zip(self.prefill_ms, self.decode_ms_per_token, strict=True)]


class CommandOutput(CommandTimes):
    """What a command prints: where it measured, the shape's times, and the yardstick's where it took them."""

    device: NonEmptyText
    runtime: NonEmptyText
    runtime_version: NonEmptyText
    activations: Activations | None = None
    """What the products of rounded weights read there."""
    yardstick: CommandTimes | None = None
    """One repeat before each of the shape's and one after the last."""

    @model_validator(mode="after")
    def _yardstick_goes_around(self) -> CommandOutput:
        wanted = len(self.prefill_ms) + 1
        if self.yardstick is not None and len(self.yardstick.prefill_ms) != wanted:
            found = len(self.yardstick.prefill_ms)
            raise ValueError(f"yardstick must have a repeat before each of the model's and one after, {wanted} in all, found {found}")
        return self


def command_name(spec: LatencySpec) -> str:
    """The command, for a sentence about it."""
    assert spec.command is not None
    return f"the latency command {' '.join(spec.command)}"


def read_output(printed: str, spec: LatencySpec) -> CommandOutput:
    """The JSON object that a command printed, alone or as the last line; WorkError says what is wrong with it."""
    lines = printed.strip().splitlines()
    for text in (printed, lines[-1] if lines else ""):
        try:
            values = parse_json(text, has_nan=True)
        except ValueError:
            continue
        if isinstance(values, dict):
            break
    else:
        raise WorkError(
            f"{command_name(spec)} must print one JSON object, found {quoted(printed.strip()[-LAST_WORDS:])}; see docs/runtimes.md"
        )
    try:
        answer = CommandOutput.model_validate(values)
    except ValidationError as errors:
        raise WorkError(
            f"{command_name(spec)} printed what cannot be read: {error_sentence(errors, CommandOutput)}; see docs/runtimes.md"
        ) from None
    if len(answer.prefill_ms) < (least := min(spec.repeats, LEAST_REPEATS)):
        found = len(answer.prefill_ms)
        raise WorkError(f"{command_name(spec)} must repeat the workload {least} times or more, found {found}; see docs/runtimes.md")
    return answer
