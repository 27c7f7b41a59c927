"""Answers that a model writes in chats which it has not seen, against those that stand there: calls as JSON, texts by ROUGE."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.records.json_text import parse_json
from analysis.tasks.api_calling import ScoredAnswer
from trials.network.decoder import Network
from trials.tuning.chat import CALL, Chat, Message
from trials.tuning.examples import ChatCoder
from trials.tuning.writing import LONGEST_ANSWER, written_ids

BEGINNING = re.compile(rf"^[^\S\n]*{CALL}[^\S\n]*(\S+)", re.MULTILINE)
"""Beginning of a call at the beginning of a line, with the tool's name; only a line feed ends a line."""
ROUGE_MISSING = "ROUGE is not computed, since rouge-score is not installed; pip install 'archfront[tune]'"


@dataclass(frozen=True, slots=True)
class WrittenAnswer:
    """One answer of a chat, and what a model wrote in its place."""

    where: str
    """The chat's place in its file."""
    prompt: str
    expected: str
    written: str
    calls: tuple[tuple[str, Any], ...] = ()
    """Expected calls, each the tool's name and its arguments, read as JSON where they are JSON; none where the answer is text."""


def written_answers(
    network: Network, coder: ChatCoder, ends: Sequence[int], chats: Sequence[Chat], most: int, context_tokens: int
) -> list[WrittenAnswer]:
    """The first `most` answers of the chats, each written after what truly stands before it."""
    found: list[WrittenAnswer] = []
    for chat in chats:
        for place in chat.answers():
            if len(found) == most:
                return found
            prompt = coder.format.prompt(chat, place)
            ids = coder.ids(prompt)
            room = min(LONGEST_ANSWER, context_tokens - len(ids))
            text = coder.tokenizer.decode(written_ids(network, ids, ends, room), skip_special_tokens=True) if room > 0 else ""
            message = chat.messages[place]
            found.append(WrittenAnswer(chat.where, prompt, message.text, text.strip(), expected_calls(message)))
    return found


def has_calls(chats: Sequence[Chat]) -> bool:
    """Whether any answer calls a tool."""
    return any(message.tool_calls for chat in chats for message in chat.messages)


def has_rouge() -> bool:
    """Whether what computes ROUGE is installed."""
    return importlib.util.find_spec("rouge_score") is not None


def calls_in(text: str) -> list[tuple[str, Any]]:
    """Each call of a text as the tool's name and its arguments, which may go over lines.

    Arguments that are JSON are read as such, and text in the lines after them is passed over; of others all is taken up to the next call.
    """
    found, begins = [], [*BEGINNING.finditer(text)]
    ends = [*(match.start() for match in begins[1:]), len(text)]
    for match, end in zip(begins, ends, strict=False):
        said = text[match.end() : end].strip()
        found.append((match[1], _read(_json_part(said))))
    return found


def expected_calls(message: Message) -> tuple[tuple[str, Any], ...]:
    """The calls of a chat's own message."""
    functions = [call["function"] for call in message.tool_calls]
    return tuple((each["name"], _read(of.strip()) if isinstance(of := each["arguments"], str) else dict(of)) for each in functions)


def scored_answers(answers: Sequence[WrittenAnswer]) -> list[ScoredAnswer]:
    """Each answer's scores; ROUGE is None where it is not installed, and for calls, which are right or not."""
    rouge = _rouge() if has_rouge() else None
    found = []
    for each in answers:
        expected, written = [*each.calls], calls_in(each.written)
        if expected:
            same = [name for name, _ in expected] == [name for name, _ in written]
            found.append(ScoredAnswer(is_intent_right=same, is_structure_right=expected == written))
        else:
            scores = None if rouge is None else rouge(each.expected, each.written)
            found.append(ScoredAnswer() if scores is None else ScoredAnswer(rouge_1=scores["rouge1"], rouge_l=scores["rougeL"]))
    return found


def _rouge() -> Callable[[str, str], Mapping[str, float]]:
    """F-measures of ROUGE-1 and ROUGE-L (Lin 2004), words stemmed, as the package of Google Research computes them."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1", "rougeL"], use_stemmer=True)

    def score(expected: str, written: str) -> Mapping[str, float]:
        return {name: float(found.fmeasure) for name, found in scorer.score(expected, written).items()}

    return score


def _json_part(text: str) -> str:
    """The JSON at the beginning of a text where nothing else stands in its last line, else the text."""
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return text
    return text if text[end:].partition("\n")[0].strip() else text[:end]


def _read(arguments: str) -> Any:
    try:
        return parse_json(arguments)
    except ValueError:
        return arguments
