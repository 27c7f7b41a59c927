"""A GGUF file read back by the `gguf` library: our network with exactly the weights that the file holds, and its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy
import torch
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits, PreTokenizer, Sequence, Split
from torch import Tensor

from search_space.architecture import Architecture
from trials.catalogue.gguf_layout import GGUF_PRECISIONS, gguf_name, is_turned
from trials.catalogue.refusals import BLOCK_WEIGHTS
from trials.formats.gguf_file import half_split, named_tensors
from trials.formats.gguf_tokenizer import EXPRESSIONS
from trials.network.decoder import Network

SCALE_ERROR = 2.0**-11
"""Relative error of a float16."""
ROUNDING_STEPS = {"float32": 0.0, "float16": SCALE_ERROR, "int8": 0.5 / 127 + SCALE_ERROR, "int4": 1 / 8 + SCALE_ERROR}
"""How far rounding may move a weight: of its own size in float16, of the largest of its 32 in int8 and int4, whose scale is a float16.
Half a step in int8; a whole one in int4, whose codes go from -8 to 7."""
FLOAT32_ERROR = 1e-5
SMALLEST = {"float32": 0.0, "float16": 2.0**-25, "int8": 127 * 2.0**-25, "int4": 8 * 2.0**-25}
"""What comes on top where a float16 is so small that its steps are 2**-24 each: half a step, times the largest code where it is a scale."""


SPLITTERS = ("gpt-2", "smollm", *EXPRESSIONS.values())
"""Ways of splitting text, in llama.cpp's words, that `tokenizer_of` rebuilds."""


@dataclass(frozen=True)
class GgufFile:
    """What a file holds."""

    tensors: dict[str, NDArray[numpy.float32]]
    """Every tensor by llama.cpp's name, dequantised, a matrix as [out, in]."""
    kinds: dict[str, str]
    """GGUF's name of the type of every tensor: `F32`, `F16`, `Q8_0`, `Q4_0` in our own files."""
    fields: dict[str, object]
    """Every key with its value."""

    @property
    def precision(self) -> str:
        """Precision of the matrices."""
        return next(name for name, kind in GGUF_PRECISIONS.items() if kind == self.kinds["token_embd.weight"])


def read_gguf(path: Path) -> GgufFile:
    """Read all of a file into memory; raises ValueError or OSError where it is damaged."""
    reader = gguf.GGUFReader(path)
    return GgufFile(
        tensors={tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32) for tensor in reader.tensors},
        kinds={tensor.name: tensor.tensor_type.name for tensor in reader.tensors},
        fields={name: field.contents() for name, field in reader.fields.items()},
    )


def network_from_gguf(file: GgufFile, architecture: Architecture) -> Network:
    """Our network with the file's weights; a block that was written several times is the last of them.

    Of llama.cpp's architectures `llama` alone turns neighbours, whichever of them could hold the shape.
    """
    turns = file.fields.get("general.architecture") == "llama"
    with torch.device("meta"):
        network = Network(architecture)
    state = {}
    for name in network.state_dict():
        values = file.tensors[gguf_name(name)]
        if turns and is_turned(name):
            values = half_split(values, architecture.head_dim)
        state[name] = torch.from_numpy(values)
    network.load_state_dict(state, assign=True)
    return network


def misplaced(file: GgufFile, architecture: Architecture, weights: dict[str, Tensor]) -> list[str]:
    """Tensors that are missing, too many, or hold other weights than rounding explains."""
    wrong, expected = set(file.tensors), dict(named_tensors(architecture, weights))
    for name, values in expected.items():
        found = file.tensors.get(name)
        if found is not None and found.shape == values.shape and _explained(values, found, file.kinds[name]):
            wrong.discard(name)
        else:
            wrong.add(name)
    return sorted(wrong)


def _explained(values: NDArray[numpy.float32], found: NDArray[numpy.float32], kind: str) -> bool:
    precision = next(name for name, known in GGUF_PRECISIONS.items() if known == kind)
    size = numpy.abs(values)
    if precision in ("int8", "int4"):
        size = numpy.repeat(size.reshape(len(values), -1, BLOCK_WEIGHTS).max(axis=2), BLOCK_WEIGHTS, axis=1)
    allowed = size * ROUNDING_STEPS[precision] * (1 + FLOAT32_ERROR) + SMALLEST[precision]
    return bool((numpy.abs(values - found) <= allowed).all())


def tokenizer_of(file: GgufFile) -> Tokenizer:
    """The tokenizer that the file describes, rebuilt from its tokens, merges and the name of its splitting."""
    names, merges = file.fields["tokenizer.ggml.tokens"], file.fields["tokenizer.ggml.merges"]
    assert isinstance(names, list)
    assert isinstance(merges, list)
    splitter = str(file.fields["tokenizer.ggml.pre"])
    pairs = [tuple(merge.split(" ")) for merge in merges]
    tokenizer = Tokenizer(BPE({name: place for place, name in enumerate(names)}, pairs, ignore_merges=splitter == "llama-bpe"))
    expression = next((text for text, name in EXPRESSIONS.items() if name == splitter), None)
    words: PreTokenizer = ByteLevel(add_prefix_space=False, use_regex=expression is None)
    if expression is not None:
        words = Sequence([Split(Regex(expression), "isolated"), words])
    elif splitter == "smollm":
        words = Sequence([Digits(individual_digits=True), words])
    tokenizer.pre_tokenizer, tokenizer.decoder = words, ByteLevelDecoder()
    return tokenizer
