"""Every runtime that a shape can be timed in, one row each: what it can do, known without importing it. Standard library only."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from trials.catalogue.gguf_layout import gguf_refusal
from trials.catalogue.refusals import Refusal, no_refusal, openvino_refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What a runtime can do."""

    module: str
    """Where its functions are: those of `trials.latency.runtimes.interface.RuntimeModule`."""
    precisions: tuple[str, ...]
    """What its weights can be, in the names of `search_space.cost.BITS_PER_WEIGHT`; the first is the usual one."""
    refusal: Refusal = no_refusal
    """Why a shape cannot run there in a precision, in a sentence with the cure; None where it can."""
    device: str = "cpu"
    """Where it runs, in torch's words: `cpu` or `cuda`."""
    low_cache: bool = False
    """Whether keys and values have two bytes wherever the weights are not float32; else they always have four."""
    longest_text: int | None = None
    """Tokens that a session has room for at most; None where that is for `load` to say."""
    library: str = ""
    """The module that does the work where it is not among the dependencies."""
    install: str = ""
    """What `pip install` takes to bring it."""

    @property
    def installed(self) -> bool:
        """Whether its library is there; nothing is imported."""
        return not self.library or importlib.util.find_spec(self.library) is not None

    def cache_value_bytes(self, precision: str) -> int:
        """Bytes of a cached key or value where the weights have this precision."""
        return 2 if self.low_cache and precision != "float32" else 4


COMMAND = "command"
"""The runtime that is no library: a command of the user's measures, and no session is opened here."""
USUAL_RUNTIME = "onnxruntime"
"""The runtime that is taken where none is named."""
RUNTIMES = {
    "torch": Runtime(module="trials.latency.runtimes.torch_runtime", precisions=("float32",)),
    "torch-cuda": Runtime(
        module="trials.latency.runtimes.torch_cuda_runtime", precisions=("float32", "bfloat16", "float16"), device="cuda", low_cache=True
    ),
    "onnxruntime": Runtime(module="trials.latency.runtimes.onnx_runtime", precisions=("float32", "int8", "int4")),
    "llama.cpp": Runtime(
        module="trials.latency.runtimes.llama_cpp_runtime",
        precisions=("float32", "float16", "int8", "int4"),
        refusal=gguf_refusal,
        low_cache=True,
        library="llama_cpp",
        install="'archfront[llama]'",
    ),
    "openvino": Runtime(
        module="trials.latency.runtimes.openvino_runtime",
        precisions=("float32", "int8", "int4"),
        refusal=openvino_refusal,
        library="openvino",
        install="'archfront[openvino]'",
    ),
    "executorch": Runtime(
        module="trials.latency.runtimes.executorch_runtime",
        precisions=("float32", "int8", "int4"),
        longest_text=2048,
        library="executorch",
        install="'archfront[executorch]'",
    ),
    COMMAND: Runtime(module="trials.latency.command", precisions=()),
}
"""Every runtime by the name that a study gives it; a command's precisions are its format's (`trials.catalogue.formats.FORMATS`)."""
