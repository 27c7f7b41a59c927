"""What a comparison says, as plain text: bytes and bits per byte a row, and a table of tasks."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.tasks.comparison import ComparedModel, TextEstimate
from analysis.tasks.task_result import Estimate
from analysis.text import words
from analysis.text.columns import wrapped_table

COMPARISON_MEANING = (
    "stored: every weight once, with scales and masks; intervals: 90 %, of the choice of documents and questions alone, one training each; "
    "against the first: on the same documents and questions"
)
NOT_HERE = " (not trained here)"


def comparison_text(rows: Sequence[ComparedModel], width: int | None = None) -> str:
    """The tables of at least one row, and what their words mean; `width` is that of a terminal."""
    parts = [_bytes_table(rows, width)]
    if rows[0].tasks:
        parts.append(_tasks_table(rows, width))
    return "\n\n".join([*parts, COMPARISON_MEANING])


def _bytes_table(rows: Sequence[ComparedModel], width: int | None) -> str:
    has_text = any(row.bits_per_byte for row in rows)
    heading = ("row", "model", "shape", "way", "parameters", "stored")
    lines: list[tuple[str, ...]] = [
        (*heading, *(("bits per byte", "90 % interval", "against the first", "90 % interval") if has_text else ()))
    ]
    for number, row in enumerate(rows, 1):
        cells = (f"{number}", _name(row), row.shape, _way(row), words.short(row.parameters), words.bytes_text(row.stored_bytes))
        lines.append((*cells, *((*_measured(row.bits_per_byte), *_measured(row.more_bits_per_byte, "+")) if has_text else ())))
    return "\n".join(wrapped_table(lines, [1, 2, 3], width))


def _name(row: ComparedModel) -> str:
    return row.model if row.trained_here else f"{row.model}{NOT_HERE}"


def _way(row: ComparedModel) -> str:
    return row.way if row.retrained_tokens is None else f"{row.way}, {words.short(row.retrained_tokens)} tokens more"


def _measured(found: TextEstimate | None, sign: str = "") -> tuple[str, str]:
    if found is None:
        return words.ABSENT, words.ABSENT
    ends = words.ABSENT if found.low is None else f"{found.low:{sign}.4f} to {found.high:{sign}.4f}"
    return f"{found.value:{sign}.4f}", ends


def _tasks_table(rows: Sequence[ComparedModel], width: int | None) -> str:
    """A line a task: the first row's accuracy, and what every other row has more or less of it, in points."""
    several = len({row.model for row in rows}) > 1
    titles = [f"{number} {row.way}" if several else row.way for number, row in enumerate(rows, 1)]
    lines: list[tuple[str, ...]] = [("task", "questions", "chance", f"{titles[0]}, %", *titles[1:])]
    for place, task in enumerate(rows[0].tasks):
        mark = " *" if task.at_chance else ""
        more = [_points(row.more_accuracy[task.task]) for row in rows[1:]]
        lines.append((task.task, f"{task.questions:,}", f"{100 * task.chance:.1f}", f"{100 * task.accuracy.value:.1f}{mark}", *more))
        assert rows[-1].tasks[place].task == task.task
    mean = sum(task.accuracy.value for task in rows[0].tasks) / len(rows[0].tasks)
    inall = [_points(row.more_accuracy_in_all) for row in rows[1:]]
    if len(rows[0].tasks) > 1:
        lines.append(("mean", "", "", f"{100 * mean:.1f}", *inall))
    numbered = "in points against the first, its row's number before a way" if several else "in points against the first"
    return "\n".join([f"accuracy, {numbered}; a star: the first is at chance", *wrapped_table(lines, [0], width)])


def _points(found: Estimate | None) -> str:
    """A difference as its value and the ends of its interval."""
    return words.ABSENT if found is None else f"{100 * found.value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
