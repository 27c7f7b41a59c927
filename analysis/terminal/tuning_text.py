"""What a tuning came to, as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.tasks.api_calling import PUBLISHED, ApiScores
from analysis.tasks.task_result import Estimate
from analysis.text import words
from analysis.text.columns import wrapped_table

SCORE_MEANING = (
    "intent: the right tools are called; structure: the whole call is right, its arguments too; ROUGE-1 and ROUGE-L: of the answers that "
    "are text. Published: other data, not to be had, so an order of size alone"
)
LEAST_SHOWN = 5e-4


def loss_sentences(before: Estimate | None, after: Estimate | None, change: Estimate | None, chats: int) -> list[str]:
    """What the loss on answers that were not trained on was and is."""
    if before is None or after is None or change is None:
        return ["held-out loss: not known, one chat has no interval; give more chats"]
    return [
        f"held-out loss ({words.plural(chats, 'chat')}, nats a token of an answer): {_nats(before)} before, {_nats(after)} after",
        f"change {change.value:+.3f}, 90 % interval {change.low:+.3f} to {change.high:+.3f}"
        + ("" if change.high < -LEAST_SHOWN or change.low > LEAST_SHOWN else ", which is none that so few chats show"),
    ]


def scores_text(rows: Sequence[tuple[str, ApiScores]], width: int | None = None) -> str:
    """A table of scores in percent with their 90 % intervals, the published ones below; `width` is that of a terminal."""
    lines: list[tuple[str, ...]] = [("answers", "calls", "intent", "structure", "texts", "ROUGE-1", "ROUGE-L")]
    for name, found in rows:
        shown = [_percent(value) for value in (found.intent, found.structure, found.rouge_1, found.rouge_l)]
        lines.append((name, f"{found.calls:,}", *shown[:2], f"{found.texts:,}", *shown[2:]))
    for row in PUBLISHED:
        figures = [f"{value:.1f}" for value in (row.intent, row.structure, row.rouge_1, row.rouge_l)]
        lines.append((f"published: {row.model}", "", *figures[:2], "", *figures[2:]))
    published = [f"{row.model}: tuned on {row.tuned_on} ({row.source}; grade {row.grade})" for row in PUBLISHED]
    return "\n".join([*wrapped_table(lines, [0], width), *published, SCORE_MEANING])


def _nats(value: Estimate) -> str:
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"


def _percent(value: Estimate | None) -> str:
    return words.ABSENT if value is None else f"{100 * value.value:.1f} ({100 * value.low:.0f} to {100 * value.high:.0f})"
