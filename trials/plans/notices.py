"""What is passed over or taken off of the files that a study names, a sentence each: said by `plan` and by `run`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from analysis.text.words import joined
from trials.corpus.given_tokenizer import local_tokenizers
from trials.corpus.plain_tokenizer import changed_texts, unasked
from trials.study.spec import StudySpec
from trials.trial.references import reference_notices


def study_notices(study: StudySpec) -> tuple[str, ...]:
    """The notices of a study's references and tokenizers; a tokenizer on the hub is not asked for.

    Raises SpecError where a file cannot be used.
    """
    return (*(reference_notices(study.references) if study.scaling is None else ()), *_tokenizer_notices(study))


def _tokenizer_notices(study: StudySpec) -> Iterator[str]:
    for given in local_tokenizers(study.corpus.tokenizer):
        name = _title(given.file)
        if taken := unasked(given.file):
            yield f"{name}: {joined(taken)} are taken off, in training and in exports: text is encoded whole, with nothing around it"
        if changed := list(changed_texts(given.file)):
            yield f"{name}: texts with {joined(changed)} do not come back from their ids as they were; losses are those of what comes back"


def _title(file: Path) -> str:
    return f"tokenizer {file.name if file.stem != 'tokenizer' else f'{file.parent.name}/{file.name}'}"
