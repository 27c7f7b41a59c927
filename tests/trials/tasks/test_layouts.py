"""Rows of every task, as the hub has them and as files with written prompts, become the harness' questions; other rows are refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from search_space.errors import SpecError
from trials.tasks.layouts import LAYOUTS, OTHER_TASK_NAMES, question_of

ROWS: dict[str, dict[str, Any]] = {
    "arc_easy": {"question": "What is wet?", "choices": {"text": ["a stone", "rain", "dust"], "label": ["A", "B", "C"]}, "answerKey": "B"},
    "arc_challenge": {"question": "What falls?", "choices": {"text": ["rain", "up"], "label": ["1", "2"]}, "answerKey": "1"},
    "boolq": {"passage": "Rain is water.", "question": "is rain dry", "label": 0},
    "piqa": {"goal": "Dry a towel.", "sol1": "Hang it up.", "sol2": "Wet it.", "label": 0},
    "siqa": {"context": "Ann gave Bo tea.", "question": "How is Bo?", "answerA": "glad", "answerB": "tea", "answerC": "wet", "label": "1"},
    "hellaswag": {
        "activity_label": "Making tea", "ctx_a": "A pot boils.", "ctx_b": "the man", "label": "0",
        "endings": ["pours it [step] slowly.", "flies [title] off"],
    },
    "openbookqa": {"question_stem": "Ice melts when", "choices": {"text": ["cold", "warm"], "label": ["A", "B"]}, "answerKey": "B"},
    "winogrande": {"sentence": "Ann thanked Bo because _ had helped.", "option1": "Ann", "option2": "Bo", "answer": "2"},
    "race": {
        "article": "It rained.",
        "problems": str([
            {"question": "It was  _  .", "options": ["dry", "wet", "hot", "old"], "answer": "B"},
            {"question": "What rained?", "options": ["it", "he", "she", "they"], "answer": "A"},
            {"question": "When?", "options": ["now", "then", "never", "soon"], "answer": "B"},
        ]),
    },
    "sciq": {
        "support": " Water is wet.", "question": "What is wet?", "distractor1": "dust", "distractor2": "air", "distractor3": "fire",
        "correct_answer": "water",
    },
    "lambada": {"text": "He took the cup and drank the tea"},
    "blimp": {"sentence_good": "Ann has left.", "sentence_bad": "Ann have left.", "UID": "agreement"},
}  # fmt: skip
"""A row of every task, by the keys that it has on the hub; made up here."""
HARNESS = {"lambada": "lambada_openai", "siqa": "social_iqa", "blimp": "blimp_adjunct_island"}
"""The harness' names where they are others."""
WRITTEN: list[tuple[str, dict[str, Any], str, list[str], int]] = [
    ("piqa", {"query": "Question: Dry it.\n", "choices": ["Hang", "Wet"], "gold": 0}, "Question: Dry it.\nAnswer:", [" Hang", " Wet"], 0),
    ("boolq", {"query": "Rain.\nQuestion: so?", "choices": ["no", "yes"], "gold": 1}, "Rain.\nQuestion: so?\nAnswer:", [" no", " yes"], 1),
    ("openbook_qa", {"query": "Ice melts when", "choices": ["cold", "warm"], "gold": 1}, "Ice melts when", [" cold", " warm"], 1),
    ("lambada_openai", {"context": "He drank the", "continuation": "tea"}, "He drank the", [" tea"], 0),
    ("blimp", {"UID": "agreement", "good": "Ann has left.", "bad": "Ann have left."}, "", [" Ann has left.", " Ann have left."], 0),
    ("mine", {"query": "2 + 2 =", "choices": ["4", "5"], "gold": 0}, "2 + 2 =", [" 4", " 5"], 0),
]  # fmt: skip


def test_every_task_has_a_row_here() -> None:
    assert set(ROWS) == set(LAYOUTS)
    assert set(OTHER_TASK_NAMES.values()) <= set(LAYOUTS)


@pytest.mark.parametrize(("task", "row", "context", "texts", "answer"), WRITTEN)
def test_written_prompts_are_taken_as_they_stand(task: str, row: dict[str, Any], context: str, texts: list[str], answer: int) -> None:
    question = question_of(task, row, "here")
    assert [option.continuation for option in question.options] == texts
    assert {option.context for option in question.options} == {context}
    assert question.answer == answer


def test_of_winogrande_the_contexts_are_the_options() -> None:
    question = question_of("winogrande", {"context_options": ["so Ann", "so Bo"], "continuation": "left.", "gold": 1}, "here")
    assert [(option.context, option.continuation) for option in question.options] == [("so Ann", " left."), ("so Bo", " left.")]
    assert question.answer == 1


@pytest.mark.more
@pytest.mark.needs
@pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm-eval is not installed; pip install 'archfront[evals]'")
@pytest.mark.parametrize("task", LAYOUTS)
def test_prompts_options_and_answers_are_those_of_the_harness(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own definitions, on the made-up row in place of the hub's."""
    import datasets
    import lm_eval.tasks

    monkeypatch.setattr(
        datasets,
        "load_dataset",
        lambda *_, **__: datasets.DatasetDict(dict.fromkeys(("train", "validation", "test"), datasets.Dataset.from_list([ROWS[task]]))),
    )
    name = HARNESS.get(task, task)
    [theirs] = lm_eval.tasks.TaskManager().load([name])["tasks"].values()
    [document] = list(theirs.eval_docs)
    question = question_of(task, ROWS[task], "here")
    [*instances] = _requests(theirs, document)
    assert [(option.context, option.continuation) for option in question.options] == instances
    right = theirs.doc_to_text(document) if task == "winogrande" else theirs.doc_to_target(document)
    assert question.answer == (0 if len(question.options) == 1 else right)


def _requests(task: Any, document: Any) -> list[tuple[str, str]]:
    context = task.fewshot_context(document, num_fewshot=0)
    made = task.construct_requests(doc=document, ctx=context, metadata=(task.config.task, 0, 1))
    made = made if isinstance(made, list) else [made]
    pairs = [instance.args for instance in made]
    return pairs[: len(task.doc_to_choice(document))] if task.OUTPUT_TYPE == "multiple_choice" else pairs


WRONG: list[tuple[str, object, str]] = [
    ("piqa", 3, "must be an object with a question's keys, found 3"),
    ("piqa", {"goal": "x"}, "must have the keys of piqa (goal, sol1, sol2, label; or query"),
    ("piqa", {}, "found none"),
    ("arc_easy", ROWS["arc_easy"] | {"answerKey": "Z"}, "found a value that cannot be"),
    ("arc_easy", ROWS["arc_easy"] | {"choices": "rain"}, "found a value that cannot be"),
    ("winogrande", ROWS["winogrande"] | {"sentence": "no blank"}, "found a value that cannot be"),
    ("winogrande", ROWS["winogrande"] | {"answer": "3"}, "must have its answer among 2 texts"),
    ("siqa", ROWS["siqa"] | {"label": "0"}, "must have its answer among 3 texts"),
    ("race", ROWS["race"] | {"problems": "__import__('os').getcwd()"}, "found a value that cannot be"),
    ("race", ROWS["race"] | {"problems": "[" * 10_000}, "found a value that cannot be"),
    ("race", ROWS["race"] | {"problems": str([{"question": "?", "options": ["a"] * 4, "answer": ""}])}, "found a value that cannot be"),
    ("blimp", {"good": "", "bad": "x"}, "none of them empty"),
    ("mine", {"query": "x", "choices": [], "gold": 0}, "must have its answer among 0 texts"),
]


@pytest.mark.parametrize(("task", "row", "said"), WRONG)
def test_what_is_no_question_is_one_sentence(task: str, row: object, said: str) -> None:
    with pytest.raises(SpecError) as refused:
        question_of(task, row, "tasks/x.jsonl, line 3")
    assert said in str(refused.value)
    assert str(refused.value).startswith("tasks/x.jsonl, line 3 must ")
