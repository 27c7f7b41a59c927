"""Chats as ids with the places that are learned from, by the tokenizer of the model that learns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from analysis.records.json_writer import json_of
from search_space.errors import SpecError, quoted
from trials.models.loaded_model import LoadedModel
from trials.tuning.chat import Chat
from trials.tuning.chat_template import CHAT_TEMPLATE, ChatFormat


@dataclass(frozen=True, slots=True)
class Example:
    """One chat."""

    ids: tuple[int, ...]
    """What transformers' `apply_chat_template` gives."""
    learned: tuple[bool, ...]
    """Whether each id is part of an answer to learn from, or spells a part of one."""


@dataclass(frozen=True, slots=True)
class ChatCoder:
    """A tokenizer and a template that belong together."""

    tokenizer: Tokenizer
    format: ChatFormat
    special: tuple[str, ...]
    """Names that a text must not spell, since they would be read as tokens with a meaning."""

    def ids(self, text: str) -> list[int]:
        """Ids of a text as a user's call of transformers' tokenizer gives them: what spells a special token is one."""
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return found

    def example(self, chat: Chat) -> Example:
        """A chat as ids; raises SpecError where it spells a special token, or a template does not fit."""
        parts = [(f", message {place}", f"{message.content}\n{message.text}") for place, message in enumerate(chat.messages, 1)]
        for where, text in [*parts, (", tools", json_of(chat.tools, as_ascii=False))]:
            for name in self.special:
                if name in text:
                    raise SpecError(
                        f"{chat.where}{where} must not spell the special token {quoted(name)}, which a model reads so; write it in another "
                        "way, or leave the chat out"
                    )
        rendered = self.format.rendered(chat)
        encoding = self.tokenizer.encode(rendered.text, add_special_tokens=False)
        learned = [any(first < end and last > begin for begin, end in rendered.answers) for first, last in encoding.offsets]
        return Example(tuple(encoding.ids), tuple(learned))

    def end_ids(self, examples: Sequence[Example]) -> tuple[int, ...]:
        """Special tokens that end answers, the most frequent first: a tuned model stops at them."""
        counts: dict[int, int] = {}
        known = {self.tokenizer.token_to_id(name) for name in self.special}
        for example in examples:
            for id_ in _last_ids(example):
                if id_ in known:
                    counts[id_] = counts.get(id_, 0) + 1
        return tuple(sorted(counts, key=lambda id_: (-counts[id_], id_)))


def chat_coder(model: LoadedModel) -> ChatCoder:
    """What makes ids of chats for a model: by its own template where it has one, else by archfront's."""
    tokenizer = Tokenizer.from_str(model.tokenizer.to_str())
    tokenizer.encode_special_tokens = False
    tokenizer.no_truncation()
    tokenizer.no_padding()
    ends = model.end_token_ids or (model.prefix_token_id,)
    begin, end = (tokenizer.id_to_token(id_) or "" for id_ in (model.prefix_token_id, ends[0]))
    names = (begin if model.bos_token is None else model.bos_token, model.eos_token or end)
    special = tuple(sorted(token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special and token.content))
    return ChatCoder(tokenizer, ChatFormat(model.chat_template or CHAT_TEMPLATE, *names), special)


def examples_of(coder: ChatCoder, chats: Sequence[Chat], context_tokens: int) -> tuple[list[Example], list[Chat]]:
    """Examples of the chats that fit into a context, and these chats.

    Raises SpecError where none fits.
    """
    found, kept, longest = [], [], 0
    for chat in chats:
        example = coder.example(chat)
        longest = max(longest, len(example.ids))
        if len(example.ids) <= context_tokens and any(example.learned[1:]):
            found.append(example)
            kept.append(chat)
    if not found:
        raise SpecError(
            f"a chat must have at most {context_tokens:,} tokens, as many as the model states for a text, found none of {len(chats):,} so "
            f"short (the longest has {longest:,}); cut them, or name another model"
        )
    return found, kept


def _last_ids(example: Example) -> Iterator[int]:
    """The last id of each answer."""
    for place, is_learned in enumerate(example.learned):
        if is_learned and (place + 1 == len(example.learned) or not example.learned[place + 1]):
            yield example.ids[place]
