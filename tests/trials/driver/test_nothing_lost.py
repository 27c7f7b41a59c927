"""Clocks that go back and disks that fill up outside of a study's records; the rest of what may happen has its tests where it happens."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import trials.trial.task
from analysis.records.record import Outcome, append, read_records
from archfront import main
from tests.support.fakes import answer, small_study
from tests.support.needs import FULL_DEVICE
from tests.support.sample_study import sample_finals, sample_records
from trials.commands.talk import STUDY_FAILED
from trials.commands.verbs import VERBS
from trials.driver.agenda import Agenda
from trials.search.proposer import Proposer
from trials.study.load_study import STUDY
from trials.trial.references import references
from trials.trial.task import Start, TrialTask, record_of


class Backwards(datetime):
    """A clock that is an hour earlier whenever it is asked."""

    asked = 0

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        cls.asked += 1
        return datetime(2026, 1, 1, tzinfo=UTC) - timedelta(hours=cls.asked)


def test_a_clock_that_goes_back_changes_neither_what_is_tried_nor_how_long_it_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, _ = small_study(search={"trials": 12}, workers={"count": 2})
    space = study.search_space

    def tried(agenda: Agenda) -> list[TrialTask]:
        tasks: list[TrialTask] = []
        while len(tasks) < 5 and isinstance(task := agenda.next(), TrialTask):
            start = Start.now()
            time.sleep(0.001)
            usual = answer(task)
            record = record_of(task, Outcome.FINISHED, None, usual.costs, start, latency=usual.latency, training=usual.training)
            assert 0 < record.wall_seconds < 60
            agenda.add(record)
            append(tmp_path, record)
            tasks.append(task)
        return tasks

    def agenda() -> Agenda:
        return Agenda(study, references(study.references, space), read_records(tmp_path), lambda: Proposer(space, 0, study.search.sampler))

    usual = tried(agenda())
    (tmp_path / "records.jsonl").unlink()
    monkeypatch.setattr(trials.trial.task, "datetime", Backwards)
    backwards = tried(agenda())
    assert usual == backwards
    records = read_records(tmp_path)
    assert [record.started_at for record in records] == sorted((record.started_at for record in records), reverse=True)
    assert agenda().records.keys() == {task.number for task in usual}
    assert [task.number for task in tried(agenda())] == list(range(5, 10))


@pytest.mark.needs
@FULL_DEVICE
def test_a_full_disk_is_one_sentence_wherever_it_is_met(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = sample_records(8)
    for record in records:
        append(tmp_path, record)
    for final in sample_finals(records).values():
        append(tmp_path, final)
    (tmp_path / STUDY).write_text(small_study()[1])
    before = (tmp_path / "records.jsonl").read_bytes()
    (tmp_path / f"report.html.{os.getpid()}.part").symlink_to("/dev/full")
    assert main(["report", str(tmp_path)]) == STUDY_FAILED
    said = capsys.readouterr().err
    page = tmp_path / "report.html"
    assert f"refuses a file {page} (No space left on device); see to room and permissions, and run the same command again" in said
    assert "Traceback" not in said
    assert (tmp_path / "records.jsonl").read_bytes() == before


def test_a_folder_where_nothing_may_be_written_is_one_sentence_for_other_verbs_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(options: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path / "config.json"))

    monkeypatch.setitem(VERBS, "report", dataclasses.replace(VERBS["report"], run=refuse))
    assert main(["report", str(tmp_path)]) == STUDY_FAILED
    assert f"the system refuses a file {tmp_path / 'config.json'} (Permission denied)" in capsys.readouterr().err


def test_the_design_names_tests_that_there_are() -> None:
    root = Path(__file__).resolve().parents[3]
    there = set(
        re.findall(r"^def (test_\w+)", "\n".join(path.read_text(encoding="utf-8") for path in (root / "tests").rglob("*.py")), re.MULTILINE)
    )
    design = (root / "docs" / "design.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", design))
    assert len(named) > 15
    assert named <= there
    rows = [line for line in design.partition("## What may happen")[2].partition("\n## ")[0].splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 80
    assert [row for row in rows if not re.search(r"`test_\w+` \|$", row)] == [], "the last cell of a row names what shows it"
