"""What a judge of pairs said, as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.tasks.pairwise import Preference
from analysis.tasks.task_result import Estimate
from analysis.text.columns import wrapped_table

PAIRS_MEANING = (
    "preferred: share of pairs in which the first named is better, half a pair where neither is, each judged twice, places swapped; "
    "placed first: share of verdicts for what stands first, one half where the place moves nothing"
)


def preference_text(rows: Sequence[tuple[str, Preference]], width: int | None = None) -> str:
    """A table of comparisons, the first of them a model against itself, and whether the judge can be believed; `width` is a terminal's."""
    lines: list[tuple[str, ...]] = [("comparison", "pairs", "unread", "preferred", "90 % interval", "placed first")]
    for name, found in rows:
        shown = found.preferred
        lines.append(
            (name, f"{found.pairs:,}", f"{found.unread:,}", _percent(shown.value), _interval(shown), _percent(found.placed_first.value))
        )
    _, itself = rows[0]
    halves = [
        (f"{words} {_percent(found.value)} %", found, is_even)
        for words, found, is_even in (
            ("comes out at", itself.preferred, itself.is_even),
            ("gives what stands first", itself.placed_first, itself.is_place_even),
        )
    ]
    off = [f"{words} (interval {_interval(found)})" for words, found, is_even in halves if not is_even]
    if off:
        said = (
            f"not calibrated: a model against itself {' and '.join(off)}, where 50 % was to be; take another judge, and no comparison of "
            "this one at its word"
        )
    else:
        said = (
            f"calibrated for place and noise: a model against itself {' and '.join(words for words, _, _ in halves)}, and the intervals "
            "hold 50 %; whether the judge's taste is a reader's, this cannot show"
        )
    return "\n".join([*wrapped_table(lines, [0], width), said, PAIRS_MEANING])


def _interval(found: Estimate) -> str:
    return f"{_percent(found.low)} to {_percent(found.high)}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"
