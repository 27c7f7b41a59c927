"""A model that can be asked for logits: network, tokenizer, and what a text begins with."""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Tokenizer

from search_space.architecture import Architecture
from trials.network.decoder import Network


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A network in float32 on the CPU with all that belongs to it."""

    name: str
    """What a person called it: a path, or a trial of a study."""
    network: Network
    tokenizer: Tokenizer
    prefix_token_id: int
    """What stands before a text of which every token is asked for: the beginning of a text, or the end of one where there is none."""
    end_token_ids: tuple[int, ...]
    """What ends a text that the model writes."""
    context_tokens: int
    """Longest text that its files state."""
    precision: str
    """How the weights were stored, in words of the file."""
    chat_template: str | None = None
    """How it has chats written, in Jinja; None where its files say nothing of chats."""
    bos_token: str | None = None
    """What a chat template takes for the beginning of a text, nothing where its tokenizer has none; None where no file names it."""
    eos_token: str | None = None

    @property
    def architecture(self) -> Architecture:
        """The shape."""
        return self.network.architecture

    def encode(self, text: str) -> list[int]:
        """Ids of a text, nothing put before or after it."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids
