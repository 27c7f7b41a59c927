"""Synthetic dialogues: the same for a seed, each a chat as a file has it, and each answer to be had from what stands before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trials.tuning.answers import calls_in
from trials.tuning.chat import Chat, read_chats
from trials.tuning.synthetic_api import asked_texts, parted_chats, synthetic_chats


@pytest.fixture(scope="module")
def chats() -> list[Chat]:
    return synthetic_chats(400, seed=0)


def test_a_seed_decides_and_few_are_the_first_of_many(chats: list[Chat]) -> None:
    assert synthetic_chats(400, seed=0) == chats
    assert synthetic_chats(20, seed=0) == chats[:20]
    assert synthetic_chats(20, seed=1) != chats[:20]
    assert len({str(chat.messages) for chat in chats}) > 380


def test_each_is_a_chat_as_a_file_has_it(chats: list[Chat], tmp_path: Path) -> None:
    rows = [
        {"messages": [{"role": each.role, "content": each.content or None, "tool_calls": [*each.tool_calls]} for each in chat.messages]}
        for chat in chats
    ]
    (tmp_path / "chats.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert [chat.messages for chat in read_chats(tmp_path / "chats.jsonl")] == [chat.messages for chat in chats]


def test_every_argument_was_said_and_every_answer_takes_what_the_tool_said(chats: list[Chat]) -> None:
    called = set()
    for chat in chats:
        for place, message in enumerate(chat.messages):
            if not message.tool_calls:
                continue
            [(name, arguments)] = calls_in(message.text)
            called.add(name)
            said = " ".join(each.text for each in chat.messages[:place] if each.role == "user")
            assert all(str(value) in said for value in arguments.values()), (said, arguments)
            tool, answer = chat.messages[place + 1 : place + 3]
            assert (tool.role, answer.role) == ("tool", "assistant")
            assert all(str(value) in answer.text for value in json.loads(tool.text).values())
    assert len(called) == 8
    roles = ["".join(each.role[0] for each in chat.messages) for chat in chats]
    assert {"uata", "uauata", "uatauata"} <= {*roles}


@pytest.mark.parametrize(("count", "seed"), [(4, 0), (20, 3), (40, 1), (400, 0), (1000, 0), (1000, 7)])
def test_no_request_to_judge_by_is_learned_from(count: int, seed: int) -> None:
    chats, wanted = synthetic_chats(count, seed), max(2, count // 10)
    learned, held_out = parted_chats(chats, wanted, seed)
    assert len(held_out) == wanted
    assert learned
    assert len(learned) >= 0.75 * (count - wanted) or count < 100
    assert not set().union(*map(asked_texts, learned)) & set().union(*map(asked_texts, held_out))
    assert parted_chats(chats, wanted, seed) == (learned, held_out)
    openings = [{chat.messages[0].content for chat in some} for some in (learned, held_out)]
    assert not openings[0] & openings[1]
