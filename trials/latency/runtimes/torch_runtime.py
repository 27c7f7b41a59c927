"""PyTorch, eager, on the processor: our own network with its static KV cache. Always there, and the yardstick of the others' logits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from search_space.architecture import Architecture
from trials.formats.model import Model
from trials.latency.runtimes.interface import Logits
from trials.network.decoder import Network
from trials.network.kv_cache import Cache

WEIGHTS_FILE = "model.safetensors"


def version() -> str:
    """Version of torch."""
    return str(torch.__version__)


def prepare(directory: Path, model: Model) -> None:
    """Write the weights, each once."""
    save_file({name: weight.detach().contiguous() for name, weight in model.weights.items()}, directory / WEIGHTS_FILE)


def load(directory: Path, architecture: Architecture, max_tokens: int, threads: int) -> TorchSession:
    """Build the network and its cache; the number of threads holds for the whole process."""
    torch.set_num_threads(threads)
    return TorchSession(network_from_folder(directory, architecture), max_tokens)


def network_from_folder(directory: Path, architecture: Architecture) -> Network:
    """The network of prepared weights, in their type."""
    with torch.device("meta"):
        network = Network(architecture)
    stored = {name: weight.clone() for name, weight in load_file(directory / WEIGHTS_FILE).items()}  # as torch aligns it, off the file
    network.load_state_dict(stored, strict=False, assign=True)  # a shared part is there under one of its names
    assert not any(parameter.is_meta for parameter in network.parameters())
    return network.eval()


class TorchSession:
    """A `Session` of one network."""

    def __init__(self, network: Network, max_tokens: int) -> None:
        self._network = network
        self._cache = Cache(network.architecture, 1, max_tokens)

    def prefill(self, tokens: Sequence[int]) -> Logits:
        """Logits after the prompt, [vocab_size]."""
        self._cache.reset()
        return self._read(torch.tensor([tokens]))

    def decode(self, token: int) -> Logits:
        """Logits after one more token, [vocab_size]."""
        return self._read(torch.tensor([[token]]))

    def close(self) -> None:
        """Nothing is held outside of this object."""

    @torch.inference_mode()
    def _read(self, tokens: Tensor) -> Logits:
        """Only the last position is projected to the vocabulary: nothing reads the others."""
        last = self._network.hidden_states(tokens, self._cache)[0, -1]
        logits: Logits = functional.linear(last, self._network.output_weight).numpy()
        return logits
