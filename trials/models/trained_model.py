"""A trained shape of a study, with its study's tokenizer, as a model that can be asked."""

from __future__ import annotations

from pathlib import Path

from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.catalogue.hugging_face_config import LEAST_POSITIONS
from trials.corpus.tokenizer import kept_tokenizer
from trials.models.loaded_model import LoadedModel
from trials.network.weights import load_network


def load_trained(name: str, architecture: Architecture, weights: Path, tokenizer: Path, context_tokens: int) -> LoadedModel:
    """The model; a text begins after the end of another, as in training, and may be as long as an export states.

    Raises SpecError where a file is missing or another shape's.
    """
    if not weights.is_file() or not tokenizer.is_file():
        missing = tokenizer if weights.is_file() else weights
        raise SpecError(f"{name} must have its weights and tokenizer in the study's directory, found no {missing}; name another trial")
    network = load_network(weights, architecture).float()
    network.requires_grad_(False)
    given, exported = kept_tokenizer(tokenizer, architecture.vocab_size)
    end = given.end_of_text
    return LoadedModel(name, network, exported, end, (end,), max(context_tokens, LEAST_POSITIONS), "float32")
