"""What rounding costs an ablation's arms, as a Markdown table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.fidelity.rounding_loss import LossInterval, RoundingAnswer
from analysis.text.columns import markdown_table
from analysis.text.words import ABSENT

ROUNDING_COLUMNS = (
    "rounding",
    "arm",
    "float32, bits per byte",
    "lost by rounding, bits per byte",
    "against",
    "less lost",
    "conclusion",
    "saved as rounded",
    "seeds",
)


def rounding_table_text(roundings: Mapping[tuple[str, str], Sequence[RoundingAnswer]]) -> str:
    """A row for each rounding and arm; brackets hold 90 % intervals, and positive differences say that the arm is better."""
    return markdown_table(rounding_rows(roundings))


def rounding_rows(roundings: Mapping[tuple[str, str], Sequence[RoundingAnswer]]) -> list[tuple[str, ...]]:
    """A row for each rounding and arm, the heading first."""
    lines: list[tuple[str, ...]] = [ROUNDING_COLUMNS]
    for (runtime, precision), answers in roundings.items():
        lines += [(f"{precision} of {runtime}" if not place else "", *_row(answer)) for place, answer in enumerate(answers)]
    return lines


def _row(found: RoundingAnswer) -> tuple[str, ...]:
    return (
        found.arm,
        ABSENT if found.float32 is None else f"{found.float32:.4f}",
        _with_interval(found.loss, found.loss_interval, "{:.4f}"),
        found.against or ABSENT,
        _with_interval(found.less_lost, found.less_lost_interval, "{:+.4f}"),
        found.conclusion.value,
        _with_interval(found.saved, found.saved_interval, "{:+.4f}"),
        str(found.seeds),
    )


def _with_interval(value: float | None, interval: LossInterval | None, form: str) -> str:
    if value is None:
        return ABSENT
    return form.format(value) + ("" if interval is None else f" ({form.format(interval[0])} to {form.format(interval[1])})")
