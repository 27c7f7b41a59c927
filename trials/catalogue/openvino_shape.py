"""What OpenVINO needs of a shape, so that it can be asked where openvino is not installed. Standard library only."""

from __future__ import annotations

from search_space.architecture import Architecture
from trials.catalogue.block_rows import broken_rows


def openvino_refusal(architecture: Architecture, precision: str) -> str | None:
    """Why not: a row that is not of whole blocks has no compressed product, and would be multiplied in float32."""
    if precision == "float32":
        return None
    return broken_rows(architecture, f"for openvino in {precision}", "the runtime onnxruntime or the precision float32")
