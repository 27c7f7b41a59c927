"""README.md of an export: what the model is, where it comes from, what was measured of it, and how to run it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.records.choice import Choice
from analysis.records.latency import Latency
from analysis.records.record import FinalRecord, TrialRecord
from search_space.architecture import Architecture
from search_space.cost import parameters, unrolled_parameters
from search_space.errors import SpecError
from trials.catalogue.formats import FORMATS
from trials.export.front_matter import first_heading, front_matter, is_ours
from trials.reporting.model_card import CARD, measured_how, model_card
from trials.study.spec import StudySpec

if TYPE_CHECKING:
    from trials.export.check import Check
    from trials.export.context import StatedContext

CARD_TITLE = re.compile(r"# .*, (trial \d+ of the study|the proportions of trial|tuned on) .*")
"""The title of any card that is written without front matter, or was once."""


def require_no_other(output: Path, ours: str) -> None:
    """Raise SpecError where a folder has a card of archfront's with another title: a model that would be replaced without a word."""
    card = output / CARD
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    found = first_heading(text)
    if found != ours and (is_ours(text) or CARD_TITLE.fullmatch(found)):
        raise SpecError(f"{output} must hold no other export, found the card of `{found.strip('# ')}`; name another folder with --output")


def write_card(
    path: Path,
    study: StudySpec,
    record: TrialRecord,
    final: FinalRecord | None,
    formats: Sequence[str],
    checks: Sequence[Check],
    context: StatedContext | None = None,
    choice: Choice | None = None,
    license_name: str | None = None,
    keeps_sharing: bool = False,
) -> None:
    """Write the card; numbers that were not measured are left out. `context` is what was found at the context that the files state,
    `choice` the decision for this trial, where there is one; `license_name` is the hub's word for what the files may be used for, and
    `keeps_sharing` whether formats that can do so hold a shared block once.
    """
    sections = [
        "## How to run it",
        "",
        "\n\n".join((keeps_sharing and FORMATS[name].usage_shared) or FORMATS[name].usage for name in formats),
        *_written_again(record.architecture, [name for name in formats if not (keeps_sharing and FORMATS[name].usage_shared)]),
        "",
        "## Checked as it was written",
        "",
        *(f"- {check.sentence()}{_timed(check)}" for check in checks),
    ]
    stated = None if context is None else context.sentence
    card = model_card(study, record, final, sections, choice=choice, stated=stated)
    path.write_text("\n".join([*front_matter(formats, license_name), card]), encoding="utf-8")


def _written_again(shape: Architecture, formats: Sequence[str]) -> list[str]:
    """What sharing costs in files that know of none."""
    unrolled = [f"`{name}`" for name in formats if FORMATS[name].unrolled]
    if not unrolled or unrolled_parameters(shape) == parameters(shape):
        return []
    return [
        "",
        f"Blocks that run several times are stored once in archfront and written once for each in {' and '.join(unrolled)}: "
        f"{unrolled_parameters(shape):,} weights for {parameters(shape):,}.",
    ]


def _timed(check: Check) -> str:
    taken = check.latency
    if taken is None:
        return "" if check.not_measured is None else f"; not timed: {check.not_measured}"
    flagged = ", disturbed by other work" if taken.disturbed else ""
    return f"; {_workload(taken)} ({measured_how(taken)}{flagged})"


def _workload(taken: Latency) -> str:
    return f"{taken.total_ms.median:.2f} ms for {taken.prompt_tokens} prompt and {taken.new_tokens} new tokens"
