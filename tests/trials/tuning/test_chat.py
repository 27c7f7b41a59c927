"""Files of chats: what OpenAI's fine-tuning takes is read, and what is no chat is one sentence with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from search_space.errors import SpecError
from trials.tuning.chat import read_chats

ASKED, ANSWERED = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
CALL = {"id": "1", "type": "function", "function": {"name": "find", "arguments": '{"a": 1}'}}


def file_of(folder: Path, *rows: Any) -> Path:
    file = folder / "chats.jsonl"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return file


def test_every_form_of_a_message_is_read(tmp_path: Path) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}], "name": "Ann"},
        {"role": "assistant", "content": "no", "weight": 0, "function_call": None, "tool_calls": None},
        {"role": "assistant", "content": None, "weight": 0},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "3", "tool_call_id": "1"},
        {"role": "assistant", "content": "It is 3.", "tool_calls": [{"function": {"name": "next", "arguments": {"ä": [1]}}}]},
    ]
    [chat] = read_chats(file_of(tmp_path, {"messages": messages, "tools": [{"type": "function"}], "id": 7}, ""))
    assert [message.role for message in chat.messages] == [message["role"] for message in messages]
    assert [message.text for message in chat.messages] == [
        "Be brief.", "a b", "no", "", 'call: find {"a": 1}', "3", 'It is 3.\ncall: next {"ä": [1]}',
    ]  # fmt: skip
    assert list(chat.answers()) == [4, 6]
    assert chat.where.endswith("chats.jsonl, line 1")


def test_the_first_chats_alone_are_read_where_so_many_are_asked_for(tmp_path: Path) -> None:
    good = {"messages": [ASKED, ANSWERED]}
    assert len(read_chats(file_of(tmp_path, good, good, "no chat"), 2)) == 2


BAD: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "must be a JSON object with messages, found column"),
    "a list": ([ASKED, ANSWERED], "must be {\"messages\""),
    "other keys": ({"prompt": "a", "completion": "b"}, "found the keys prompt, completion"),
    "no messages": ({"messages": []}, "must be {\"messages\""),
    "a message of text": ({"messages": ["Hi"]}, "message 1 must be an object with role and content"),
    "no role": ({"messages": [{"content": "Hi"}]}, "message 1 must have a role (system, developer, user, assistant, tool), found nothing"),
    "a role's slip": ({"messages": [ASKED, ANSWERED | {"role": "asistant"}]}, "message 2 must have a role (system, developer, user"),
    "no content": ({"messages": [ASKED | {"content": None}, ANSWERED]}, "message 1: content must be text"),
    "a picture": ({"messages": [ASKED | {"content": [{"type": "image_url"}]}, ANSWERED]}, "content must be text, or a list"),
    "a part of nothing": (
        {"messages": [ASKED | {"content": [{"type": "text", "text": None}]}, ANSWERED]}, "a part of type text must have a text",
    ),
    "a part without text": ({"messages": [ASKED, ANSWERED | {"content": [{"type": "text"}]}]}, "a part of type text must have a text"),
    "an answer of nothing": ({"messages": [ASKED, ANSWERED | {"content": None}]}, "message 2: content must be text"),
    "a number": ({"messages": [ASKED, ANSWERED | {"content": 3}]}, "message 2: content must be text"),
    "nothing to learn": ({"messages": [ASKED, ANSWERED | {"weight": 0}]}, "must have an answer to learn from"),
    "an empty answer": ({"messages": [ASKED, ANSWERED | {"content": " "}]}, "must have an answer to learn from"),
    "half a weight": ({"messages": [ASKED, ANSWERED | {"weight": 0.5}]}, "weight must be 0 or 1, found 0.5"),
    "a user's call": ({"messages": [ASKED | {"tool_calls": [CALL]}, ANSWERED]}, "tool_calls must be an assistant's"),
    "calls of before": ({"messages": [ASKED, ANSWERED | {"function_call": {}}]}, "tool_calls in place of function_call"),
    "a call without a name": ({"messages": [ASKED, ANSWERED | {"tool_calls": [{"function": {"arguments": "{}"}}]}]}, "a tool call must be"),
    "a name of two words": (
        {"messages": [ASKED, ANSWERED | {"tool_calls": [{"function": {"name": "a b", "arguments": "{}"}}]}]}, "a tool call must be",
    ),
    "calls by name": ({"messages": [ASKED, ANSWERED | {"tool_calls": {"find": 1}}]}, "tool_calls must be a list"),
    "tools by name": ({"messages": [ASKED, ANSWERED], "tools": {"find": 1}}, "tools must be a list of objects"),
    "bytes of no text": (b'{"messages": "\xff"}'.decode("latin-1"), "must be"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_chat_is_one_sentence_with_its_line(name: str, tmp_path: Path) -> None:
    row, said = BAD[name]
    file = file_of(tmp_path, {"messages": [ASKED, ANSWERED]}, row)
    with pytest.raises(SpecError) as refused:
        read_chats(file)
    assert f"{file}, line 2" in str(refused.value)
    assert said in str(refused.value)
    assert "; " in str(refused.value)


def test_a_file_without_chats_or_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="must have a chat in each line"):
        read_chats(file_of(tmp_path, "", " "))
    with pytest.raises(SpecError, match="must be a file that can be read"):
        read_chats(tmp_path / "none.jsonl")
