"""Shapes that a runtime cannot hold: told before a study starts, never proposed, and asked about without the runtime."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis.records.record import Kind
from search_space.errors import SpecError
from tests.support.fakes import answer, small_study
from trials.catalogue.runtimes import RUNTIMES
from trials.driver.run_study import run_study
from trials.latency.refusals import refusal_of
from trials.plans.plan_study import plan_study
from trials.search.proposer import Proposer
from trials.search.samplers import SAMPLERS
from trials.study.latency_spec import LONGEST_DRIFT, LatencySpec, parse_latency
from trials.study.load_study import STUDY
from trials.trial.task import TrialTask

ROOT = Path(__file__).resolve().parents[3]
GGUF = {"runtime": "llama.cpp", "precision": "float16"}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_shape_that_cannot_be_timed_is_not_proposed(sampler: str) -> None:
    space, spec = small_study(latency=GGUF)[0].search_space, parse_latency(GGUF)
    refused = [shape for _, shape in space.table() if refusal_of(shape, spec)]
    proposer = Proposer(space, 0, sampler, accepts=lambda shape: refusal_of(shape, spec) is None)
    assert 0 < len(proposer) == len(space.table()) - len(refused) < len(space.table())
    records: list[Any] = []
    for number in range(20):
        proposal = proposer.propose(number, records, [])
        assert proposal is not None
        assert proposal[1].mlp == "swiglu"
        records.append(answer(TrialTask(number=number, kind=Kind.SAMPLED, point=proposal[0], architecture=proposal[1], seed=0)))


def test_a_plan_says_how_many_shapes_can_be_timed() -> None:
    assert plan_study(small_study()[0]).latency == "onnxruntime, float32: every shape"
    said = plan_study(small_study(latency=GGUF)[0]).latency
    assert said.startswith("llama.cpp, float16: " if RUNTIMES["llama.cpp"].installed else "llama.cpp, float16 (not installed here): ")
    assert "of 100 shapes looked at; mlp must be swiglu in a GGUF file, found relu" in said


def test_a_study_none_of_whose_shapes_can_be_timed_leaves_no_trace(tmp_path: Path) -> None:
    study, text = small_study(latency=GGUF, space={"mlp": "relu"})
    for start in (lambda: run_study(study, tmp_path / "study", study_text=text), lambda: plan_study(study)):
        with pytest.raises(SpecError, match=r"latency: no shape of the space can be timed in llama\.cpp, such as: mlp must be"):
            start()
    assert not (tmp_path / "study" / STUDY).exists()


def test_a_reference_that_cannot_be_timed_is_named() -> None:
    study, _ = small_study(latency={"runtime": "openvino", "precision": "int8"}, references=["deep-thin"])
    with pytest.raises(SpecError, match=r"the reference deep-thin cannot be timed in openvino, where .* must be (a )?multiples? of 32"):
        plan_study(study)


def test_what_a_command_is_given_decides() -> None:
    shape = small_study(space={"mlp": "relu"})[0].search_space.table()[0][1]
    assert refusal_of(shape, LatencySpec(runtime="command", command=("true",))) is None
    assert refusal_of(shape, LatencySpec(runtime="command", command=("true",), format="gguf")) is not None


def test_asking_imports_no_runtime() -> None:
    code = "import sys, trials.latency.refusals; print([name for name in ('torch', 'openvino', 'llama_cpp') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_text_that_a_runtime_has_no_room_for_is_refused_before_it_is_measured() -> None:
    room = RUNTIMES["executorch"].longest_text
    assert room is not None
    parse_latency({"runtime": "executorch", "context_positions": [room - LONGEST_DRIFT]})
    for asked in ({"prompt_tokens": room}, {"context_positions": [room - LONGEST_DRIFT + 1]}):
        with pytest.raises(SpecError, match="must be 2,048 at most for executorch"):
            parse_latency({"runtime": "executorch", **asked})
        with pytest.raises(SpecError):
            parse_latency({"runtime": "command", "command": ["true"], "format": "executorch", "prompt_tokens": room})


def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from trials.latency.process import LatencyProcess

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SpecError, match="torch-cuda must have an NVIDIA GPU that torch can use, found none; take the runtime torch"):
        LatencyProcess(LatencySpec(runtime="torch-cuda"))
