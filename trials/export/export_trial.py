"""From a study's directory to files that other tools load: choose a trial, find its weights, write the formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.fronts.picks import pick_words, picked
from analysis.records.choice import read_choice
from analysis.records.record import TrialRecord
from analysis.text.typed import typed
from analysis.text.words import joined
from search_space.errors import SpecError, unknown_key
from trials.catalogue.formats import FORMATS
from trials.export.card import require_no_other, write_card
from trials.export.context import StatedContext, measured_context, require_context
from trials.export.folder import SUMS, require_own, staged
from trials.reporting.model_card import CARD, title
from trials.reporting.stored_study import StoredStudy
from trials.study.directory import tokenizer_file, weights_file

if TYPE_CHECKING:
    from trials.export.check import Check

CHOSEN = "chosen"
"""Word for what `archfront choose` has kept."""


def pick(stored: StoredStudy, choice: str) -> TrialRecord:
    """The member of the front that a word stands for; raises SpecError where there is no such word, or nothing finished."""
    words = pick_words(stored.study.problem)
    if choice == CHOSEN:
        decided = read_choice(stored.directory)
        if decided is None:
            raise SpecError(
                f"nothing is chosen in {stored.directory}; `archfront choose {typed(stored.directory)} TRIAL --because ...` does so"
            )
        return stored.record(decided.trial)
    if choice not in words:
        raise unknown_key(f"--pick {choice}", choice, [*words, CHOSEN])
    number = picked(stored.front, stored.membership)[choice]
    if number is None:
        raise SpecError(
            f"{stored.directory} has no finished trial to export; `archfront report {typed(stored.directory)}` says what happened"
        )
    return stored.record(number)


@dataclass(frozen=True, slots=True)
class Export:
    """What an export wrote, and what was found of it."""

    files: list[Path]
    """What was written, in the order of the names."""
    checks: list[Check]
    """One for each format."""
    context: StatedContext | None = None
    """What quality is at the stated context; None where that is the training's."""


def export_trial(
    stored: StoredStudy,
    record: TrialRecord,
    formats: list[str],
    output: Path,
    precisions: Mapping[str, str] = {},
    force: bool = False,
    context: int | None = None,
    license_name: str | None = None,
    keeps_sharing: bool = False,
) -> Export:
    """Write a trial's shape and weights into a directory in each format, verify, time and describe them.

    `precisions` are those of the formats' weights where they are not the usual ones; `context` is what the files state where it is not the
    context of the training, and then quality is measured there; `license_name` is stated in the card;
    with `keeps_sharing` a format that can do so holds a shared block once.
    Where anything fails, the directory is as it was.
    Raises SpecError, before anything is written, where a format does not exist or cannot hold the shape, where the weights are not
    there or not finite, or the directory holds another model of archfront's, or, without `force`, what no export wrote; WorkError where
    what was written is not the trained model, or the system refuses a file.
    """
    for name in formats:
        if name not in FORMATS:
            raise unknown_key(f"the format {name}", name, FORMATS)
    if keeps_sharing:
        require_sharing(record, formats)
    weights, tokenizer = weights_file(stored.directory, record.number), tokenizer_file(stored.directory, record.architecture.vocab_size)
    if not record.finished or not weights.is_file():
        raise SpecError(
            f"trial {record.number} has no weights to export (it {record.outcome}{': ' + record.reason if record.reason else ''}); "
            f"choose one with --pick {'|'.join(pick_words(stored.study.problem))}"
        )
    require_no_other(output, title(stored.study.name, record))
    require_own(output, force)
    trained = stored.study.proxy.context_tokens
    context = context or trained
    if context > trained:
        require_context(context, formats, record.architecture)
    from trials.export.remeasure import with_latencies  # torch, only once there is something to write
    from trials.export.verification import keep, verify
    from trials.export.write import write_formats

    choice = read_choice(stored.directory)
    choice = choice if choice is not None and choice.trial == record.number else None
    found = None if context == trained else measured_context(stored, record, weights, context)
    with staged(output) as stage:
        write_formats(formats, stage, record.architecture, weights, tokenizer, context, precisions, keeps_sharing)
        checks = verify(formats, stage, record.architecture, weights, tokenizer)
        earlier = [record.latency for record in stored.records if record.latency is not None]
        checks = with_latencies(checks, record.architecture, stored.study.latency, earlier)
        keep(checks, stage)
        final = stored.finals.get(record.number)
        write_card(stage / CARD, stored.study, record, final, formats, checks, found, choice, license_name, keeps_sharing)
        names = sorted(path.name for path in stage.iterdir())
    return Export([output / name for name in sorted([*names, SUMS])], checks, found)


def require_sharing(record: TrialRecord, formats: Sequence[str]) -> None:
    """Raise SpecError where nothing that is written could keep what a shape shares."""
    able = [name for name, row in FORMATS.items() if row.usage_shared]
    if not set(able) & set(formats):
        raise SpecError(f"--keep-sharing must go with {joined([*able])} in --format, found {joined([*formats])}; add it, or leave it out")
    if record.architecture.sharing.repeats == 1:
        raise SpecError(
            f"--keep-sharing must go with a shape that runs a stored block several times, found trial {record.number} "
            f"({record.architecture.label}), which shares none; leave it out, or choose another trial"
        )
