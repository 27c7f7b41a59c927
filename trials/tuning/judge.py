"""Answers judged in pairs by a model behind an OpenAI-compatible endpoint, each pair twice with the two places swapped."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPException
from typing import IO, Any
from urllib.parse import urlsplit

from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from analysis.tasks.pairwise import Verdict
from search_space.errors import SpecError, WorkError, quoted, said_by, shortened

REPLY_SECONDS, TRIES, WAIT_SECONDS = 120.0, 3, 2.0
LONGEST_WAIT_SECONDS = 60.0
"""How long an endpoint that says when to come back (`Retry-After`) is waited for."""
MOST_BYTES = 1 << 20
"""Bytes of a judge's reply."""
INSTRUCTION = (
    "You compare two answers to the last message of a conversation. Reply with one letter: A where the first answer is better, B where the "
    "second is, C where neither is. The order of the answers means nothing. Length alone is no merit."
)
VERDICTS: Mapping[str, float | None] = {"A": 1.0, "B": 0.0, "C": 0.5}
"""What each reply gives to the first answer."""


class JudgeStoppedError(WorkError):
    """A judge that answered and then did no more, with the verdicts until then."""

    def __init__(self, said: str, found: Sequence[Verdict]) -> None:
        super().__init__(said)
        self.found = found


@dataclass(frozen=True, slots=True)
class Judge:
    """An endpoint that takes chats as OpenAI's does."""

    url: str
    """Address in front of `/chat/completions`, such as http://127.0.0.1:8000/v1."""
    model: str
    key: str | None = field(default=None, repr=False)
    """What the endpoint wants as a bearer's token; white space around it is no part of it, and no message shows it."""

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a bracket without end, or a port that is none
            is_address = False
        if not is_address:
            raise SpecError(f"--judge-url must be an address such as http://127.0.0.1:8000/v1, found {quoted(self.url)}; correct it")
        if parts.username is not None or parts.password is not None:
            raise SpecError("--judge-url must have no name and password, found some; put a key into a variable that --judge-key names")
        if self.key is not None:
            object.__setattr__(self, "key", self.key.strip())
            if not self.key or not all("!" <= letter <= "~" for letter in self.key):
                raise SpecError(
                    "the variable that --judge-key names must hold a key of printable ASCII letters without spaces, found another; set it "
                    "again"
                )

    def reply(self, messages: Sequence[Mapping[str, str]]) -> str:
        """What the endpoint answers to messages; raises WorkError where it does not."""
        asked = {"model": self.model, "messages": [dict(each) for each in messages], "temperature": 0, "max_tokens": 8}
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {self.key}"} if self.key else {})}
        address = f"{self.url.rstrip('/')}/chat/completions"
        request = urllib.request.Request(address, json_of(asked).encode(), headers)
        for left in reversed(range(TRIES)):
            wait = WAIT_SECONDS
            try:
                with OPENER.open(request, timeout=REPLY_SECONDS) as response:
                    return _content(response.read(MOST_BYTES))
            except urllib.error.HTTPError as error:
                passing, said = error.code in (408, 429) or error.code >= 500, f"status {error.code}"
                wait = max(wait, _asked_wait(error.headers.get("Retry-After")))
            except (OSError, HTTPException) as error:
                passing, said = True, said_by(error)
            except (ValueError, KeyError, IndexError, TypeError) as error:
                passing, said = False, f"no reply as OpenAI has them ({said_by(error)})"
            if not passing or not left:
                raise WorkError(
                    f"the judge at {self.url} must answer chats as OpenAI's endpoint does, found {shortened(said)}; see that it runs, that "
                    "its address ends as OpenAI's does (/v1), and that --judge-model names a model of its own"
                ) from None
            time.sleep(wait)
        raise AssertionError

    def require_reply(self) -> None:
        """Raise WorkError where the endpoint answers nothing, before much is done that needs it."""
        self.reply(_question([{"role": "user", "content": "What is two and two?"}], "Four.", "Five."))

    def verdict(self, messages: Sequence[Mapping[str, str]], ours: str, theirs: str) -> Verdict:
        """Both verdicts on two answers, ours first and ours second."""
        forward, backward = (_letter(self.reply(_question(messages, *pair))) for pair in ((ours, theirs), (theirs, ours)))
        return Verdict(first=VERDICTS.get(forward), second=None if (found := VERDICTS.get(backward)) is None else 1 - found)


def judged_pairs(
    judge: Judge, prompts: Sequence[Sequence[Mapping[str, str]]], ours: Sequence[str], theirs: Sequence[str], told: Callable[[int], None]
) -> list[Verdict]:
    """The verdicts on answers to each prompt; `told` hears how many are there.

    Raises WorkError where half of the replies or more are no verdict, JudgeStoppedError where one fails.
    """
    found: list[Verdict] = []
    for messages, our, their in zip(prompts, ours, theirs, strict=True):
        try:
            found.append(judge.verdict(messages, our, their))
        except WorkError as error:
            raise JudgeStoppedError(f"{error} ({len(found):,} of {len(prompts):,} pairs were judged)", found) from None
        told(len(found))
    replies = [value for each in found for value in (each.first, each.second)]
    if 2 * sum(value is None for value in replies) >= len(replies):
        raise WorkError(
            f"the judge at {judge.url} must reply with A, B or C, found that {sum(value is None for value in replies)} of {len(replies)} "
            "replies are none; name a model that follows instructions with --judge-model"
        )
    return found


class _Unmoved(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: the key and what is judged go to the address that was named, and nowhere else."""

    def redirect_request(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str) -> None:
        """Make no further request, so that the status of a redirection is the error."""


OPENER = urllib.request.build_opener(_Unmoved)


def _asked_wait(value: str | None) -> float:
    """Seconds that an endpoint asks for before the next try, within bounds; 0 where it names none or a date."""
    return min(float(value), LONGEST_WAIT_SECONDS) if value is not None and value.isascii() and value.isdigit() else 0.0


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
