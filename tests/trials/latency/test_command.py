"""Latency from a command: what it is given, how its answer counts, the ready script, and every way in which it can fail."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from analysis.records.latency import Latency, latency_from_dict
from analysis.records.record import Outcome
from search_space.architecture import Architecture
from search_space.errors import SpecError, WorkError
from tests.support import fakes
from trials.jobs.shipment import pack
from trials.latency.command import measure_by_command
from trials.latency.process import LatencyError, LatencyProcess
from trials.latency.repeats import Repeat
from trials.study.ablation_spec import load_ablation
from trials.study.latency_spec import LatencySpec
from trials.study.load_study import load_study, parse_study
from trials.trial.task import outcome_of

READY = Path(__file__).resolve().parents[3] / "docs" / "measure_onnx.py"
SHALLOW = Architecture(
    vocab_size=64, hidden_size=32, num_unique_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=64
)
DEEP = replace(SHALLOW, num_unique_layers=12, layer_types=("full_attention",))
GOOD = {
    "device": "a phone",
    "runtime": "llama.cpp",
    "runtime_version": "b6000",
    "prefill_ms": [2.0, 2.1, 2.0],
    "decode_ms_per_token": [1.0, 1.01, 1.0],
}
STICKS = {"prefill_ms": [1.0, 1.0, 1.0, 1.0], "decode_ms_per_token": [0.5, 0.5, 0.5, 0.5]}


def spec(command: tuple[str, ...], **changes: Any) -> LatencySpec:
    """A small workload for a command."""
    return LatencySpec.model_validate(
        {"runtime": "command", "prompt_tokens": 8, "new_tokens": 10, "repeats": 3, "command": command, **changes}
    )


@contextmanager
def measuring(command: tuple[str, ...], **changes: Any) -> Iterator[LatencyProcess]:
    process = LatencyProcess(spec(command, **changes))
    try:
        yield process
    finally:
        process.close()


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], tuple[str, ...]]:
    """A command that runs these lines of Python, with the request as `asked`."""

    def written(lines: str) -> tuple[str, ...]:
        path = tmp_path / "measure.py"
        path.write_text(f"import json, os, subprocess, sys, time\nasked = json.load(sys.stdin)\n{lines}\n")
        return sys.executable, str(path)

    return written


def measured(spec: LatencySpec, device_times: Mapping[tuple[str, str], Repeat] = MappingProxyType({}), seconds: float = 300.0) -> Latency:
    """In this process, which has imported torch already."""
    return measure_by_command(SHALLOW, spec, device_times=device_times, deadline=time.monotonic() + seconds)


def answered(
    script: Callable[[str], tuple[str, ...]], answer: object, device_times: Mapping[tuple[str, str], Repeat] = MappingProxyType({})
) -> Latency:
    return measured(spec(script(f"print({json.dumps(answer)!r})")), device_times)


@pytest.mark.more
def test_the_ready_script_measures_in_pairs_and_needs_nothing_of_ours() -> None:
    assert "archfront" not in {
        line.split()[1].split(".")[0] for line in READY.read_text().splitlines() if line.startswith(("import", "from"))
    }
    with measuring((sys.executable, str(READY))) as process:
        shallow, deep = process.measure(SHALLOW), process.measure(DEEP)
    assert (shallow.runtime, shallow.protocol, shallow.repeats, shallow.threads) == ("onnxruntime", "command-1", 3, 1)
    assert (shallow.prompt_tokens, shallow.new_tokens, shallow.precision) == (8, 10, "float32")
    assert shallow.runtime_version[0].isdigit()
    assert shallow.device
    for absent in (shallow.pinned_cpus, shallow.load_average, shallow.bandwidth_share):
        assert absent is None
    for present in (shallow.load_ms, shallow.first_prefill_ms, shallow.peak_memory_bytes, shallow.file_bytes):
        assert present is not None
        assert present > 0
    assert shallow.yardstick is not None
    assert deep.yardstick is not None
    assert deep.yardstick.ratio.median > 2 * shallow.yardstick.ratio.median
    assert deep.yardstick.device_decode_ms == shallow.yardstick.device_decode_ms  # the device's time is the first one
    assert latency_from_dict(json.loads(json.dumps(asdict(deep)))) == deep


def test_the_ready_script_measures_quantised_weights() -> None:
    assert measured(spec((sys.executable, str(READY)), precision="int8", repeats=2)).precision == "int8"


def test_it_is_given_files_and_a_workload_and_no_shell(script: Callable[[str], tuple[str, ...]], tmp_path: Path) -> None:
    lines = f"""
given = {{"asked": asked, "arguments": sys.argv[1:]}}
given["sizes"] = [os.path.getsize(file) for file in asked["model"]["files"] + asked["yardstick"]["files"]]
json.dump(given, open({str(tmp_path / "given")!r}, "w"))
print("a library says hello")
print('{json.dumps(GOOD)}')"""
    measured(spec((*script(lines), "{model}", "--beside={yardstick}", "$HOME;{}"), precision="int8", threads=2))
    given = json.loads((tmp_path / "given").read_text())
    asked, model = given["asked"], given["asked"]["model"]
    assert given["arguments"] == [model["path"], f"--beside={asked['yardstick']['path']}", "$HOME;{}"]
    assert [asked[name] for name in ("protocol", "format", "precision", "threads", "repeats")] == ["command-1", "onnx", "int8", 2, 3]
    assert [Path(file).name for file in model["files"]] == ["model.onnx", "model.onnx_data"]
    assert [model[name] for name in ("vocab_size", "prompt_tokens", "new_tokens")] == [64, 8, 10]
    assert [asked["yardstick"][name] for name in ("prompt_tokens", "new_tokens")] == [64, 16]
    assert min(given["sizes"]) > 0
    assert not Path(model["path"]).exists()


def test_without_a_yardstick_the_times_are_as_they_were_said(script: Callable[[str], tuple[str, ...]]) -> None:
    taken = answered(script, GOOD)
    assert (taken.total_ms.median, taken.prefill_ms.median, taken.decode_ms_per_token.median) == pytest.approx((12.0, 2.0, 1.0))
    assert (taken.device, taken.runtime, taken.runtime_version, taken.repeats) == ("a phone", "llama.cpp", "b6000", 3)
    assert taken.yardstick is None
    assert not taken.disturbed


@pytest.mark.parametrize(("precision", "word", "kept"), [("int8", "float32", "float32"), ("int8", None, None), ("float32", "int8", None)])
def test_a_command_may_say_how_its_device_reads_activations(
    precision: str, word: str | None, kept: str | None, script: Callable[[str], tuple[str, ...]]
) -> None:
    answer = GOOD if word is None else {**GOOD, "activations": word}
    assert measured(spec(script(f"print({json.dumps(answer)!r})"), precision=precision)).activations == kept


def test_repeats_that_do_not_agree_are_flagged(script: Callable[[str], tuple[str, ...]]) -> None:
    assert answered(script, {**GOOD, "decode_ms_per_token": [1.0, 1.4, 1.0]}).disturbed


def test_a_pace_that_changes_cancels_out_against_the_yardstick(script: Callable[[str], tuple[str, ...]]) -> None:
    slower = {
        **GOOD,
        "prefill_ms": [2.0, 2.06, 2.1],
        "decode_ms_per_token": [1.0, 1.03, 1.05],
        "yardstick": {"prefill_ms": [0.99, 1.01, 1.05, 1.05], "decode_ms_per_token": [0.495, 0.505, 0.525, 0.525]},
    }
    taken = answered(script, slower)
    assert taken.yardstick is not None
    assert (taken.yardstick.ratio.p10, taken.yardstick.ratio.p90) == pytest.approx((12 / 9, 12 / 9))
    assert taken.yardstick.device_prefill_ms == pytest.approx(1.03)
    assert taken.total_ms.p10 == pytest.approx(taken.total_ms.p90)
    assert not taken.disturbed


def test_the_yardstick_counts_as_on_the_same_device_and_runtime(script: Callable[[str], tuple[str, ...]]) -> None:
    known = {("a phone", "llama.cpp"): Repeat(1.1, 8.8, 0.0)}
    for device, expected in (("a phone", (1.1, 8.8)), ("another", (1.0, 8.0))):
        taken = answered(script, {**GOOD, "device": device, "yardstick": STICKS}, known)
        assert taken.yardstick is not None
        assert (taken.yardstick.device_prefill_ms, taken.yardstick.device_decode_ms) == pytest.approx(expected)
        assert taken.total_ms.median == pytest.approx(12 / 9 * sum(expected))


def said(**changes: Any) -> str:
    """A line that prints a good answer but for these fields."""
    return f"print({json.dumps(GOOD | changes)!r})"


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("sys.exit('no phone is connected')", "ended with exit code 1; it said at last: no phone is connected"),
        ("sys.exit(4)", "ended with exit code 4; it said nothing on its standard error"),
        ("os.kill(os.getpid(), 9)", "was ended by SIGKILL; it said nothing on its standard error"),
        ("print('ready')", r"must print one JSON object, found 'ready'; see docs/runtimes\.md"),
        ("", "must print one JSON object, found ''"),
        ("print({})", "printed what cannot be read: prefill_ms is missing; add it"),
        (said(prefil_ms=[1.0]), "prefil_ms is unknown; did you mean `prefill_ms`"),
        (said(prefill_ms=[1.0, -1.0, 1.0]), r"prefill_ms\.1 must be greater than 0, found -1"),
        (said(prefill_ms=[1.0, float("nan"), 1.0]), r"prefill_ms\.1 must be a finite number"),
        (said(activations="int4"), "activations must be 'int8' or 'float32', found 'int4'"),
        (said(prefill_ms=[1.0]), "must have a value for every repeat each, found 1 and 3"),
        (said(yardstick={"prefill_ms": [1.0] * 3, "decode_ms_per_token": [1.0] * 3}), "one after, 4 in all, found 3"),
        (said(prefill_ms=[1.0], decode_ms_per_token=[1.0]), "must repeat the workload 2 times or more, found 1"),
    ],
    ids=range(13),
)
def test_a_command_that_fails_is_one_sentence(lines: str, sentence: str, script: Callable[[str], tuple[str, ...]]) -> None:
    with pytest.raises(WorkError, match=rf"the latency command \S+ \S+measure\.py .*{sentence}") as caught:
        measured(spec(script(lines)))
    assert "\n" not in str(caught.value)


@pytest.mark.more
@pytest.mark.slow
def test_a_failure_is_the_trial_s_reason_and_the_next_shape_is_measured(script: Callable[[str], tuple[str, ...]], tmp_path: Path) -> None:
    """The command hangs in a process that it started; later it is well."""
    lines = f"""
if os.path.exists({str(tmp_path / "pid")!r}):
    {said()}
    sys.exit()
print("still waiting", file=sys.stderr, flush=True)
asleep = subprocess.Popen(["sleep", "600"])
open({str(tmp_path / "pid")!r}, "w").write(str(asleep.pid))
time.sleep(600)"""
    sentence = r"did not end within \d+ seconds; lower latency.repeats or new_tokens; it said at last: still waiting"
    with measuring(script(lines)) as process:
        with pytest.raises(LatencyError, match=sentence) as caught:
            process.measure(SHALLOW, timeout_seconds=40)
        outcome, reason = outcome_of(caught.value)
        assert outcome == Outcome.FAILED
        assert str(caught.value) in reason
        assert gone(int((tmp_path / "pid").read_text()))
        assert process.measure(SHALLOW).device == "a phone"


def gone(pid: int, patience_seconds: float = 20.0) -> bool:
    """Whether a process has ended, or ends soon."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


def test_a_program_that_is_not_there_is_wrong_input() -> None:
    with pytest.raises(SpecError, match="found no-such-program: No such file"):
        measured(spec(("no-such-program", "{model}")))


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"runtime": "command"}, "command is missing; name the program that measures"),
        ({"runtime": "torch", "command": ["measure"]}, "must be left out where the runtime is torch"),
        ({"format": "onnx"}, "must be left out where the runtime is onnxruntime"),
        ({"runtime": "command", "command": "python measure.py"}, "must be a list"),
        ({"runtime": "command", "command": []}, "at least 1 item"),
        ({"runtime": "command", "command": ["m"], "format": "gguff"}, "format must be 'onnx'"),
    ],
)
def test_a_section_that_makes_no_sense_is_refused(section: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError, match=rf"latency.*{sentence}"):
        parse_study({**fakes.VALUES, "latency": section})


def written(folder: Path, command: list[str]) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**fakes.VALUES, "latency": {"runtime": "command", "command": command}}))
    return path


def test_a_script_beside_the_study_is_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "measure.py").touch()
    latency = load_study(written(tmp_path, ["python3", "measure.py", "{model}"])).latency
    assert latency.command == ("python3", str(tmp_path / "measure.py"), "{model}")


def test_a_script_beside_the_study_is_not_sent_to_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "measure.py").touch()
    (tmp_path / "shipped").mkdir()
    with pytest.raises(SpecError, match=r"latency\.command: measure\.py must be an absolute path of the node that measures"):
        pack(written(tmp_path, ["python3", "measure.py"]), tmp_path / "shipped")


def test_a_study_without_a_command_says_nothing_of_one() -> None:
    asked = LatencySpec().model_dump(exclude_none=True)
    assert list(asked) == ["runtime", "precision", "prompt_tokens", "new_tokens", "threads", "repeats"]


def test_a_part_of_a_command_that_is_no_file_name_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "shipped").mkdir()
    words = ["sh", "-c", "measure " * 100]
    assert load_study(written(tmp_path, words)).latency.command == tuple(words)
    pack(written(tmp_path, words), tmp_path / "shipped")


def test_a_script_beside_an_ablation_is_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "measure.py").touch()
    values = yaml.safe_load((READY.parent.parent / "studies" / "mobilellm" / "depth-width.yaml").read_text(encoding="utf-8"))
    for scale in values["scales"].values():
        scale["equal_latency"] = {"runtime": "command", "command": ["python3", "measure.py"]}
    (tmp_path / "ablation.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    for scale in load_ablation(tmp_path / "ablation.yaml").scales.values():
        assert scale.equal_latency is not None
        assert scale.equal_latency.command == ("python3", str(tmp_path / "measure.py"))
