"""Models held against each other by a judge: what they draw in answer to the same prompts, and a model against itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from analysis.tasks.pairwise import Preference, preference
from search_space.errors import SpecError
from trials.models.loaded_model import LoadedModel
from trials.tuning.chat import Chat
from trials.tuning.examples import chat_coder
from trials.tuning.judge import Judge, judged_pairs
from trials.tuning.writing import LONGEST_ANSWER, written_ids

DRAWN_AT = 0.8
"""Temperature of the answers: the likeliest ones of a model against itself would be the same text twice, and calibrate nothing."""


@dataclass(frozen=True, slots=True)
class DrawnAnswers:
    """What a model wrote."""

    model: str
    prompts: list[list[dict[str, str]]]
    """Messages before each answer."""
    answers: list[str]


def drawn_answers(model: LoadedModel, chats: Sequence[Chat], seed: int) -> DrawnAnswers:
    """An answer in place of the last one of each chat; raises SpecError where a chat does not fit the model's template."""
    if model.context_tokens <= LONGEST_ANSWER:
        raise SpecError(
            f"{model.name} must state a context above {LONGEST_ANSWER} tokens, found {model.context_tokens}; name another model"
        )
    coder, chance = chat_coder(model), torch.Generator().manual_seed(seed)
    ends = coder.end_ids([coder.example(chat) for chat in chats]) or model.end_token_ids
    prompts, answers = [], []
    for chat in chats:
        place = [*chat.answers()][-1]
        ids = coder.ids(coder.format.prompt(chat, place))[-(model.context_tokens - LONGEST_ANSWER) :]
        found = written_ids(model.network, ids, ends, LONGEST_ANSWER, DRAWN_AT, chance)
        prompts.append([each.as_dict() for each in chat.messages[:place]])
        answers.append(coder.tokenizer.decode(found, skip_special_tokens=True).strip())
    return DrawnAnswers(model.name, prompts, answers)


def preferred(judge: Judge, ours: DrawnAnswers, theirs: DrawnAnswers, told: Callable[[int], None]) -> Preference:
    """How often ours is preferred; `told` hears how many pairs are judged. Raises WorkError where the judge gives no verdicts."""
    found = preference(judged_pairs(judge, ours.prompts, ours.answers, theirs.answers, told))
    assert found is not None  # `judged_pairs` refuses where half of the replies are no verdict
    return found
