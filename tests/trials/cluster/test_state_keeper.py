"""States of trials that were sent to the driver's node: whole or not at all, in any number of pieces, and never at the records' cost."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.trials.trial.test_checkpoint import place, start
from tests.trials.trial.test_run_trial import blocks
from trials.cluster import state_keeper
from trials.cluster.sent_checkpoint import SentCheckpoint
from trials.cluster.state_keeper import StateKeeper, keeping_states
from trials.corpus.blocks import TokenBlocks
from trials.study.directory import checkpoint_file

__all__ = ["blocks"]

SEVENTH = "checkpoints/0007.safetensors"


def test_a_state_is_there_once_its_last_piece_is(tmp_path: Path) -> None:
    keeper, file = StateKeeper(tmp_path), checkpoint_file(tmp_path, 7)
    assert keeper.give(SEVENTH, 0) == b""
    assert keeper.take(SEVENTH, 0, b"one", 6, "a")
    assert not file.exists()
    assert keeper.take(SEVENTH, 3, b"two", 6, "a")
    assert file.read_bytes() == b"onetwo"
    assert keeper.take(SEVENTH, 0, b"new", 6, "a")
    assert file.read_bytes() == b"onetwo", "half a state takes nothing's place"
    assert (keeper.give(SEVENTH, 0), keeper.give(SEVENTH, 4), keeper.give(SEVENTH, 6)) == (b"onetwo", b"wo", b"")


@pytest.mark.parametrize("name", ["../own", "checkpoints/../../own", "{folder}/own"])
def test_nothing_outside_its_directory_is_given_or_taken(name: str, tmp_path: Path) -> None:
    (tmp_path / "own").write_bytes(b"a key")
    keeper, outside = StateKeeper(tmp_path / "study"), name.format(folder=tmp_path)
    (tmp_path / "study" / "checkpoints").mkdir(parents=True)
    assert keeper.give(outside, 0) == b""
    assert not keeper.take(outside, 0, b"other", 5, "a")
    assert (tmp_path / "own").read_bytes() == b"a key"


def test_what_does_not_follow_and_what_has_no_room_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper, file = StateKeeper(tmp_path), checkpoint_file(tmp_path, 7)
    assert not keeper.take(SEVENTH, 3, b"two", 6, "a"), "its first piece was another keeper's"
    assert keeper.take(SEVENTH, 0, b"one", 6, "a")
    assert not keeper.take(SEVENTH, 4, b"wo", 6, "a")
    monkeypatch.setattr(state_keeper, "shutil", SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=11)))
    assert not keeper.take(SEVENTH, 0, b"onetwo", 6, "a"), "the records have the last of a disk"
    assert not file.exists()
    (tmp_path / "elsewhere").write_text("no folder")
    assert not StateKeeper(tmp_path / "elsewhere").take(SEVENTH, 0, b"onetwo", 6, "a")


def test_two_senders_of_one_trial_never_make_one_state_and_what_is_refused_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, file = StateKeeper(tmp_path), checkpoint_file(tmp_path, 7)
    assert keeper.take(SEVENTH, 0, b"old", 6, "given up")
    assert keeper.take(SEVENTH, 0, b"new", 6, "next")
    assert not keeper.take(SEVENTH, 3, b"old", 6, "given up")
    assert keeper.take(SEVENTH, 3, b"new", 6, "next")
    assert file.read_bytes() == b"newnew"
    assert keeper.take(SEVENTH, 0, b"one", 6, "given up")
    monkeypatch.setattr(state_keeper, "shutil", SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=11)))
    assert not keeper.take(SEVENTH, 0, b"one", 6, "next")
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_state_that_was_sent_is_the_one_that_is_fetched(tmp_path: Path, blocks: TokenBlocks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_keeper, "STATE_PIECE_BYTES", 10_000)
    here = place(tmp_path / "here.safetensors", blocks)
    with keeping_states(tmp_path) as keeper:
        away = SentCheckpoint(Path("/nowhere/0003.safetensors"), here.key, keeper, "checkpoints/0003.safetensors")
        assert away.read() is None
        trial = start(blocks, here)
        next(trial)
        kept = here.read()
        assert kept is not None
        away.write(kept.state, kept.latency)
        assert checkpoint_file(tmp_path, 3).stat().st_size == here.path.stat().st_size
        found = away.read()
        assert found is not None
        assert found.latency == kept.latency
        assert found.state["tally"] == kept.state["tally"]
        assert dataclasses.replace(away, key="another").read() is None
    until = time.monotonic() + 10  # Ray ends it when it comes to it
    while away.read() is not None:
        assert time.monotonic() < until, "nobody answers, and the trial begins anew"
    away.write(kept.state, kept.latency)
