"""TokenBlocks: a corpus as token ids, what workers get instead of text; numpy alone, so a bare machine can train on them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import numpy.typing as npt

from analysis.records.json_text import read_json
from analysis.records.json_writer import json_of
from search_space.errors import SpecError
from trials.corpus.shuffle import draw, permute
from trials.corpus.split_facts import SplitFacts
from trials.tasks.encoding import EncodedTask

if TYPE_CHECKING:
    from analysis.records.record import TrialRecord

SPLITS: Final = ("train", "validation", "test")
META, TOKENIZER, BYTES_PER_TOKEN = "meta.json", "tokenizer.json", "bytes_per_token.npy"

Ids = npt.NDArray[np.uint16 | np.uint32]
Places = npt.NDArray[np.int64]


def id_type(vocab_size: int) -> type[np.uint16] | type[np.uint32]:
    """The smallest type that holds every id."""
    return np.uint16 if vocab_size <= 1 << 16 else np.uint32


def split_file(split: str) -> str:
    """The name of a split's file: its ids and nothing else."""
    return f"{split}.bin"


def unit_file(split: str) -> str:
    """The name of the file with the places where a split's units begin."""
    return f"{split}-units.npy"


@dataclass(frozen=True, eq=False)
class TokenBlocks:
    """A corpus' three splits as token ids under one vocabulary; every piece of text ends with the end of text."""

    train: Ids
    """[tokens] Memory-mapped where loaded from a folder, in memory where it came through a pickle."""
    validation: Ids
    test: Ids
    vocab_size: int
    bytes_per_token: npt.NDArray[np.int32]
    """[vocab_size] Bytes of text of each id, 0 for the end of text: `bytes_per_token[targets].sum()` turns nats into bits per byte."""
    corpus: str
    """The corpus' name or a summary of its files."""
    corpus_sha256: str
    """SHA-256 of the text and, where it is not split by each piece's own digest, of how it is split."""
    tokenizer_file: Path | None
    """tokenizer.json, where this machine has it."""
    documents: int | None = None
    """Documents of the corpus, those without text included; None where a folder of blocks came without its corpus."""
    without_text: int | None = None
    """Documents that are null, empty or white space alone, and left out; None as for `documents`."""
    validations: Mapping[str, Ids] = field(default_factory=dict)
    """[tokens] Each of the validation sets that the study names beside the corpus."""
    tasks: Mapping[str, EncodedTask] = field(default_factory=dict)
    """The questions of each task that the study names beside the corpus; `save` leaves them out."""
    facts: SplitFacts | None = None
    """How the corpus is split; None for blocks that were made without one."""
    unit_starts: Mapping[str, Places] = field(default_factory=dict)
    """[units] Place of the first token of each document of a held-out split or named set; of each section where the corpus is split by
    these."""
    folder: Path | None = None
    """Where `load` mapped the splits from; None for blocks that were made in memory."""

    def batch(self, seed: int, step: int, sequences: int, context_tokens: int) -> npt.NDArray[np.int64]:
        """The training sequences of one step: [sequences, context_tokens + 1], inputs and the targets shifted by one.

        A pure function of its arguments. The train split is walked in epochs: each starts at a random offset, cuts the tokens
        into windows that share no target, and visits every window once in a random order that is the epoch's own.
        """
        targets = self._targets("train", context_tokens)
        count = max((targets - (context_tokens - 1)) // context_tokens, 1)
        offsets = min(targets - count * context_tokens, context_tokens - 1) + 1
        walked = np.arange(step * sequences, (step + 1) * sequences, dtype=np.uint64)
        epochs, places = np.divmod(walked, np.uint64(count))
        windows = permute(places, count, seed, epochs)
        starts = windows * np.uint64(context_tokens) + draw(offsets, seed, epochs)
        return _windows_at(self.train, starts.astype(np.int64), context_tokens)

    def evaluation(self, split: str, tokens: int, context_tokens: int) -> npt.NDArray[np.int64]:
        """Windows of so many target tokens of a split at most (one window at least), spread evenly: [sequences, context_tokens + 1].

        Always the same windows, which share no target; fewer than asked for where the split is smaller.
        """
        return _windows_at(self._ids(split), self._evaluated(split, tokens, context_tokens), context_tokens)

    def evaluated_units(self, split: str, tokens: int, context_tokens: int) -> Places | None:
        """The unit of each target of the windows of `evaluation`, by its place in `unit_starts`: [sequences, context_tokens].

        None where it is not known what the units of the split are.
        """
        starts = self.unit_starts.get(split)
        if starts is None:
            return None
        targets = self._evaluated(split, tokens, context_tokens)[:, None] + np.arange(1, context_tokens + 1)
        return np.searchsorted(starts, targets, side="right") - 1

    def save(self, folder: Path) -> None:
        """Write a folder that `load` reads on any machine; it may exist, and is complete once meta.json is there."""
        folder.mkdir(parents=True, exist_ok=True)
        for split in SPLITS:
            self._ids(split).tofile(folder / split_file(split))
        for name, ids in self.validations.items():
            ids.tofile(folder / split_file(f"validation-{name}"))
        np.save(folder / BYTES_PER_TOKEN, self.bytes_per_token)
        if self.tokenizer_file is not None:
            shutil.copyfile(self.tokenizer_file, folder / TOKENIZER)
        for split, starts in self.unit_starts.items():
            np.save(folder / unit_file(f"validation-{split}" if split in self.validations else split), starts)
        write_meta(folder, self.corpus, self.corpus_sha256, self.vocab_size, self.facts, tuple(self.validations))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map the blocks that `save` or `trials.corpus.prepare.prepare_corpus` wrote; raises SpecError where the folder holds none."""
        if not (folder / META).is_file():
            raise SpecError(f"{folder} must hold token blocks, found no {META}; save them there first")
        meta: dict[str, Any] = read_json(folder / META, "what token blocks are", f"delete {folder}, and they are made anew")
        held_out = {split: split for split in SPLITS[1:]} | {name: f"validation-{name}" for name in meta.get("validations", ())}
        train, validation, test = (_mapped(folder / split_file(split), meta, split) for split in SPLITS)
        return cls(
            train=train,
            validation=validation,
            test=test,
            vocab_size=meta["vocab_size"],
            bytes_per_token=np.load(folder / BYTES_PER_TOKEN),
            corpus=meta["corpus"],
            corpus_sha256=meta["corpus_sha256"],
            tokenizer_file=folder / TOKENIZER if (folder / TOKENIZER).is_file() else None,
            facts=SplitFacts.of(meta["facts"]) if meta.get("facts") else None,
            unit_starts={
                split: np.load(folder / unit_file(stem)) for split, stem in held_out.items() if (folder / unit_file(stem)).is_file()
            },
            validations={
                name: _mapped(folder / split_file(f"validation-{name}"), meta, f"validation-{name}") for name in meta.get("validations", ())
            },
            folder=folder,
        )

    def require_same_text(self, records: Iterable[TrialRecord]) -> None:
        """Raise SpecError where a record's training had another corpus than these blocks: a study goes on with the text it began with."""
        for record in records:
            hashed = record.training.corpus_sha256 if record.training else None
            if self.facts is not None and hashed == self.facts.text_sha256 != self.corpus_sha256:
                raise SpecError(
                    f"the corpus must be split as {record.title} was trained on it, found that documents and near copies are "
                    "now in one split each; name another directory (this one can be reported and exported as before)"
                )
            if hashed not in (None, self.corpus_sha256):
                raise SpecError(
                    f"the corpus must be the text that {record.title} was trained on (SHA-256 {hashed[:12]}), found another one "
                    f"({self.corpus_sha256[:12]}); restore the text, or name another directory"
                )

    def require_same_tasks(self, records: Iterable[TrialRecord]) -> None:
        """Raise SpecError where a record's training answered other questions under a task's name than these blocks have."""
        for record in records:
            for name, score in (record.training.tasks if record.training else {}).items():
                asked, now = score.questions_sha256, self.tasks[name].sha256 if name in self.tasks else score.questions_sha256
                if asked != now:
                    raise SpecError(
                        f"corpus.tasks.{name} must hold the questions that {record.title} answered (SHA-256 {asked[:12]}), found others "
                        f"({now[:12]}); restore the file, or name another directory"
                    )

    def require_context(self, context_tokens: int) -> None:
        """Raise SpecError where a split or a named validation set does not fill one window."""
        for split in (*SPLITS, *self.validations):
            self._targets(split, context_tokens)

    def _evaluated(self, split: str, tokens: int, context_tokens: int) -> Places:
        """Places of the first tokens of the windows of `evaluation`."""
        count = self._targets(split, context_tokens) // context_tokens
        wanted = min(max(tokens // context_tokens, 1), count)
        return np.arange(wanted) * count // wanted * context_tokens

    def _ids(self, split: str) -> Ids:
        if split in self.validations:
            return self.validations[split]
        if split not in SPLITS:
            raise SpecError(f"split must be one of {', '.join((*SPLITS, *self.validations))}, found {split}; name one of them")
        ids: Ids = getattr(self, split)
        return ids

    def _targets(self, split: str, context_tokens: int) -> int:
        """Tokens that can be a target; raises SpecError where they do not fill one window."""
        targets = len(self._ids(split)) - 1
        if targets < context_tokens:
            raise SpecError(
                f"the {split} {'split' if split in SPLITS else 'set'} must hold {context_tokens + 1} tokens (context_tokens and one), "
                f"found {targets + 1}; add text to {'the corpus' if split in SPLITS else 'it'} or lower proxy.context_tokens"
            )
        return targets


def write_meta(
    folder: Path, corpus: str, corpus_sha256: str, vocab_size: int, facts: SplitFacts | None, validations: tuple[str, ...] = ()
) -> None:
    """Write what is known of the blocks beside their arrays, which must be complete."""
    id_bytes = np.dtype(id_type(vocab_size)).itemsize
    splits = (*SPLITS, *(f"validation-{name}" for name in validations))
    tokens = {split: (folder / split_file(split)).stat().st_size // id_bytes for split in splits}
    meta = {
        "corpus": corpus,
        "corpus_sha256": corpus_sha256,
        "vocab_size": vocab_size,
        "tokens": tokens,
        "facts": None if facts is None else facts.as_dict(),
        "validations": validations,
    }
    (folder / META).write_text(json_of(meta, indent=2) + "\n", encoding="utf-8")


def _windows_at(ids: Ids, starts: npt.NDArray[np.int64], context_tokens: int) -> npt.NDArray[np.int64]:
    windows: Ids = ids[starts[:, None] + np.arange(context_tokens + 1)]
    return windows.astype(np.int64)


def _mapped(file: Path, meta: dict[str, Any], split: str) -> Ids:
    """A split's ids; a plain view, not numpy's memmap subclass, so that it pickles and Ray stores it as an ordinary array."""
    ids: Ids = np.asarray(np.memmap(file, id_type(meta["vocab_size"]), mode="r"))
    if len(ids) != meta["tokens"][split]:
        raise SpecError(f"{file} must hold {meta['tokens'][split]} tokens, found {len(ids)}; copy the folder again")
    return ids
