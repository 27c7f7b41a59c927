"""A study through Ray: the whole journey with a fake evaluator, every way in which a trial can end, and one real small study."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.fronts.front import front_of
from analysis.records.record import Kind, Outcome, TrialRecord, append, read_finals, read_records
from analysis.records.stages import Outlook, read_taken
from search_space.errors import SpecError, WorkError
from tests.support import fakes
from tests.support.needs import FULL_DEVICE
from tests.support.noted import Noted
from tests.support.real_study import RealStudy
from trials.catalogue.runtimes import RUNTIMES, Runtime
from trials.cluster.ray_session import connected, require_gpus
from trials.driver.run_study import StudyResult, run_study, why_failed
from trials.network.weights import load_network
from trials.progress.standing import RunStanding, State, read_standing
from trials.progress.watch import RunWatch
from trials.reporting.stored_study import read_study, report_study
from trials.study.directory import claim, tokenizer_file, weights_file
from trials.study.latency_spec import LatencySpec
from trials.trial.task import TrialTask, plain

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning", "ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")


def run(directory: Path, tracking: str | None, evaluate: Any = None, note: Any = None, **changes: Any) -> StudyResult:
    study, text = fakes.small_study(**changes)
    with RunWatch(display=None if note is None else Noted(note)) as watch:
        return run_study(study, directory, study_text=text, tracking_uri=tracking, evaluate=evaluate, watch=watch)


def test_more_gpus_than_this_machine_has_are_refused_before_ray_starts() -> None:
    with pytest.raises(SpecError, match=r"workers\.gpus must not exceed this machine's"):
        require_gpus(1_000)


MISSING = Runtime(
    module="trials.latency.runtimes.torch_runtime", precisions=("float32",), library="no_such_library", install="no-such-library"
)
"""A runtime that is not installed, whatever is."""


def test_a_runtime_that_is_not_installed_is_refused_before_ray_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RUNTIMES, "onnxruntime", MISSING)
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray was started"))
    sentence = "the runtime onnxruntime needs no_such_library, which is not installed; pip install no-such-library"
    with pytest.raises(SpecError, match=sentence), connected(fakes.small_study()[0], None):
        pass


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_trials_have_the_priority_of_whoever_started_the_study() -> None:
    import ray

    asked = ray.remote(lambda: os.getpriority(os.PRIO_PROCESS, 0))
    assert ray.get(asked.remote()) == os.getpriority(os.PRIO_PROCESS, 0)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_runtime_that_the_measuring_node_lacks_is_refused_before_anything_trains(
    tmp_path: Path, tracking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(spec: LatencySpec) -> None:
        raise SpecError(f"the runtime {spec.runtime} is not installed on that node")

    monkeypatch.setitem(RUNTIMES, "onnxruntime", MISSING)
    monkeypatch.setattr("trials.driver.preparation.require_libraries", elsewhere)
    with pytest.raises(SpecError, match="the runtime onnxruntime is not installed on that node"):
        run(tmp_path / "study", tracking)
    assert read_records(tmp_path / "study") == []
    assert read_taken(tmp_path / "study").begun == 0


def test_a_corpus_that_is_not_there_is_refused_before_ray_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.driver.run_on_ray.connected", lambda *_: pytest.fail("Ray was started"))
    with pytest.raises(SpecError, match=r"corpus.*missing.txt"):
        run(tmp_path / "study", None, corpus={"name": None, "files": [str(tmp_path / "missing.txt")]})


def shapes(records: tuple[TrialRecord, ...] | list[TrialRecord]) -> dict[int, str]:
    return {record.number: record.architecture.key for record in records}


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_fifty_trials_through_ray_are_recorded_each_once(tmp_path: Path, tracking: str) -> None:
    seen: list[RunStanding] = []
    result = run(tmp_path / "study", tracking, fakes.slow, seen.append, search={"trials": 50}, workers={"count": 2})
    records = read_records(tmp_path / "study")
    assert tuple(records) == result.records
    assert [record.number for record in records] == list(range(52)) == list(range(result.planned))
    assert len(set(shapes(records).values())) == 52
    assert [record.kind for record in records] == [Kind.REFERENCE, Kind.REFERENCE, *[Kind.SAMPLED] * 50]
    assert [record.name for record in records[:3]] == ["deep-thin", "wide-shallow", None]
    assert all(record.finished for record in records)
    assert result.failure is None
    assert [progress.done for progress in seen] == list(range(1, 53))
    assert seen[-1].of == 52
    assert seen[-1].front_size == len(front_of(records).members)
    assert seen[-1].left is None
    assert seen[0].left is not None
    assert (seen[0].left.low, seen[0].left.high) == (None, None)
    assert all(standing.left is not None and standing.left.low is not None for standing in seen[1:-1])
    assert seen[0].counts.startswith("1 of 52 trials, ")
    assert max(len(standing.running) for standing in seen) <= 2
    last = read_standing(tmp_path / "study")
    assert (last.state, last.done, last.of, last.running) == (State.FINISHED, 52, 52, ())
    assert {member.number for member in last.front} == set(front_of(records).members)

    again = run(tmp_path / "study", tracking, fakes.hopeless, search={"trials": 50}, workers={"count": 2})
    assert again.records == result.records
    stands = read_standing(tmp_path / "study")
    assert (stands.done, stands.of, stands.front) == (52, 52, last.front), "asking again takes nothing away"

    # the same search from another timing, without Ray between: only the order in which trials end differs
    other = run(tmp_path / "other", tracking, fakes.plausible, search={"trials": 50}, workers={"count": 2})
    assert shapes(other.records) == shapes(result.records)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_whatever_happens_to_a_trial_is_its_outcome_and_the_study_goes_on(
    tmp_path: Path, tracking: str, capfd: pytest.CaptureFixture[str]
) -> None:
    result = run(tmp_path / "study", tracking, fakes.one_of_each, search={"trials": 10}, workers={"count": 2, "deadline_seconds": 2})
    unfinished = {record.number: (record.outcome, record.reason or "") for record in result.records if not record.finished}
    said = {
        2: (Outcome.DIVERGED, "the training loss was nan"),
        3: (Outcome.FAILED, "ValueError: no such shape (in one_of_each, fakes.py:"),
        4: (Outcome.LOST, "lost 3 times without getting any further (attempt 1 on "),
        5: (Outcome.OUT_OF_MEMORY, "memory ran out; lower proxy.batch_sequences"),
        6: (Outcome.TIMED_OUT, "hung for "),
    }
    assert unfinished.keys() == said.keys()
    for number, (outcome, reason) in said.items():
        assert unfinished[number][0] is outcome
        assert unfinished[number][1].startswith(reason)
    assert result.records[6].wall_seconds < 60
    assert len(result.records) == result.planned == 12
    assert result.failure is None
    assert capfd.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_study_in_which_everything_fails_stops_early_and_says_why(tmp_path: Path, tracking: str) -> None:
    result = run(tmp_path / "study", tracking, fakes.hopeless, search={"trials": 40}, workers={"count": 2})
    assert 5 <= len(result.records) <= 6
    assert result.failure is not None
    assert "trials finished; all of them failed: RuntimeError: the disk is on fire" in result.failure


def ended_as(*outcomes: Outcome) -> list[TrialRecord]:
    study, _ = fakes.small_study()
    tasks = [
        TrialTask(number=number, kind=Kind.SAMPLED, architecture=shape, seed=0)
        for number, (_, shape) in zip(range(len(outcomes)), study.search_space.table(), strict=False)
    ]
    return [
        fakes.answer(task, outcome=outcome, reason=None if outcome is Outcome.FINISHED else f"it {outcome}")
        for task, outcome in zip(tasks, outcomes, strict=True)
    ]


def test_a_study_in_which_more_failed_than_it_allows_has_failed() -> None:
    half = ended_as(Outcome.FINISHED, Outcome.STOPPED, Outcome.LOST, Outcome.DIVERGED)
    assert why_failed(half, 0.5) is None
    assert why_failed(half, 0.4) == "2 of 4 trials failed, more than limits.failed_share (0.4) allows; 1 of them lost: it lost"
    most = ended_as(Outcome.FINISHED, Outcome.LOST, Outcome.LOST, Outcome.OVER_LIMIT)
    assert why_failed(most, 0.5) is None
    assert why_failed(most[:3], 0.5) == "2 of 3 trials failed, more than limits.failed_share (0.5) allows; all of them lost: it lost"
    assert why_failed(most[:3], 1) is None
    assert why_failed(most[1:], 1) == "none of 3 trials finished; 2 of them lost: it lost"


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_password_in_the_words_of_what_failed_is_in_nothing_that_is_kept(tmp_path: Path) -> None:
    directory = tmp_path / "study"
    result = run(directory, None, fakes.unguarded, search={"trials": 6}, workers={"count": 2})
    report_study(read_study(directory))
    assert sum("***" in (record.reason or "") for record in result.records) >= 3
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert {"records.jsonl", "report.html", "mlflow.db"} <= {path.name for path in files}
    assert [path for path in files if b"hunter2" in path.read_bytes()] == []


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.needs
@FULL_DEVICE
@pytest.mark.usefixtures("ray_here")
def test_a_full_disk_ends_the_study_in_one_sentence_and_it_can_be_continued(tmp_path: Path, tracking: str) -> None:
    records = tmp_path / "study" / "records.jsonl"

    def fill(standing: RunStanding) -> None:
        if standing.done == 3:
            records.rename(tmp_path / "kept")
            records.symlink_to("/dev/full")

    with pytest.raises(
        WorkError, match=r"cannot be written any more \(No space left on device\); make room and run the same command again"
    ):
        run(tmp_path / "study", tracking, fakes.plausible, fill)
    records.unlink()
    (tmp_path / "kept").rename(records)
    assert len(run(tmp_path / "study", tracking, fakes.plausible).records) == 14


@pytest.mark.more
@pytest.mark.slow
def test_workers_that_ray_ends_for_memory_are_recorded_so_and_the_study_goes_on(tmp_path: Path, tracking: str) -> None:
    code = """
import sys
from pathlib import Path
from tests.support import fakes
from trials.driver.run_study import run_study
study, text = fakes.small_study(search={"trials": 6}, workers={"count": 2})
for record in run_study(study, Path(sys.argv[1]), study_text=text, evaluate=fakes.lingering, tracking_uri=sys.argv[2]).records:
    print(record.outcome, record.reason)
"""
    monitor = {"RAY_memory_usage_threshold": "0.0", "RAY_min_memory_free_bytes": "-1", "RAY_memory_monitor_refresh_ms": "2000"}
    command = [sys.executable, "-c", code, str(tmp_path / "study"), tracking]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | monitor, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert 5 <= len(lines) <= 8
    assert "out_of_memory Ray ended the worker because the node ran low on memory; lower workers.count or proxy.batch_sequences" in lines
    assert {line.split()[0] for line in lines} <= {"out_of_memory", "finished"}


@pytest.mark.slow
def test_a_real_study_trains_measures_and_judges(real_study: RealStudy) -> None:
    directory = real_study.directory
    records, finals = read_records(directory), read_finals(directory)
    assert len(records) == 3
    for record in records:
        assert record.finished, record.reason
        assert record.latency is not None
        assert record.training is not None
        assert record.training.validation is not None
        assert record.training.corpus_sha256
        network = load_network(weights_file(directory, record.number), record.architecture)
        assert sum(parameter.numel() for parameter in network.parameters()) == record.costs.parameters == record.training.parameters
    assert tokenizer_file(directory, 280).is_file()

    assert {0, *front_of(records, finals).members} <= finals.keys()
    for final in finals.values():
        assert final.test is not None
        assert final.latency is not None
        assert final.written is not None
        assert final.written.beginning
        assert final.written.text
    fresh = {number: final.fresh_seed for number, final in finals.items() if final.fresh_seed is not None}
    front = front_of(records, finals)
    assert {front.best(1), front.knee, front.best(0)} <= fresh.keys()
    assert all(again.seed == 2_000 and again.test and again.test != finals[number].test for number, again in fresh.items())

    taken, outlook = read_taken(directory), Outlook.of(directory, records)
    assert (taken.begun, taken.ended) == (1, 1)
    assert set(taken.seconds) == {"start_up", "calibration", "training", "evaluation", "latency", "finals", "retraining", "tracking"}
    assert min(outlook.seconds[name] for name in ("training", "evaluation", "latency", "finals", "retraining")) > 0


@pytest.mark.slow
def test_a_finished_study_is_answered_from_its_directory_and_only_for_its_text(real_study: RealStudy, tmp_path: Path) -> None:
    directory = tmp_path / "study"
    shutil.copytree(real_study.directory, directory)
    before = (directory / "finals.jsonl").read_bytes()
    result = real_study.run(directory)
    assert list(result.records) == read_records(real_study.directory)
    assert result.finals == read_finals(real_study.directory)
    assert (directory / "finals.jsonl").read_bytes() == before

    (tmp_path / "text.txt").write_text(real_study.text.read_text() + "\nand more")
    (directory / "finals.jsonl").unlink()
    study = (directory / "study.yaml").read_text()
    (directory / "study.yaml").write_text(study.replace(str(real_study.text), str(tmp_path / "text.txt")))
    with pytest.raises(SpecError, match="the corpus must be the text that #0 deep-thin"):
        replace(real_study, text=tmp_path / "text.txt").run(directory)


def refusal(directory: Path, **changes: Any) -> str:
    _, text = fakes.small_study(**changes)
    with pytest.raises(SpecError) as caught, claim(directory, text):
        pass
    return str(caught.value)


def test_a_directory_of_another_study_is_refused_with_the_key_that_differs(tmp_path: Path) -> None:
    with claim(tmp_path, fakes.small_study()[1]):
        pass
    assert "holds another study: space.vocab_size is 300 there and 400 here" in refusal(tmp_path, space={"vocab_size": 400})
    assert "search.seed is 0 there and 7 here" in refusal(tmp_path, search={"seed": 7})
    with claim(tmp_path, fakes.small_study(search={"trials": 99}, workers={"count": 1, "deadline_seconds": 5})[1]):
        assert "trials: 99" in (tmp_path / "study.yaml").read_text()


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    _, text = fakes.small_study()
    with claim(tmp_path, text):
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            said = pool.apply(refusal, (tmp_path,))
    assert f"is being worked on by another archfront (process {os.getpid()})" in said
    with claim(tmp_path, text):
        pass


def test_records_without_their_study_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text("")
    assert "has records.jsonl but no study.yaml" in refusal(tmp_path)


def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "must be a directory that can be written, found: " in refusal(tmp_path / "file" / "study")
    if os.geteuid():
        tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
        assert "must be a directory that can be written, found: Permission denied" in refusal(tmp_path / "study")


def test_an_unknown_reference_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="references: deep-thinn is unknown; did you mean `deep-thin`"):
        run(tmp_path / "study", "sqlite:///unused.db", fakes.plausible, references=["deep-thinn"])
    assert not (tmp_path / "study" / "records.jsonl").exists()


def test_records_are_json_lines_that_name_their_units(tmp_path: Path) -> None:
    study, _ = fakes.small_study()
    point, shape = study.search_space.table()[0]
    append(tmp_path, fakes.answer(TrialTask(number=0, kind=Kind.SAMPLED, point=plain(point), architecture=shape, seed=0)))
    (line,) = (tmp_path / "records.jsonl").read_text().splitlines()
    assert json.loads(line)["point"]["sharing"] == {"strategy": "none", "repeats": 1, "part": "block"}
