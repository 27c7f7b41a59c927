"""A finished trial as files that other tools load; one file per format."""

from __future__ import annotations

from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.export.hugging_face_config import hugging_face_class

ARCHITECTURE, ONNX, EXECUTORCH = "architecture.yaml", "model.onnx", "model.pte"
"""Names of files in an export."""
FORMATS = {
    "hf": "what transformers loads: config.json, safetensors, tokenizer",
    "onnx": "a graph with its KV cache, for ONNX Runtime and other tools",
    "executorch": "a program with its KV cache inside, for ExecuTorch with XNNPACK",
    "yaml": "the plain architecture",
}
"""Every format by its name."""


def supported_exports(architecture: Architecture) -> dict[str, str | None]:
    """Every format, and why this shape cannot have it; None where it can."""
    return {"hf": _reason_against_hugging_face(architecture), "onnx": None, "executorch": None, "yaml": None}


def _reason_against_hugging_face(architecture: Architecture) -> str | None:
    try:
        hugging_face_class(architecture)
    except SpecError as reason:
        return str(reason)
    return None
