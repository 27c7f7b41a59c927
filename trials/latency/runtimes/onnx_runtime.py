"""ONNX Runtime on the processor: the embedded on-device runtime, from a graph that is written directly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy
import onnxruntime
from numpy.typing import NDArray

from search_space.architecture import Architecture
from trials.catalogue.formats import ONNX
from trials.formats.model import Model
from trials.latency.runtimes.interface import LAST_POSITION, Logits


def version() -> str:
    """Version of onnxruntime."""
    return str(onnxruntime.__version__)


def prepare(directory: Path, model: Model) -> None:
    """Write the graph and its weights."""
    from trials.formats.onnx_graph import write_onnx  # loading a graph needs neither onnx nor torch

    write_onnx(directory / ONNX, model)


def load(directory: Path, architecture: Architecture, max_tokens: int, threads: int) -> OnnxSession:
    """Open the prepared graph; the cache grows with the text, so `max_tokens` makes no difference."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return OnnxSession(onnxruntime.InferenceSession(directory / ONNX, options, providers=["CPUExecutionProvider"]), architecture)


class OnnxSession:
    """A `Session` of one graph: what comes out as the present goes in again as the past."""

    def __init__(self, session: onnxruntime.InferenceSession, architecture: Architecture) -> None:
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]
        self._pasts = [name.replace("present", "past_key_values") for name in self._outputs[1:]]
        self._nothing = numpy.empty((1, architecture.num_key_value_heads, 0, architecture.head_dim), numpy.float32)
        self._cache: dict[str, NDArray[numpy.float32]] = {}
        self._length = 0

    def prefill(self, tokens: Sequence[int]) -> Logits:
        """Logits after the prompt, [vocab_size]."""
        self._cache = dict.fromkeys(self._pasts, self._nothing)
        self._length = 0
        return self._read(numpy.array([tokens], numpy.int64))

    def decode(self, token: int) -> Logits:
        """Logits after one more token, [vocab_size]."""
        return self._read(numpy.array([[token]], numpy.int64))

    def close(self) -> None:
        """Let go of the model."""
        del self._session

    def _read(self, tokens: NDArray[numpy.int64]) -> Logits:
        positions = numpy.arange(self._length, self._length + tokens.shape[1])[None]
        feed = {"input_ids": tokens, "position_ids": positions, "num_logits_to_keep": LAST_POSITION, **self._cache}
        outputs: list[NDArray[numpy.float32]] = self._session.run(self._outputs, feed)
        self._cache = dict(zip(self._pasts, outputs[1:], strict=True))
        self._length += tokens.shape[1]
        logits: Logits = outputs[0][0, -1]
        return logits
