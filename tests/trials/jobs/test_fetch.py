from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.records.record import RECORDS, Kind, append, read_records
from analysis.text.words import bytes_text
from search_space.errors import SpecError, WorkError
from tests.support import fakes
from tests.support.ray_head import ROOT, Head, Job
from trials.jobs.fetch import Brought, fetch_from
from trials.jobs.incoming import WAITING_ROOM, Incoming, RemoteFile
from trials.jobs.sender import PIECE_BYTES, answers
from trials.reporting.stored_study import read_study, report_study
from trials.study.directory import weights_file
from trials.study.load_study import BEGUN, STUDY
from trials.trial.task import TrialTask

Told = dict[str, Any]


class HeadHere:
    """Answers as a cluster's head does, without the cluster; a test may have its say in what is told."""

    def __init__(self, change: Callable[[Told], Told | None] = lambda told: told, most: int = 10**9) -> None:
        self.change, self.most, self.sent = change, most, 0
        self._asked: list[dict[str, Any]] = []

    def begin(self, **asked: Any) -> str:
        self._asked.append(asked)
        return str(len(self._asked) - 1)

    def answered(self, job: str) -> list[Told]:
        found = []
        for told in answers(self._asked[int(job)]):
            if "content" in told:
                if self.sent + told["bytes"] > self.most:
                    raise WorkError("the connection was lost")
                self.sent += told["bytes"]
            changed = self.change(told)
            found += [] if changed is None else [changed]
        return found


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A study that has run, with weights of several pieces."""
    directory, dice = tmp_path / "there", random.Random(0)
    study, text = fakes.small_study(references=[])
    for folder in ("weights", "tokenizers"):
        (directory / folder).mkdir(parents=True)
    for name in (STUDY, BEGUN):
        (directory / name).write_text(text)
    (directory / "tokenizers" / "300.json").write_text("{}")
    for number, shape in enumerate(study.search_space.sample(8, 0)):
        append(directory, fakes.answer(TrialTask(number=number, kind=Kind.SAMPLED, architecture=shape, seed=0)))
        weights_file(directory, number).write_bytes(dice.randbytes(PIECE_BYTES + number))
    (directory / "mlflow.db").write_text("not asked for")
    (directory / ".hidden.json").write_text("not asked for")
    (directory / "link.json").symlink_to("/etc/passwd")
    return directory


def fetch(there: Path, here: Path, head: HeadHere | None = None, weights: Any = "front") -> Brought:
    return fetch_from(head or HeadHere(), str(there), here, weights, lambda said: None)


def names_in(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()} - {"lock"}


def test_what_comes_is_a_study_with_the_weights_of_its_front(there: Path, tmp_path: Path) -> None:
    found = fetch(there, tmp_path / "here")
    here = tmp_path / "here"
    front = read_study(here).front.members
    assert front == read_study(there).front.members
    weights = {name for name in names_in(here) if name.startswith("weights/")}
    assert {f"weights/{number:04d}.safetensors" for number in front} <= weights
    assert len(weights) < len(list((there / "weights").iterdir()))
    assert names_in(here) - weights == {
        RECORDS,
        "study.yaml",
        "study.begun.yaml",
        "tokenizers/300.json",
        *(names_in(there) & {"finals.jsonl"}),
    }
    assert all((here / name).read_bytes() == (there / name).read_bytes() for name in names_in(here))
    assert found.bytes == sum(file.bytes for file in found.files)
    assert report_study(read_study(here)).is_file()


def test_weights_of_all_or_of_none(there: Path, tmp_path: Path) -> None:
    fetch(there, tmp_path / "none", weights="none")
    assert not (tmp_path / "none" / "weights").exists()
    fetch(there, tmp_path / "all", weights="all")
    assert len(list((tmp_path / "all" / "weights").iterdir())) == len(read_records(there))


def test_a_fetch_that_was_broken_off_goes_on_where_it_was(there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.jobs.fetch.SENT_AT_ONCE_BYTES", PIECE_BYTES)
    here, whole = tmp_path / "here", HeadHere()
    fetch(there, tmp_path / "at-once", whole, "all")
    sent, times = 0, 0
    for _ in range(8):
        times += 1
        head = HeadHere(most=3 * PIECE_BYTES)
        try:
            fetch(there, here, head, "all")
            break
        except WorkError:
            sent += head.sent
    assert 3 < times < 8
    assert sent < 1.5 * whole.sent
    assert {name: (here / name).read_bytes() for name in names_in(here)} == {
        name: (tmp_path / "at-once" / name).read_bytes() for name in names_in(tmp_path / "at-once")
    }
    again = HeadHere()
    assert fetch(there, here, again, "all").files == []
    assert again.sent < PIECE_BYTES  # the study's text alone


def test_a_study_that_goes_on_is_fetched_again(there: Path, tmp_path: Path) -> None:
    here, lines = tmp_path / "here", (there / RECORDS).read_bytes().splitlines(keepends=True)
    (there / RECORDS).write_bytes(b"".join(lines[:-1]))
    fetch(there, here)
    (there / RECORDS).write_bytes(b"".join(lines))
    assert RECORDS in [file.name for file in fetch(there, here).files]
    assert (here / RECORDS).read_bytes() == b"".join(lines)
    (there / RECORDS).write_bytes(b"".join(lines[:-1]))  # as where it went on here
    fetch(there, here)
    assert (here / RECORDS).read_bytes() == b"".join(lines)


def test_a_file_that_is_replaced_on_its_way_is_asked_for_anew(there: Path, tmp_path: Path) -> None:
    (there / "report.html").write_text("first")
    replaced: list[Told] = []

    def change(told: Told) -> Told:
        if told.get("file") == "report.html" and "sha256" in told and not replaced:
            (there / "report.html").write_text("the second, and longer")
            replaced.append(told)
        return told

    fetch(there, tmp_path / "here", HeadHere(change))
    assert (tmp_path / "here" / "report.html").read_text() == "the second, and longer"


def test_half_a_line_here_is_no_other_line(there: Path, tmp_path: Path) -> None:
    here, lines = tmp_path / "here", (there / RECORDS).read_bytes().splitlines(keepends=True)
    for whole, half in ((3, b'{"number": 9'), (3, lines[3][:20]), (len(lines), b'{"number": 9'), (0, b"{" * 99)):
        (there / RECORDS).write_bytes(b"".join(lines[:whole]) or lines[0])
        fetch(there, here)
        (here / RECORDS).write_bytes(b"".join(lines[:whole]) + half)
        (there / RECORDS).write_bytes(b"".join(lines))
        fetch(there, here)
        assert (here / RECORDS).read_bytes().startswith(b"".join(lines))
        shutil.rmtree(here)


def test_a_job_without_its_studys_file_comes_into_an_empty_directory_alone(there: Path, tmp_path: Path) -> None:
    mine, here = tmp_path / "mine", tmp_path / "here"
    for name in (STUDY, BEGUN, RECORDS):
        (there / name).unlink()
    (there / "progress.json").write_text("{}")
    mine.mkdir()
    (mine / "progress.json").write_text("mine")
    with pytest.raises(
        SpecError, match=r"must be empty or of an earlier fetch because the job has no study.yaml yet, found 'progress.json'"
    ):
        fetch(there, mine)
    assert (mine / "progress.json").read_text() == "mine"
    for content in ("{}", '{"later": 1}'):
        (there / "progress.json").write_text(content)
        fetch(there, here)
        assert (here / "progress.json").read_text() == content


def test_a_full_disk_is_told_of_the_file(there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("trials.jobs.incoming.os.fchmod", full)
    with pytest.raises(WorkError, match=r"here/.* cannot be written .No space left on device.; make room"):
        fetch(there, tmp_path / "here")


def test_other_lines_and_other_studies_are_refused(there: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    fetch(there, here)
    mine = (here / RECORDS).read_bytes()
    for content in (mine.replace(b"finished", b"Finished"), b"{}\n"):
        (here / RECORDS).write_bytes(content)
        with pytest.raises(SpecError, match="must be the beginning of the job's own, found other lines"):
            fetch(there, here)
        assert (here / RECORDS).read_bytes() == content
    (here / RECORDS).write_bytes(mine)
    (there / STUDY).write_text((there / STUDY).read_text().replace("name: small", "name: other"))
    with pytest.raises(SpecError, match="holds another study"):
        fetch(there, here)
    with pytest.raises(SpecError, match="must have begun its directory, found none"):
        fetch(tmp_path / "nowhere", here)


@pytest.mark.parametrize(
    "name",
    [
        "../outside.json",
        "/tmp/outside.json",
        "weights/../../outside.json",
        "a/b/c.json",
        "mlflow/x.json",
        "weights/report.html",
        ".json",
        "x\n.json",
        "",
        None,
        ["x"],
        "lock",
        "weights\\x.json",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(name: Any, there: Path, tmp_path: Path) -> None:
    def change(told: Told) -> Told:
        return {**told, "file": name} if told.get("file") == RECORDS else told

    with pytest.raises(WorkError, match="which was not asked for"):
        fetch(there, tmp_path / "here", HeadHere(change))
    assert not (tmp_path / "outside.json").exists()
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("changes", [{"bytes": -1}, {"bytes": 1 << 60}, {"bytes": "9"}, {"sha256": "0" * 63}, {"sha256": None}])
def test_sizes_and_hashes_must_be_such(changes: dict[str, Any], there: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="tells no size and hash"):
        fetch(there, tmp_path / "here", HeadHere(lambda told: {**told, **changes} if "sha256" in told else told))


def test_content_that_is_not_what_was_promised_is_not_kept(there: Path, tmp_path: Path) -> None:
    def change(told: Told) -> Told:
        return {**told, "sha256": "0" * 64} if told.get("file") == RECORDS and "sha256" in told else told

    with pytest.raises(WorkError, match=f"{RECORDS} did not come as the cluster said"):
        fetch(there, tmp_path / "here", HeadHere(change))
    assert not (tmp_path / "here" / RECORDS).exists()


@pytest.mark.parametrize("name", ["weights", "tokenizers", WAITING_ROOM])
def test_a_link_in_a_folders_place_is_refused(name: str, there: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SpecError, match="must be a folder of its own, found a link"):
        fetch(there, tmp_path / "here")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_in_a_files_place_is_replaced_not_followed(there: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "mine.json").write_text("mine")
    (there / "taken.json").write_text("{}")
    (tmp_path / "here" / "taken.json").symlink_to(tmp_path / "mine.json")
    fetch(there, tmp_path / "here")
    assert (tmp_path / "mine.json").read_text() == "mine"
    assert (tmp_path / "here" / "taken.json").read_text() == "{}"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_files_are_read_by_whom_the_umask_says(mask: int, mode: int, there: Path, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        fetch(there, tmp_path / "here")
    finally:
        os.umask(before)
    assert {stat.S_IMODE((tmp_path / "here" / name).stat().st_mode) for name in names_in(tmp_path / "here")} == {mode}


def test_a_disk_without_room_is_told_before_anything_comes(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="must have room for"):
        Incoming(tmp_path).require_room([RemoteFile("a.json", 1 << 60, "0" * 64)])


# --- from a head of our own


@pytest.mark.more
@pytest.mark.slow
def test_a_job_is_fetched_though_the_first_fetch_was_killed(head: Head, ran: Job, tmp_path: Path) -> None:
    """The job's directory has far more to send than one small job does."""
    job, run, here = ran.name, ran.directory, tmp_path / "here"
    (run / "devices").mkdir()
    for number in range(3):
        (run / "devices" / f"{number}.jsonl").write_bytes(random.Random(number).randbytes(20 << 20))
    command = [sys.executable, "-m", "archfront", "job", "fetch", job, str(here), "--address", head.address]
    first = subprocess.Popen(command, cwd=ROOT, env=head.environment, start_new_session=True)
    while first.poll() is None and not any(path.stat().st_size > 1 << 20 for path in (here / WAITING_ROOM).glob("*.part")):
        time.sleep(0.05)
    assert first.poll() is None
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    waiting = sum(path.stat().st_size for path in (here / WAITING_ROOM).glob("*.part"))
    fetched = head.call("fetch", job, str(here))
    assert fetched.returncode == 0, fetched.stderr
    assert not (here / WAITING_ROOM).exists()
    assert all((here / name).read_bytes() == (run / name).read_bytes() for name in names_in(here) - {"report.html"})
    assert waiting > 1 << 20
    whole = sum((here / name).stat().st_size for name in names_in(here) - {STUDY, BEGUN})
    assert f"files came, {bytes_text(whole - waiting)}" in fetched.stdout, "what had come came once more"
    for directory in (here, run):
        shutil.rmtree(directory / "devices")
    for verb in (["report", str(here)], ["track", str(here)], ["export", str(here), "--pick", "recommended", "--format", "hf"]):
        done = subprocess.run([sys.executable, "-m", "archfront", *verb], cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
