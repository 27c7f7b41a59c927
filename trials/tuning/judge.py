"""Answers judged_pairs in pairs by a model behind an OpenAI-compatible endpoint, each pair twice with the two places swapped."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from analysis.records.json_text import parse_json
from analysis.tasks.pairwise import Verdict
from search_space.errors import SpecError, WorkError, quoted, said_by, shortened

REPLY_SECONDS, TRIES, WAIT_SECONDS = 120.0, 3, 2.0
MOST_BYTES = 1 << 20
"""Bytes of a judge's reply."""
INSTRUCTION = (
    "You compare two answers to the last message of a conversation. Reply with one letter: A where the first answer is better, B where the "
    "second is, C where neither is. The order of the answers means nothing. Length alone is no merit."
)
VERDICTS: Mapping[str, float | None] = {"A": 1.0, "B": 0.0, "C": 0.5}
"""What each reply gives to the first answer."""


@dataclass(frozen=True, slots=True)
class Judge:
    """An endpoint that takes chats as OpenAI's does."""

    url: str
    """Address in front of `/chat/completions`, such as http://127.0.0.1:8000/v1."""
    model: str
    key: str | None = None
    """What the endpoint wants as a bearer's token."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SpecError(f"--judge-url must be an address such as http://127.0.0.1:8000/v1, found {quoted(self.url)}; correct it")
        if parts.username is not None or parts.password is not None:
            raise SpecError("--judge-url must have no name and password, found some; put a key into a variable that --judge-key names")

    def reply(self, messages: Sequence[Mapping[str, str]]) -> str:
        """What the endpoint answers to messages; raises WorkError where it does not."""
        asked = {"model": self.model, "messages": [dict(each) for each in messages], "temperature": 0, "max_tokens": 8}
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {self.key}"} if self.key else {})}
        address = f"{self.url.rstrip('/')}/chat/completions"
        request = urllib.request.Request(address, json.dumps(asked).encode(), headers)
        for left in reversed(range(TRIES)):
            try:
                with urllib.request.urlopen(request, timeout=REPLY_SECONDS) as response:
                    return _content(response.read(MOST_BYTES))
            except urllib.error.HTTPError as error:
                passing, said = error.code in (408, 429) or error.code >= 500, f"status {error.code}"
            except (OSError, HTTPException) as error:
                passing, said = True, said_by(error)
            except (ValueError, KeyError, IndexError, TypeError) as error:
                passing, said = False, f"no reply as OpenAI has them ({said_by(error)})"
            if not passing or not left:
                raise WorkError(
                    f"the judge at {self.url} must answer chats as OpenAI's endpoint does, found {shortened(said)}; see that it runs, that "
                    "its address ends as OpenAI's does (/v1), and that --judge-model names a model of its own"
                ) from None
            time.sleep(WAIT_SECONDS)
        raise AssertionError

    def verdict(self, messages: Sequence[Mapping[str, str]], ours: str, theirs: str) -> Verdict:
        """Both verdicts on two answers, ours first and ours second."""
        forward, backward = (_letter(self.reply(_question(messages, *pair))) for pair in ((ours, theirs), (theirs, ours)))
        return Verdict(first=VERDICTS.get(forward), second=None if (found := VERDICTS.get(backward)) is None else 1 - found)


def judged_pairs(
    judge: Judge, prompts: Sequence[Sequence[Mapping[str, str]]], ours: Sequence[str], theirs: Sequence[str], told: Callable[[int], None]
) -> list[Verdict]:
    """The verdicts on answers to each prompt; `told` hears how many are there.

    Raises WorkError where most of the replies are no verdict.
    """
    found = []
    for messages, our, their in zip(prompts, ours, theirs, strict=True):
        found.append(judge.verdict(messages, our, their))
        told(len(found))
    replies = [value for each in found for value in (each.first, each.second)]
    if 2 * sum(value is None for value in replies) > len(replies):
        raise WorkError(
            f"the judge at {judge.url} must reply with A, B or C, found that {sum(value is None for value in replies)} of {len(replies)} "
            "replies are none; name a model that follows instructions with --judge-model"
        )
    return found


def _question(messages: Sequence[Mapping[str, str]], first: str, second: str) -> list[dict[str, str]]:
    talk = "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)
    return [
        {"role": "system", "content": INSTRUCTION},
        {"role": "user", "content": f"Conversation:\n{talk}\n\nAnswer A:\n{first}\n\nAnswer B:\n{second}\n\nA, B or C?"},
    ]


def _content(data: bytes) -> str:
    found: Any = parse_json(data)["choices"][0]["message"]["content"]
    return found if isinstance(found, str) else ""


def _letter(reply: str) -> str:
    """The letter of a reply: its first word without what stands around it."""
    return next(iter(reply.split()), "").strip("*()[].:,'\"`").upper()
