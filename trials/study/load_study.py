"""A study's YAML becomes a StudySpec: load_study, and what reads one as its directory began with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search_space.budget import Budget
from search_space.describe import is_file_name
from search_space.errors import SpecError, require_local, require_reachable
from trials.study.budget_defaults import DEFAULTS, completed, completed_text, open_choices
from trials.study.corpus_spec import CorpusSpec
from trials.study.origin import beside, file_beside, folders_of, own_folders, require_beside
from trials.study.search_spec import is_table_file
from trials.study.section import parsed
from trials.study.spec import StudySpec
from trials.study.upgrade import require_new_keys, upgraded
from trials.study.yaml_file import parse_yaml, read_yaml

STUDY = "study.yaml"
"""The file of a study's directory that says what the study is."""
BEGUN = "study.begun.yaml"
"""A copy of it, by which it is told whether somebody changed the study since its records were made."""


def parse_study(values: object, source: str = "study") -> StudySpec:
    """Check a study's mapping, with what stands in it under `defaults`; raises SpecError with path, what was found and the cure."""
    require_new_keys(values, source)
    try:
        complete = completed(values) if isinstance(values, Mapping) else values
    except SpecError as error:
        raise SpecError(f"{source}: {error}") from None
    study = parsed(StudySpec, complete, source, "docs/study.md")
    try:  # the space is read here so that its errors name the file
        study.space_at(Budget.parse(study.budget if study.scaling is None else {"parameters": 1}))
    except SpecError as error:
        raise SpecError(f"{source}: {error}") from None
    return study


def parse_stored(text: str | bytes, source: str = "study") -> StudySpec:
    """The study that lies in a directory, whichever archfront wrote it; raises SpecError as `parse_study` does."""
    try:
        values = parse_yaml(text)
    except ValueError as error:
        raise SpecError(f"{source} cannot be read as YAML ({error}); restore it from a copy") from None
    return parse_study(upgraded(values), source)


def load_study(path: str | Path) -> StudySpec:
    """Read a study file; relative files of corpus, references, a latency command and a table are resolved against its folder."""
    path = Path(path)
    here = (path.resolve().parent,)
    return _placed(parse_study(_with_defaults(_read(path), str(path)), str(path)), here, here)


def load_stored(directory: Path) -> StudySpec:
    """The study that lies in a directory, whichever archfront wrote it, with its relative files where they lie now.

    Raises SpecError, with the places where it was looked for, where one of them is gone.
    """
    path = directory / STUDY
    study, folders = parse_study(upgraded(_read(path)), str(path)), folders_of(directory)
    require_beside(folders, "references", filter(is_file_name, study.references))
    table = study.search.latency_table
    require_beside(folders, "search.latency_table", [table] if table is not None and is_table_file(table) else [])
    corpus = stored_corpus(study.corpus, directory)
    return _placed(study.model_copy(update={"corpus": corpus}), folders, own_folders(directory))


def stored_corpus(corpus: CorpusSpec, directory: Path) -> CorpusSpec:
    """The corpus of the study in a directory with its relative files where they lie now; raises SpecError as `load_stored` does."""
    folders = folders_of(directory)
    for key, names in {**corpus.text_files, **corpus.local_names}.items():
        require_beside(folders, key, names)
    return corpus.beside(*folders)


def stated_corpus(file: Path, further: Mapping[str, object] = {}) -> CorpusSpec:
    """The corpus that a study's file, or a file of one alone, states, with further keys; its relative files as they are written.

    Raises SpecError for a file that states none.
    """
    found = read_yaml(file, "name a study's file, or files of text", "see docs/corpora.md")
    stated = found.get("corpus", found) if isinstance(found, Mapping) else found
    whole = {**stated, **further} if isinstance(stated, Mapping) else stated
    return parsed(CorpusSpec, whole, f"{file}: corpus", "docs/corpora.md")


def load_begun(path: Path, directory: str | None, beneath: str = "runs") -> tuple[StudySpec, Path, str]:
    """Read a study file as `load_study` does; beside it the directory that it runs in, and the text of it which is kept there.

    The directory is NAME `beneath` that folder where none is given. What the file leaves open is what it was when that directory's study
    began.
    """
    values = _read(path)
    named = values.get("name") if isinstance(values, Mapping) else None
    folder = Path(directory or f"{beneath}/{named}")
    complete = _with_defaults(values, str(path), folder if directory or isinstance(named, str) else None)
    here = (path.resolve().parent,)
    study = _placed(parse_study(complete, str(path)), here, here)
    kept = complete if complete.get(DEFAULTS) else values
    return study, folder, completed_text(path.read_text(encoding="utf-8"), kept)


def _placed(study: StudySpec, folders: Sequence[Path], of_commands: Sequence[Path]) -> StudySpec:
    """The study with its relative files resolved against the first of the folders in which they lie, parts of commands against theirs."""
    for name in filter(is_file_name, study.references):
        require_local(name, "a file of references")
        require_reachable(folders[0] / name, "a file of references")
    references = tuple(str(beside(folders, name)) if is_file_name(name) else name for name in study.references)
    latency = study.latency.beside(*of_commands)
    search, table = study.search, study.search.latency_table
    if table is not None and is_table_file(table):
        require_local(table, "search.latency_table")
        require_reachable(folders[0] / table, "search.latency_table")
        search = search.model_copy(update={"latency_table": str(beside(folders, table))})
    heard = study.on_end and tuple(file_beside(of_commands, part) for part in study.on_end)
    placed = {"on_end": heard, "corpus": study.corpus.beside(*folders), "references": references, "latency": latency, "search": search}
    return study.model_copy(update=placed)


def _read(path: Path) -> Any:
    return read_yaml(path, "name a study's YAML, such as studies/quickstart.yaml", "see docs/study.md for what a study looks like")


def _with_defaults(values: Any, source: str, directory: Path | None = None) -> Any:
    """A study's mapping with what it leaves open under `defaults`; itself where it has that already, or is no mapping."""
    if not isinstance(values, Mapping) or DEFAULTS in values:
        return values
    begun = [] if directory is None else [file for file in (directory / BEGUN, directory / STUDY) if file.is_file()]
    if not begun:
        try:
            return {**values, DEFAULTS: open_choices(values)}
        except SpecError as error:
            raise SpecError(f"{source}: {error}") from None
    there = _read(begun[0])  # of an earlier archfront it has none, and nothing was filled in
    return {**values, DEFAULTS: there.get(DEFAULTS, {}) if isinstance(there, Mapping) else {}}
