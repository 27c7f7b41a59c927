"""What tells the machine that takes a study's latencies from any other that comes under its name."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Self

from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from analysis.records.latency import Latency
from analysis.text.words import bytes_text, plural
from trials.catalogue.runtimes import RUNTIMES

VERSION = "the runtime's version"
"""The one difference that an installation mends."""
SAME_MEMORY = 0.05
"""A kernel of another version keeps another part of a machine's memory to itself: up to so much is the same machine."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A device as its measurements say it: the processor or GPU, how many processors and how much memory beside it, and the runtime."""

    device: str
    runtime: str
    runtime_version: str
    processors: int | None
    """Unknown, and so None, of a device that a command measures, and in records of before."""
    memory_bytes: int | None

    @classmethod
    def of(cls, latency: Latency) -> Self:
        """The device that took a latency."""
        return cls(latency.device, latency.runtime, latency.runtime_version, latency.device_processors, latency.device_memory_bytes)

    @classmethod
    def from_text(cls, text: str | bytes) -> Self:
        """The reverse of `as_text`."""
        return cls(*parse_json(text))

    def as_text(self) -> str:
        """Ready for `from_text`: JSON on one line."""
        return json_of(astuple(self))

    def is_same(self, other: Fingerprint) -> bool:
        """Whether nothing that both know differs."""
        return not self._differences(other)

    def refusal(self, other: Fingerprint) -> str:
        """The sentence for another machine in the place of this one: both, what differs, and the cure."""
        differences = self._differences(other)
        if differences == [VERSION]:
            library = RUNTIMES[self.runtime].library if self.runtime in RUNTIMES else ""
            cure = f"install {library.replace('_', '-') or self.runtime} {self._public_version} there"
        else:
            cure = "bring that machine back, or begin anew in another --directory"
        return (
            f"the machine that takes latencies must be the one that took this study's first ({self}), found another ({other}), "
            f"which differs in {' and '.join(differences)}: {cure}"
        )

    @property
    def _public_version(self) -> str:
        """The version without what a build is called: 2.9.1+cpu has the same release's kernels as 2.9.1."""
        return self.runtime_version.partition("+")[0]

    def _differences(self, other: Fingerprint) -> list[str]:
        ours, theirs = self.memory_bytes, other.memory_bytes
        told = {
            "device": self.device != other.device,
            "processors": self.processors is not None and other.processors is not None and self.processors != other.processors,
            "memory": ours is not None and theirs is not None and abs(ours - theirs) > SAME_MEMORY * max(ours, theirs),
            "runtime": self.runtime != other.runtime,
            VERSION: self._public_version != other._public_version,
        }
        return [what for what, differs in told.items() if differs]

    def __str__(self) -> str:
        parts = [self.device]
        parts += [] if self.processors is None else [plural(self.processors, "processor")]
        parts += [] if self.memory_bytes is None else [f"{bytes_text(self.memory_bytes)} of memory"]
        return ", ".join([*parts, f"{self.runtime} {self.runtime_version}"])
