"""CorpusSpec: which text a study is trained on, as its YAML says it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from search_space.errors import quoted, require_local, require_reachable
from trials.study.origin import beside
from trials.study.section import Positive, Section, plain_name

SOURCES = ("name", "files", "dataset")
TAKEN = ("train", "validation", "test")
"""The study's own splits."""
OF_A_DATASET = ("config", "split", "revision", "limit_bytes")

EMBEDDED = "python-stdlib"
"""Name of the embedded corpus."""
YAML_ENDS = (".yaml", ".yml")
"""What the name of a file ends with that says which text is meant, and is none itself."""


class CorpusSpec(Section):
    """The text that every trial of the study is trained on; exactly one of `name`, `files` and `dataset` (see docs/corpora.md)."""

    name: Literal["python-stdlib"] | None = None
    """An embedded corpus: `python-stdlib` is the source text of this machine's Python standard library, without its tests."""
    files: tuple[str, ...] | None = None
    """`.txt`, `.jsonl`, `.csv`, `.parquet` and `.arrow` files, plain or `.gz`, `.bz2` or `.zst`, or globs, relative to the study file."""
    dataset: str | None = None
    """What the `datasets` library loads: a folder, relative to the study file, or a name on the Hugging Face hub."""
    config: str | None = None
    """Config of the dataset, where it has several."""
    split: str = "train"
    """Split of the dataset; the study's own splits are all cut from it."""
    revision: str | None = None
    """Revision of the dataset on the hub: a commit, tag or branch; the newest where absent."""
    limit_bytes: Positive | None = None
    """Text of the dataset, in UTF-8, after which no further document is read; all of it where absent."""
    column: str = "text"
    """Where the documents are: a column of the dataset or of files that have columns, a key in `.jsonl` files."""
    tokenizer: tuple[str, ...] | None = None
    """A `tokenizer.json`, a folder with one, or a name on the hub, or several, one for each `vocab_size`; trained where absent."""
    validation: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Files by a name of your own, beside the held-out split: every finished shape is also judged on these, in bits per byte."""

    tasks: dict[str, str] = Field(default_factory=dict)
    """A file of questions by the task's name: every finished shape answers them, for objectives such as `accuracy.piqa`."""

    @field_validator("files", "tokenizer", mode="before")
    @classmethod
    def _one_name(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("validation", mode="before")
    @classmethod
    def _one_name_each(cls, value: object) -> object:
        return {name: cls._one_name(files) for name, files in value.items()} if isinstance(value, dict) else value

    @field_validator("validation")
    @classmethod
    def _fit_names(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, files in value.items():
            if plain_name(name, must="have names of") in TAKEN:
                raise ValueError(f"must have names other than {', '.join(TAKEN)}, found {quoted(name)}; rename it")
            if not files:
                raise ValueError(f"must name files for {name}, found none; add them or leave {name} out")
        return value

    @field_validator("tasks")
    @classmethod
    def _fit_task_names(cls, value: dict[str, str]) -> dict[str, str]:
        for name, file in value.items():
            plain_name(name, must="have names of")
            if not file:
                raise ValueError(f"must name a file for {name}, found none; add it or leave {name} out")
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        stated = [source for source in SOURCES if getattr(self, source) is not None]
        if len(stated) != 1:
            raise ValueError(f"must have exactly one of `name`, `files` and `dataset`, found {', '.join(stated) or 'none'}; state one")
        misplaced = [key for key in OF_A_DATASET if key in self.model_fields_set]
        if misplaced and self.dataset is None:
            raise ValueError(f"has `{misplaced[0]}`, which belongs to a `dataset`; leave it out")
        return self

    @property
    def title(self) -> str:
        """What a person calls the corpus, without folders."""
        if self.dataset is not None:
            named = f"{Path(self.dataset).name if self.is_local else self.dataset} {self.config or ''}".strip()
            return f"{named}, split {self.split}"
        return self.name or ", ".join(Path(file).name for file in self.files or ())

    @property
    def is_local(self) -> bool:
        """Whether the dataset is a folder of this machine, so that no network is asked; as `beside` has placed it."""
        return self.dataset is not None and is_local_path(self.dataset)

    @property
    def without_tasks(self) -> Self:
        """The text alone, for what answers no questions."""
        return self.model_copy(update={"tasks": {}})

    @property
    def text_files(self) -> dict[str, tuple[str, ...]]:
        """Files and globs of text and of tasks by the key that names them."""
        named = {"corpus.files": self.files or (), **{f"corpus.validation.{name}": files for name, files in self.validation.items()}}
        return named | {f"corpus.tasks.{name}": (file,) for name, file in self.tasks.items()}

    @property
    def local_names(self) -> dict[str, tuple[str, ...]]:
        """Tokenizers and the dataset by the key that names them, where they are written as paths."""
        names = {"corpus.tokenizer": self.tokenizer or (), "corpus.dataset": () if self.dataset is None else (self.dataset,)}
        return {key: tuple(filter(is_local_path, named)) for key, named in names.items()}

    def beside(self, *folders: Path) -> Self:
        """The corpus with every relative path taken from the folder, of several from the first in which anything of it lies.

        A name that is not written as a path is looked for in the first two alone, and else is the hub's. Raises SpecError for a path that
        cannot be followed.
        """
        named = {"corpus.tokenizer": self.tokenizer or (), "corpus.dataset": () if self.dataset is None else (self.dataset,)}
        for key, names in {**self.text_files, **named}.items():
            for name in names:
                require_local(name, key)
                require_reachable(folders[0] / name, key)
        files = self.files and _all_placed(self.files, folders)
        validation = {name: _all_placed(names, folders) for name, names in self.validation.items()}
        tokenizer = self.tokenizer and tuple(_placed(name, folders) for name in self.tokenizer)
        tasks = {name: str(beside(folders, file)) for name, file in self.tasks.items()}
        dataset = self.dataset and _placed(self.dataset, folders)
        placed = {"files": files, "dataset": dataset, "tokenizer": tokenizer, "validation": validation, "tasks": tasks}
        return self.model_copy(update=placed)


def _all_placed(names: tuple[str, ...], folders: Sequence[Path]) -> tuple[str, ...]:
    return tuple(str(beside(folders, name)) for name in names)


def is_local_path(name: str) -> bool:
    """Whether a name is written as a path, so that the hub is never asked for it."""
    return name.startswith((".", "/")) or name.endswith(".json")


def _placed(name: str, folders: Sequence[Path]) -> str:
    """A name that may be a path: absolute where it is written as one or something lies there, else as it is, for the hub."""
    placed = beside(folders if is_local_path(name) else folders[:2], name)
    return str(placed) if is_local_path(name) or placed.exists() else name
