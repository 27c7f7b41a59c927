"""Answers that a model writes in chats which it has not seen, against those that stand there: calls as JSON, texts by ROUGE."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.records.json_text import parse_json
from analysis.tasks.api_calling import ScoredAnswer
from trials.network.decoder import Network
from trials.tuning.chat import CALL, Chat
from trials.tuning.examples import ChatCoder
from trials.tuning.writing import LONGEST_ANSWER, written_ids

ROUGE_MISSING = "ROUGE is not computed, since rouge-score is not installed; pip install 'archfront[tune]'"


@dataclass(frozen=True, slots=True)
class WrittenAnswer:
    """One answer of a chat, and what a model wrote in its place."""

    where: str
    """The chat's place in its file."""
    prompt: str
    expected: str
    written: str


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
            found.append(WrittenAnswer(chat.where, prompt, chat.messages[place].text, text.strip()))
    return found


def has_calls(chats: Sequence[Chat]) -> bool:
    """Whether any answer calls a tool."""
    return any(message.tool_calls for chat in chats for message in chat.messages)


def has_rouge() -> bool:
    """Whether what computes ROUGE is installed."""
    return importlib.util.find_spec("rouge_score") is not None


def calls_in(text: str) -> list[tuple[str, Any]]:
    """Each call of a text as the tool's name and its arguments, read as JSON where they are JSON."""
    lines = [line.strip().removeprefix(CALL) for line in text.splitlines() if line.strip().startswith(CALL)]
    pairs = [line.strip().partition(" ") for line in lines]
    return [(name, _read(arguments.strip())) for name, _, arguments in pairs]


def scored_answers(answers: Sequence[WrittenAnswer]) -> list[ScoredAnswer]:
    """Each answer's scores; ROUGE is None where it is not installed, and for calls, which are right or not."""
    rouge = _rouge() if has_rouge() else None
    found = []
    for each in answers:
        expected, written = calls_in(each.expected), calls_in(each.written)
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


def _read(arguments: str) -> Any:
    try:
        return parse_json(arguments)
    except ValueError:
        return arguments
