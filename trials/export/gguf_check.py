"""A GGUF file held against the trained network: read back weight by weight, and run by llama.cpp where that is installed.

Two questions are kept apart. Does the file hold the trained weights? Each may differ by what rounding to the file's precision explains,
by nothing in float32. Does llama.cpp compute our function from it? Its logits are compared with those of our network with exactly the
file's weights: in float32 they must agree as every export's do; otherwise llama.cpp rounds activations too, so their root mean square
may differ by `LARGEST_ROUNDING` of the spread: a wrong head, angle or block moves them by the spread itself. What rounding the weights
does to the model (top-1 agreement, divergence) is told and no reason to fail: it was asked for.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from trials.catalogue.runtimes import RUNTIMES
from trials.export.gguf_reading import GgufFile, misplaced, network_of, read_gguf, tokenizer_of
from trials.export.llama_cpp_reading import LlamaCppError, read_by_llama_cpp
from trials.export.verification import LARGEST_DIFFERENCE, STRINGS, Check, Original, judged, strings_of_many_scripts
from trials.network.weights import load_weights

LARGEST_ROUNDING = 0.2
"""Root mean square of what rounded activations do to logits, relative to their spread. It was 0.015 in int8 over the 30 blocks of
MobileLLM-125M as it is initialised, and a trained network may amplify more; see the docstring for what a mistake does."""


def check_gguf(path: Path, original: Original) -> Check:
    """The check of a file that was just written."""
    try:
        file = read_gguf(path)
    except (OSError, ValueError, KeyError, IndexError) as error:
        return Check(format="gguf", loaded_by=_gguf(), passed=False, failure=f"it cannot be read back: {error}")
    return _check(path, file, original)


def _check(path: Path, file: GgufFile, original: Original) -> Check:
    strings = strings_of_many_scripts()
    moved = misplaced(file, original.architecture, load_weights(original.weights))
    if moved:
        some = ", ".join(moved[:3])
        return Check(format="gguf", loaded_by=_gguf(), passed=False, failure=f"{len(moved)} tensors are not the trained ones ({some})")
    with torch.no_grad():
        rounded: Tensor = network_of(file, original.architecture)(original.tokens)[0]
    runtime = RUNTIMES["llama.cpp"]
    if not runtime.installed:
        loaded_by = f"{_gguf()}, not by llama.cpp (pip install {runtime.install}, and export again, for that)"
        ids = [tokenizer_of(file).encode(text, add_special_tokens=False).ids for text in strings]
        return _judged(file.precision, loaded_by, original, rounded, rounded, ids)
    try:
        reading = read_by_llama_cpp(path, original.tokens[0].tolist(), strings)
    except LlamaCppError as failure:
        version = importlib.metadata.version("llama-cpp-python")
        return Check(format="gguf", loaded_by=f"llama-cpp-python {version}", passed=False, failure=f"llama.cpp failed: {failure}")
    found = torch.tensor(reading.logits)
    return _judged(file.precision, f"llama-cpp-python {reading.version}", original, _and_last(rounded), found, reading.ids)


def _judged(precision: str, loaded_by: str, original: Original, rounded: Tensor, found: Tensor, ids: list[list[int]]) -> Check:
    own, strings = Tokenizer.from_file(str(original.tokenizer)), strings_of_many_scripts()
    equal = sum(own.encode(text, add_special_tokens=False).ids == theirs for text, theirs in zip(strings, ids, strict=True))
    trained = original.logits if len(found) == len(original.logits) else _and_last(original.logits)
    check = judged("gguf", loaded_by, trained, found, equal)
    rounding = ((found - rounded).square().mean().sqrt() / rounded.std()).item()
    close = check.largest_difference is not None and check.largest_difference <= LARGEST_DIFFERENCE
    right = close if precision == "float32" else rounding <= LARGEST_ROUNDING
    return replace(check, precision=precision, rounding=rounding, passed=right and equal == STRINGS)


def _and_last(logits: Tensor) -> Tensor:
    """Read one by one, and the last of them once more, read in one pass."""
    return torch.cat((logits, logits[-1:]))


def _gguf() -> str:
    return f"gguf {importlib.metadata.version('gguf')}"
