"""What is trained: a trial of a study, or a configuration that a person names, with the text of either. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.records.record import RECORDS, TrialRecord
from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.catalogue.formats import supported_exports
from trials.pretraining.statement import FORMATS_LEFT
from trials.study.corpus_spec import EMBEDDED, YAML_ENDS, CorpusSpec
from trials.study.directory import tokenizer_file
from trials.study.load_study import stated_corpus
from trials.study.section import parsed
from trials.trial.shape_file import read_shape

if TYPE_CHECKING:
    from trials.reporting.stored_study import StoredStudy


@dataclass(frozen=True, slots=True)
class Subject:
    """A shape and its text."""

    title: str
    """Such as `trial 7 of quickstart`."""
    stem: str
    """Name of a folder for it, such as `quickstart-0007`."""
    shape: Architecture
    corpus: CorpusSpec
    stored: StoredStudy | None = None
    """The study whose trial it is; None for a configuration."""
    record: TrialRecord | None = None
    is_studys_text: bool = False
    """Whether the text is the one that the study's trials were trained on."""
    notice: str | None = None
    """What of a published configuration is passed over."""
    file: Path | None = None
    """The file of a configuration; None for a trial."""


def subject_of(path: Path, trial: int | None, pick: str | None, data: Sequence[str] | None, tokenizer: str | None) -> Subject:
    """The subject that a path names; raises SpecError, with the cure, where it names none, or has no text."""
    if (path / RECORDS).is_file():
        return _trial(path, trial, pick, data, tokenizer)
    if trial is not None or pick is not None:
        flag = "--trial" if trial is not None else "--pick"
        raise SpecError(f"{flag} must go with a study's directory, found {path}, which has no {RECORDS}; leave {flag} out")
    file = _configuration(path)
    if not data:
        raise SpecError(f"--data must name the text that {file.name} is trained on, found none; name files, or {EMBEDDED}")
    shape, notice = read_shape(file)
    corpus = _text(data, tokenizer).without_tasks
    return Subject(str(file), file.parent.resolve().name or file.stem, shape, corpus, notice=notice, file=file)


def require_leavable(subject: Subject) -> None:
    """Raise SpecError where the model that is written at the end cannot hold the shape, so that nobody learns it only then."""
    possible = supported_exports(subject.shape)
    reasons = [reason for name in FORMATS_LEFT if (reason := possible[name]) is not None]
    if reasons:
        raise SpecError(f"{subject.title} cannot be written as a model for transformers: {reasons[0]}")


def _trial(path: Path, trial: int | None, pick: str | None, data: Sequence[str] | None, tokenizer: str | None) -> Subject:
    from trials.export.export_trial import pick as member
    from trials.reporting.stored_study import read_study

    stored = read_study(path)
    record = stored.record(trial) if trial is not None else member(stored, pick or "recommended")
    if data and (placed := _studys_own(data, stored.study.corpus)) is not None and tokenizer is None:
        corpus, data = placed, None
    elif data:
        known = tokenizer_file(stored.directory, record.architecture.vocab_size)
        corpus = _text(data, tokenizer or (str(known.resolve()) if known.is_file() else None))
    else:
        corpus = stored.corpus
    title = f"trial {record.number} of {stored.study.name}"
    corpus = corpus.without_tasks
    return Subject(title, f"{stored.study.name}-{record.number:04d}", record.architecture, corpus, stored, record, is_studys_text=not data)


def _studys_own(data: Sequence[str], corpus: CorpusSpec) -> CorpusSpec | None:
    """A study's corpus with its relative files placed beside the YAML that `--data` names, where that says the same; else None."""
    if len(data) != 1 or not data[0].endswith(YAML_ENDS):
        return None
    file = Path(data[0])
    return corpus.beside(file.resolve().parent) if stated_corpus(file) == corpus else None


def _configuration(path: Path) -> Path:
    """The file of a configuration, in a folder of them too."""
    if path.is_dir():
        for name in ("architecture.yaml", "config.json"):
            if (path / name).is_file():
                return path / name
        raise SpecError(f"{path} must be a study's directory or hold an architecture.yaml or a config.json, found none; name another")
    return path


def _text(data: Sequence[str], tokenizer: str | None) -> CorpusSpec:
    """The text that `--data` names: files, the embedded one, or the corpus of a study's file."""
    further = {} if tokenizer is None else {"tokenizer": tokenizer}
    if len(data) == 1 and data[0] == EMBEDDED:
        values: dict[str, object] = {"name": EMBEDDED, **further}
        return parsed(CorpusSpec, values, "--data", "docs/corpora.md").beside(Path.cwd())
    if len(data) == 1 and data[0].endswith(YAML_ENDS):
        file = Path(data[0])
        return stated_corpus(file, further).beside(file.resolve().parent)
    return parsed(CorpusSpec, {"files": tuple(data), **further}, "--data", "docs/corpora.md").beside(Path.cwd())
