"""llama.cpp on the processor, from a GGUF file, by the low level of llama-cpp-python."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import llama_cpp
import numpy

from search_space.architecture import Architecture
from trials.catalogue.formats import GGUF
from trials.formats.gguf_file import write_gguf
from trials.formats.model import Model
from trials.latency.runtimes.interface import Logits

FLOAT32_FILE = "0"
"""The `general.file_type` of a file in float32. It gets a cache in float32 too, and no flash attention, which rounds the cache to float16:
otherwise logits are off by 0.2 % of their spread and more (docs/findings.md, 2026-11-26: what other engines make of a shape). Files in
other precisions get llama.cpp's own defaults, a cache in float16 and flash attention where the processor has it."""
ERROR = 4
"""What ggml calls the level of errors in its log."""


def version() -> str:
    """Version of llama-cpp-python, which brings llama.cpp along."""
    return str(llama_cpp.__version__)


def prepare(directory: Path, model: Model) -> None:
    """Write a GGUF file without tokenizer; raises SpecError where the library that writes it is not installed."""
    write_gguf(directory / GGUF, model)


def load(directory: Path, architecture: Architecture, max_tokens: int, threads: int) -> LlamaCppSession:
    """Load a file, whatever wrote it, with room in the cache for that many tokens; ValueError has what llama.cpp said where it cannot."""
    return LlamaCppSession(directory / GGUF, max_tokens, threads)


class LlamaCppSession:
    """A `Session` of one model and its context."""

    def __init__(self, path: Path, max_tokens: int, threads: int) -> None:
        llama_cpp.llama_backend_init()
        llama_cpp.llama_log_set(_LISTENER, None)
        _heard.clear()
        how = llama_cpp.llama_model_default_params()
        how.n_gpu_layers = 0
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), how)
        if not self._model:
            raise ValueError(f"llama.cpp {version()} cannot load {path}: {_said()}")
        room = llama_cpp.llama_context_default_params()
        room.n_ctx = room.n_batch = room.n_ubatch = max_tokens
        room.n_threads = room.n_threads_batch = threads
        if self._told("general.file_type") == FLOAT32_FILE:
            room.type_k = room.type_v = llama_cpp.GGML_TYPE_F32
            room.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        room.no_perf = True
        self._context = llama_cpp.llama_init_from_model(self._model, room)
        if not self._context:
            llama_cpp.llama_model_free(self._model)
            raise ValueError(f"llama.cpp {version()} makes no context of {max_tokens} tokens for {path}: {_said()}")
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self._vocab_size = llama_cpp.llama_vocab_n_tokens(self._vocabulary)

    def prefill(self, tokens: Sequence[int]) -> Logits:
        """Logits after the prompt, [vocab_size]."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), False)
        return self._read(tokens)

    def decode(self, token: int) -> Logits:
        """Logits after one more token, [vocab_size]."""
        return self._read((token,))

    def tokenize(self, text: str) -> list[int]:
        """Ids of a text by the file's own tokenizer and what the file has it put around; names of special tokens are text."""
        data = text.encode()
        room = (llama_cpp.llama_token * (len(data) + 3))()
        count = llama_cpp.llama_tokenize(self._vocabulary, data, len(data), room, len(room), True, False)
        if count < 0:
            raise ValueError(f"llama.cpp does not tokenize {text!r}")
        return list(room[:count])

    def _told(self, key: str) -> str:
        """What the file says under a key."""
        room = ctypes.create_string_buffer(256)
        llama_cpp.llama_model_meta_val_str(self._model, key.encode(), room, len(room))
        return room.value.decode()

    def close(self) -> None:
        """Free the context and the model."""
        if self._model:
            llama_cpp.llama_free(self._context)
            llama_cpp.llama_model_free(self._model)
            self._model = self._context = None

    def _read(self, tokens: Sequence[int]) -> Logits:
        """Only the last position is projected to the vocabulary: a batch without a list of outputs has that one."""
        ids = (llama_cpp.llama_token * len(tokens))(*tokens)
        failed = llama_cpp.llama_decode(self._context, llama_cpp.llama_batch_get_one(ids, len(tokens)))
        if failed:
            raise RuntimeError(f"llama.cpp did not decode {len(tokens)} tokens, code {failed}")
        logits: Logits = numpy.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self._context, -1), shape=(self._vocab_size,))
        return logits


def _listen(level: int, text: bytes, _: object) -> None:
    if level == ERROR:
        _heard.append(text.decode(errors="replace").strip())


_heard: list[str] = []
_LISTENER = llama_cpp.llama_log_callback(_listen)
"""llama.cpp keeps a pointer to it, so that it must live as long as the process; what is no error is dropped."""


def _said() -> str:
    return " ".join(_heard) or "it said nothing"
