"""What infrastructure ends costs no trial: it runs again, is recorded once, and only after three attempts in vain it is lost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from analysis.records.attempt import Attempt, read_attempts
from analysis.records.record import Kind, Outcome, TrialRecord, read_records
from analysis.report.attempts_part import again_sentence
from search_space.errors import SpecError, WorkError
from tests.support import fakes
from tests.support.limited_memory import can_limit_memory, group_of, inside
from tests.support.noted import Noted
from trials.driver import tune_adapters, workers
from trials.driver.agenda import Agenda, NoTask
from trials.driver.attempts import Attempts, cause_of_death, device_ended, explain_loss
from trials.driver.run_study import StudyResult, run_study
from trials.machine.oom_count import OomCount, oom_kills
from trials.progress.standing import RunStanding
from trials.progress.watch import News, RunWatch
from trials.reporting.stored_study import read_study, report_study
from trials.study.directory import checkpoint_file
from trials.trial.references import references
from trials.trial.task import TrialTask

ROOT = Path(__file__).resolve().parents[3]
KILLED = """Failure # 1 (occurred at 2026-11-29_19-59-28)
The actor died unexpectedly before finishing this task.
\tclass_name: with_resources.<locals>.ResourceTrainable
\tactor_id: 30b111a4415d7e9205d341ec01000000
\tpid: 3060
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits \
with a connection error code 2. End of file. Some common causes include: (1) the process was killed by the OOM killer due to high memory \
usage, (2) ray stop --force was called
"""
"""What Ray 2.60 says of a worker that was ended by SIGKILL."""
NODE_GONE = """Failure # 1 (occurred at 2026-11-29_19-59-32)
The actor e2a4edc3332d5e508ff8c25e01000000 is unavailable: The actor is temporarily unavailable: RpcError: RPC error: Socket closed \
rpc_code: 14. The task may or may not have been executed on the actor.
"""
"""What it says of one whose node was ended so."""


def run(directory: Path, tracking: str, deaths: Path, times: int, note: Any = None) -> StudyResult:
    study, text = fakes.small_study(search={"trials": 4}, workers={"count": 2})
    with RunWatch(display=None if note is None else Noted(note)) as watch:
        return run_study(
            study, directory, study_text=text, tracking_uri=tracking, evaluate=partial(fakes.fatal, deaths, times), watch=watch
        )


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_trial_whose_worker_is_killed_runs_again_and_is_recorded_once(tmp_path: Path, tracking: str) -> None:
    deaths, directory, seen = tmp_path / "deaths", tmp_path / "study", list[RunStanding]()
    deaths.touch()
    result = run(directory, tracking, deaths, 1, seen.append)
    assert result.failure is None
    assert all(record.finished for record in result.records)
    assert [json.loads(line)["number"] for line in (directory / "records.jsonl").read_text().splitlines()].count(3) == 1
    [attempt] = read_attempts(directory)
    assert (attempt.number, attempt.attempt, attempt.progressed) == (3, 1, False)
    assert attempt.cause.startswith("The actor is dead because its worker process has died.")
    assert "memory" not in attempt.cause
    assert attempt.node is not None
    assert seen[-1].again == 1
    assert ", 1 run again" in seen[-1].counts
    assert again_sentence([attempt]) == "1 trial lost its worker or node, 1 time in all, and was run again; attempts.jsonl has each cause"
    assert "1 trial lost its worker" in report_study(read_study(directory)).read_text()


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_trial_that_is_lost_three_times_is_lost_and_the_same_command_tries_it_again(tmp_path: Path, tracking: str) -> None:
    deaths, directory = tmp_path / "deaths", tmp_path / "study"
    deaths.touch()
    first = run(directory, tracking, deaths, 3)
    lost = first.records[3]
    assert lost.outcome is Outcome.LOST
    assert (lost.reason or "").startswith("lost 3 times without getting any further (attempt 1 on ")
    assert (lost.reason or "").count("its worker process has died") == 3
    assert [record.outcome for record in first.records if record.number != 3] == [Outcome.FINISHED] * 5
    before = (directory / "records.jsonl").read_bytes()

    again = run(directory, tracking, deaths, 3)
    assert all(record.finished for record in again.records)
    assert again.records[3].architecture == lost.architecture
    assert (directory / "records.jsonl").read_bytes().startswith(before)
    assert list(again.records) == read_records(directory)
    assert [attempt.attempt for attempt in read_attempts(directory)] == [1, 2, 3]
    assert len((directory / "records.jsonl").read_text().splitlines()) == 7


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["test_a_node_that_is_gone_costs_no_trial", "test_a_trial_goes_on_on_another_node_from_the_state_of_a_node_that_died"],
)
def test_in_a_cluster_that_loses_a_node(name: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", f"tests/support/two_nodes.py::{name}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_rays_own_word_blames_memory_and_only_a_worker_that_hung_has_timed_out() -> None:
    assert explain_loss(KILLED, 10.0, 60.0) is None
    assert explain_loss(NODE_GONE, 1_000.0, 60.0) is None
    timed_out = explain_loss(KILLED, 96.0, 60.0)
    assert timed_out is not None
    assert timed_out[0] is Outcome.TIMED_OUT
    assert explain_loss(KILLED, 94.0, 60.0) is None, "nothing ends a trial so soon"
    memory = explain_loss("Task was killed due to the node running low on memory.", 1.0, 60.0)
    assert memory is not None
    assert memory[0] is Outcome.OUT_OF_MEMORY
    raised = explain_loss("Traceback (most recent call last):\nValueError: no such thing", 1.0, 60.0)
    assert raised == (Outcome.FAILED, "the worker could not run it: ValueError: no such thing")


def test_a_worker_that_died_while_the_kernel_s_count_rose_is_out_of_memory_and_any_other_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter, kills = tmp_path / "memory.events", workers.MemoryKills()
    monkeypatch.setattr(workers, "_kills_at", lambda node, file: oom_kills(Path(file)))

    def verdict(before: int, said: str = KILLED) -> Any:
        place = workers.Place("host", "node", 1, OomCount(str(counter), before))
        return explain_loss(said, 10.0, 60.0, kills.of(place))

    counter.write_text("oom 0\noom_kill 3\n")
    assert verdict(3) is None, "the kernel ended nothing since"
    counter.write_text("oom 0\noom_kill 5\n")
    first = verdict(3)
    assert first == (
        Outcome.OUT_OF_MEMORY,
        f"its worker died while the kernel ended processes there for want of memory (oom_kill of {counter} on host rose from 3 to 5); "
        "lower workers.count or proxy.batch_sequences",
    )
    assert verdict(4)[0] is Outcome.OUT_OF_MEMORY
    assert verdict(3) is None, "each that the kernel ended is one worker's death"
    counter.unlink()
    assert verdict(3) is None, "nobody can say"
    assert explain_loss(NODE_GONE, 10.0, 60.0, "rose") is None, "a node that is gone was not ended so"
    assert workers.MemoryKills().of(workers.Place("host", "node", 1)) is None


GREEDY = """
import sys
from functools import partial
from pathlib import Path
from tests.support import fakes
from trials.driver.run_study import run_study
folder = Path(sys.argv[1])
study, text = fakes.small_study(search={"trials": 4}, workers={"count": 1})
evaluate = partial(fakes.greedy, folder / "deaths")
run_study(study, folder / "study", study_text=text, tracking_uri=f"sqlite:///{folder}/mlflow.db", evaluate=evaluate)
"""


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.skipif(not can_limit_memory(), reason="who may not make control groups has nothing whose memory runs out")
def test_a_worker_that_the_kernel_ends_for_memory_is_out_of_memory_and_one_that_somebody_kills_is_not(tmp_path: Path) -> None:
    own = {**os.environ, "RAY_memory_monitor_refresh_ms": "0"}  # else Ray ends it before the kernel does
    with group_of(4 << 30) as folder:
        command = inside(folder, [sys.executable, "-c", GREEDY, str(tmp_path)])
        done = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    records = {record.number: record for record in read_records(tmp_path / "study")}
    assert [number for number, record in sorted(records.items()) if not record.finished] == [3]
    assert records[3].outcome is Outcome.OUT_OF_MEMORY
    assert re.search(r"\(oom_kill of \S+ on \S+ rose from 0 to 1\)", records[3].reason or "")
    assert [attempt.number for attempt in read_attempts(tmp_path / "study")] == [4]


def attempt(number: int, started_at: str = "2026-01-01T00:00:00+00:00") -> Attempt:
    return Attempt(number=number, attempt=1, node="host", cause="gone", started_at=started_at, seconds=1.0)


def test_attempts_are_counted_over_runs_and_given_up_within_one(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path, [attempt(7), attempt(7), attempt(8)])
    assert not attempts.are_over(7)
    assert [attempts.lost(attempt(7), node).attempt for node in ("a", "b")] == [3, 4]
    assert set(attempts.nodes(7)) == {"a", "b"}
    assert not attempts.are_over(7)
    state = checkpoint_file(tmp_path, 7)
    state.parent.mkdir()
    state.touch()
    assert attempts.lost(attempt(7), None).progressed
    for _ in range(3):
        assert not attempts.are_over(7), "it got further, and has not been lost three times since"
        attempts.lost(attempt(7, "2999-01-01T00:00:00+00:00"), "a")
    assert attempts.are_over(7)
    assert "attempt 5" not in attempts.reason(7)
    assert not attempts.are_over(8)


def test_an_attempt_that_never_began_is_noted_and_held_against_no_trial(tmp_path: Path) -> None:
    """As where a node is killed between the placing of a trial and the start of its worker."""
    said = "The actor died because its node has died. Node Id: aa10 The actor never ran - it was cancelled before it started running."
    assert explain_loss(f"The actor died unexpectedly before finishing this task.\n{said}", 0.1, 60.0) is None
    attempts = Attempts(tmp_path)
    noted = [attempts.lost(replace(attempt(7), cause=said), None).attempt for _ in range(9)]
    assert noted == list(range(1, 10))
    assert not attempts.are_over(7)
    for _ in range(2):
        attempts.lost(attempt(7), "a")
        assert not attempts.are_over(7)
    attempts.lost(attempt(7), "a")
    assert attempts.are_over(7)
    assert "never ran" not in attempts.reason(7)


def test_what_ends_its_worker_as_that_is_set_up_is_tried_three_times(tmp_path: Path) -> None:
    """A library that is ended by the processor's lack of an instruction, say: the node lives, and the next try ends alike."""
    said = "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR. The actor never ran - it was cancelled."
    assert explain_loss(said, 0.1, 60.0) is None
    attempts = Attempts(tmp_path)
    for _ in range(3):
        assert not attempts.are_over(7)
        attempts.lost(replace(attempt(7), cause=cause_of_death(said)), "a")
    assert attempts.are_over(7)


def test_a_node_that_cannot_have_the_text_is_no_verdict_on_a_shape() -> None:
    why = "the study's text must be had on node-7, found: No space left on device; see to that node"
    said = f'ray::ResourceTrainable.train() (pid=7)\n  File "trial_actor.py"\ntrials.cluster.shared_text.TextAway: {why}'
    assert explain_loss(said, 0.1, 60.0) is None
    assert cause_of_death(said) == why


def test_a_node_lost_with_many_trials_is_outlived_once_and_what_they_said_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened = list[str]()

    def hear(numbers: list[int]) -> dict[int, News]:
        happened.append(f"hears {numbers}")
        return {}

    monkeypatch.setattr(tune_adapters, "RAYLET_SECONDS", 30.0)
    monkeypatch.setattr("time.sleep", lambda seconds: happened.append(f"sleeps {seconds:g}"))
    monkeypatch.setattr(tune_adapters, "heard", hear)
    monkeypatch.setattr(tune_adapters, "forget", lambda number: happened.append(f"forgets {number}"))
    (tmp_path / "error").write_text(NODE_GONE)
    study, _ = fakes.small_study(workers={"count": 3})
    proposer: Any = None  # what is handed out here are references
    given, attempts = Agenda(study, references(study.references, study.search_space), [], proposer), Attempts(tmp_path)
    writer: Any = SimpleNamespace(write_attempt=lambda _: None)
    callback = tune_adapters.RecordCallback(study, given, attempts, writer, RunWatch(), Mock())
    tasks = [given.next(), given.next()]
    for task in tasks:
        callback.on_trial_error(0, [], SimpleNamespace(config={"task": task}, error_file=str(tmp_path / "error")))
    assert happened == ["sleeps 30", "hears [0]", "forgets 0", "hears [1]", "forgets 1"]
    assert [given.next(), given.next()] == tasks, "both are handed out again"


def test_a_damaged_line_of_attempts_is_refused_where_the_records_are_read(tmp_path: Path, tracking: str) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "attempts.jsonl").write_text('{"number":\n')
    with pytest.raises(
        SpecError, match=r"attempts.jsonl:1 does not hold an attempt; .*; restore the file from a copy, or delete that line"
    ):
        run(tmp_path / "study", tracking, tmp_path / "deaths", 0)


def agenda(records: list[TrialRecord]) -> Agenda:
    study, _ = fakes.small_study(search={"trials": 3, "sampler": "random"}, workers={"count": 1})
    space = study.search_space

    def proposer() -> Any:
        from trials.search.proposer import Proposer

        return Proposer(space, 0, study.search.sampler)

    return Agenda(study, references(study.references, space), records, proposer)


def test_a_lost_trial_is_handed_out_again_first_and_the_agenda_ends_with_its_record() -> None:
    order, first = list[int](), agenda([])
    while (task := first.next()) is not NoTask.END:
        assert isinstance(task, TrialTask)
        order.append(task.number)
        if order.count(4) == 1 and task.number == 4:
            assert first.next() is NoTask.WAIT, "it may have to be handed out again"
            first.try_again(4)
        else:
            first.add(fakes.answer(task))
    assert order == [0, 1, 2, 3, 4, 4]
    assert first.finished

    records = [*first.records.values()]
    records[1] = fakes.answer(TrialTask.of(records[1]), outcome=Outcome.LOST, reason="gone", training=None)
    records[3] = fakes.answer(TrialTask.of(records[3]), outcome=Outcome.LOST, reason="gone", training=None)
    second = agenda(records)
    assert not second.finished
    repeated = []
    while isinstance(task := second.next(), TrialTask):
        repeated.append((task.number, task.architecture))
        second.add(fakes.answer(task))
    assert repeated == [(number, records[number].architecture) for number in (1, 3)]
    assert second.finished
    assert not second.lost


DEVICE_GONE = """Failure # 1 (occurred at 2026-11-30_12-10-28)
\x1b[36mray::ResourceTrainable.train()\x1b[39m (pid=3060, ip=192.0.2.2, actor_id=30b111a4415d7e9205d341ec01000000)
  File "trials/driver/latency_device.py", line 130, in ask_device
    raise DeviceEnded(f"the process that takes latencies {how}: {cause_of_death(str(error))}") from None
trials.trial.task.DeviceEnded: the process that takes latencies does not start: no such runtime
"""


def test_a_device_that_does_not_start_is_no_verdict_on_the_trial_that_found_it_so(tmp_path: Path) -> None:
    assert device_ended(DEVICE_GONE) == "the process that takes latencies does not start: no such runtime"
    assert device_ended(KILLED) is device_ended(NODE_GONE) is None
    study, _ = fakes.small_study()
    (tmp_path / "error").write_text(DEVICE_GONE)
    task = TrialTask(number=0, kind=Kind.SAMPLED, architecture=references(study.references, study.search_space)[0][1], seed=0)
    given_up = Mock(side_effect=WorkError("ended"))
    writer = SimpleNamespace(give_up=given_up)
    agenda: Any = SimpleNamespace(interrupted=False)
    callback = tune_adapters.RecordCallback(study, agenda, Attempts(tmp_path), writer, Mock(), Mock())  # type: ignore[arg-type]
    with pytest.raises(WorkError, match="ended"):
        callback.on_trial_error(0, [], SimpleNamespace(config={"task": task}, error_file=str(tmp_path / "error")))
    why = "the process that takes latencies does not start: no such runtime"
    given_up.assert_called_once_with(f"{why}; see to the node that takes latencies and run the same command again")
