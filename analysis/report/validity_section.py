"""The report's part on longer trainings: whether the study's ranking can be trusted."""

from __future__ import annotations

from analysis.fidelity.rank_validity import Validity, validity_sentences
from analysis.report.html import Html, folded, paragraphs, table
from analysis.text import format as words

RUNG_CAPTION = (
    "Kendall's tau between the ranking at each evaluation of the short trainings and the one after the long trainings, with its 95 % "
    "interval over the shapes."
)


def validity_part(found: Validity | None) -> list[Html]:
    """The sentences and both tables; nothing where no shape was trained longer."""
    if found is None:
        return []
    rungs = table(
        {"of the short training": True, "tau": True, "from": True, "to": True},
        [(f"{r.share:.0%}", *(f"{value:.2f}" for value in (r.agreement.tau, r.agreement.low, r.agreement.high))) for r in found.rungs],
        RUNG_CAPTION,
    )
    shapes = table(
        {"Trial": False, "Shape": False, "short, bits per byte": True, "long, bits per byte": True},
        [(f"#{n}", label, *(words.quality(bits, "bits_per_byte") for bits in (short, long))) for n, label, short, long in found.shapes],
        f"Every shape that was trained {found.times:g} times longer, the best long training first.",
    )
    each = folded(f"Each of them ({len(found.shapes)})", shapes)
    return [paragraphs(validity_sentences(found)), *([rungs] if found.rungs else []), each]
