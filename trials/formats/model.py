"""What a format's writer and a runtime's `prepare` are given: a shape and its weights, and what a trained one has beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search_space.architecture import Architecture

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class ChatTokens:
    """How a model that was tuned on chats has them written."""

    template: str
    """Jinja as transformers and llama.cpp have it."""
    begin: int
    """Token that a text begins with where one is asked for."""
    ends: tuple[int, ...]
    """Tokens that end an answer, at least one."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that is to be written."""

    architecture: Architecture
    weights: Mapping[str, Tensor]
    """The stored ones, named as `Network.named_parameters` names them; matrices are [out, in]."""
    precision: str = "float32"
    """Precision that the written weights shall have, in the names of `search_space.cost.BITS_PER_WEIGHT`."""
    context_tokens: int | None = None
    """Length of texts that its files state: that at which it was trained, or another one that was asked for; None where it was not."""
    tokenizer_file: Path | None = None
    """The model's tokenizer.json; None where it takes and gives ids."""
    keeps_sharing: bool = False
    """Whether a file that could hold a block once for each time it runs holds it once alone."""
    chat: ChatTokens | None = None
    """What its tokenizer says of chats; None where it was not tuned on any."""


def fresh_model(architecture: Architecture, precision: str = "float32") -> Model:
    """A model with the weights of a network as it is initialised, always the same ones."""
    from trials.network.decoder import Network  # torch takes seconds to import, and the parent of a LatencyProcess never needs it

    return Model(architecture, dict(Network(architecture).named_parameters()), precision)
