"""The verbs that train beside a study, as jobs of a Ray head: what they find is what they find on one machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import archfront
from analysis.fidelity.lr_transfer import RATE_RUNS
from analysis.fidelity.rank_validity import PROMOTED, VALIDITY, read_long_runs
from analysis.latency.device_table import read_table
from analysis.records.record import read_records
from tests.support.ray_head import Head, Job, write_study
from tests.trials.commands.test_submit import written
from trials.pretraining.statement import TRAINED_WEIGHTS

pytestmark = [pytest.mark.more, pytest.mark.slow]


def done(head: Head, *words: str) -> str:
    """The job's log, once it has ended well."""
    submitted = head.call("submit", *words)
    assert submitted.returncode == 0, submitted.stderr
    followed = head.call("logs", submitted.stdout.strip(), "--follow")
    assert followed.returncode == 0, followed.stdout
    return followed.stdout


def test_longer_trainings_of_a_study_that_ran_there(head: Head, ran: Job, tmp_path: Path) -> None:
    study = write_study(tmp_path / "studies")
    said = done(head, "validate", str(study), "--directory", str(ran.directory), "--shapes", "3", "--times", "1.5")
    assert "3 of 3: " in said
    runs = read_long_runs(ran.directory, VALIDITY)
    assert [(run.times, run.reason) for run in runs] == [(1.5, None)] * 3
    said = done(head, "promote", str(study), "--directory", str(ran.directory), "--top", "1", "--times", "2")
    assert "1 of 1: " in said
    (promoted,) = read_long_runs(ran.directory, PROMOTED)
    assert promoted.reason is None
    assert promoted.bits_per_byte is not None


def test_rates_are_checked_and_brought_home(head: Head, tmp_path: Path) -> None:
    study = write_study(tmp_path / "studies")
    directory = str(tmp_path / "rates")
    submitted = head.call("submit", "lr-check", str(study), "--directory", directory, "--shapes", "1", "--rates", "3")
    job = submitted.stdout.strip()
    followed = head.call("logs", job, "--follow")
    assert followed.returncode == 0, followed.stdout
    status = head.call("status", job).stdout
    assert "lr-check of tiny by " in status
    assert "4 of 4: " in status
    assert head.call("fetch", job, str(tmp_path / "home")).returncode == 0
    kept = (tmp_path / "home" / RATE_RUNS).read_text()
    assert kept == (tmp_path / "rates" / RATE_RUNS).read_text()
    here = tmp_path / "here"
    assert archfront.main(["lr-check", str(study), "--directory", str(here), "--shapes", "1", "--rates", "3"]) == 0
    assert sorted((here / RATE_RUNS).read_text().splitlines()) == sorted(kept.splitlines()), "one machine finds something else"


def test_an_ablation_is_trained_and_brought_home(head: Head, tmp_path: Path) -> None:
    submitted = head.call("submit", "ablate", str(written("ablate", tmp_path / "studies")), "--directory", str(tmp_path / "there"))
    job = submitted.stdout.strip()
    followed = head.call("logs", job, "--follow")
    assert followed.returncode == 0, followed.stdout
    assert head.call("fetch", job, str(tmp_path / "home")).returncode == 0
    (folder,) = (tmp_path / "home").glob("recipe-*")
    assert {record.outcome for record in read_records(folder)} == {"finished"}
    assert len(read_records(folder)) >= 2


def test_a_trial_of_a_study_that_ran_there_is_trained_for_real_and_brought_home(head: Head, ran: Job, tmp_path: Path) -> None:
    study, directory = write_study(tmp_path / "studies"), tmp_path / "trained"
    words = ["train", str(study), "--trial", "0", "--tokens", "8k", "--threads", "1", "--study-directory", str(ran.directory)]
    submitted = head.call("submit", *words, "--directory", str(directory), "--state-seconds", "0.1")
    job = submitted.stdout.strip()
    followed = head.call("logs", job, "--follow")
    assert followed.returncode == 0, followed.stdout
    assert "100% 7,936 tokens: loss " in head.call("status", job).stdout
    fetched = head.call("fetch", job, str(tmp_path / "home"))
    assert fetched.returncode == 0, fetched.stderr
    assert "archfront evaluate " in fetched.stderr
    assert (tmp_path / "home" / "model" / "model.safetensors").is_file()
    here = tmp_path / "here"
    again = ["train", str(ran.directory), "--data", str(study), *words[2:8], "--output", str(here)]
    assert archfront.main(again) == 0
    ours, theirs = (load_file(place / TRAINED_WEIGHTS) for place in (here, tmp_path / "home"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours), "a node of the cluster trains something else"


def test_the_latency_device_is_profiled(head: Head, tmp_path: Path) -> None:
    said = done(
        head, "profile-device", str(write_study(tmp_path / "studies")), "--directory", str(tmp_path / "t"), "--shapes", "8", "--checks", "1"
    )
    assert "9 of 9: " in said
    assert len(read_table(tmp_path / "t" / "latency.jsonl").rows) == 9
