"""PyTorch on an NVIDIA GPU: our own network, its decoding step captured once as a CUDA graph and replayed for every token.

Without a graph a small network's time on a GPU is the launching of its operators. The graph writes keys and values at a position that
it reads on the device, and so reads the whole of the cache at every step; prompts are read eagerly. A step ends when its logits are on
the host, where the next token is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from search_space.architecture import Architecture
from trials.formats.model import Model
from trials.latency.runtimes import torch_runtime
from trials.latency.runtimes.interface import Logits
from trials.latency.runtimes.torch_runtime import network_from_folder
from trials.network.decoder import Network
from trials.network.kv_cache import Cache

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CAPTURE_WARM_UPS = 3
"""Steps before the capture, which the libraries use to choose their kernels and take their memory."""


def version() -> str:
    """Version of torch."""
    return torch_runtime.version()


def prepare(directory: Path, model: Model) -> None:
    """Write the weights in their precision, each once."""
    weights = {name: weight.to(DTYPES[model.precision]) for name, weight in model.weights.items()}
    torch_runtime.prepare(directory, replace(model, weights=weights))


def load(directory: Path, architecture: Architecture, max_tokens: int, threads: int) -> TorchCudaSession:
    """Build the network and its cache on the current GPU and capture the decoding step; `threads` feed it."""
    torch.set_num_threads(threads)
    return TorchCudaSession(network_from_folder(directory, architecture).to("cuda"), max_tokens)


class TorchCudaSession:
    """A `Session` of one network on the current GPU."""

    def __init__(self, network: Network, max_tokens: int) -> None:
        dtype = network.output_weight.dtype
        self._network = network
        self._cache = Cache(network.architecture, 1, max_tokens, dtype, "cuda")
        self._token, self._position = (torch.zeros(shape, dtype=torch.int64, device="cuda") for shape in ((1, 1), (1,)))
        self._graph, self._logits = self._capture()

    def prefill(self, tokens: Sequence[int]) -> Logits:
        """Logits after the prompt, [vocab_size]."""
        self._cache.reset()
        self._cache.position = None
        return self._on_host(self._read(torch.tensor([tokens], device="cuda")))

    def decode(self, token: int) -> Logits:
        """Logits after one more token, [vocab_size]."""
        self._cache.require_room(1)
        self._token.fill_(token)
        self._position.fill_(self._cache.length)
        self._graph.replay()
        self._cache.length += 1
        return self._on_host(self._logits)

    def close(self) -> None:
        """Give the GPU's memory back."""
        del self._graph, self._logits, self._cache, self._network
        torch.cuda.empty_cache()

    def _capture(self) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        """The decoding step as a graph, and where it leaves its logits."""
        self._cache.position = self._position
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(CAPTURE_WARM_UPS):
                self._cache.reset()
                self._read(self._token)
        torch.cuda.current_stream().wait_stream(stream)
        self._cache.reset()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = self._read(self._token)
        return graph, logits

    @torch.inference_mode()
    def _read(self, tokens: Tensor) -> Tensor:
        """Only the last position is projected to the vocabulary: nothing reads the others."""
        last = self._network.hidden_states(tokens, self._cache)[0, -1]
        return functional.linear(last, self._network.output_weight).float()

    def _on_host(self, logits: Tensor) -> Logits:
        found: Logits = logits.cpu().numpy()
        return found
