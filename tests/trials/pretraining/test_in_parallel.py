"""A training in two processes by Ray Train: the losses of one process within float's noise, and a process that is killed costs nothing."""

from __future__ import annotations

import json
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

from search_space.errors import SpecError
from tests.trials.pretraining.test_train import RECIPE, ROOT, folder, words
from trials.pretraining.statement import CURVE, RESULT, STATE, TRAINED_WEIGHTS
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
