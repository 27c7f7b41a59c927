"""Several formats of one trial into one directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.catalogue.formats import ARCHITECTURE, EXECUTORCH, GGUF, ONNX, require_writer, supported_exports
from trials.catalogue.gguf_layout import USUAL_PRECISION
from trials.export.card import CARD
from trials.export.verification import VERIFICATION
from trials.formats.architecture_yaml import export_architecture_yaml
from trials.formats.executorch import LONGEST_TEXT, write_executorch
from trials.formats.gguf_file import write_gguf
from trials.formats.hugging_face import export_hugging_face
from trials.formats.onnx_graph import write_onnx
from trials.network.weights import load_weights


def write_formats(
    formats: Sequence[str],
    output: Path,
    architecture: Architecture,
    weights: Path,
    tokenizer: Path,
    context_tokens: int,
    gguf_precision: str = USUAL_PRECISION,
) -> None:
    """Write each format; what an earlier export there was found to be is removed first, so that it vouches for no other files.

    Raises SpecError, before anything is written, where one cannot hold the shape or the tokenizer, or its library is missing.
    """
    possible = supported_exports(architecture, gguf_precision)
    for name in formats:
        if possible[name] is not None:
            others = ", ".join(other for other, reason in possible.items() if reason is None)
            raise SpecError(f"the format {name} cannot hold this shape, though {others} can: {possible[name]}")
    for name in formats:
        require_writer(name)
    if "gguf" in formats:
        from trials.formats.gguf_tokenizer import require_tokenizer  # gguf is not among the dependencies

        require_tokenizer(tokenizer)
    try:
        output.mkdir(parents=True, exist_ok=True)
        for voucher in (VERIFICATION, CARD):
            (output / voucher).unlink(missing_ok=True)
        _write(formats, output, architecture, weights, tokenizer, context_tokens, gguf_precision)
    except OSError as error:
        raise SpecError(f"{output} must be a directory that can be written, found: {error.strerror}; name another with --output") from None


def _write(
    formats: Sequence[str],
    output: Path,
    architecture: Architecture,
    weights: Path,
    tokenizer: Path,
    context_tokens: int,
    gguf_precision: str,
) -> None:
    if "hf" in formats:
        export_hugging_face(output, architecture, load_weights(weights), tokenizer, context_tokens)
    if "onnx" in formats:
        write_onnx(output / ONNX, architecture, load_weights(weights))
    if "gguf" in formats:
        write_gguf(output / GGUF, architecture, load_weights(weights), gguf_precision, context_tokens, tokenizer)
    if "executorch" in formats:
        write_executorch(output / EXECUTORCH, architecture, load_weights(weights), max_tokens=max(context_tokens, LONGEST_TEXT))
    if "yaml" in formats:
        export_architecture_yaml(output / ARCHITECTURE, architecture)
