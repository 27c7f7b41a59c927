"""From a study's directory to files that other tools load: choose a trial, find its weights, write the formats."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from analysis.fronts.membership import estimate_membership
from analysis.objectives.problem import Problem
from analysis.records.record import TrialRecord
from search_space.errors import SpecError, unknown_key
from trials.catalogue.formats import FORMATS
from trials.reporting.stored_study import StoredStudy
from trials.study.directory import tokenizer_file, weights_file

PICKS = ("recommended", "knee")
"""Picks beside what the best shape in each objective of the study is called, such as `fastest`."""


def pick(stored: StoredStudy, choice: str) -> TrialRecord:
    """The member of the front that a word stands for; raises SpecError where there is no such word, or nothing finished."""
    front, words = stored.front, pick_words(stored.study.problem)
    if choice not in words:
        raise unknown_key(f"--pick {choice}", choice, words)
    if choice in PICKS:
        number = estimate_membership(front).recommended if choice == "recommended" else front.knee
    else:
        number = front.best(words.index(choice) - len(PICKS))
    if number is None:
        raise SpecError(f"{stored.directory} has no finished trial to export; `archfront report {stored.directory}` says what happened")
    return stored.record(number)


def pick_words(problem: Problem) -> list[str]:
    """What `pick` knows: `PICKS`, then what the best shape in each objective is called, in the study's order."""
    return [*PICKS, *(objective.words.best.replace(" ", "-") for objective in problem.objectives)]


def export_trial(
    stored: StoredStudy, record: TrialRecord, formats: list[str], output: Path, precisions: Mapping[str, str] = {}
) -> list[Path]:
    """Write a trial's shape and weights into a directory in each format, verify, time and describe them; returns the files.

    `precisions` are those of the formats' weights where they are not the usual ones.
    Raises SpecError, before anything is written, where a format does not exist or cannot hold the shape, where the weights are not
    there, or the directory holds another trial's export; WorkError where what was written is not the trained model.
    """
    for name in formats:
        if name not in FORMATS:
            raise unknown_key(f"the format {name}", name, FORMATS)
    if output.exists() and not output.is_dir():
        raise SpecError(f"{output} must be a directory, found a file; name another with --output")
    weights, tokenizer = weights_file(stored.directory, record.number), tokenizer_file(stored.directory, record.architecture.vocab_size)
    if not record.finished or not weights.is_file():
        raise SpecError(
            f"trial {record.number} has no weights to export (it {record.outcome}{': ' + record.reason if record.reason else ''}); "
            f"choose one with --pick {'|'.join(pick_words(stored.study.problem))}"
        )
    from trials.export.card import CARD, title, write_card  # torch, only once there is something to write
    from trials.export.remeasure import with_latencies
    from trials.export.verification import keep, verify
    from trials.export.write import write_formats

    ours = title(stored.study.name, record)
    if (output / CARD).is_file() and (found := (output / CARD).read_text(encoding="utf-8").partition("\n")[0]) != ours:
        raise SpecError(f"{output} must hold no other export, found the card of `{found.strip('# ')}`; name another folder with --output")
    write_formats(formats, output, record.architecture, weights, tokenizer, stored.study.proxy.context_tokens, precisions)
    checks = verify(formats, output, record.architecture, weights, tokenizer)
    earlier = [record.latency for record in stored.records if record.latency is not None]
    checks = with_latencies(checks, record.architecture, stored.study.latency, earlier)
    keep(checks, output)
    write_card(output / CARD, stored.study, record, stored.finals.get(record.number), formats, checks)
    return sorted(path for path in output.iterdir() if path.is_file())
