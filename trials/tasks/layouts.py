"""Rows of published tasks as questions, each with the prompt that lm-evaluation-harness (0.4.13) has for it.

A row is known by its keys: those of the data set on the hub, or those of files in which the question is written out already, as
MosaicML's llm-foundry has them (`query`, `choices`, `gold`). What such a file has as one text is taken as it stands, and the prompt goes on
where it ends.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from typing import Any

from search_space.errors import SpecError, quoted
from trials.tasks.question import Option, Question

_Row = Mapping[str, Any]
_Layout = Callable[[_Row], Question]


def chosen(context: str, choices: list[str], answer: int) -> Question:
    """A question whose answers follow a space."""
    return Question(tuple(Option(context, f" {choice}") for choice in choices), answer)


def _arc(row: _Row) -> Question:
    choices = row["choices"]
    return chosen(f"Question: {row['question']}\nAnswer:", list(choices["text"]), list(choices["label"]).index(row["answerKey"]))


def _openbookqa(row: _Row) -> Question:
    choices = row["choices"]
    return chosen(row["question_stem"], list(choices["text"]), list(choices["label"]).index(row["answerKey"].strip()))


def _piqa(row: _Row) -> Question:
    return chosen(f"Question: {row['goal']}\nAnswer:", [row["sol1"], row["sol2"]], int(row["label"]))


def _boolq(row: _Row) -> Question:
    right = row["label"] if "label" in row else row["answer"]
    return chosen(f"{row['passage']}\nQuestion: {row['question']}?\nAnswer:", ["no", "yes"], int(right))


def _siqa(row: _Row) -> Question:
    choices = [row["answerA"], row["answerB"], row["answerC"]]
    return chosen(f"Q: {row['context']} {row['question']}\nA:", choices, int(row["label"]) - 1)


def _sciq(row: _Row) -> Question:
    choices = [row["distractor1"], row["distractor2"], row["distractor3"], row["correct_answer"]]
    return chosen(f"{row['support'].lstrip()}\nQuestion: {row['question']}\nAnswer:", choices, 3)


def _hellaswag(row: _Row) -> Question:
    before = f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}"
    return chosen(_unmarked(before), [_unmarked(ending) for ending in row["endings"]], int(row["label"]))


def _unmarked(text: str) -> str:
    """A text of HellaSwag's without the marks that WikiHow left in it."""
    return re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". ")).replace("  ", " ")


def _winogrande(row: _Row) -> Question:
    before, after = row["sentence"].split("_", 1)
    options = tuple(Option(before + row[name], f" {after.strip()}") for name in ("option1", "option2"))
    return Question(options, int(row["answer"]) - 1)


def _lambada(row: _Row) -> Question:
    before, _, last = row["text"].rpartition(" ")
    return Question((Option(before, f" {last}"),), 0)


LETTERS = ("A", "B", "C", "D")


def _race(row: _Row) -> Question:
    *before, asked = ast.literal_eval(row["problems"])
    text = f"Article: {row['article']}\n\n"
    for problem in before:
        right = problem["options"][LETTERS.index(problem["answer"])]
        blank = problem["question"].endswith("  _  .")
        text += f"{problem['question'][:-5]}{right}\n" if blank else f"Question: {problem['question']}\nAnswer: {right}\n"
    return chosen(text + asked["question"], list(asked["options"]), LETTERS.index(asked["answer"]))


def _pair(good: str, bad: str) -> _Layout:
    """Rows of two sentences, by the keys of the right one and the other, and of what they are an example of."""

    def layout(row: _Row) -> Question:
        return Question((Option("", f" {row[good]}"), Option("", f" {row[bad]}")), 0, str(row.get("UID", row.get("linguistics_term", ""))))

    return layout


def _written_query(after: str) -> _Layout:
    """Rows whose question is one text; the prompt has `after` at its end, and no space before."""

    def layout(row: _Row) -> Question:
        return chosen(f"{row['query'].rstrip() if after else row['query']}{after}", list(row["choices"]), int(row["gold"]))

    return layout


def _written_contexts(row: _Row) -> Question:
    options = tuple(Option(context, f" {row['continuation']}") for context in row["context_options"])
    return Question(options, int(row["gold"]))


def _written_ending(row: _Row) -> Question:
    return Question((Option(row["context"], f" {row['continuation']}"),), 0)


ANSWERED: tuple[tuple[tuple[str, ...], _Layout], ...] = (
    (("query", "choices", "gold"), _written_query("")),
    (("context_options", "continuation", "gold"), _written_contexts),
    (("good", "bad"), _pair("good", "bad")),
    (("sentence_good", "sentence_bad"), _pair("sentence_good", "sentence_bad")),
    (("context", "continuation"), _written_ending),
)
"""Rows of any task, by the keys that they have."""
ASKED = (("query", "choices", "gold"), _written_query("\nAnswer:"))
LAYOUTS: Mapping[str, tuple[tuple[tuple[str, ...], _Layout], ...]] = {
    "arc_easy": ((("question", "choices", "answerKey"), _arc), ASKED),
    "arc_challenge": ((("question", "choices", "answerKey"), _arc), ASKED),
    "boolq": ((("passage", "question"), _boolq), ASKED),
    "piqa": ((("goal", "sol1", "sol2", "label"), _piqa), ASKED),
    "siqa": ((("context", "question", "answerA", "answerB", "answerC", "label"), _siqa),),
    "hellaswag": ((("activity_label", "ctx_a", "ctx_b", "endings", "label"), _hellaswag),),
    "openbookqa": ((("question_stem", "choices", "answerKey"), _openbookqa),),
    "winogrande": ((("sentence", "option1", "option2", "answer"), _winogrande),),
    "race": ((("article", "problems"), _race),),
    "sciq": ((("support", "question", "distractor1", "distractor2", "distractor3", "correct_answer"), _sciq),),
    "lambada": ((("text",), _lambada),),
    "blimp": (),
}
"""Layouts of a task's own beside those of `ANSWERED`, by the names that the field has for tasks."""
OTHER_TASK_NAMES = {
    "lambada_openai": "lambada", "openbook_qa": "openbookqa", "social_iqa": "siqa", "boolq_super_glue": "boolq", "blimp_sample": "blimp",
    "hellaswag_tiny": "hellaswag",
}  # fmt: skip
"""What files and other tools call some of them."""


def question_of(task: str, row: object, where: str) -> Question:
    """The question of one row; raises SpecError, which says `where` it stands, for keys that no layout has, or a value that cannot be."""
    known = (*LAYOUTS.get(OTHER_TASK_NAMES.get(task, task), ()), *ANSWERED)
    if not isinstance(row, Mapping):
        raise SpecError(f"{where} must be an object with a question's keys, found {quoted(row)}; correct it")
    layout = next((layout for keys, layout in known if all(key in row for key in keys)), None)
    if layout is None:
        forms = "; or ".join(", ".join(keys) for keys, _ in known)
        raise SpecError(f"{where} must have the keys of {task} ({forms}), found {', '.join(map(str, row)) or 'none'}; rename them")
    try:
        question = layout(row)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, SyntaxError, RecursionError, MemoryError) as error:
        raise SpecError(
            f"{where} must be a question of {task}, found a value that cannot be ({type(error).__name__}: {error}); correct it"
        ) from None
    if not 0 <= question.answer < len(question.options) or not all(option.continuation.strip() for option in question.options):
        raise SpecError(
            f"{where} must have its answer among {len(question.options)} texts, none of them empty, found {question.answer}; correct it"
        )
    return question
