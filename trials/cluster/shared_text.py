"""A study's text as workers get it: its ids are mapped from files on their node, so that no corpus is one object in Ray's store.

A worker that sees the driver's files maps those. Any other has them fetched once for all workers of its node, in pieces, into the node's
cache, where they stay for later studies, under a name that tells their content. All map the same bytes, so the order of reading is the
same everywhere.
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.records.json_writer import json_of
from search_space.errors import SpecError, WorkError, complaint_of
from trials.cluster.state_keeper import FileGiver, fetch, keeping_states
from trials.corpus.blocks import BYTES_PER_TOKEN, META, SPLITS, TOKENIZER, TokenBlocks, id_type, split_file, unit_file
from trials.study.files import cache_folder, sole

HASHED_AT_ONCE = 1 << 24
"""Bytes of a file that are read at once for its hash."""

MOST_FETCHES, FETCH_AGAIN_SECONDS = 3, 5.0
"""How often a file is asked for, and the pause in which the process that gives files out is back."""


class TextAway(WorkError):  # noqa: N818  # a state of the node's
    """A node cannot have the study's text: it says nothing of what was to be trained on it."""


@dataclass(frozen=True, slots=True)
class SharedText:
    """Token blocks without the ids of their splits, and where those are to be had."""

    rest: TokenBlocks
    """Everything else."""
    folder: Path
    """Where the files lie on the driver's machine."""
    mark: tuple[int, int]
    """Tells that folder from another one of its name, on another machine say."""
    files: Mapping[str, str]
    """SHA-256 of each file, hexadecimal; empty where every worker sees the folder."""
    keeper: Any
    """Handle of the FileGiver that gives files out below the folder's parent; None where every worker sees it."""

    def here(self) -> TokenBlocks:
        """The blocks, mapped on this machine; raises TextAway where the files cannot be had."""
        try:
            folder = self.folder if _is_same(self.folder, self.mark) else self._fetched()
            there = TokenBlocks.load(folder)
        except (OSError, SpecError) as error:
            found = complaint_of(error) if isinstance(error, OSError) else str(error)
            raise TextAway(f"the study's text must be had on {platform.node()}, found: {found}; see to that node") from None
        splits = {split: getattr(there, split) for split in SPLITS}
        return replace(self.rest, **splits, tokenizer_file=there.tokenizer_file, folder=folder)

    def _fetched(self) -> Path:
        """The folder in this node's cache, fetched where it is not there; of several workers one fetches and the others wait."""
        if self.keeper is None:
            raise TextAway(f"the study's text in {self.folder} must stay there while it trains, found it gone; run the same command again")
        content = hashlib.sha256(json_of(self.files, sort_keys=True).encode()).hexdigest()
        folder = cache_folder() / f"{self.folder.name}-{content[:16]}"
        with sole(folder.with_suffix(".lock")):
            if not (folder / META).is_file():
                partial = folder.with_suffix(".fetched")
                partial.mkdir(exist_ok=True)
                for name, sha256 in self.files.items():
                    if not (partial / name).is_file() or _sha256(partial / name) != sha256:
                        self._fetch(name, partial / name, sha256)
                os.replace(partial, folder)
        return folder

    def _fetch(self, name: str, file: Path, sha256: str) -> None:
        for _ in range(MOST_FETCHES):
            if fetch(self.keeper, f"{self.folder.name}/{name}", file) and _sha256(file) == sha256:
                return
            time.sleep(FETCH_AGAIN_SECONDS)
        raise TextAway(
            f"{name} of the study's text must come whole from the driver's node to {file.parent} on {platform.node()}, found no answer or "
            f"other bytes {MOST_FETCHES} times; see to the network between the two"
        )


def shared_text(blocks: TokenBlocks, kept: ExitStack, is_joined: bool) -> SharedText | TokenBlocks:
    """What is put into Ray's store for blocks: their files' names, or the blocks themselves where they lie in no folder.

    Workers of a cluster that `is_joined` may not see the folder; its files are given out for them until `kept` is closed.
    """
    if blocks.folder is None:
        return blocks
    keeper = kept.enter_context(keeping_states(blocks.folder.parent, FileGiver)) if is_joined else None
    none = np.empty(0, id_type(blocks.vocab_size))
    names = [META, BYTES_PER_TOKEN, TOKENIZER, *(name for split in SPLITS for name in (split_file(split), unit_file(split)))]
    there = [name for name in names if (blocks.folder / name).is_file()]
    files = {} if keeper is None else {name: _sha256(blocks.folder / name) for name in sorted(there, key=lambda name: name == META)}
    return SharedText(replace(blocks, train=none, validation=none, test=none), blocks.folder, _mark(blocks.folder), files, keeper)


def text_here(text: SharedText | TokenBlocks) -> TokenBlocks:
    """The blocks on this machine of what `shared_text` made."""
    return text.here() if isinstance(text, SharedText) else text


def _mark(folder: Path) -> tuple[int, int]:
    found = (folder / META).stat()
    return found.st_ino, found.st_mtime_ns


def _is_same(folder: Path, mark: tuple[int, int]) -> bool:
    try:
        return _mark(folder) == mark
    except OSError:
        return False


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as read:
        while piece := read.read(HASHED_AT_ONCE):
            digest.update(piece)
    return digest.hexdigest()
