"""What models made of tasks, as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.tasks.published import PublishedFigures
from analysis.tasks.task_result import Estimate, HarnessFigure, TaskResult
from analysis.text import words
from analysis.text.columns import wrapped_table

TASK_COLUMNS = ("task", "questions", "chance", "accuracy", "90 % interval", "by letter", "bits per byte")
TASK_MEANING = (
    "accuracy: the right text is the likeliest; by letter: each likelihood shared out over its letters first; a star: the interval holds "
    "what guessing gives, so the task says nothing of this model"
)


def tasks_text(
    model: str, results: Sequence[TaskResult], against: Mapping[str, Estimate] | None = None, first: str = "", width: int | None = None
) -> str:
    """A table of one model's results, and where another model came first, by how much more or less of each task it answered.

    `width` is that of a terminal, here and below.
    """
    lines = [(*TASK_COLUMNS, *(("against the first", "90 % interval") if against else ()))]
    for found in results:
        by_letter = words.ABSENT if found.accuracy_normalised is None else _percent(found.accuracy_normalised.value)
        row: tuple[str, ...] = (
            found.task,
            f"{found.questions:,}",
            _percent(found.chance),
            f"{_percent(found.accuracy.value)}{' *' if found.at_chance else ''}",
            f"{_percent(found.accuracy.low)} to {_percent(found.accuracy.high)}",
            by_letter,
            words.bits_text(found.bits_per_byte),
        )
        if against:
            apart = against[found.task]
            row = (*row, f"{100 * apart.value:+.1f}", f"{100 * apart.low:+.1f} to {100 * apart.high:+.1f}")
        lines.append(row)
    title = f"{model}{f', against {first}' if against else ''}"
    return "\n".join([title, *wrapped_table(lines, [0], width)])


def published_text(found: PublishedFigures, width: int | None = None) -> str:
    """Tables of what others published, which say so, with their source and how surely each figure is known."""
    lines = [f"published, not measured here: {found.measure}"]
    for of in dict.fromkeys(row.of for row in found.rows):
        table: list[tuple[str, ...]] = [("model", "parameters", "tokens", "accuracy, %", "grade")]
        for row in found.rows:
            if row.of == of:
                size = words.ABSENT if row.parameters is None else words.short(row.parameters)
                table.append((row.model, size, words.short(row.training_tokens), f"{row.mean_accuracy_percent:.1f}", row.grade))
        lines += ["", of, *wrapped_table(table, [0], width)]
    grades = "; ".join(f"{grade}: {meaning}" for grade, meaning in found.grades.items())
    return "\n".join([*lines, "", f"{found.source}; {grades}"])


def harness_text(model: str, figures: Sequence[HarnessFigure], width: int | None = None) -> str:
    """A table of a model's figures as lm-evaluation-harness gives them."""
    lines: list[tuple[str, ...]] = [("task", "metric", "value", "standard error", "questions")]
    for each in figures:
        error = words.ABSENT if each.standard_error is None else f"{each.standard_error:.4f}"
        lines.append(
            (each.task, each.metric, f"{each.value:.4f}", error, words.ABSENT if each.questions is None else f"{each.questions:,}")
        )
    return "\n".join([model, *wrapped_table(lines, [0, 1], width, keys=2)])


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"
