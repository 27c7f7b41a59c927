"""Written answers against expected ones: calls as JSON, texts by ROUGE, and what a model writes is what its logits say."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from analysis.tasks.api_calling import PUBLISHED, ScoredAnswer, api_scores
from search_space.architecture import Architecture
from tests.support.sample_network import spread_out
from trials.tuning.answers import WrittenAnswer, calls_in, expected_calls, has_rouge, scored_answers
from trials.tuning.chat import Message
from trials.tuning.writing import written_ids

SHAPE = Architecture(
    vocab_size=60, hidden_size=32, num_unique_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=64
)
EXPECTED = 'call: get_weather {"day": "Monday", "city": "Oslo"}'
WRITTEN = {
    EXPECTED: (True, True),
    'call: get_weather {"city": "Oslo", "day": "Monday"}': (True, True),
    '  call:  get_weather   {"city":"Oslo","day":"Monday"}': (True, True),
    'call: get_weather {"day": "Monday", "city": "Riga"}': (True, False),
    'call: get_weather {"day": "Monday"}': (True, False),
    'call: get_weather {"day": "Monday", "city": "Oslo"': (True, False),
    "call: get_weather": (True, False),
    'call: find_train {"day": "Monday", "city": "Oslo"}': (False, False),
    f"{EXPECTED}\n{EXPECTED}": (False, False),
    "It will rain.": (False, False),
    "": (False, False),
}


@pytest.mark.parametrize("written", WRITTEN)
def test_a_call_is_right_by_its_name_and_by_its_values_however_they_are_ordered(written: str) -> None:
    [found] = scored_answers([WrittenAnswer("line 1", "", EXPECTED, written, tuple(calls_in(EXPECTED)))])
    assert (found.is_intent_right, found.is_structure_right) == WRITTEN[written]
    assert found.rouge_1 is found.rouge_l is None


def test_arguments_are_read_where_they_are_json() -> None:
    assert calls_in('I look.\ncall: a {"b": [1, null]}\ncall: c d e') == [("a", {"b": [1, None]}), ("c", "d e")]


SPREAD = 'call: find {\n  "a": [\n    1\n  ],\n  "b": "x\\ny"\n}'


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (SPREAD, [("find", {"a": [1], "b": "x\ny"})]),
        (f"{SPREAD}\n{SPREAD}", [("find", {"a": [1], "b": "x\ny"})] * 2),
        ('call: a {"b": "one\u2028two\x85three\x1cfour\x0bfive"}', [("a", '{"b": "one\u2028two\x85three\x1cfour\x0bfive"}')]),
        ('call: a {"b": "one\u2028two\x85three"}', [("a", {"b": "one\u2028two\x85three"})]),
        ('call: a {"b": 1}\nThat is all.', [("a", {"b": 1})]),
        ('call: a {"b": 1} and more', [("a", '{"b": 1} and more')]),
        ('call: a\n{"b": 1}', [("a", {"b": 1})]),
        ("call: a x\ny\ncall: b", [("a", "x\ny"), ("b", "")]),
        ("text\u2028call: a {}", []),
        (f"call: a {'[' * 100_000}", [("a", "[" * 100_000)]),
    ],
)
def test_arguments_go_over_lines_and_only_a_line_feed_ends_one(written: str, found: list[tuple[str, Any]]) -> None:
    assert calls_in(written) == found


def test_a_call_over_lines_is_not_equal_by_its_first_line_and_a_text_that_looks_like_one_is_text() -> None:
    message = Message("assistant", "", ({"function": {"name": "find", "arguments": '{\n "a": 1\n}'}},))
    for written, is_right in (('call: find {\n "a": 2\n}', False), ('call: find {"a": 1}', True), ("call: find {", False)):
        [found] = scored_answers([WrittenAnswer("", "", message.text, written, expected_calls(message))])
        assert (found.is_intent_right, found.is_structure_right) == (True, is_right)
    text = Message("assistant", "call: me later")
    [found] = scored_answers([WrittenAnswer("", "", text.text, text.text, expected_calls(text))])
    assert found.is_intent_right is None


@pytest.mark.needs
@pytest.mark.skipif(not has_rouge(), reason="rouge-score is not installed; pip install 'archfront[tune]'")
def test_texts_have_the_rouge_that_its_definition_gives() -> None:
    """Of five words, four stand in the answer of six: precision 4/6, recall 4/5; in a row three."""
    [found] = scored_answers([WrittenAnswer("line 1", "", "red green blue black white", "green red blue black grey pink")])
    assert found.rouge_1 == pytest.approx(2 * (4 / 6) * (4 / 5) / (4 / 6 + 4 / 5))
    assert found.rouge_l == pytest.approx(2 * (3 / 6) * (3 / 5) / (3 / 6 + 3 / 5))


def test_scores_count_calls_and_texts_apart_and_have_intervals() -> None:
    call = ScoredAnswer(is_intent_right=True, is_structure_right=False)
    scores = api_scores([call, call, ScoredAnswer(rouge_1=0.5, rouge_l=0.25), ScoredAnswer(rouge_1=1.0, rouge_l=0.75), ScoredAnswer()])
    assert (scores.calls, scores.texts) == (2, 3)
    assert scores.intent is not None
    assert scores.structure is not None
    assert (scores.intent.value, scores.structure.value) == (1, 0)
    assert scores.intent.low < 1
    assert scores.structure.high > 0
    assert scores.rouge_1 is not None
    assert scores.rouge_1.value == 0.75
    nothing = api_scores([ScoredAnswer()])
    assert nothing.intent is nothing.structure is nothing.rouge_1 is None


def test_the_published_row_is_that_of_the_facts() -> None:
    [row] = PUBLISHED
    assert (row.intent, row.structure, row.rouge_1, row.rouge_l, row.grade) == (65.3, 48.8, 46.8, 44.6, "B")


def test_what_is_written_follows_the_logits_and_ends_where_an_answer_ends() -> None:
    network, prompt = spread_out(SHAPE), [5, 6, 7]
    ids = written_ids(network, prompt, (), 12)
    with torch.inference_mode():
        likeliest = network(torch.tensor([prompt + ids]))[0, 2:-1].argmax(-1).tolist()
    assert ids == likeliest
    assert written_ids(network, prompt, (ids[4],), 12) == ids[: ids.index(ids[4])]
    drawn = [written_ids(network, prompt, (), 12, 1.5, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
