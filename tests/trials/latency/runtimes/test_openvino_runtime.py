"""OpenVINO's own: float32 stays float32, quantised weights stay quantised, threads are those asked for, and it serves a measurement."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trials.latency.runtimes.openvino_runtime", reason="openvino is not installed; pip install 'archfront[openvino]'")

from search_space.architecture import Architecture
from search_space.cost import BITS_PER_WEIGHT, parameters
from tests.trials.latency.runtimes.test_runtimes import PLAIN, WHOLE
from trials.catalogue.refusals import openvino_refusal
from trials.formats.model import fresh_model
from trials.latency.process import LatencyProcess
from trials.latency.runtimes import openvino_runtime
from trials.study.latency_spec import LatencySpec

ROOT = Path(__file__).resolve().parents[4]


def compiled(architecture: Architecture, directory: Path, precision: str, threads: int = 1) -> Any:
    """The model that a session runs."""
    openvino_runtime.prepare(directory, fresh_model(architecture, precision))
    return openvino_runtime.compiled(directory, threads)


def matrices(model: Any) -> Iterator[str]:
    """The kind of the weights of every product that OpenVINO really runs, the embedding's rows included."""
    for node in model.get_runtime_model().get_ops():
        kind = node.get_rt_info()["layerType"].value
        if kind == "FullyConnected":
            yield node.input(1).get_element_type().get_type_name()
        elif kind == "Gather" and len(node.input(0).get_partial_shape()) == 2:
            yield node.input(0).get_element_type().get_type_name()


def test_float32_is_computed_in_float32_and_with_the_threads_that_were_asked_for(tmp_path: Path) -> None:
    model = compiled(PLAIN, tmp_path, "float32", threads=2)
    found = {name: str(model.get_property(name)) for name in ("INFERENCE_NUM_THREADS", "NUM_STREAMS", "INFERENCE_PRECISION_HINT")}
    assert found == {"INFERENCE_NUM_THREADS": "2", "NUM_STREAMS": "1", "INFERENCE_PRECISION_HINT": "<Type: 'float32'>"}
    assert {*matrices(model)} == {"f32"}


@pytest.mark.parametrize(("precision", "kind"), [("int8", "i8"), ("int4", "i4")])
def test_quantised_weights_stay_so_in_memory_and_each_is_written_once(precision: str, kind: str, tmp_path: Path) -> None:
    model = compiled(WHOLE, tmp_path, precision)
    assert {*matrices(model)} == {kind}
    assert not [file for file in tmp_path.iterdir() if file.suffix not in (".xml", ".bin")]
    bits = parameters(WHOLE) * (BITS_PER_WEIGHT[precision] + 1)  # a scale of 32 bits for every 32
    assert bits <= 8 * (tmp_path / "model.bin").stat().st_size < 1.05 * bits


@pytest.mark.parametrize(
    "shape",
    [replace(WHOLE, hidden_size=36), replace(WHOLE, intermediate_size=80), replace(WHOLE, head_dim=12)],
    ids=lambda shape: shape.label,
)
def test_a_quantised_row_that_is_not_of_whole_blocks_is_refused(shape: Architecture) -> None:
    reason = openvino_refusal(shape, "int8")
    assert reason is not None
    assert "must be a multiple of 32 for openvino in int8, where each scale stands for 32 weights of a row, found" in reason
    assert reason.endswith("or the runtime onnxruntime or the precision float32, which takes any width")
    assert openvino_refusal(WHOLE, "int4") is None
    assert openvino_refusal(PLAIN, "float32") is None


def test_its_import_reports_to_nobody() -> None:
    loaded = "[name for name in sys.modules if name.startswith('openvino_telemetry.')]"
    code = f"import trials.latency.runtimes.openvino_runtime, sys; print({loaded})"
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


@pytest.mark.more
def test_a_latency_is_taken_in_it() -> None:
    process = LatencyProcess(LatencySpec(runtime="openvino", precision="int8", prompt_tokens=8, new_tokens=8, repeats=2))
    try:
        latency = process.measure(WHOLE)
    finally:
        process.close()
    assert (latency.runtime, latency.precision) == ("openvino", "int8")
    assert latency.runtime_version[:2] == "20"
    assert latency.yardstick is not None
