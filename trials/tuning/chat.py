"""Chats in the layout of OpenAI's fine-tuning files: JSON lines with `messages`. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from search_space.errors import SpecError, complaint_of, quoted
from trials.study.files import what_lies_at

ROLES = ("system", "developer", "user", "assistant", "tool")
ANSWERING = "assistant"
CALL = "call: "
"""Beginning of the line in which an answer calls a tool; the tool's name and its arguments as JSON follow."""
MOST_CHATS, LONGEST_CHAT = 10_000_000, 16 << 20


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: str
    content: str
    """What is said; nothing where it only calls tools."""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    """What an answer calls, each with `function.name` and `function.arguments`, a JSON text or an object."""
    is_trained: bool = True
    """Whether an answer is one to learn from (`weight` 1)."""

    @property
    def text(self) -> str:
        """Content, and a line `call: NAME ARGUMENTS` for each call, as `chat_template.CHAT_TEMPLATE` writes them."""
        calls = [call["function"] for call in self.tool_calls]
        lines = [f"{CALL}{each['name']} {_written(each['arguments'])}" for each in calls]
        return "\n".join([*([self.content.strip()] if self.content.strip() or not lines else []), *lines])

    def as_dict(self) -> dict[str, str]:
        """The message as every chat template takes it: role and text."""
        return {"role": self.role, "content": self.text}


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat with at least one answer to learn from."""

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    """Descriptions of what may be called, as OpenAI has them."""
    where: str = ""
    """Which line of which file it is."""

    def answers(self) -> Iterator[int]:
        """Places of the answers to learn from."""
        return (place for place, message in enumerate(self.messages) if message.role == ANSWERING and message.is_trained)


def read_chats(file: Path, most: int | None = None) -> list[Chat]:
    """The chats of a file, the first `most` of them; raises SpecError, with the line, for what is none."""
    chats: list[Chat] = []
    if file.exists() and not file.is_file():  # a pipe would be waited for
        raise SpecError(f"{file} must be a file of chats, found {what_lies_at(file)}; name another")
    try:
        with open(file, "rb") as lines:
            number = 0
            while (line := lines.readline(LONGEST_CHAT)) and len(chats) != most:
                number += 1
                where = f"{file}, line {number}"
                if len(line) == LONGEST_CHAT:
                    raise SpecError(f"{where} must be shorter than {LONGEST_CHAT >> 20} MiB, found more; cut the chat")
                if len(chats) == MOST_CHATS:
                    raise SpecError(f"{file} must have at most {MOST_CHATS:,} chats, found more; cut it, or give --limit")
                if line.strip():
                    chats.append(_chat(line, where))
    except OSError as error:
        raise SpecError(f"{file} must be a file that can be read, found: {complaint_of(error)}; name another") from None
    if not chats:
        raise SpecError(f'{file} must have a chat in each line ({{"messages": [...]}}), found none; name another file')
    return chats


def _chat(line: bytes, where: str) -> Chat:
    try:
        row = parse_json(line.strip())
    except ValueError as error:
        found = str(error).removeprefix("line 1, ")
        raise SpecError(f"{where} must be a JSON object with messages, found {found}; correct it") from None
    if not isinstance(row, dict) or not isinstance(row.get("messages"), list) or not row["messages"]:
        found = f"the keys {', '.join(map(str, row)) or 'none'}" if isinstance(row, dict) and "messages" not in row else quoted(row)
        raise SpecError(
            f'{where} must be {{"messages": [{{"role": ..., "content": ...}}, ...]}}, as OpenAI\'s fine-tuning files have it, '
            f"found {found}; rewrite it"
        )
    tools = row.get("tools") or []
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise SpecError(f"{where}: tools must be a list of objects, found {quoted(tools)}; correct it")
    chat = Chat(tuple(_message(each, f"{where}, message {place}") for place, each in enumerate(row["messages"], 1)), tuple(tools), where)
    if not any(chat.messages[place].content.strip() or chat.messages[place].tool_calls for place in chat.answers()):
        raise SpecError(
            f"{where} must have an answer to learn from (role assistant, with content or tool_calls and a weight that is not 0), found "
            "none; add one, or leave the line out"
        )
    return chat


def _message(value: object, where: str) -> Message:
    if not isinstance(value, dict):
        raise SpecError(f"{where} must be an object with role and content, found {quoted(value)}; correct it")
    role = value.get("role")
    if role not in ROLES:
        raise SpecError(f"{where} must have a role ({', '.join(ROLES)}), found {quoted(role)}; add it")
    if value.get("function_call") is not None:
        raise SpecError(f"{where} must have tool_calls in place of function_call, which they have followed; rewrite it")
    calls = value.get("tool_calls") or []
    if calls and role != ANSWERING:
        raise SpecError(f"{where}: tool_calls must be an assistant's, found those of {role}; correct the role")
    weight = value.get("weight", 1)
    if weight not in (0, 1):
        raise SpecError(f"{where}: weight must be 0 or 1, found {quoted(weight)}; correct it")
    return Message(role, _content(value.get("content"), bool(calls) or weight == 0, where), _calls(calls, where), bool(weight))


def _content(value: object, may_lack: bool, where: str) -> str:
    if isinstance(value, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in value):
        if not all(isinstance(part.get("text"), str) for part in value):
            raise SpecError(f"{where}: a part of type text must have a text, found {quoted(value)}; correct it, or leave the part out")
        value = "".join(part["text"] for part in value)
    if value is None and may_lack:
        return ""
    if not isinstance(value, str):
        raise SpecError(f"{where}: content must be text, or a list of parts of type text, found {quoted(value)}; correct it")
    return value


def _calls(value: object, where: str) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list):
        raise SpecError(f"{where}: tool_calls must be a list, found {quoted(value)}; correct it")
    for call in value:
        function = call.get("function") if isinstance(call, dict) else None
        name, arguments = (function.get(key) for key in ("name", "arguments")) if isinstance(function, dict) else (None, None)
        if not isinstance(name, str) or not name or name.split() != [name] or not isinstance(arguments, str | dict):
            raise SpecError(
                f'{where}: a tool call must be {{"function": {{"name": "...", "arguments": "{{...}}"}}}} with a name of one word, found '
                f"{quoted(call)}; correct it"
            )
    return tuple(value)


def _written(arguments: str | Mapping[str, Any]) -> str:
    """Arguments as text: their own, or what transformers' filter `tojson` makes of an object."""
    return arguments if isinstance(arguments, str) else json_of(arguments, as_ascii=False)
