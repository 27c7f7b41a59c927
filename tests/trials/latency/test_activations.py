"""What a device's runtime makes of activations is seen by a known network, kept with the latency, and decides how a network is judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from analysis.records.latency import Activations
from search_space.architecture import Architecture
from tests.trials.latency.runtimes.test_runtimes import HAS_VNNI, offered
from trials.formats.model import Model
from trials.latency.activations import activations_read
from trials.latency.process import LatencyProcess
from trials.latency.protocol import measure_in_runtime
from trials.latency.runtimes import find_runtime
from trials.latency.runtimes.interface import RuntimeModule
from trials.rounding.table import ROUNDINGS
from trials.study.latency_spec import LatencySpec

SMALL = Architecture(
    vocab_size=64, hidden_size=32, num_unique_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=64
)


@pytest.fixture(autouse=True)
def _asked_anew() -> None:
    activations_read.cache_clear()


@pytest.mark.parametrize(("runtime", "precision"), offered("float32", "float16", "int8", "int4"))
def test_this_machine_s_word_is_what_the_table_has_or_float32_or_none(runtime: str, precision: str) -> None:
    """None of llama.cpp, whose activations no rounding that is known has, and of ExecuTorch, which reads single tokens as the table has it
    and texts in neither way; OpenVINO leaves them where the processor has no VNNI.
    """
    row, found = ROUNDINGS.get((runtime, precision)), activations_read(runtime, precision, 1)
    if row is None or runtime in ("llama.cpp", "executorch"):
        assert found is None
    elif runtime == "openvino":
        assert found == ("int8" if HAS_VNNI else "float32")
    else:
        assert found == row.reads == "int8"


class Planted:
    """A runtime that reads as it is told: our own network, rounded by the way that is planted."""

    def __init__(self, there: RuntimeModule, planted: Activations | None) -> None:
        self._there, self._planted = there, planted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._there, name)

    def prepare(self, directory: Path, model: Model) -> None:
        """Float32 files of weights that are rounded already are those of a runtime that leaves activations alone."""
        row = ROUNDINGS["onnxruntime", "int8"]
        if self._planted == "float32":
            weights = {name: row.matrix(each) if each.ndim == 2 else each for name, each in model.weights.items()}
            self._there.prepare(directory, Model(model.architecture, weights))
        elif self._planted is None:
            self._there.prepare(directory, Model(model.architecture, model.weights))
        else:
            self._there.prepare(directory, model)


@pytest.mark.parametrize("planted", ["int8", "float32", None])
def test_a_planted_word_is_found(planted: Activations | None, monkeypatch: pytest.MonkeyPatch) -> None:
    there = find_runtime("onnxruntime")
    monkeypatch.setattr("trials.latency.activations.find_runtime", lambda name: Planted(there, planted))
    assert activations_read("onnxruntime", "int8", 1) == planted


def test_openvino_without_its_rounding_of_activations_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor without VNNI."""
    pytest.importorskip("openvino")
    openvino = cast("Any", find_runtime("openvino")).openvino
    plain = openvino.Core

    class Core:
        def __getattr__(self, name: str) -> Any:
            return getattr(plain(), name)

        def compile_model(self, model: object, device: str, settings: dict[str, object]) -> Any:
            return plain().compile_model(model, device, settings | {"DYNAMIC_QUANTIZATION_GROUP_SIZE": 0})

    monkeypatch.setattr(openvino, "Core", Core)
    assert activations_read("openvino", "int8", 1) == "float32"


def test_a_runtime_that_cannot_compute_the_known_network_leaves_it_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.latency.activations.find_runtime", lambda name: object())
    assert activations_read("onnxruntime", "int8", 1) is None


@pytest.mark.parametrize(("precision", "word"), [("float32", None), ("int8", "int8")])
def test_a_latency_carries_its_device_s_word(precision: str, word: str | None) -> None:
    spec = LatencySpec(prompt_tokens=4, new_tokens=2, repeats=3, precision=precision)
    assert measure_in_runtime(SMALL, spec).activations == word


@pytest.mark.more
@pytest.mark.slow
def test_the_latency_process_carries_it_too() -> None:
    process = LatencyProcess(LatencySpec(prompt_tokens=4, new_tokens=2, repeats=3, precision="int4"))
    try:
        assert process.measure(SMALL).activations == "int8"
    finally:
        process.close()
