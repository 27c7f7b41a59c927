"""What can run a shape and be timed: one file per runtime, each offering the functions of `interface.Runtime`."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from search_space.errors import SpecError, unknown_key

if TYPE_CHECKING:
    from trials.catalogue.runtime_interface import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a runtime can do, known without importing it."""

    module: str
    """Where its functions are."""
    precisions: tuple[str, ...]
    """What its weights can be, in the names of `search_space.cost.BITS_PER_WEIGHT`; the first is the usual one."""
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


COMMAND = "command"
"""The one that is no library: a command of the user's measures, and no session is opened here."""
RUNTIMES = {
    "torch": Offer(module="trials.latency.runtimes.torch_runtime", precisions=("float32",)),
    "torch-cuda": Offer(
        module="trials.latency.runtimes.torch_cuda_runtime", precisions=("float32", "bfloat16", "float16"), device="cuda", low_cache=True
    ),
    "onnxruntime": Offer(module="trials.latency.runtimes.onnx_runtime", precisions=("float32", "int8", "int4")),
    "llama.cpp": Offer(
        module="trials.latency.runtimes.llama_cpp_runtime",
        precisions=("float32", "float16", "int8", "int4"),
        low_cache=True,
        library="llama_cpp",
        install="'archfront[llama]'",
    ),
    "openvino": Offer(
        module="trials.latency.runtimes.openvino_runtime",
        precisions=("float32", "int8", "int4"),
        library="openvino",
        install="'archfront[openvino]'",
    ),
    "executorch": Offer(
        module="trials.latency.runtimes.executorch_runtime",
        precisions=("float32", "int8", "int4"),
        longest_text=2048,
        library="executorch",
        install="'archfront[executorch]'",
    ),
    COMMAND: Offer(module="trials.latency.command", precisions=()),
}
"""Every runtime by the name that a study gives it; a command's precisions are its format's (`trials.catalogue.formats.MODEL_FILES`)."""


def find_runtime(name: str) -> Runtime:
    """The runtime of that name; SpecError names the nearest one that exists, or how to install its library."""
    require_runtime(name)
    return cast("Runtime", importlib.import_module(RUNTIMES[name].module))


def require_runtime(name: str) -> None:
    """Raise SpecError, before its module is imported, where there is no such runtime, or its library or its GPU is not there."""
    if name not in RUNTIMES:
        raise unknown_key(f"the runtime {name}", name, RUNTIMES)
    offer = RUNTIMES[name]
    if offer.device == "cuda":
        _require_gpu(name)
    if not offer.installed:
        raise SpecError(f"the runtime {name} needs {offer.library}, which is not installed; pip install {offer.install}")


def _require_gpu(name: str) -> None:
    import torch  # seconds, for those who measure on GPUs

    if not torch.cuda.is_available():
        raise SpecError(f"the runtime {name} must have an NVIDIA GPU that torch can use, found none; take the runtime torch or onnxruntime")
