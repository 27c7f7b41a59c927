"""Relative names of a study are found again from its directory, wherever one stands and whatever was moved, or it is said where not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from search_space.errors import SpecError
from tests.conftest import Call
from tests.support.fakes import small_study
from tests.support.sample_study import sample_records
from tests.support.weighed_study import weighed_study
from trials.corpus.documents import find_documents
from trials.corpus.validation_sets import find_validations
from trials.study.directory import claim
from trials.study.load_study import STUDY, load_begun, load_stored, parse_stored, stored_corpus
from trials.study.origin import ORIGIN, folders_of, keep_origin

NAMES: dict[str, dict[str, Any]] = {
    "corpus.files": {"corpus": {"files": ["texts/a.txt"], "name": None}},
    "corpus.files globbed": {"corpus": {"files": ["texts/**/*.txt"], "name": None}},
    "corpus.tokenizer": {"corpus": {"tokenizer": "./texts/tokenizer.json"}},
    "corpus.validation.other": {"corpus": {"validation": {"other": "texts/a.txt"}}},
    "corpus.tasks.sums": {"corpus": {"tasks": {"sums": "texts/sums.jsonl"}}},
    "references": {"references": ["texts/shape.yaml"]},
    "search.latency_table": {"search": {"latency_table": "texts/phone.jsonl"}},
}
"""Keys that name files beside the study's."""


def begun(home: Path, **changes: Any) -> Path:
    """The directory of a study that was begun from a file in `home`."""
    texts = home / "texts"
    texts.mkdir(parents=True)
    (texts / "a.txt").write_text("some words of text\n" * 50)
    (texts / "shape.yaml").write_text(yaml.safe_dump(sample_records(2)[0].architecture.as_dict()))
    for name in ("phone.jsonl", "sums.jsonl"):
        (texts / name).write_text("")
    (texts / "tokenizer.json").write_text("{}")
    (home / "study.yaml").write_text(small_study(**changes)[1])
    _, directory, text = load_begun(home / "study.yaml", str(home / "runs" / "it"))
    with claim(directory, text, home):
        return directory


def named(directory: Path) -> set[Path]:
    """What the study of a directory names: all of them files that are there."""
    study = load_stored(directory)
    files = [*find_documents(study.corpus).files] if study.corpus.files else []
    files += [file for documents in find_validations(study.corpus).values() for file in documents.files]
    others = [*(study.corpus.tokenizer or ()), *study.corpus.tasks.values(), *study.references, study.search.latency_table or ""]
    return {*files, *(Path(name) for name in others if "/" in name)}


MOVES: dict[str, Callable[[Path, Path], Path]] = {
    "nothing": lambda directory, away: directory,
    "the directory alone": lambda directory, away: Path(shutil.move(directory, away / "it")),
    "the whole project": lambda directory, away: Path(shutil.move(directory.parents[1], away / "project")) / "runs" / "it",
    "a copy of the texts into the directory": lambda directory, away: (
        shutil.move(directory.parents[1] / "texts", directory / "texts"),
        directory,
    )[1],
    "the texts to where one works": lambda directory, away: (shutil.move(directory.parents[1] / "texts", away / "texts"), directory)[1],
}


@pytest.mark.parametrize("key", NAMES)
@pytest.mark.parametrize("move", MOVES)
def test_relative_names_of_a_study_are_found_from_its_directory(
    move: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = tmp_path / "away"
    away.mkdir()
    monkeypatch.chdir(away)
    directory = MOVES[move](begun(tmp_path / "project", **NAMES[key]), away)
    found = named(directory)
    assert found
    assert [path for path in found if not path.is_file()] == []


@pytest.mark.parametrize("key", NAMES)
@pytest.mark.parametrize("left", ["{}", "[1]", '{"folder": 7, "from_here": "a\\u0000b"}', "", "not JSON", None])
def test_what_is_gone_is_said_with_where_it_was_looked_for(
    left: str | None, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = begun(tmp_path / "project", **NAMES[key])
    shutil.rmtree(tmp_path / "project" / "texts")
    if left is None:
        (directory / ORIGIN).unlink()
    else:
        (directory / ORIGIN).write_text(left)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError) as refused:
        load_stored(directory)
    said = str(refused.value)
    assert said.startswith(f"{key.split()[0]} must name what lies beside the study's file, found no ")
    assert f"in {directory}, {tmp_path}; put it into one of them, or run the study's file once more" in said


def test_absolute_names_and_names_of_the_hub_are_left_alone(tmp_path: Path) -> None:
    study = parse_stored(small_study(corpus={"name": None, "files": ["/nowhere/a.txt"], "tokenizer": "org/model"})[1])
    placed = stored_corpus(study.corpus, tmp_path)
    assert (placed.files, placed.tokenizer) == (("/nowhere/a.txt",), ("org/model",))


def test_a_copy_of_a_project_reads_its_own_files(tmp_path: Path) -> None:
    begun(tmp_path / "project", **NAMES["corpus.files"])
    shutil.copytree(tmp_path / "project", tmp_path / "copy")
    assert named(tmp_path / "copy" / "runs" / "it") == {tmp_path / "copy" / "texts" / "a.txt"}


def test_what_may_be_the_hubs_or_a_program_is_not_looked_for_where_one_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = {"latency": {"runtime": "command", "command": ["python", "{model}"], "format": "gguf"}}
    directory = begun(tmp_path / "project", corpus={"tokenizer": "gpt2"}, **command)
    away = tmp_path / "away"
    (away / "gpt2").mkdir(parents=True)
    (away / "python").touch()
    monkeypatch.chdir(away)
    study = load_stored(directory)
    assert study.corpus.tokenizer == ("gpt2",)
    assert study.latency.command is not None
    assert study.latency.command[0] == "python"


def test_where_a_file_lies_is_written_when_it_changes_and_only_then(tmp_path: Path) -> None:
    directory = begun(tmp_path / "project")
    before = (directory / ORIGIN).stat()
    keep_origin(directory, tmp_path / "project")
    assert (directory / ORIGIN).stat().st_mtime_ns == before.st_mtime_ns
    keep_origin(directory, tmp_path)
    assert folders_of(directory)[0] == tmp_path
    with claim(directory, (directory / STUDY).read_text()):
        pass
    assert folders_of(directory)[0] == tmp_path, "whoever has no file of the study keeps what is known"


@pytest.mark.slow
def test_verbs_that_go_on_from_a_directory_find_its_text_from_elsewhere(archfront: Call, tmp_path: Path) -> None:
    from tests.trials.commands.test_compare import SHAPE

    project = tmp_path / "project"
    directory = project / "runs" / "it"
    weighed_study(directory, [SHAPE] * 3)
    values = yaml.safe_load((directory / STUDY).read_text())
    (directory / STUDY).write_text(yaml.safe_dump({**values, "corpus": {"files": ["texts/*.txt"]}}))
    (project / "texts").mkdir()
    for file in directory.glob("*.txt"):
        file.rename(project / "texts" / file.name)
    keep_origin(directory, project)
    asked = {
        "compare": ("compare", str(directory), "--trial", "0", "--ways", "float16", "--json"),
        "train": ("train", str(directory), "--trial", "0", "--tokens", "20k", "--plan"),
        "export": ("export", str(directory), "--trial", "0", "--format", "yaml", "--context", "64", "--output", "out"),
    }
    for words in asked.values():
        done = archfront(*words)
        assert done.returncode == 0, done.stderr
    shutil.rmtree(project / "texts")
    shutil.rmtree(tmp_path / "out")
    for words in (*asked.values(), ("promote", str(directory))):
        done = archfront(*words)
        assert done.returncode == 2
        assert f"corpus.files must name what lies beside the study's file, found no texts/*.txt in {project}, {directory}" in done.stderr
    assert not (tmp_path / "out").exists()
