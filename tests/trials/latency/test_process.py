"""Latency from a process of its own: what is measured, what a disturbance does, and what happens when something dies or hangs."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy
import pytest

from analysis.records.latency import latency_from_dict
from search_space.architecture import Architecture
from search_space.cost import parameters
from search_space.errors import SpecError
from trials.catalogue.runtimes import RUNTIMES
from trials.formats.model import fresh_model
from trials.latency.process import LatencyError, LatencyProcess, LatencyTimeoutError
from trials.latency.protocol import PROTOCOL, measure_in_runtime
from trials.latency.repeats import LARGEST_WAIT, LONGEST_TURN, Pair, Repeat, calm_pairs, pairs, run_once, turn
from trials.latency.resident_memory import peak_memory_bytes
from trials.latency.runtimes import onnx_runtime
from trials.latency.runtimes.interface import Logits
from trials.machine.quiet_lock import QuietLock
from trials.study.latency_spec import LatencySpec

ROOT = Path(__file__).resolve().parents[3]
SHALLOW = Architecture(
    vocab_size=64, hidden_size=32, num_unique_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=64
)
DEEP = replace(SHALLOW, num_unique_layers=12, layer_types=("full_attention",))
SPEC = LatencySpec(runtime="torch", prompt_tokens=16, new_tokens=16, repeats=3)
ENDLESS = LatencySpec(runtime="torch", prompt_tokens=16, new_tokens=200_000, repeats=3)


@pytest.fixture(scope="module")
def process() -> Iterator[LatencyProcess]:
    process = LatencyProcess(SPEC)
    yield process
    process.close()


def test_a_latency_says_how_it_was_taken(process: LatencyProcess) -> None:
    latency = process.measure(SHALLOW)
    for spread in (latency.total_ms, latency.prefill_ms, latency.decode_ms_per_token):
        assert 0 < spread.p10 <= spread.median <= spread.p90
    assert latency.total_ms.median > latency.prefill_ms.median
    assert (latency.prompt_tokens, latency.new_tokens, latency.repeats) == (16, 16, 3)
    assert (latency.runtime, latency.precision, latency.threads, latency.protocol) == ("torch", "float32", 1, PROTOCOL)
    assert latency.pinned_cpus is None or len(latency.pinned_cpus) == 1
    assert latency.device
    assert latency.runtime_version[0].isdigit()
    assert latency.yardstick is not None
    assert 0 < latency.yardstick.ratio.p10 <= latency.yardstick.ratio.median <= latency.yardstick.ratio.p90
    assert latency.load_ms is not None
    assert latency.load_ms > 0
    assert latency.first_prefill_ms is not None
    assert latency.file_bytes is not None
    assert latency.file_bytes > 4 * parameters(SHALLOW)
    assert latency.peak_memory_bytes is None or latency.peak_memory_bytes > 4 * parameters(SHALLOW)
    assert latency.at_positions == ()
    assert latency.bandwidth_bytes_per_second is not None
    assert latency.bandwidth_bytes_per_second > 1e8
    assert latency.bandwidth_share is not None


@pytest.mark.more
def test_tokens_deeper_in_a_text_are_timed_where_they_are_asked_for() -> None:
    spec = SPEC.model_copy(update={"runtime": "onnxruntime", "context_positions": (8, 3_000), "repeats": 3})
    heads = replace(SHALLOW, num_unique_layers=4, num_attention_heads=8, num_key_value_heads=8, layer_types=("full_attention",))
    process = LatencyProcess(spec)
    taken = process.measure(heads)
    process.close()
    near, far = taken.at_positions
    assert (near.cached_tokens, far.cached_tokens) == (8, 3_000)
    assert far.decode_ms_per_token.median > 1.5 * near.decode_ms_per_token.median
    assert latency_from_dict(json.loads(json.dumps(asdict(taken)))) == taken


@pytest.mark.more
def test_memory_is_that_of_the_shape_and_the_same_again(tmp_path: Path) -> None:
    shape = replace(SHALLOW, vocab_size=8_192, hidden_size=256, intermediate_size=1_024, num_attention_heads=8, num_key_value_heads=8)
    taken: dict[str, list[int]] = {}
    for precision in ("float32", "int8"):
        (tmp_path / precision).mkdir()
        onnx_runtime.prepare(tmp_path / precision, fresh_model(shape, precision))
        spec = LatencySpec(precision=precision)
        found = [peak_memory_bytes(tmp_path / precision, shape, spec) for _ in range(2)]
        if None in found:
            pytest.skip("this system does not tell a process's memory")
        taken[precision] = [peak for peak in found if peak is not None]
    for first, second in taken.values():
        assert second == pytest.approx(first, rel=0.1)
    assert 4 * parameters(shape) < taken["float32"][0] < 8 * parameters(shape) + (32 << 20)
    assert taken["int8"][0] < 0.8 * taken["float32"][0]
    assert peak_memory_bytes(tmp_path, shape, LatencySpec()) is None  # no model there


@pytest.mark.more
def test_a_study_that_goes_on_counts_with_the_first_times_of_the_device(process: LatencyProcess) -> None:
    first = process.measure(SHALLOW)
    assert first.yardstick is not None
    slower = replace(first, yardstick=replace(first.yardstick, device_prefill_ms=1e5, device_decode_ms=3e5))
    again = LatencyProcess(SPEC, [slower, first])
    taken = again.measure(SHALLOW)
    again.close()
    assert taken.yardstick is not None
    assert (taken.yardstick.device_prefill_ms, taken.yardstick.device_decode_ms) == (1e5, 3e5)
    assert taken.disturbed  # the device cannot have become a thousand times as fast
    assert taken.total_ms.median > 10 * first.total_ms.median
    assert latency_from_dict(json.loads(json.dumps(asdict(taken)))) == taken


@pytest.mark.more
def test_twelve_blocks_take_several_times_as_long_as_one(process: LatencyProcess) -> None:
    assert process.measure(DEEP).total_ms.median > 2 * process.measure(SHALLOW).total_ms.median


def test_the_runtime_and_the_precision_are_those_that_were_asked_for(process: LatencyProcess) -> None:
    process.spec = LatencySpec(runtime="onnxruntime", precision="int8", prompt_tokens=16, new_tokens=16, repeats=3)
    latency = process.measure(SHALLOW)
    process.spec = SPEC
    assert (latency.runtime, latency.precision) == ("onnxruntime", "int8")


@pytest.mark.more
def test_one_child_serves_many_shapes(process: LatencyProcess) -> None:
    process.measure(SHALLOW)
    pid = process.pid
    process.measure(DEEP)
    assert process.pid == pid


def test_training_pauses_during_the_timed_part(process: LatencyProcess) -> None:
    done = threading.Event()

    def measure() -> None:
        process.measure(SHALLOW)
        done.set()

    quiet, blocked = QuietLock(), 0.0
    with quiet.training():
        thread = threading.Thread(target=measure)
        thread.start()
        while not done.is_set():
            blocked += quiet.pause()
            time.sleep(0.001)
        thread.join()
    quiet.close()
    assert blocked > 0


@pytest.mark.more
def test_training_that_does_not_pause_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where nobody else measures: a test beside this one would be waited for first
    quiet, process = QuietLock(tmp_path), LatencyProcess(SPEC)
    with quiet.training(), pytest.raises(LatencyTimeoutError, match=r"a training run did not pause within 10 seconds"):
        process.measure(SHALLOW, timeout_seconds=20)
    quiet.close()
    assert process.measure(SHALLOW)
    process.close()


@pytest.mark.more
def test_a_child_that_was_killed_while_idle_is_replaced(process: LatencyProcess) -> None:
    process.measure(SHALLOW)
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    while process.pid is not None:
        time.sleep(0.01)
    assert process.measure(SHALLOW).repeats == 3
    assert process.pid != first


@pytest.mark.slow
def test_a_child_that_dies_while_measuring_is_an_error_and_the_next_call_works() -> None:
    process = LatencyProcess(ENDLESS)
    assert process.pid is not None
    kill = threading.Timer(1.0, os.kill, [process.pid, signal.SIGKILL])
    kill.start()
    with pytest.raises(LatencyError, match=r"the latency process was ended by SIGKILL$"):
        process.measure(SHALLOW)
    kill.join()
    process.spec = SPEC
    assert process.measure(SHALLOW).repeats == 3
    process.close()


def test_a_child_that_hangs_is_ended_in_time_and_the_next_call_works(process: LatencyProcess) -> None:
    process.measure(SHALLOW)
    hung = process.pid
    assert hung is not None
    os.kill(hung, signal.SIGSTOP)
    with pytest.raises(LatencyTimeoutError, match=r"did not end within 0.3 seconds"):
        process.measure(SHALLOW, timeout_seconds=0.3)
    assert process.measure(SHALLOW).repeats == 3
    assert process.pid != hung


def test_more_threads_than_processors_is_wrong_input(process: LatencyProcess) -> None:
    process.spec = LatencySpec(runtime="torch", threads=1024)
    with pytest.raises(SpecError, match=r"latency.threads must not exceed"):
        process.measure(SHALLOW)
    process.spec = SPEC


def test_a_runtime_that_is_not_installed_is_wrong_input_and_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RUNTIMES, "torch", replace(RUNTIMES["torch"], library="no_such_library", install="no-such-library"))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a child was started"))
    with pytest.raises(SpecError, match="needs no_such_library, which is not installed; pip install no-such-library"):
        LatencyProcess(SPEC)


SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from search_space.architecture import Architecture
from trials.latency.process import LatencyProcess
from trials.study.spec import LatencySpec
if __name__ == "__main__":
    process = LatencyProcess(LatencySpec(runtime="torch", prompt_tokens=4, new_tokens=int(sys.argv[2]), repeats=1))
    print(process.pid, flush=True)
    process.measure(Architecture.from_dict(json.loads(sys.argv[3])))
    assert "torch" not in sys.modules
    print("measured", flush=True)
"""


@pytest.mark.more
@pytest.mark.slow
def test_it_works_from_any_folder_and_the_parent_needs_no_torch(tmp_path: Path) -> None:
    (tmp_path / "trials").mkdir()
    (tmp_path / "trials" / "__init__.py").write_text("raise RuntimeError('not this one')")
    command = [sys.executable, "-P", "-c", SCRIPT, str(ROOT), "4", json.dumps(SHALLOW.as_dict())]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.endswith("measured\n"), done.stderr


def test_the_child_ends_with_a_parent_that_is_killed() -> None:
    command = [sys.executable, "-c", SCRIPT, str(ROOT), str(ENDLESS.new_tokens), json.dumps(SHALLOW.as_dict())]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.5)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


DEVICE = Repeat(2.0, 8.0, 0.0)
"""A yardstick whose prefill counts as 2 ms and whose decoding as 8 ms."""


def _pairs(*scripted: tuple[float, float, float]) -> Iterator[Pair]:
    """Scripted pairs: the shape's total in ms, share of waiting, and the yardstick's time relative to the device's."""
    return (
        Pair(Repeat(0.2 * total_ms, 0.8 * total_ms, waited), Repeat(2.0 * pace, 8.0 * pace, 0.0)) for total_ms, waited, pace in scripted
    )


def _totals(taken: Sequence[Pair]) -> list[float]:
    return [round(pair.at_pace_of(DEVICE).total_ms, 6) for pair in taken]


def test_disturbed_repeats_are_taken_again() -> None:
    taken, disturbed = calm_pairs(_pairs((10.0, 0.0, 1), (55.0, 0.6, 1), (10.1, 0.0, 1), (10.2, 0.01, 1)), 3, DEVICE)
    assert _totals(taken) == [10.0, 10.1, 10.2]
    assert not disturbed


def test_repeats_that_do_not_agree_are_taken_again() -> None:
    script = _pairs((30.0, 0.0, 1), (20.0, 0.0, 1), (10.0, 0.0, 1), (10.1, 0.0, 1), (10.2, 0.0, 1))
    taken, disturbed = calm_pairs(script, 3, DEVICE)
    assert _totals(taken) == [10.0, 10.1, 10.2]
    assert not disturbed


def test_a_machine_that_is_never_calm_is_flagged() -> None:
    script = _pairs(*[(10.0 + place, 0.1 * place, 1) for place in range(1, 7)])
    taken, disturbed = calm_pairs(script, 3, DEVICE)
    assert _totals(taken) == [11.0, 12.0, 13.0]
    assert disturbed


def test_a_slower_clock_cancels_out() -> None:
    taken, disturbed = calm_pairs(_pairs((12.0, 0.0, 1.2), (12.12, 0.0, 1.2), (12.0, 0.0, 1.2)), 3, DEVICE)
    assert _totals(taken) == [10.0, 10.1, 10.0]
    assert not disturbed


def test_a_yardstick_that_moves_is_tried_again_and_then_flagged() -> None:
    steadied = _pairs((10.0, 0.0, 1.0), (12.0, 0.0, 1.2), (11.9, 0.0, 1.19), (12.0, 0.0, 1.2))
    assert calm_pairs(steadied, 3, DEVICE)[1] is False
    never = _pairs(*[(10.0 * pace, 0.0, pace) for pace in (0.8, 1.0, 1.2, 0.8, 1.0, 1.2)])
    assert calm_pairs(never, 3, DEVICE)[1] is True
    elsewhere = _pairs(*[(15.0, 0.0, 1.5)] * 6)
    assert calm_pairs(elsewhere, 3, DEVICE)[1] is True


def test_a_long_workload_is_repeated_less_often() -> None:
    taken, disturbed = calm_pairs(_pairs(*[(3_500.0, 0.0, 1.0)] * 10), 5, DEVICE)
    assert (len(taken), disturbed) == (2, False)


def test_each_repeat_stands_between_two_of_the_yardstick() -> None:
    sticks = iter([Repeat(1.0, 1.0, 0.0), Repeat(3.0, 2.0, 0.1), Repeat(5.0, 4.0, 0.0)])
    taken = pairs(lambda: Repeat(7.0, 7.0, 0.0), lambda: next(sticks))
    assert [next(taken).yardstick for _ in range(2)] == [Repeat(2.0, 1.5, 0.1), Repeat(4.0, 3.0, 0.1)]


def test_a_short_workload_takes_several_times_and_their_median_counts() -> None:
    runs = iter([Repeat(1.0, 9.0, 0.0), Repeat(1.2, 30.0, 0.3), Repeat(1.1, 9.2, 0.0)])
    found = turn(lambda: next(runs), 10.0)
    assert (found.prefill_ms, found.decode_ms) == (1.1, 9.2)
    assert found.waited == pytest.approx(0.1)
    assert next(runs, None) is None
    assert turn(lambda: Repeat(5.0, 40.0, 0.0), 45.0) == Repeat(5.0, 40.0, 0.0)
    count = itertools.count()
    turn(lambda: Repeat(next(count), 0.0, 0.0), 0.001)
    assert next(count) == LONGEST_TURN


class Spinner:
    """A session whose every call keeps the processor busy for 20 ms of its own time."""

    def prefill(self, tokens: Sequence[int]) -> Logits:
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
        return numpy.zeros(1, numpy.float32)

    def decode(self, token: int) -> Logits:
        return self.prefill([token])

    def close(self) -> None:
        pass


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs processes pinned to one processor")
def test_a_neighbour_on_the_same_processor_is_noticed() -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        repeat = run_once(Spinner(), [1], [2, 3, 4])
        assert repeat.waited > LARGEST_WAIT
    finally:
        neighbour.kill()
        neighbour.wait()
        os.sched_setaffinity(0, allowed)


def test_a_text_that_no_memory_holds_is_refused_in_a_sentence() -> None:
    wide = replace(DEEP, num_attention_heads=1024, num_key_value_heads=1024, head_dim=128)
    with pytest.raises(SpecError, match=r"a text of 1,000,128 tokens must fit .* lower prompt_tokens, new_tokens or context_positions"):
        measure_in_runtime(wide, LatencySpec(context_positions=(1_000_000,)))
