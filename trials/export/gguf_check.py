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
from torch import Tensor

from search_space.errors import WorkError
from trials.catalogue.formats import MODEL_FORMATS
from trials.catalogue.runtimes import RUNTIMES
from trials.export.check import LARGEST_DIFFERENCE, STRINGS, Check, Original, judged, strings_of_many_scripts
from trials.export.subprocess_reading import read_in_subprocess
from trials.models.gguf_reading import misplaced, network_from_gguf, read_gguf, tokenizer_of
from trials.network.weights import load_weights

LARGEST_ROUNDING = 0.2
"""Root mean square of what rounded activations do to logits, relative to their spread. It was 0.015 in int8 over the 30 blocks of
MobileLLM-125M as it is initialised, and a trained network may amplify more; see the docstring for what a mistake does."""


def check_gguf(name: str, path: Path, original: Original) -> Check:
    """The check of a file that was just written."""
    try:
        file = read_gguf(path)
    except (OSError, ValueError, KeyError, IndexError) as error:
        return Check(format=name, loaded_by=_gguf(), passed=False, failure=f"it cannot be read back: {error}")
    moved = misplaced(file, original.architecture, load_weights(original.weights))
    if moved:
        some = ", ".join(moved[:3])
        return Check(format=name, loaded_by=_gguf(), passed=False, failure=f"{len(moved)} tensors are not the trained ones ({some})")
    if any(file.fields.get(f"tokenizer.ggml.add_{end}_token") for end in ("bos", "eos")):
        return Check(format=name, loaded_by=_gguf(), passed=False, failure="it has llama.cpp put tokens around a text")
    with torch.no_grad():
        rounded: Tensor = network_from_gguf(file, original.architecture)(original.tokens)[0]
    strings, runtime = strings_of_many_scripts(), RUNTIMES[MODEL_FORMATS[name]]
    if not runtime.installed:
        loaded_by = f"{_gguf()}, not by llama.cpp (pip install {runtime.install}, and export again, for that)"
        ids = [tokenizer_of(file).encode(text, add_special_tokens=False).ids for text in strings]
        check = judged(name, loaded_by, original.logits, rounded, original.equal_strings(ids))
        return _with_rounding(check, file.precision, rounded, rounded)
    try:
        reading = read_in_subprocess(MODEL_FORMATS[name], path, original.architecture, original.tokens[0].tolist(), strings, what="it")
    except WorkError as failure:
        version = importlib.metadata.version("llama-cpp-python")
        return Check(format=name, loaded_by=f"llama-cpp-python {version}", passed=False, failure=f"llama.cpp failed: {failure}")
    found = torch.from_numpy(reading.logits)
    loaded_by = f"llama-cpp-python {reading.version}"
    check = judged(name, loaded_by, original.logits_both_ways, found, original.equal_strings(reading.ids))
    return _with_rounding(check, file.precision, torch.cat((rounded, rounded[-1:])), found)


def _with_rounding(check: Check, precision: str, rounded: Tensor, found: Tensor) -> Check:
    """The check with how far logits are from those of the file's weights, which decides where the file is not in float32."""
    rounding = ((found - rounded).square().mean().sqrt() / rounded.std()).item()
    close = check.largest_difference is not None and check.largest_difference <= LARGEST_DIFFERENCE
    right = close if precision == "float32" else rounding <= LARGEST_ROUNDING
    return replace(check, precision=precision, rounding=rounding, passed=right and check.strings_equal == STRINGS)


def _gguf() -> str:
    return f"gguf {importlib.metadata.version('gguf')}"
