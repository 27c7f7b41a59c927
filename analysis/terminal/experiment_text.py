"""What trainings beside a study found, promotions and ablations, as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.fidelity.ablation import Difference
from analysis.fidelity.promotion import Promotion, promotion_sentences
from analysis.fidelity.time_ratios import TimeRatio
from analysis.objectives.registry import find_objective
from analysis.text import words
from analysis.text.columns import markdown_table, wrapped_table

TableRows = list[tuple[str, ...]]
"""A table's cells, its heading first."""


def promotion_text(found: Promotion, width: int | None = None) -> str:
    """Each promoted shape before and after, then what held; `width` is that of a terminal."""
    lines = promotion_rows(found)
    return "\n".join([*wrapped_table(lines, range(len(lines[0])), width), "", *promotion_sentences(found)])


def promotion_rows(found: Promotion) -> TableRows:
    """Each promoted shape before and after, as a table."""
    known = [find_objective(name) for name in (found.shapes[0].known if found.shapes else ())]
    columns = ("trial", "shape", *(objective.words.label for objective in known))
    lines: TableRows = [(*columns, "before", "after", "forecast, 90 %", "front before", "front after")]
    for shape in found.shapes:
        seen, after = words.bits_range(shape.low, shape.high), words.bits_text(shape.after)
        marks = ("yes" if on else "no" for on in (shape.on_front_before, shape.on_front_after))
        others = (objective.words.write(shape.known[objective.name]) for objective in known)
        lines.append((f"#{shape.number}", shape.shape, *others, f"{shape.before:.3f}", after, seen, *marks))
    return lines


ABLATION_COLUMNS = (
    "question",
    "arm against baseline",
    "published, points",
    "ours, bits per byte saved",
    "90 % interval",
    "seeds",
    "conclusion",
)


def ablation_table_text(answers: Sequence[tuple[str, Sequence[Difference]]]) -> str:
    """One Markdown table of every question's differences; a star marks published differences within the noise of their measure."""
    return markdown_table(ablation_rows(answers))


def ablation_rows(answers: Sequence[tuple[str, Sequence[Difference]]]) -> TableRows:
    """Every question's differences as one table."""
    lines: TableRows = [ABLATION_COLUMNS]
    for question, differences in answers:
        lines += [(question if not place else "", *_difference(difference)) for place, difference in enumerate(differences)]
    return lines


TIME_COLUMNS = ("times", "arm against baseline", "published", "prefill", "a decoded token", "90 % interval", "file", "rounds")


def ablation_times_text(times: Sequence[TimeRatio]) -> str:
    """A Markdown table of how many times the baseline's time every arm takes in every workload."""
    return markdown_table(time_rows(times))


def time_rows(times: Sequence[TimeRatio]) -> TableRows:
    """How many times the baseline's time every arm takes in every workload, as a table."""
    lines: TableRows = [TIME_COLUMNS]
    for found in times:
        published = ", ".join(f"{value:.2f} ({scale})" for scale, value in found.published.items())
        interval = "–" if found.interval is None else f"{found.interval[0]:.2f} to {found.interval[1]:.2f}"
        size = "–" if found.file_bytes is None else f"{found.file_bytes:.2f}"
        arms = f"{found.arm} against {found.baseline}"
        ratios = f"{found.prefill:.2f}", f"{found.decode:.2f}"
        lines.append((found.workload, arms, published or "–", *ratios, interval, size, str(found.rounds)))
    return lines


def _difference(found: Difference) -> tuple[str, ...]:
    published = ", ".join(f"{value:+.1f} ({scale})" for scale, value in found.published.items())
    return (
        f"{found.arm} against {found.baseline}",
        f"{published}{' *' if found.published_is_noise else ''}" if published else "–",
        "–" if found.gain is None else f"{found.gain:+.4f}",
        "–" if found.interval is None else f"{found.interval[0]:+.4f} to {found.interval[1]:+.4f}",
        str(found.seeds),
        found.conclusion.value,
    )
