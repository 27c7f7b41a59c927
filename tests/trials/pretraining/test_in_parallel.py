"""A training in two processes by Ray Train: the losses of one process within float's noise, and a process that is killed costs nothing."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from search_space.errors import SpecError, WorkError
from tests.trials.pretraining.test_train import RECIPE, ROOT, SHAPE, folder, words
from trials.pretraining.in_parallel import RAY_FAILURE, RAY_FILES, require_devices
from trials.pretraining.pretrain import require_alike
from trials.pretraining.recipes import TrainingRecipe
from trials.pretraining.statement import CURVE, RESULT, STATE, TRAINED_WEIGHTS, Statement
from trials.study.corpus_spec import CorpusSpec
from trials.training.conditions import own_sequences
from trials.training.optimizers import own_part

__all__ = ["folder"]


def test_parts_of_a_batch_are_all_of_it_and_equal() -> None:
    batch = torch.arange(24).reshape(12, 2)
    for count in (1, 2, 3, 4, 6, 12):
        assert torch.equal(torch.cat([own_part(batch, (place, count)) for place in range(count)]), batch)
        assert own_sequences(12, (0, count)) == 12 // count
    with pytest.raises(SpecError, match="must be a multiple of the 5 devices, found 12"):
        own_sequences(12, (0, 5))


def statement(**changes: Any) -> Statement:
    proxy = TrainingRecipe("x", "x", RECIPE).of(SHAPE).plain()
    sound = {"seed": 0, "threads": 1, "device": "cpu", "devices": 4, **changes}
    return Statement(title="x", shape=SHAPE, proxy=proxy, recipe="x", recipe_source="x", corpus=CorpusSpec(name="python-stdlib"), **sound)


@pytest.mark.parametrize(("device", "name"), [("cpu", "CPU"), ("cuda", "GPU")])
def test_more_processes_than_a_cluster_has_devices_are_refused_and_not_waited_for(device: str, name: str) -> None:
    wanted = statement(device=device)
    for count in (4, 4.5, 100):
        require_devices(wanted, {name: count, "memory": 1e9})
    few: list[dict[str, float]] = [{name: 3}, {name: 3.9}, {}, {"memory": 1e9}]
    for there in few:
        with pytest.raises(SpecError, match=r"--devices must not exceed the [03] .* of the cluster, found 4"):
            require_devices(wanted, there)


def _of_a_group(rank: int, meeting: str, own: tuple[int, str], said: Any) -> None:
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    try:
        require_alike(statement(devices=2), *own)
        said.put("alike")
    except WorkError as error:
        said.put(str(error))


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ((7, "a"), (7, "a"), "alike"),
        ((7, "a"), (0, "a"), "must all go on from the same state, found steps 7 and 0"),
        ((7, "a"), (7, "b"), "must all read the same text, found different ones"),
    ],
)
def test_processes_that_stand_at_other_steps_or_texts_are_all_told(
    first: tuple[int, str], second: tuple[int, str], wanted: str, tmp_path: Path
) -> None:
    fork = multiprocessing.get_context("fork")
    said = fork.Queue()
    group = [fork.Process(target=_of_a_group, args=(rank, f"file://{tmp_path}/met", own, said)) for rank, own in enumerate((first, second))]
    for process in group:
        process.start()
    found = [said.get(timeout=120) for _ in group]
    for process in group:
        process.join()
    assert all(wanted in each for each in found), found


def start(folder: Path, output: str, *more: str) -> subprocess.Popen[bytes]:
    own = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    command = [sys.executable, str(ROOT / "archfront.py"), *words(output, *more)]
    return subprocess.Popen(command, cwd=folder, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def curve(folder: Path, output: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / output / CURVE).read_text(encoding="utf-8"))
    return found


def train_workers(front: int) -> list[int]:
    """Process ids of Ray Train's workers under a process."""
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                names[int(entry.name)] = (entry / "cmdline").read_bytes()
    below = {front}
    for _ in range(8):
        below |= {pid for pid, parent in parents.items() if parent in below}
    return sorted(pid for pid in below if b"RayTrainWorker" in names.get(pid, b""))


@pytest.mark.slow
@pytest.mark.more
def test_two_processes_have_the_losses_of_one_and_a_killed_one_goes_on_from_its_state(folder: Path) -> None:
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, "steps": 300}), encoding="utf-8")
    assert start(folder, "one").wait(600) == 0
    assert start(folder, "two", "--devices", "2").wait(600) == 0
    first, second = curve(folder, "one"), curve(folder, "two")
    assert [point["tokens"] for point in first] == [point["tokens"] for point in second]
    apart = [abs(a["training_loss"] / b["training_loss"] - 1) for a, b in zip(first, second, strict=True)]
    assert apart[0] < 1e-6, "the same step but for the order of sums"
    assert max(apart[:6]) < 1e-4, "and it grows from there as any difference in rounding does"

    going = start(folder, "cut", "--devices", "2", "--state-seconds", "0.1")
    state, killed = folder / "cut" / STATE, False
    while going.poll() is None:
        if state.exists() and not killed and not (folder / "cut" / RESULT).exists():
            workers = train_workers(going.pid)
            if len(workers) == 2:
                os.kill(workers[-1], signal.SIGKILL)
                killed = True
        time.sleep(0.05)
    assert killed
    assert going.returncode == 0
    ours, theirs = (load_file(folder / name / TRAINED_WEIGHTS) for name in ("cut", "two"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs), "bit for bit"


@pytest.mark.slow
@pytest.mark.more
def test_what_no_other_attempt_mends_is_told_once_and_not_tried_again(folder: Path) -> None:
    assert start(folder, "out", "--devices", "2", "--state-seconds", "0.01").wait(600) == 0
    (folder / "out" / RESULT).unlink()
    (folder / "out" / STATE).write_bytes(b"no state")
    own = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    command = [sys.executable, str(ROOT / "archfront.py"), *words("out", "--devices", "2")]
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=600)
    assert (done.returncode, "remove it to begin anew" in done.stderr) == (2, True), done.stderr
    assert (folder / "out" / RAY_FILES / RAY_FAILURE).is_file()
    (folder / "out" / STATE).unlink()
    again = start(folder, "out", "--devices", "2")
    assert again.wait(600) == 0, "what failed before stops no other attempt"
