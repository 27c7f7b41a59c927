"""What can run a shape and be timed: one file per runtime, each offering the functions of `interface.Runtime`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from search_space.errors import unknown_key

if TYPE_CHECKING:
    from trials.runtimes.interface import Runtime


@dataclass(frozen=True, slots=True)
class Offer:
    """What a runtime can do, known without importing it."""

    module: str
    """Where its functions are."""
    precisions: tuple[str, ...]
    """What its weights can be, in the names of `search_space.cost.BITS_PER_WEIGHT`; the first is the usual one."""
    device: str = "cpu"
    """Where it runs, in torch's words: `cpu` or `cuda`."""


RUNTIMES = {
    "torch": Offer("trials.runtimes.torch_runtime", ("float32",)),
    "torch-cuda": Offer("trials.runtimes.torch_cuda_runtime", ("float32", "bfloat16", "float16"), "cuda"),
    "onnxruntime": Offer("trials.runtimes.onnx_runtime", ("float32", "int8", "int4")),
}
"""Every runtime by the name that a study gives it."""


def find_runtime(name: str) -> Runtime:
    """The runtime of that name; SpecError names the nearest one that exists."""
    if name not in RUNTIMES:
        raise unknown_key(f"the runtime {name}", name, RUNTIMES)
    return cast("Runtime", importlib.import_module(RUNTIMES[name].module))
