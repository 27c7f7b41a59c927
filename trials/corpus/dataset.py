"""Documents of a Hugging Face dataset, streamed once into Parquet files of the cache, from which every vocabulary is then made.

A shard is written whole and with it where the stream stood, so a call that was killed is continued after its last whole shard, and
what was fetched once is never asked for again. Only a name that is not a folder makes the library ask the hub.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analysis.records.files import write_whole
from analysis.records.json_text import read_json
from analysis.records.json_writer import json_of
from search_space.errors import SpecError, quoted, said_by, value_kind
from trials.study.corpus_spec import CorpusSpec
from trials.study.files import sole

SHARD_BYTES = 32 << 20
"""Text of one shard, about; what is held in memory, and what a kill costs at most."""
DATASET_FORMATS = ("arrow", "csv", "json", "parquet", "text")
"""The library's readers that are of text and run nothing that they read."""
COLUMN = "text"
"""Column of the shards, whatever the dataset calls it."""
FETCHED, FETCH_LOCK = "fetched.json", "lock"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fetched:
    """What is safely in the cache."""

    shards: int = 0
    documents: int = 0
    size_bytes: int = 0
    complete: bool = False
    stream: dict[str, Any] | None = None
    """Where the library's stream stands after the last shard."""


def fetch_dataset(spec: CorpusSpec, cache: Path) -> tuple[Path, ...]:
    """The dataset's documents as Parquet files with a column COLUMN, fetched where they are not there yet.

    Raises SpecError where the dataset cannot be read, has no such split or column, or the library is not installed.
    """
    require_dataset_folder(spec)
    folder = cache / "datasets" / _key(spec)
    if not _fetched(folder).complete:
        folder.mkdir(parents=True, exist_ok=True)
        with sole(folder / FETCH_LOCK):
            if not _fetched(folder).complete:
                _fetch(spec, folder)
                if folder.name != _key(spec):
                    raise SpecError(f"the dataset {spec.dataset} must stay as it is while it is read, found it changed; run again")
    return tuple(folder / _shard(number) for number in range(_fetched(folder).shards))


def fetched_files(spec: CorpusSpec, cache: Path) -> tuple[Path, ...]:
    """The files of a dataset that is whole in the cache; none where it is not, and nothing is asked for."""
    require_dataset_folder(spec)
    folder = cache / "datasets" / _key(spec)
    fetched = _fetched(folder)
    return tuple(folder / _shard(number) for number in range(fetched.shards)) if fetched.complete else ()


def require_dataset_folder(spec: CorpusSpec) -> None:
    """Raise SpecError where the dataset is a folder that is not there, or has no file that may be text."""
    folder = Path(spec.dataset or "")
    if spec.is_local and not folder.is_dir():
        raise SpecError(f"corpus.dataset must be a folder or a name on the hub, found nothing at {spec.dataset}; check the path")
    if spec.is_local and not any(_may_be_text(file.relative_to(folder), file) for file in dataset_files(folder)):
        raise SpecError(
            f"corpus.dataset must be a folder with files of text, such as .parquet, .jsonl or .txt, found none in {spec.dataset}; "
            "put them there, or name another folder"
        )


def dataset_files(folder: Path) -> list[Path]:
    """The files of a dataset's folder, sorted; like the library `datasets` it goes through no link to a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _may_be_text(name: Path, file: Path) -> bool:
    """Whether a file of a dataset's folder may hold documents: none that is hidden, empty or says what the dataset is."""
    said = name.stem.upper() in ("README", "LICENSE") or any(part.startswith(".") for part in name.parts)
    return not said and file.stat().st_size > 0


def _fetch(spec: CorpusSpec, folder: Path) -> None:
    """Write shard after shard, from where the last call came to."""
    stream, fetched = _open(spec, folder), _fetched(folder)
    if fetched.stream is not None:
        stream.load_state_dict(fetched.stream)
    texts: list[str | None] = []
    held_bytes = 0
    limit_bytes = spec.limit_bytes or float("inf")
    with closing(_documents(stream, spec, fetched.documents)) as documents:
        for text in documents:
            texts.append(text)
            held_bytes += len((text or "").encode())
            reached = fetched.size_bytes + held_bytes >= limit_bytes
            if held_bytes >= SHARD_BYTES or reached:
                fetched = _write(folder, texts, fetched, held_bytes, stream.state_dict(), complete=reached)
                logger.info("fetched %.0f MB of %s", fetched.size_bytes / 1e6, spec.title)
                texts, held_bytes = [], 0
            if reached:
                return
    _write(folder, texts, fetched, held_bytes, None, complete=True)


def _write(
    folder: Path, texts: list[str | None], before: Fetched, held_bytes: int, stream: dict[str, Any] | None, *, complete: bool
) -> Fetched:
    """Add a shard, the file first and then the word that it is there."""
    import pyarrow
    from pyarrow import parquet

    if texts:
        draft = folder / "shard.part"
        table = pyarrow.table({COLUMN: pyarrow.array(texts, pyarrow.large_string())})
        parquet.write_table(table, draft, compression="zstd", row_group_size=10_000)
        draft.replace(folder / _shard(before.shards))
    fetched = Fetched(
        before.shards + bool(texts), before.documents + len(texts), before.size_bytes + held_bytes, complete, None if complete else stream
    )
    write_whole(folder / FETCHED, json_of(asdict(fetched)).encode())
    return fetched


def _open(spec: CorpusSpec, folder: Path) -> Any:
    """The split as the library's stream; nothing of it is read yet but what names its files."""
    try:
        import datasets
    except ImportError:
        raise SpecError(
            "corpus.dataset needs the library datasets, found that it is not installed; install it with: pip install 'archfront[datasets]'"
        ) from None
    try:
        if saved := _saved(spec):
            return datasets.load_from_disk(str(saved)).to_iterable_dataset()
        builder = datasets.load_dataset_builder(spec.dataset, spec.config, revision=spec.revision, cache_dir=str(folder))
        if builder.name in DATASET_FORMATS:
            return builder.as_streaming_dataset(split=spec.split)
    except SpecError:
        raise
    except Exception as error:  # the library and what it calls raise whatever they like
        raise SpecError(
            f"the dataset {spec.title} must be one that the library datasets can read, found: {said_by(error)}; "
            "check corpus.dataset, corpus.config, corpus.revision and corpus.split"
        ) from None
    raise SpecError(
        f"the dataset {spec.title} must be one of {', '.join(DATASET_FORMATS)} files, found {builder.name}; convert it to Parquet"
    )


def _saved(spec: CorpusSpec) -> Path | None:
    """The folder of the split where `save_to_disk` wrote the dataset; None where the files are of another kind."""
    folder = Path(spec.dataset or "")
    if not spec.is_local or not any((folder / name).is_file() for name in ("dataset_dict.json", "state.json")):
        return None
    if (folder / "state.json").is_file():
        return folder
    stated = read_json(folder / "dataset_dict.json", "a dataset's splits", "save the dataset again")
    splits = stated.get("splits") if isinstance(stated, dict) else None
    if not isinstance(splits, list) or not all(isinstance(name, str) for name in splits):
        raise SpecError(f"{folder / 'dataset_dict.json'} must name the dataset's splits, found {quoted(splits)}; save the dataset again")
    if spec.split not in splits:
        raise SpecError(f"corpus.split must be a split of {folder} ({', '.join(splits)}), found {spec.split}; name one of them")
    return folder / spec.split


def _documents(stream: Any, spec: CorpusSpec, done: int) -> Generator[str | None, None, None]:
    """The column's texts, None for a row without one: it is passed over, and counted, where the corpus is read."""
    rows = iter(stream)
    while True:
        try:
            row = next(rows, None)
        except Exception as error:
            raise SpecError(
                f"the dataset {spec.title} broke off after {done:,} documents, found: {said_by(error)}; "
                "correct its files or, where the network failed, run again to go on from there"
            ) from None
        if row is None:
            return
        text = row.get(spec.column)
        if isinstance(text, bytes):
            text = _decoded(text, spec, done)
        if isinstance(text, str) or (text is None and spec.column in row):
            done += 1
            yield text
        elif spec.column not in row:
            raise SpecError(
                f"the dataset {spec.title} must have a column `{spec.column}`, found {', '.join(row)}; name one of them with corpus.column"
            )
        else:
            raise SpecError(
                f"the dataset {spec.title} must have text in its column `{spec.column}`, found {value_kind(text)}; "
                "name another with corpus.column"
            )


def _decoded(text: bytes, spec: CorpusSpec, done: int) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise SpecError(
            f"the dataset {spec.title} must have UTF-8 in its column `{spec.column}`, found byte 0x{text[error.start]:02x} in row "
            f"{done + 1:,}; convert it, or name another with corpus.column"
        ) from None


def _key(spec: CorpusSpec) -> str:
    """A hash of what is asked for; where it is a folder, of its files' names, sizes and times too."""
    asked = spec.model_dump(include={"dataset", "config", "split", "revision", "limit_bytes", "column"})
    files = dataset_files(Path(spec.dataset or "")) if spec.is_local else []
    asked["files"] = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json_of(asked, sort_keys=True).encode()).hexdigest()[:32]


def _fetched(folder: Path) -> Fetched:
    file = folder / FETCHED
    if not file.is_file():
        return Fetched()
    cure = f"delete {folder}, and the dataset is fetched anew"
    try:
        return Fetched(**read_json(file, "how much of a dataset was fetched", cure))
    except TypeError:
        raise SpecError(f"{file} must say how much of a dataset was fetched, found something else; {cure}") from None


def _shard(number: int) -> str:
    return f"{number:06}.parquet"
