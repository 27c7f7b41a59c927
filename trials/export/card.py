"""README.md of an export: what the model is, where it comes from, what was measured of it, and how to run it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.objectives.observed import Observed
from analysis.objectives.problem import Problem
from analysis.objectives.quality import half_width_of
from analysis.records.choice import Choice
from analysis.records.latency import Latency
from analysis.records.record import FinalRecord, TrialRecord
from analysis.statistics.intervals import LEVEL
from analysis.text.columns import markdown_cell
from search_space.architecture import Architecture
from search_space.cost import parameters, unrolled_parameters
from trials.catalogue.formats import FORMATS
from trials.export.front_matter import front_matter
from trials.study.spec import StudySpec

if TYPE_CHECKING:
    from trials.export.check import Check
    from trials.export.context import StatedContext

CARD = "README.md"
CARD_TITLE = r"# .*, trial \d+ of the study .*"
"""Expression for the title of any card."""


def title(study_name: str, record: TrialRecord) -> str:
    """A card's title, which says whose files lie beside it."""
    return f"# {record.architecture.label}, trial {record.number} of the study {study_name}"


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
) -> None:
    """Write the card; numbers that were not measured are left out. `context` is what was found at the context that the files state,
    `choice` the decision for this trial, where there is one; `license_name` is the hub's word for what the files may be used for.
    """
    shape = record.architecture
    rows = [
        ("shape", f"`{shape.label}`"),
        ("parameters", f"{parameters(shape):,}"),
        ("blocks", f"{shape.num_unique_layers} stored, {shape.num_hidden_layers} executed"),
        ("vocabulary", f"{shape.vocab_size:,}"),
        ("context", f"{study.proxy.context_tokens:,} tokens in training; longer texts are computed, and were never seen"),
        *([] if context is None else [("stated", context.sentence)]),
        *_measured(study.problem, record, final),
        (
            "found by",
            f"a search of {study.name!r} over {study.search.trials} trials" if study.search is not None else f"the grid of {study.name!r}",
        ),
        *([] if choice is None else [("chosen", f"by {choice.by} on {choice.chosen_at[:10]}: {choice.because}")]),
    ]
    lines = [
        *front_matter(formats, license_name),
        title(study.name, record),
        "",
        "A proxy that archfront trained to compare shapes: it has seen far too little text to be of use as it is. Train the shape.",
        "",
        "| | |\n|---|---|",
        *(f"| {markdown_cell(name)} | {markdown_cell(value)} |" for name, value in rows),
        "",
        "## How to run it",
        "",
        "\n\n".join(FORMATS[name].usage for name in formats),
        *_written_again(shape, formats),
        "",
        "## Checked as it was written",
        "",
        *(f"- {check.sentence()}{_timed(check)}" for check in checks),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


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
    return f"; {_workload(taken)} ({_how(taken)}{flagged})"


def _workload(taken: Latency) -> str:
    return f"{taken.total_ms.median:.2f} ms for {taken.prompt_tokens} prompt and {taken.new_tokens} new tokens"


def _how(taken: Latency) -> str:
    return f"{taken.runtime} {taken.runtime_version}, {taken.precision}, threads: {taken.threads}, {taken.device}"


def _measured(problem: Problem, record: TrialRecord, final: FinalRecord | None) -> list[tuple[str, str]]:
    """The study's objectives, what counts of each, and how the times were taken."""
    rows = []
    if record.training is not None:
        rows.append(("trained on", f"{record.training.tokens:,} tokens, seed {record.seed}"))
    seen, on_test = Observed.of(record, final), Observed.judged_by(record, final.test if final is not None else None)
    for objective in problem.shown:
        value, test = objective.value(seen), objective.value(on_test) if objective.noise == "seed" else None
        rows += [] if value is None else [(objective.words.label, objective.words.write(value))]
        rows += [] if test is None else [(f"{objective.words.label}, test", objective.words.write(test))]
    if final is not None and final.test is not None and (width := half_width_of(final.test)) is not None:
        rows.append((f"bits per byte, test, {LEVEL:.0%} interval", f"± {width:.3f} from {final.test.documents:,} documents"))
    if seen.latency is not None:
        rows.append(("measured by", f"{_how(seen.latency)}, {seen.latency.prompt_tokens} prompt and {seen.latency.new_tokens} new tokens"))
    return rows
