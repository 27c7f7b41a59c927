"""Questions as token ids, as lm-evaluation-harness makes them.

Context and continuation are encoded as one, and what the context alone does not explain is the continuation's. The space between belongs to
the continuation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from search_space.errors import SpecError, require_reachable, shortened
from trials.catalogue.hugging_face_config import LEAST_POSITIONS
from trials.tasks.question import Option, Question
from trials.tasks.task_files import read_questions

MOST_ASKED = 10_000
"""Questions of a study's tasks together: each finished shape answers all of them."""
USUAL_BYTES_PER_TOKEN = 3.0
"""What plans count with; a study that has run on this machine has its seconds counted with it too."""
Encode = Callable[[str], list[int]]


@dataclass(frozen=True, slots=True)
class EncodedOption:
    """An option's ids."""

    before: tuple[int, ...]
    """What stands before; never empty."""
    after: tuple[int, ...]
    """What is scored."""
    text: str
    """What is scored, for a sentence about it."""


@dataclass(frozen=True, slots=True)
class EncodedQuestion:
    """A question with the ids of its options under one vocabulary."""

    options: tuple[EncodedOption, ...]
    lengths: tuple[int, ...]
    """Letters of each option, by which log-likelihoods are divided where length counts."""
    answer: int
    """Index of the right option."""
    answer_bytes: int
    """UTF-8 bytes of the right option."""
    group: str


@dataclass(frozen=True, slots=True)
class EncodedTask:
    """A task's questions with their ids."""

    sha256: str
    """SHA-256 of the questions, hexadecimal, whatever the vocabulary."""
    questions: tuple[EncodedQuestion, ...]


def encoded_option(option: Option, encode: Encode, prefix_token_id: int) -> EncodedOption:
    """The ids of context and continuation; `prefix_token_id` stands before a continuation that has no context."""
    context, continuation = option.context.rstrip(), option.continuation
    continuation = option.context[len(context) :] + continuation
    if not context:
        return EncodedOption((prefix_token_id,), tuple(encode(continuation)), continuation)
    whole, before = encode(context + continuation), encode(context)
    return EncodedOption(tuple(before), tuple(whole[len(before) :]), continuation)


def encoded_question(question: Question, encode: Encode, prefix_token_id: int) -> EncodedQuestion:
    """The question's ids."""
    return EncodedQuestion(
        options=tuple(encoded_option(option, encode, prefix_token_id) for option in question.options),
        lengths=tuple(len(option.continuation) - (1 if option.continuation.startswith(" ") else 0) for option in question.options),
        answer=question.answer,
        answer_bytes=question.options[question.answer].answer_bytes,
        group=question.group,
    )


def require_answers_fit(options: Sequence[EncodedOption], context_tokens: int, whose: str) -> None:
    """Raise SpecError where a continuation has no token, or more than `context_tokens`, which are `whose`."""
    for option in options:
        if not 0 < len(option.after) <= context_tokens:
            raise SpecError(
                f"an answer must have 1 to {context_tokens} tokens ({whose}), found {len(option.after)} in "
                f"{option.text.strip()[:80]!r}; leave the question out"
            )


def read_study_tasks(files: dict[str, str]) -> dict[str, tuple[Question, ...]]:
    """The questions of a study's tasks, from a file each.

    Raises SpecError where a file cannot be read, holds what is no question, or all hold too many.
    """
    found: dict[str, tuple[Question, ...]] = {}
    for name, file in files.items():
        require_reachable(file, f"corpus.tasks.{name}")
        if not Path(file).is_file():
            raise SpecError(f"corpus.tasks.{name} must be a file of questions, found none at {shortened(file)}; name another")
        found[name] = read_questions(name, Path(file), MOST_ASKED + 1)
    asked = sum(map(len, found.values()))
    if asked > MOST_ASKED:
        raise SpecError(f"corpus.tasks must have at most {MOST_ASKED:,} questions together, found {asked:,} and more; cut the files")
    return found


def has_choices(files: dict[str, str], task: str) -> bool:
    """Whether a question of one of a study's tasks has several options; raises SpecError as `read_study_tasks` does."""
    return any(len(question.options) > 1 for question in read_study_tasks({task: files[task]})[task])


def tokens_asked(files: dict[str, str]) -> float:
    """About how many tokens a network reads for the answers to a study's tasks; raises SpecError as `read_study_tasks` does."""
    return _tokens_asked(tuple((name, file, Path(file).stat().st_mtime_ns) for name, file in files.items() if Path(file).is_file()))


@cache  # a plan asks for every shape
def _tokens_asked(files: tuple[tuple[str, str, int], ...]) -> float:
    questions = [question for task in read_study_tasks({name: file for name, file, _ in files}).values() for question in task]
    return (
        sum(len(f"{option.context}{option.continuation}".encode()) for each in questions for option in each.options) / USUAL_BYTES_PER_TOKEN
    )


def encoded_tasks(files: dict[str, str], encode: Encode, prefix_token_id: int) -> dict[str, EncodedTask]:
    """The ids of every question of a study's tasks.

    Raises SpecError as `read_study_tasks` does, and for an answer that no text has room for.
    """
    found = {}
    for name, questions in read_study_tasks(files).items():
        encoded = tuple(encoded_question(question, encode, prefix_token_id) for question in questions)
        for question in encoded:
            require_answers_fit(question.options, LEAST_POSITIONS, f"of corpus.tasks.{name}, the longest text that every export states")
        found[name] = EncodedTask(questions_sha256(questions), encoded)
    return found


def questions_sha256(questions: Sequence[Question]) -> str:
    """SHA-256 of a task's questions, hexadecimal, as its results and an EncodedTask have it."""
    return hashlib.sha256(repr(questions).encode()).hexdigest()
