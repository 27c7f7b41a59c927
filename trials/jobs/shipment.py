"""What travels to a cluster with a study: our code, the study's file, and the files that it names beside it."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from search_space.describe import is_file_name
from search_space.errors import SpecError, quoted
from trials.corpus.dataset import dataset_files
from trials.corpus.given_tokenizer import FILE
from trials.machine.provenance import FRONT_DOOR, PACKAGES
from trials.study.ablation_spec import AblationSpec, is_ablation, load_ablation
from trials.study.corpus_spec import CorpusSpec, is_local_path
from trials.study.files import globbed
from trials.study.load_study import load_begun, load_study
from trials.study.origin import is_file
from trials.study.search_spec import is_table_file
from trials.study.spec import StudySpec
from trials.study.yaml_file import read_yaml

STUDY_FOLDER = "study"
JOBS_FOLDER = "~/archfront"
"""Where jobs keep their studies' directories unless told otherwise."""
LARGEST_BYTES = 100 * 2**20
"""Ray keeps a job's files in the head's memory and refuses more than some hundred megabytes."""

logger = logging.getLogger(__name__)


def pack(first: Path, folder: Path, others: Sequence[Path] = (), beside: Mapping[str, Path] = {}) -> str:
    """Fill a folder with all that a job needs, and return the first file's path in it; the files are of studies, or of ablations.

    Relative corpus and reference files travel with the study, and so does the module of its sampler from the working directory; an
    absolute path names a file of the cluster, which is said. `beside` are further files by their names there. Raises SpecError for a
    study that would be refused here, files that do not lie in one folder, a relative file that does not exist or lies outside that
    folder, and too large a corpus.
    """
    paths = [path.resolve() for path in (first, *others)]
    if elsewhere := [path for path in paths if path.parent != paths[0].parent]:
        raise SpecError(
            f"the files of one job must lie in one folder, found {quoted(elsewhere[0])} beside {paths[0]}; submit a job for each folder"
        )
    for path in paths:
        load_ablation(path) if is_ablation(path) else load_study(path)
    companions = [dict(_companions(path)) for path in paths]
    pack_files(one_of_each({path.name: path for path in paths}, *companions, beside), folder, paths[0].name)
    return f"{STUDY_FOLDER}/{paths[0].name}"


def one_of_each(*groups: Mapping[str, Path]) -> dict[str, Path]:
    """All files of some groups by their names in a job's folder; raises SpecError where a name is of two files."""
    found: dict[str, Path] = {}
    for name, file in chain.from_iterable(group.items() for group in groups):
        if not os.path.samefile(found.setdefault(name, file), file):
            raise SpecError(f"a job must have one file of each name, found {name} for {found[name]} and for {file}; rename one of them")
    return found


def pack_files(files: Mapping[str, Path], folder: Path, what: str) -> None:
    """Fill a folder with our packages, and files by their names in `STUDY_FOLDER`, which are there beside `what`.

    Our packages are taken from where they are imported from, so a checkout and an installed archfront ship alike. Raises SpecError for
    files that are too large together.
    """
    size = sum(source.stat().st_size for source in files.values())
    if size > LARGEST_BYTES:
        raise SpecError(
            f"a job may carry at most {LARGEST_BYTES >> 20} MiB of text, found {size >> 20} MiB beside {what}; "
            "put the corpus where every machine of the cluster sees it and name it by its absolute path"
        )
    for name in PACKAGES:
        shutil.copytree(_source(name).parent, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(_source(FRONT_DOOR.removesuffix(".py")), folder)
    target = folder / STUDY_FOLDER
    target.mkdir()
    for name, source in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target / name)


def as_shipped(study_path: Path, directory: str | None = None) -> tuple[StudySpec, bool]:
    """A study as its job will read it, so far as that can be looked at here, and whether its text travels along.

    What lies outside of its folder is of the cluster, and left out. Where the job's directory is seen from here, the study is the one that
    began there.
    """
    study, _, _ = load_begun(study_path, directory and os.path.expanduser(directory), os.path.expanduser(JOBS_FOLDER))
    folder = study_path.resolve().parent
    kept = tuple(name for name in study.references if not is_file_name(name) or _is_below(name, folder))
    table = study.search.latency_table
    search = study.search if table is None or _is_below(table, folder) else study.search.model_copy(update={"latency_table": None})
    sent = study.model_copy(update={"references": kept, "search": search})
    return sent, _has_text(study.corpus, folder)


def ablation_as_shipped(path: Path) -> tuple[AblationSpec, bool]:
    """An ablation, and whether its text travels along."""
    ablation = load_ablation(path)
    return ablation, _has_text(ablation.corpus, path.resolve().parent)


def _has_text(corpus: CorpusSpec, folder: Path) -> bool:
    return all(_is_below(name, folder) for names in (*corpus.text_files.values(), corpus.tokenizer or ()) for name in names)


def _is_below(name: str, folder: Path) -> bool:
    return Path(os.path.normpath(folder / name)).is_relative_to(folder)


def _source(module: str) -> Path:
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise SpecError(f"{module} must be importable to be shipped; run from a checkout of archfront, or install it")
    return Path(found.origin)


def _companions(study_path: Path) -> Iterator[tuple[str, Path]]:
    """Relative name in the study's folder and file, for each file that the study names."""
    values = read_yaml(study_path, "name a study's YAML", "see docs/study.md")
    yield from texts_of(CorpusSpec.model_validate(values["corpus"]), study_path.parent)
    for part in _measuring(values):
        if not Path(part).is_absolute() and is_file(study_path.parent / part):
            raise SpecError(
                f"latency.command: {part} must be an absolute path of the node that measures, found a file beside the study, "
                "which is not sent; copy it there and name it by its path there"
            )
    heard = values.get("on_end")
    for part in [heard] if isinstance(heard, str) else heard or ():
        if not Path(part).is_absolute() and is_file(study_path.parent / part):
            yield from named_files("on_end", part, study_path.parent)
    for name in values.get("references") or ():
        if is_file_name(name):
            yield from named_files("references", name, study_path.parent)
    sampler = str((values.get("search") or {}).get("sampler"))
    if ":" in sampler:
        yield from _module(sampler.partition(":")[0].partition(".")[0])
    table = (values.get("search") or {}).get("latency_table")
    if table is not None and not is_table_file(table):
        raise SpecError(
            f"search.latency_table: {table} is a name on this machine; copy the table beside the study's file and name it as {table}.jsonl"
        )
    if table is not None:
        yield from named_files("search.latency_table", table, study_path.parent)


def texts_of(corpus: CorpusSpec, folder: Path) -> Iterator[tuple[str, Path]]:
    """Relative name in the folder and file, for each file of text and tokenizer that a corpus names; an absolute path is said."""
    for key, patterns in corpus.text_files.items():
        yield from all_named(key, patterns, folder)
    name = corpus.dataset
    if name is not None and (corpus.is_local or (folder / name).is_dir()) and _is_sent("corpus.dataset", name, folder):
        yield from ((str(file.relative_to(folder)), file) for file in dataset_files(folder / name))
    for name in corpus.tokenizer or ():
        yield from tokenizer_files("corpus.tokenizer", name, folder)


def tokenizer_files(key: str, name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """The file of a tokenizer, in a folder or by itself; nothing for one of the hub."""
    if (folder / name).is_dir():
        yield from named_files(key, f"{name}/{FILE}", folder)
    elif is_local_path(name):
        yield from named_files(key, name, folder)


def _measuring(values: Mapping[str, Any]) -> Iterator[str]:
    """The parts of the commands that measure, of a study or of an ablation's scales."""
    scales = (values.get("scales") or {}).values()
    several = [each for scale in scales for each in scale.get("latency") or ()]
    for latency in [values.get("latency"), *several, *(scale.get("equal_latency") for scale in scales)]:
        yield from (latency or {}).get("command") or ()


def _module(name: str) -> Iterator[tuple[str, Path]]:
    """The files of a module in the working directory; nothing for one that the cluster has to have installed."""
    here = Path.cwd()
    for file in [here / f"{name}.py", *sorted((here / name).rglob("*.py"))]:
        if file.is_file():
            yield str(file.relative_to(here)), file


def all_named(key: str, patterns: Sequence[str], folder: Path) -> Iterator[tuple[str, Path]]:
    """What several patterns name together, a file with several names once: there, where no links are, it would be several.

    Raises as `named_files` does, and where a pattern has nothing but other names.
    """
    sent: dict[str, str] = {}
    for pattern in patterns:
        named = [(name, file, sent.setdefault(os.path.realpath(file), name)) for name, file in named_files(key, pattern, folder)]
        yield from ((name, file) for name, file, first in named if name == first)
        if named and all(name != first for name, _, first in named):
            raise SpecError(
                f"{key}: {pattern} must name a file of its own to be shipped, found {named[0][2]} by another name; leave it out"
            )


def named_files(key: str, pattern: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Relative name in the folder and file, for each that a pattern names; an absolute one is said, and names files of the cluster.

    Raises SpecError where it leads out of the folder, or names none.
    """
    if not _is_sent(key, pattern, folder):
        return
    files = [(str(file.relative_to(folder)), file) for file in globbed(folder, pattern, key).values()]
    if not files:
        raise SpecError(f"{key}: {pattern} must name a file in {folder}, found none; check the path, which is relative to that folder")
    yield from files


def _is_sent(key: str, name: str, folder: Path) -> bool:
    """Whether a path or pattern is of the folder; one that is absolute is said, one that leads out of the folder refused."""
    if Path(name).is_absolute():
        logger.warning("%s: %s is an absolute path, so the job reads it on the cluster; it is not shipped", key, name)
        return False
    if ".." in Path(name).parts:
        raise SpecError(f"{key}: {name} must lie below {folder} to be shipped; copy it there, or name an absolute path of the cluster")
    return True
