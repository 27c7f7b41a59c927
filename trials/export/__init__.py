"""A finished trial as files that other tools load; one file per format."""

from __future__ import annotations

from dataclasses import dataclass

from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.export.hugging_face_config import hugging_face_class

ARCHITECTURE, ONNX = "architecture.yaml", "model.onnx"
"""Names of files in an export."""
FORMATS = {
    "hf": "what transformers loads: config.json, safetensors, tokenizer",
    "onnx": "a graph with its KV cache, for ONNX Runtime and other tools",
    "yaml": "the plain architecture",
}
"""Every format by its name."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A format that is one model with its cache, so that it can be handed to a command that measures it."""

    name: str
    """The file's; what belongs to it lies beside it."""
    precisions: tuple[str, ...]
    """What its weights can be, in the names of `search_space.cost.BITS_PER_WEIGHT`."""
    module: str
    """Where its writer is."""
    writer: str
    """A function of path, architecture, stored weights by their names, and precision."""


MODEL_FILES = {"onnx": ModelFile(ONNX, ("float32", "int8", "int4"), "trials.export.onnx_graph", "write_onnx")}
"""Every such format by its name."""


def supported_exports(architecture: Architecture) -> dict[str, str | None]:
    """Every format, and why this shape cannot have it; None where it can."""
    return {"hf": _reason_against_hugging_face(architecture), "onnx": None, "yaml": None}


def _reason_against_hugging_face(architecture: Architecture) -> str | None:
    try:
        hugging_face_class(architecture)
    except SpecError as reason:
        return str(reason)
    return None
