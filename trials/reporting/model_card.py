"""What a trial's model is, and what was measured of it, as the card that lies beside its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.objectives.observed import Observed
from analysis.objectives.problem import Problem
from analysis.objectives.quality import half_width_of
from analysis.records.choice import Choice
from analysis.records.json_writer import json_of
from analysis.records.latency import Latency
from analysis.records.record import FinalRecord, Kind, TrialRecord
from analysis.statistics.intervals import LEVEL
from analysis.text.columns import markdown_cell
from search_space.cost import parameters
from search_space.errors import SpecError
from trials.catalogue.hugging_face_config import hugging_face_config
from trials.corpus.given_tokenizer import read_tokenizer
from trials.study.directory import tokenizer_file
from trials.study.spec import StudySpec

CARD = "README.md"


def title(study_name: str, record: TrialRecord) -> str:
    """A card's title, which says whose files lie beside it."""
    return f"# {record.architecture.label}, trial {record.number} of the study {study_name}"


def model_card(
    study: StudySpec,
    record: TrialRecord,
    final: FinalRecord | None,
    sections: Sequence[str],
    *,
    choice: Choice | None = None,
    stated: str | None = None,
) -> str:
    """The card in Markdown; numbers that were not measured are left out.

    `sections` follow what was measured. `choice` is the decision for this trial, where there is one, and `stated` what was found at another
    context that its files state.
    """
    shape = record.architecture
    rows = [
        ("shape", f"`{shape.label}`"),
        ("parameters", f"{parameters(shape):,}"),
        ("blocks", f"{shape.num_unique_layers} stored, {shape.num_hidden_layers} executed"),
        ("vocabulary", f"{shape.vocab_size:,}"),
        ("context", f"{study.proxy.context_tokens:,} tokens in training; longer texts are computed, and were never seen"),
        *([] if stated is None else [("stated", stated)]),
        *_measured(study.problem, record, final),
        ("found by", _found_by(study, record)),
        *([] if choice is None else [("chosen", f"by {choice.by} on {choice.chosen_at[:10]}: {choice.because}")]),
    ]
    lines = [
        title(study.name, record),
        "",
        "A proxy that archfront trained to compare shapes: it has seen far too little text to be of use as it is. Train the shape.",
        "",
        "| | |\n|---|---|",
        *(f"| {markdown_cell(name)} | {markdown_cell(value)} |" for name, value in rows),
        "",
        *sections,
    ]
    return "\n".join(lines) + "\n"


def _found_by(study: StudySpec, record: TrialRecord) -> str:
    if record.kind is Kind.REFERENCE:
        return f"nobody's search: a reference of {study.name!r}"
    return f"the grid of {study.name!r}" if study.search is None else f"a search of {study.name!r} of {study.search.trials} trials"


def model_files(directory: Path, study: StudySpec, record: TrialRecord, final: FinalRecord | None, choice: Choice | None) -> dict[str, str]:
    """The card of a trial in a study's directory and its `config.json`, by their names; where no class of transformers fits the shape, the
    shape itself as `architecture.json`.
    """
    how = ["## How to have it", "", f"    archfront export DIR --trial {record.number}", "", "`DIR` is the directory of the study."]
    return {CARD: model_card(study, record, final, how, choice=choice), **_config(directory, study, record)}


def _config(directory: Path, study: StudySpec, record: TrialRecord) -> dict[str, str]:
    shape = record.architecture
    try:
        tokenizer = tokenizer_file(directory, shape.vocab_size)
        end_of_text = read_tokenizer(tokenizer).end_of_text if tokenizer.is_file() else None
        config = hugging_face_config(shape, study.proxy.context_tokens, end_of_text) | {"dtype": "float32"}
    except SpecError:
        return {"architecture.json": json_of(shape.as_dict(), indent=2) + "\n"}
    return {"config.json": json_of(config, indent=2) + "\n"}


def measured_how(taken: Latency) -> str:
    """Runtime, precision, threads and device of a measurement."""
    return f"{taken.runtime} {taken.runtime_version}, {taken.precision}, threads: {taken.threads}, {taken.device}"


def _measured(problem: Problem, record: TrialRecord, final: FinalRecord | None) -> list[tuple[str, str]]:
    """The study's objectives, what counts of each, and how the times were taken."""
    rows = []
    if record.training is not None:
        rows.append(("trained on", f"{record.training.tokens:,} tokens, seed {record.seed}"))
    seen, on_test = Observed.of(record, final), Observed.judged_by(record, final.test if final is not None else None)
    for objective in problem.shown:
        value, test = objective.value(seen), objective.value(on_test) if objective.has_splits else None
        rows += [] if value is None else [(objective.words.label, objective.words.write(value))]
        rows += [] if test is None else [(f"{objective.words.label}, test", objective.words.write(test))]
    if final is not None and final.test is not None and (width := half_width_of(final.test)) is not None:
        rows.append((f"bits per byte, test, {LEVEL:.0%} interval", f"± {width:.3f} from {final.test.documents:,} documents"))
    if seen.latency is not None:
        taken = seen.latency
        rows.append(("measured by", f"{measured_how(taken)}, {taken.prompt_tokens} prompt and {taken.new_tokens} new tokens"))
    return rows
