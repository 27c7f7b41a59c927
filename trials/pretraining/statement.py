"""What a long training is: all that decides its numbers, as its folder keeps it, so that no other command goes on with it. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from analysis.records.files import write_whole
from analysis.records.json_text import read_json
from analysis.records.json_writer import json_of
from analysis.text.words import joined
from search_space.architecture import Architecture
from search_space.errors import SpecError, quoted, value_kind
from trials.catalogue.formats import FORMATS
from trials.study.corpus_spec import CorpusSpec
from trials.study.directory import flat
from trials.study.section import parsed
from trials.study.spec import ProxySpec

STATEMENT = "training.json"
STATE, TRAINED_WEIGHTS, TRAINED_TOKENIZER, CURVE, RESULT = (
    "state.safetensors",
    "weights.safetensors",
    "tokenizer.json",
    "curve.json",
    "result.json",
)
"""Files of a training's folder: what it goes on from, the stored weights, the tokenizer, the curve so far, what it came to."""
FORESEEN = "foreseen.json"
"""What was predicted before the first step, so that it is what is judged."""
MODEL_LEFT = "model"
"""Where in it the model lies that others load."""
FORMATS_LEFT = tuple(name for name, row in FORMATS.items() if row.usual)
"""Formats of that model."""
LEFT_FILES = (STATE, TRAINED_WEIGHTS, TRAINED_TOKENIZER, CURVE, RESULT, FORESEEN, MODEL_LEFT)
"""All that a training writes beside its statement, and would write over."""
STATEMENT_CURE = "restore it from a copy, or name another folder with --output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One long training."""

    title: str
    """What is trained, such as `trial 7 of quickstart`."""
    shape: Architecture
    """What is trained; `architecture` in the file."""
    proxy: ProxySpec
    """The recipe as this shape follows it, nothing left open."""
    recipe: str
    """The recipe's name."""
    recipe_source: str
    """Where its numbers are from."""
    corpus: CorpusSpec
    """The text; relative files are resolved."""
    seed: int
    """Seed of weights and of the order of the text."""
    threads: int
    """Threads of each process."""
    device: str
    """Device that trains, in torch's words."""
    devices: int = 1
    """Processes that each take a part of every batch."""

    @property
    def tokens(self) -> int:
        """Training tokens of the whole."""
        assert self.proxy.tokens is not None
        return self.proxy.tokens

    @property
    def tokens_per_step(self) -> int:
        """Tokens of a batch."""
        return self.proxy.batch_sequences * self.proxy.context_tokens

    @property
    def steps(self) -> int:
        """Steps of the whole."""
        return self.tokens // self.tokens_per_step

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "title": self.title,
            "architecture": self.shape.as_dict(),
            "recipe": {"name": self.recipe, "source": self.recipe_source},
            "proxy": self.proxy.model_dump(mode="json"),
            "corpus": self.corpus.model_dump(mode="json", exclude_defaults=True),
            "seed": self.seed,
            "threads": self.threads,
            "device": self.device,
            "devices": self.devices,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str) -> Self:
        """The reverse of `as_dict`; SpecError where it is none."""
        try:
            found = cls(
                title=values["title"],
                shape=Architecture.from_dict(values["architecture"]),
                proxy=parsed(ProxySpec, values["proxy"], source, "docs/winners.md"),
                recipe=values["recipe"]["name"],
                recipe_source=values["recipe"]["source"],
                corpus=parsed(CorpusSpec, values["corpus"], source, "docs/corpora.md"),
                seed=values["seed"],
                threads=values["threads"],
                device=values["device"],
                devices=values["devices"],
            )
        except (KeyError, TypeError) as error:
            raise _changed(source, error) from None
        for name, kind in _KINDS.items():
            value = getattr(found, name)
            if not isinstance(value, kind) or isinstance(value, bool) or (isinstance(value, int) and value < _LEAST.get(name, 1)):
                raise _changed(source, name)
        if found.proxy.tokens is None:
            raise _changed(source, "proxy.tokens")
        return found


_KINDS = dict.fromkeys(("title", "recipe", "recipe_source", "device"), str) | dict.fromkeys(("seed", "threads", "devices"), int)


_LEAST = {"seed": 0}
"""The least of a count of a statement, where it is not 1."""


def _changed(source: str, what: object) -> SpecError:
    return SpecError(f"{source} must be what `archfront train` wrote there, found {what} missing or of another kind; {STATEMENT_CURE}")


def begun(folder: Path) -> Statement | None:
    """The training that was begun in a folder; None where none was."""
    path = folder / STATEMENT
    if not path.is_file():
        return None
    values = read_json(path, "a training's statement", STATEMENT_CURE)
    if not isinstance(values, Mapping):
        raise SpecError(f"{path} must be a mapping, found {value_kind(values)}; {STATEMENT_CURE}")
    return Statement.from_dict(values, str(path))


def has_steps(folder: Path) -> bool:
    """Whether anything is kept of a training's steps, so that its statement stands."""
    return any((folder / name).exists() for name in (STATE, RESULT))


def settle(folder: Path, wanted: Statement) -> None:
    """Write the statement down, or see that it is the one that was begun there; one of which no step is kept is replaced.

    Raises SpecError with the key that differs, and where files that a training writes are there without a statement.
    """
    there = begun(folder)
    if there is None:
        others = [name for name in LEFT_FILES if (folder / name).exists()]
        if others:
            raise SpecError(
                f"{folder} must hold no files of the names that a training writes, found {joined(others)} without a {STATEMENT}; name "
                "another folder with --output"
            )
    elif (odd := _differing(there, wanted)) is None:
        return
    elif has_steps(folder):
        key, before, now = odd
        raise SpecError(
            f"{folder} holds another training: {key} is {before} there and {now} here; name another folder with --output, or repeat the "
            "command that began it"
        )
    for name in (FORESEEN, CURVE):  # of the statement that is replaced
        (folder / name).unlink(missing_ok=True)
    write_whole(folder / STATEMENT, f"{json_of(wanted.as_dict(), indent=2)}\n".encode())


def is_stated(folder: Path, wanted: Statement) -> bool:
    """Whether a folder's statement is this one."""
    there = begun(folder)
    return there is not None and _differing(there, wanted) is None


def _named(corpus: CorpusSpec) -> dict[str, Any]:
    """A text by the names of its files: they may lie elsewhere, as a job's do each time; states and results know what they hold."""

    def named(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: named(each) for key, each in value.items()}
        if isinstance(value, list):
            return [named(each) for each in value]
        return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value

    stated: dict[str, Any] = named(corpus.without_tasks.model_dump(mode="json", exclude_defaults=True))
    return stated | ({"files": [Path(name).name for name in corpus.files]} if corpus.files else {})


def _differing(there: Statement, wanted: Statement) -> tuple[str, str, str] | None:
    """The first key in which two statements differ, with both values as they are quoted; None where they are one."""
    before, now = (flat({**each.as_dict(), "corpus": _named(each.corpus)}) for each in (there, wanted))
    odd = next((key for key in sorted({*before, *now}) if before.get(key) != now.get(key)), None)
    return None if odd is None else (odd, quoted(before.get(odd)), quoted(now.get(odd)))
