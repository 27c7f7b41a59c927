"""One GGUF file: the shape as llama.cpp reads it, the weights, and the tokenizer where there is one.

llama.cpp reads a tensor of its own for every place of every executed block, so a block that runs several times is written once for
each: its reader refuses two tensors at one offset.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
from numpy.typing import NDArray
from torch import Tensor

from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.catalogue.formats import require_writer
from trials.catalogue.gguf_layout import GGUF_PRECISIONS, architecture_name, gguf_name, gguf_refusal, needs_output, turns_neighbours
from trials.formats.model import Model
from trials.network.weights import unroll

if TYPE_CHECKING:
    import gguf

CONTEXT_TOKENS = 2048
"""Told in a file that nobody says otherwise of; what a session makes room for is another matter."""


def write_gguf(path: Path, model: Model) -> None:
    """Write what llama.cpp loads; a file without tokenizer takes and gives ids.

    Raises SpecError, before anything is written, where GGUF cannot hold the shape or the tokenizer, or gguf is not installed.
    """
    architecture, precision = model.architecture, model.precision
    refusal = gguf_refusal(architecture, precision)
    if refusal is not None:
        raise SpecError(refusal)
    require_writer("gguf")
    import gguf

    from trials.formats.gguf_tokenizer import add_no_tokenizer, add_tokenizer  # it imports gguf

    writer = gguf.GGUFWriter(path, architecture_name(architecture))
    _add_shape(writer, architecture, model.context_tokens or CONTEXT_TOKENS)
    kind = gguf.GGMLQuantizationType[GGUF_PRECISIONS[precision]]
    writer.add_file_type(gguf.LlamaFileType[f"{'ALL' if precision == 'float32' else 'MOSTLY'}_{kind.name}"])
    if model.tokenizer_file is None:
        add_no_tokenizer(writer, architecture.vocab_size)
    else:
        add_tokenizer(writer, model.tokenizer_file, architecture.vocab_size, model.chat)
    for name, values in named_tensors(architecture, model.weights):
        if values.ndim == 1 or precision == "float32":
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def named_tensors(a: Architecture, weights: Mapping[str, Tensor]) -> Iterator[tuple[str, NDArray[numpy.float32]]]:
    """Every tensor of the file by its name, float32, rows as llama.cpp's RoPE wants them."""
    for name, weight in unroll(a, weights).items():
        values: NDArray[numpy.float32] = numpy.ascontiguousarray(weight.detach().float().numpy())
        if turns_neighbours(a, name):
            values = interleaved(values, a.head_dim)
        yield gguf_name(name), values
        if name == "model.embed_tokens.weight" and a.tie_word_embeddings and needs_output(a):
            yield "output.weight", values


def interleaved(rows: NDArray[numpy.float32], head_dim: int) -> NDArray[numpy.float32]:
    """Rows of a query or key projection, [heads * head_dim, in] or a bias, so that those that RoPE turns together are neighbours."""
    heads = rows.reshape(-1, 2, head_dim // 2, *rows.shape[1:])
    return numpy.ascontiguousarray(heads.swapaxes(1, 2)).reshape(rows.shape)


def half_split(rows: NDArray[numpy.float32], head_dim: int) -> NDArray[numpy.float32]:
    """The reverse of `interleaved`."""
    heads = rows.reshape(-1, head_dim // 2, 2, *rows.shape[1:])
    return numpy.ascontiguousarray(heads.swapaxes(1, 2)).reshape(rows.shape)


def _add_shape(writer: gguf.GGUFWriter, a: Architecture, context_tokens: int) -> None:
    writer.add_name(a.label)
    writer.add_vocab_size(a.vocab_size)
    writer.add_context_length(context_tokens)
    writer.add_embedding_length(a.hidden_size)
    writer.add_block_count(a.num_hidden_layers)
    writer.add_feed_forward_length(a.intermediate_size)
    writer.add_head_count(a.num_attention_heads)
    writer.add_head_count_kv(a.num_key_value_heads)
    writer.add_key_length(a.head_dim)
    writer.add_value_length(a.head_dim)
    writer.add_rope_dimension_count(a.head_dim)
    writer.add_rope_freq_base(a.rope_theta)
    writer.add_layer_norm_rms_eps(a.rms_norm_eps)
    if a.sliding_window is not None:
        writer.add_sliding_window(a.sliding_window)
        writer.add_sliding_window_pattern([name == "sliding_attention" for name in a.layer_types])
        writer.add_rope_freq_base_swa(a.rope_theta)
        writer.add_expert_feed_forward_length(a.intermediate_size)  # it must be there, and no block reads it
