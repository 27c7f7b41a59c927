"""The workload whose time is the latency: the section `latency` of a study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from search_space.cost import BITS_PER_WEIGHT
from search_space.errors import SpecError
from trials.catalogue.formats import FORMATS, MODEL_FORMATS, USUAL_MODEL_FORMAT, Format
from trials.catalogue.runtimes import COMMAND, RUNTIMES, USUAL_RUNTIME, Runtime
from trials.study.origin import file_beside
from trials.study.section import MOST_LISTED, Few, OneOf, Section, Size, error_sentence

LONGEST_DRIFT = 128
"""Tokens by which a text may grow around one of the `context_positions` while tokens there are timed."""


class LatencySpec(Section):
    """The workload whose time is the latency."""

    runtime: Annotated[str, OneOf(tuple(RUNTIMES))] = USUAL_RUNTIME
    """What runs the shape: ONNX Runtime or another engine, as on a device; our own network in PyTorch; or a command of your own
    (see docs/runtimes.md)."""
    precision: Annotated[str, OneOf(tuple(BITS_PER_WEIGHT))] = "float32"
    """Precision of the weights while the latency is taken."""
    prompt_tokens: Size = 64
    """Tokens of the prompt, read in one pass."""
    new_tokens: Size = 64
    """Tokens decoded one by one with the KV cache."""
    context_positions: Annotated[tuple[Size, ...], Field(max_length=MOST_LISTED)] | None = None
    """Tokens in the cache at which a decoded token is timed as well, beside the workload, such as [128, 1024]."""
    threads: Few = 1
    """Threads of the runtime; each is pinned to a processor of its own."""
    repeats: Few = 5
    """Timed repeats of the whole workload after the warm-up."""
    command: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Only where the runtime is `command`: program and arguments, run without a shell, that measure a model file; `{model}` and
    `{yardstick}` in them become paths (see docs/runtimes.md)."""
    format: Annotated[str, OneOf(tuple(MODEL_FORMATS))] | None = None
    """Only where the runtime is `command`: format of the files that it is given; by default `onnx`."""

    @property
    def longest_text(self) -> int:
        """Tokens that a session must have room for."""
        deepest = max(self.context_positions or (0,)) + LONGEST_DRIFT
        return max(self.prompt_tokens + self.new_tokens, deepest if self.context_positions else 0)

    @property
    def model_format(self) -> str:
        """Format of the files that a command is given."""
        return self.format or USUAL_MODEL_FORMAT

    @property
    def engine(self) -> str:
        """The runtime whose files these are: that of its format for a command, which may run on anything that reads them."""
        return MODEL_FORMATS[self.model_format] if self.runtime == COMMAND else self.runtime

    @property
    def row(self) -> Runtime | Format:
        """What says which shapes and precisions are possible: the runtime, or the format of the files that a command is given."""
        return RUNTIMES[self.runtime] if self.runtime != COMMAND else FORMATS[self.model_format]

    def beside(self, *folders: Path) -> LatencySpec:
        """The section with the command's files in a folder by their whole paths; what is no file in any of them stays as it is."""
        if self.command is None:
            return self
        return self.model_copy(update={"command": tuple(file_beside(folders, part) for part in self.command)})

    @model_validator(mode="after")
    def _runtime_has_precision(self) -> LatencySpec:
        if self.precision not in self.row.precisions:
            offered = " or ".join(self.row.precisions)
            raise ValueError(f"precision must be {offered} where the runtime is {self.runtime}, found {self.precision}; choose another")
        return self

    @model_validator(mode="after")
    def _text_has_room(self) -> LatencySpec:
        room = RUNTIMES[self.engine].longest_text
        if room is not None and self.longest_text > room:
            raise ValueError(
                f"prompt_tokens and new_tokens together, and context_positions with {LONGEST_DRIFT} more, must be {room:,} at most for "
                f"{self.runtime}, found {self.longest_text:,}; lower them"
            )
        return self

    @model_validator(mode="after")
    def _command_is_whole(self) -> LatencySpec:
        if self.runtime == COMMAND and self.command is None:
            raise ValueError("command is missing; name the program that measures and its arguments, see docs/runtimes.md")
        if self.runtime == COMMAND and self.context_positions:
            raise ValueError(
                f"context_positions must be left out where the runtime is {COMMAND}, which is asked for a prompt and new tokens"
            )
        if self.runtime != COMMAND and (self.command or self.format):
            raise ValueError(f"command and format must be left out where the runtime is {self.runtime}; or take the runtime {COMMAND}")
        return self


def parse_latency(values: Mapping[str, Any]) -> LatencySpec:
    """A workload of its own, outside of a study; raises SpecError with the cure."""
    try:
        return LatencySpec.model_validate(dict(values))
    except ValidationError as errors:
        raise SpecError(error_sentence(errors, LatencySpec)) from None
