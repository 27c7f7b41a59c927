"""Several studies as the runs of one law: their finished losses, where the same recipe made them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.laws.runs import Runs, runs_from_records, together
from analysis.records.record import TrialRecord
from analysis.text.words import joined, plural
from search_space.errors import SpecError
from trials.reporting.stored_study import StoredStudy, read_study
from trials.study.directory import tokenizer_file
from trials.trial.training_index import sha256

FREE = {"tokens", "tokens_per_parameter", "flops", "seconds", "cooldowns", "evaluations", "precision", "compile"}
"""Keys of a recipe that may differ: how long a training is and how often it is looked at; its precision is read from the records."""


def runs_of_studies(directories: Sequence[Path], params: str = "parameters") -> Runs:
    """The finished losses of studies, each cooldown one; a training that several of them have counts once.

    Raises SpecError where something decides a loss at given N and D and differs, with all that does.
    """
    studies = [read_study(directory) for directory in directories]
    for other in studies[1:]:
        _require_alike(studies[0], other)
    best: dict[tuple[Any, ...], TrialRecord] = {}
    finished = [(stored, record, key) for stored in studies for record in stored.records if (key := _same(record)) is not None]
    for _, record, key in finished:
        if key not in best or _cooldowns(record) > _cooldowns(best[key]):
            best[key] = record
    parts, notes = [], []
    for stored in studies:
        records = [record for its, record, key in finished if its is stored and best[key] is record]
        if records:
            parts.append(runs_from_records(records, params))
            notes.append(f"losses: {len(parts[-1])} of {plural(len(records), 'training')} in {stored.directory}")
    if not parts:
        raise SpecError(f"a law needs finished trials, found none in {joined([str(each) for each in directories])}; run the studies first")
    if len(finished) > len(best):
        notes.append(f"{plural(len(finished) - len(best), 'training')} left out, of a shape, seed and length that is there already")
    return together(parts, notes)


def _same(record: TrialRecord) -> tuple[Any, ...] | None:
    """What makes two finished trainings by one recipe the same one; None for a trial that has no loss to give."""
    training = record.training
    if not record.finished or training is None or training.validation is None:
        return None
    return record.architecture, record.seed, training.tokens


def _cooldowns(record: TrialRecord) -> int:
    return 0 if record.training is None else len(record.training.cooldowns)


def _require_alike(one: StoredStudy, other: StoredStudy) -> None:
    here, there = _deciding(one), _deciding(other)
    differences = [f"{name} is {there[name]} there and {here[name]} here" for name in here if name in there and there[name] != here[name]]
    if differences:
        raise SpecError(
            f"{other.directory} must have the recipe of {one.directory} to be fitted with it, found that {joined(differences)}; "
            "fit them apart"
        )


def _deciding(stored: StoredStudy) -> dict[str, Any]:
    """All that decides a loss at given N and D, by the name that a person knows it by."""
    proxy, records = stored.study.proxy, [record for record in stored.records if record.finished and record.training]
    recipe = proxy.model_dump(mode="json", exclude=FREE)
    if proxy.optimizer != "muon":
        recipe.pop("muon_learning_rate")
    if proxy.parametrization == "standard":
        recipe.pop("base")
    if proxy.schedule != "wsd":
        recipe.pop("decay")
    sizes = sorted({record.architecture.vocab_size for record in records})
    texts = sorted({record.training.corpus_sha256 for record in records if record.training and record.training.corpus_sha256})
    return {
        "corpus": f"{stored.study.corpus.title} ({' and '.join(text[:8] for text in texts) or 'never read'})",
        "space.vocab_size": " and ".join(f"{size:,}" for size in sizes),
        "tokenizer": " and ".join(_digest(stored.directory, size) for size in sizes),
        **{f"proxy.{name}": value for name, value in recipe.items()},
        "precision": " and ".join(sorted({record.training.precision for record in records if record.training})),
    }


def _digest(directory: Path, vocab_size: int) -> str:
    """The tokenizer's beginning of a hash; a directory that has lost its file is not told from others."""
    path = tokenizer_file(directory, vocab_size)
    return sha256(path.read_bytes())[:8] if path.exists() else "unknown"
