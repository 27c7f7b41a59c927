"""Temporary folders that are told by a lock from those of processes that ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from trials.cluster.held_folders import HOLDER, held_folder, remove_left

HOLD = """
import sys
from trials.cluster.held_folders import held_folder
with held_folder("af", sys.argv[1]) as folder:
    (folder / "logs").mkdir()
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_is_removed_and_nothing_that_is_held_or_others(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=Path(__file__).resolve().parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        theirs = Path(process.stdout.readline().strip())
        unlocked, link = tmp_path / "af-without", tmp_path / "af-link"
        unlocked.mkdir()
        with held_folder("af", str(tmp_path)) as ours, held_folder("other-", str(tmp_path)) as other:
            link.symlink_to(theirs)
            remove_left("af", str(tmp_path))
            assert {each.name for each in tmp_path.iterdir()} == {ours.name, theirs.name, other.name, unlocked.name, link.name}
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            remove_left("af", str(tmp_path))
            assert not theirs.exists()
            assert (ours / HOLDER).is_file()
    remove_left("af", str(tmp_path))
    assert {each.name for each in tmp_path.iterdir()} == {other.name, unlocked.name, link.name}
