"""A task's questions from a file: found by the task's name in a folder, or named by its path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from analysis.records.json_text import parse_json
from analysis.tables.parquet_rows import parquet_rows
from search_space.errors import SpecError, complaint_of, quoted, require_reachable, shortened
from trials.tasks.layouts import LAYOUTS, OTHER_TASK_NAMES, question_of
from trials.tasks.question import Question

SUFFIXES = (".jsonl", ".json", ".parquet")
MOST_QUESTIONS, LONGEST_LINE = 1_000_000, 16 << 20


@dataclass(frozen=True, slots=True)
class TaskQuestions:
    """A task with its questions."""

    name: str
    questions: tuple[Question, ...]


def read_tasks(names: Sequence[str], folder: Path | None, most: int | None = None) -> list[TaskQuestions]:
    """The tasks by name, from `folder`, or NAME=FILE for one from a file of its own; of each the first `most` questions.

    Raises SpecError for a name that is there twice, a file that is not there, and a row that is no question.
    """
    found: list[TaskQuestions] = []
    for given in names:
        name, _, path = (part.strip() for part in given.partition("="))
        if name in (task.name for task in found):
            raise SpecError(f"--tasks must name each task once, found {quoted(name)} again; leave it out")
        if path:
            require_reachable(path, f"--tasks {name}")
        file = Path(path) if path else _file_in(folder, name)
        found.append(TaskQuestions(name, read_questions(name, file, most)))
    return found


def read_questions(name: str, file: Path, most: int | None = None) -> tuple[Question, ...]:
    """The first `most` questions of a task, or all; raises SpecError for a file that cannot be read and a row that is no question."""
    questions: list[Question] = []
    for where, row in _rows(file):
        if most is not None and len(questions) == most:
            break
        if len(questions) == MOST_QUESTIONS:
            raise SpecError(f"{file} must have at most {MOST_QUESTIONS:,} questions, found more; cut it, or ask for fewer")
        questions.append(question_of(name, row, f"{file}, {where}"))
    if not questions:
        raise SpecError(f"{file} must have a question in each line, found none; name another file")
    return tuple(questions)


def _file_in(folder: Path | None, name: str) -> Path:
    if folder is None:
        raise SpecError(
            f"--tasks {name} must come with --data FOLDER, in which {name}.jsonl lies, or as {name}=FILE, found neither; add one"
        )
    if not folder.is_dir():
        raise SpecError(f"--data must be a folder with a file for each task, found none at {shortened(folder)}; name another")
    usual = OTHER_TASK_NAMES.get(name, name)
    stems = [name, usual, *(other for other, own in OTHER_TASK_NAMES.items() if own == usual)]
    for stem in stems:
        for suffix in SUFFIXES:
            if (file := folder / f"{stem}{suffix}").is_file():
                return file
    there = sorted(file.stem for file in folder.iterdir() if file.suffix in SUFFIXES)
    known = "" if name in LAYOUTS else f" ({', '.join(LAYOUTS)} have layouts of their own)"
    raise SpecError(
        f"--data must hold {name}.jsonl{known}, found {', '.join(there) or 'no such file'} in {folder}; name one of these or NAME=FILE"
    )


def _rows(file: Path) -> Iterator[tuple[str, object]]:
    """Every row with its place."""
    if file.suffix == ".parquet":
        rows = parquet_rows(file, cast(Any, lambda value: value))
        _, names = next(rows)
        yield from ((f"row {number}", dict(zip(names, row, strict=True))) for number, row in rows)
        return
    try:
        with open(file, "rb") as lines:
            number, is_first = 0, True
            while line := lines.readline(LONGEST_LINE):
                number += 1
                if not line.strip():
                    continue
                was_first, is_first = is_first, False
                if was_first and line.lstrip().startswith(b"["):
                    yield from ((f"question {place}", row) for place, row in enumerate(_list(line + lines.read(1 << 30), file), 1))
                    return
                if len(line) == LONGEST_LINE:
                    raise SpecError(f"{file}, line {number} must be shorter than {LONGEST_LINE >> 20} MiB, found more; cut the question")
                try:
                    yield f"line {number}", parse_json(line.strip())
                except ValueError as error:
                    found = str(error).removeprefix("line 1, ")
                    raise SpecError(f"{file}, line {number} must be a JSON object, found {found}; correct it") from None
    except OSError as error:
        raise SpecError(f"{file} must be a file that can be read, found: {complaint_of(error)}; name another") from None


def _list(text: bytes, file: Path) -> list[object]:
    try:
        found = parse_json(text)
    except ValueError as error:
        raise SpecError(f"{file} must be a list of JSON objects, or one a line, found {error}; correct it") from None
    assert isinstance(found, list)  # it begins with a bracket
    return found
