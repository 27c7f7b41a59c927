"""Which trainings are done already: an index by content, so that the same one is never made twice on one storage.

A training's key is the hash of all that decides its numbers. Under it lie small files that each name a place, a study's directory and
one of its trials, where such a training came to its end. Nothing is copied: what is taken over is read at its place, and only where it
still is what the key says; a place where it is not is forgotten. The folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from analysis.records.files import write_whole
from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from search_space.architecture import Architecture
from trials.corpus.blocks import TokenBlocks
from trials.corpus.splits import CORPUS_FORMAT
from trials.study.files import cache_folder
from trials.study.spec import ProxySpec
from trials.training.mode import TrainingMode

MEANING = 2
"""Raised by whoever changes what the same recipe makes of the same seed (a loss, an initial weight, the order of the data, a schedule):
no training of before is taken over from then on."""
What = Literal["trial", "fresh_seed", "rate_bracket", "long_run"]
"""What a training stands as in its directory: a trial with weights, or one of the trainings after a search, which leave figures alone."""
Found = TypeVar("Found")
UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError)
"""What a place raises that is gone, cut short, or another version's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingText:
    """What a training reads, by content."""

    corpus_sha256: str
    tokenizer_sha256: str | None
    """SHA-256 of tokenizer.json; None where this machine does not have it."""
    validations: Mapping[str, str]
    """SHA-256 of the ids of each validation set that the study names."""
    tasks: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the questions of each task that it names."""

    @classmethod
    def of(cls, blocks: TokenBlocks) -> Self:
        """The key of a vocabulary's blocks."""
        return cls(
            corpus_sha256=blocks.corpus_sha256,
            tokenizer_sha256=None if blocks.tokenizer_file is None else sha256(blocks.tokenizer_file.read_bytes()),
            validations={name: sha256(ids.data) for name, ids in blocks.validations.items()},
            tasks={name: task.sha256 for name, task in blocks.tasks.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingLocation:
    """Where a finished training is recorded."""

    directory: str
    """Directory of the study, absolute."""
    number: int
    """Number of the trial."""
    what: What
    weights_sha256: str | None = None
    """SHA-256 of the trial's weights file; None for what leaves none."""


def training_key(architecture: Architecture, seed: int, proxy: ProxySpec, way: TrainingMode, device: str, text: TrainingText) -> str | None:
    """What names a training, 64 hexadecimal digits; None where its budget is seconds, for its numbers follow the clock.

    Processors and library versions, which round in other ways, are left out: they do not make it another training.
    """
    if proxy.seconds is not None:
        return None
    facts: dict[str, Any] = {
        "architecture": architecture.as_dict(),
        "seed": seed,
        "recipe": {name: value for name, value in proxy.as_keyed().items() if name not in ("precision", "compile")},
        "way": asdict(way),
        "device": device.partition(":")[0],
        "text": {**{name: value for name, value in asdict(text).items() if name != "tasks" or value}, "format": CORPUS_FORMAT},
        "meaning": MEANING,
    }
    return sha256(json_of(facts, sort_keys=True, separators=(",", ":")).encode())


def sha256(content: bytes | memoryview) -> str:
    """Hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def trainings_folder() -> Path:
    """Where the index lies, beside the token blocks."""
    return cache_folder() / "trainings"


def note(folder: Path, key: str, place: TrainingLocation) -> None:
    """Have the place found under the key; it has a file of its own there, so that studies which end at once lose nothing."""
    name = f"{place.what}-{sha256(f'{place.directory} {place.number}'.encode())[:16]}.json"
    write_whole(folder / key / name, f"{json_of(asdict(place), indent=2)}\n".encode())


def find(folder: Path, key: str, what: What, read: Callable[[TrainingLocation], tuple[str | None, Found]]) -> Found | None:
    """What `read` finds at the first place that still has a training of this key; the places before it are forgotten.

    `read` gives the key that follows from what it has read; None where that is no finished training.
    """
    for file, place in _places(folder, key, what):
        try:
            found_key, found = (None, None) if place is None else read(place)
        except UNREADABLE:
            found_key = None
        if found_key == key:
            return found
        with suppress(OSError):
            file.unlink()
    return None


def location(folder: Path, key: str, what: What, read: Callable[[TrainingLocation], str | None]) -> TrainingLocation | None:
    """Where `find` would find something, forgetting nothing; `read` gives the key alone."""
    for _, place in _places(folder, key, what):
        with suppress(*UNREADABLE):
            if place is not None and read(place) == key:
                return place
    return None


def _places(folder: Path, key: str, what: What) -> Iterator[tuple[Path, TrainingLocation | None]]:
    """Each file under the key with the place that it names; None for one that names none."""
    for file in sorted((folder / key).glob(f"{what}-*.json")):
        place = None
        with suppress(*UNREADABLE):
            place = TrainingLocation(**parse_json(file.read_bytes()))
        yield file, place
