"""Several formats of one trial into one directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.export import supported_exports
from trials.export.architecture_yaml import export_architecture_yaml
from trials.export.hugging_face import export_hugging_face
from trials.weights import load_weights

ARCHITECTURE = "architecture.yaml"


def write_formats(
    formats: Sequence[str], output: Path, architecture: Architecture, weights: Path, tokenizer: Path, context_tokens: int
) -> list[Path]:
    """Write each format; raises SpecError, before anything is written, where one cannot hold the shape. Returns the files."""
    possible = supported_exports(architecture)
    for name in formats:
        if possible[name] is not None:
            raise SpecError(f"the format {name} cannot hold this shape: {possible[name]}")
    if "hf" in formats:
        export_hugging_face(output, architecture, load_weights(weights), tokenizer, context_tokens)
    if "yaml" in formats:
        export_architecture_yaml(output / ARCHITECTURE, architecture)
    return sorted(path for path in output.iterdir() if path.is_file())
