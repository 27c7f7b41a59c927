"""What a study should know before it runs, a sentence each: what was filled in, passed over or taken off; said at the gate."""

from __future__ import annotations

from collections.abc import Iterator
from math import floor
from pathlib import Path

import yaml

from analysis.records.attempt import ATTEMPTS_FILE, tried_again
from analysis.text import words
from analysis.text.words import joined
from trials.corpus.documents import find_documents
from trials.corpus.first_look import look_at, without_text_notice
from trials.corpus.given_tokenizer import local_tokenizers
from trials.corpus.plain_tokenizer import changed_texts, unasked
from trials.plans.foretell import WHOLE_WITHIN, ExpectedTrials
from trials.study.ablation_spec import AblationSpec
from trials.study.corpus_spec import CorpusSpec
from trials.study.spec import StudySpec
from trials.trial.references import reference_notices

MOST_TRIALS_NAMED = 5
"""Trials that a notice names by their numbers."""


def text_notices(study: StudySpec) -> tuple[str, ...]:
    """What of a study's files of text is left out; `run` says it once the whole text is read, where `plan` may know its beginning alone.

    Raises SpecError where a file cannot be used.
    """
    if study.corpus.files is None:
        return ()
    look = look_at(find_documents(study.corpus))
    said = without_text_notice(look.documents, look.without_text, is_whole=look.is_whole)
    return () if said is None else (said,)


def study_notices(study: StudySpec, *, has_text: bool = True) -> tuple[str, ...]:
    """The notices of a study's context, references and tokenizers; a tokenizer on the hub is not asked for, and none where
    another machine reads the text (`has_text` false).

    Raises SpecError where a file cannot be used.
    """
    of_references = reference_notices(study.references) if study.scaling is None else ()
    return (*_short_context(study), *of_references, *(_tokenizer_notices(study.corpus) if has_text else ()))


def directory_notices(directory: Path) -> tuple[str, ...]:
    """What a run of a study's directory does first, of which an earlier one has left more than records.

    Raises SpecError where a line of its attempts is none.
    """
    again = tried_again(directory)
    if not again:
        return ()
    them, made = words.plural(len(again), "trial"), sum(again.values())
    named = joined([f"#{number}" for number in list(again)[:MOST_TRIALS_NAMED]])
    more = f" and {len(again) - MOST_TRIALS_NAMED} more" if len(again) > MOST_TRIALS_NAMED else ""
    lost = f" ({words.plural(made, 'attempt')} so far, see {ATTEMPTS_FILE})" if made else ""
    return (f"{them} whose worker or node was lost, {named}{more}, {'is' if len(again) == 1 else 'are'} tried again by this command{lost}",)


def taken_over_notices(expected: ExpectedTrials) -> tuple[str, ...]:
    """How many of the trainings that a study is expected to have are finished already, and so cost nothing."""
    stated, share = expected.taken
    proposed = expected.proposed if share >= 1 - WHOLE_WITHIN else floor(share * expected.proposed + WHOLE_WITHIN)
    count, of = sum(stated) + proposed, len(stated) + expected.proposed
    if not count:
        return ()
    them = "the one training" if of == 1 else f"all {of} trainings" if count == of else f"{count} of {of} trainings"
    are, cost, these = ("is", "it costs", "it") if count == 1 else ("are", "they cost", "them")
    foreseen = ", as far as proposals can be foretold" if share else ""
    return (
        f"{them} of this study {are} finished in other studies' directories and {are} taken over{foreseen}: {cost} neither time nor FLOPs "
        f"(search.reuse: false has {these} made anew)",
    )


def ablation_notices(ablation: AblationSpec) -> tuple[str, ...]:
    """The notices of an ablation's tokenizers; raises SpecError where a file cannot be used."""
    return (*_tokenizer_notices(ablation.corpus),)


def filled_in_texts(study: StudySpec) -> tuple[str, ...]:
    """What a study left open and took from its budget, a text for each section that it is of, as YAML has the values."""
    taken = {section: [f"{key} {_written(value)}" for key, value in part.items()] for section, part in study.defaults.items()}
    return tuple(f"{section}: {joined(values)}" for section, values in taken.items() if values)


def left_open_notices(study: StudySpec) -> Iterator[str]:
    """How many choices were left open, where a verb does not say which; nothing where none were."""
    count, sections = sum(map(len, study.defaults.values())), [section for section, part in study.defaults.items() if part]
    if count:
        follow = "1 choice is" if count == 1 else f"{count} choices are"
        yield f"{follow} left open in {joined(sections)} and taken from the budget's defaults; `archfront plan` lists them"


def _short_context(study: StudySpec) -> Iterator[str]:
    asked = study.latency.prompt_tokens + study.latency.new_tokens
    if study.proxy.context_tokens < asked:
        yield (
            f"proxy.context_tokens is {study.proxy.context_tokens:,}, and latency is that of texts of {asked:,} tokens: quality is judged "
            "on shorter texts than the winner is to read; raise it where the quality of long texts decides"
        )


def _written(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).removesuffix("...\n").strip()


def _tokenizer_notices(corpus: CorpusSpec) -> Iterator[str]:
    for given in local_tokenizers(corpus.tokenizer):
        name = _title(given.file)
        if taken := unasked(given.file):
            are = "is" if len(taken) == 1 and taken[0] in ("truncation", "padding") else "are"
            yield f"{name}: {joined(taken)} {are} taken off, in training and in exports: text is encoded whole, with nothing around it"
        if changed := list(changed_texts(given.file)):
            yield f"{name}: texts with {joined(changed)} do not come back from their ids as they were; losses are those of what comes back"


def _title(file: Path) -> str:
    return f"tokenizer {file.name if file.stem != 'tokenizer' else f'{file.parent.name}/{file.name}'}"
