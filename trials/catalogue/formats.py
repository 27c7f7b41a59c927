"""A finished trial as files that other tools load; what every format is, its file and its writer."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.catalogue.gguf_layout import PRECISIONS, USUAL_PRECISION, gguf_refusal
from trials.catalogue.hugging_face_config import hugging_face_class

ARCHITECTURE, EXECUTORCH, GGUF, ONNX = "architecture.yaml", "model.pte", "model.gguf", "model.onnx"
"""Names of files in an export."""
FORMATS = {
    "hf": "what transformers loads: config.json, safetensors, tokenizer",
    "onnx": "a graph with its KV cache, for ONNX Runtime and other tools",
    "gguf": "one file with the tokenizer, for llama.cpp",
    "executorch": "a program with its KV cache inside, for ExecuTorch with XNNPACK",
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
    runtime: str
    """What executes it as it is, by its name in `trials.catalogue.runtimes.RUNTIMES`."""
    library: str = ""
    """The module that its writer needs where it is not among the dependencies."""
    install: str = ""
    """What `pip install` takes to bring it."""

    @property
    def writable(self) -> bool:
        """Whether what its writer needs is there; nothing is imported."""
        return not self.library or importlib.util.find_spec(self.library) is not None


MODEL_FILES = {
    "onnx": ModelFile(ONNX, ("float32", "int8", "int4"), "trials.formats.onnx_graph", "write_onnx", "onnxruntime"),
    "gguf": ModelFile(
        GGUF,
        tuple(PRECISIONS),
        "trials.formats.gguf_file",
        "write_gguf",
        "llama.cpp",
        library="gguf",
        install="'archfront[gguf]'",
    ),
    "executorch": ModelFile(
        EXECUTORCH,
        ("float32", "int8", "int4"),
        "trials.formats.executorch",
        "write_executorch",
        "executorch",
        library="executorch",
        install="'archfront[executorch]'",
    ),
}
"""Every such format by its name."""


def require_writer(name: str) -> None:
    """Raise SpecError, before anything is imported, where the library that writes a format is not installed."""
    file = MODEL_FILES.get(name)
    if file is not None and not file.writable:
        raise SpecError(f"the format {name} is written with the library {file.library}, which is not installed; pip install {file.install}")


def supported_exports(architecture: Architecture, gguf_precision: str = USUAL_PRECISION) -> dict[str, str | None]:
    """Every format, and why this shape cannot have it; None where it can."""
    gguf = gguf_refusal(architecture, gguf_precision)
    return {"hf": _reason_against_hugging_face(architecture), "onnx": None, "gguf": gguf, "executorch": None, "yaml": None}


def described_exports(architecture: Architecture) -> dict[str, str | None]:
    """The same, with rounded weights in a GGUF file told apart: their blocks want widths of their own."""
    found: dict[str, str | None] = {}
    for name, reason in supported_exports(architecture).items():
        found[name] = reason
        if name == "gguf":
            found["gguf int8, int4"] = gguf_refusal(architecture, "int8")
    return found


def _reason_against_hugging_face(architecture: Architecture) -> str | None:
    try:
        hugging_face_class(architecture)
    except SpecError as reason:
        return str(reason)
    return None
