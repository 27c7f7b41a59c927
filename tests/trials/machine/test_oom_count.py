"""The kernel's count of processes that it ended for want of memory: whose file is read, what is in it, and that it rises when it should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.limited_memory import can_limit_memory, group_of, inside
from trials.machine.oom_count import OomCount, oom_count, oom_kills

EVENTS = "low 0\nhigh 0\nmax 41\noom 3\noom_kill 2\noom_group_kill 0\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"
VMSTAT = "nr_free_pages 9\noom_kill 7\n"
LIMIT_BYTES = 200 << 20
SWAP = {"memory.memsw.limit_in_bytes": LIMIT_BYTES, "memory.swappiness": 0, "memory.swap.max": 0}


def machine(folder: Path, cgroup: str, files: dict[str, str]) -> OomCount | None:
    proc, cgroups = folder / "proc", folder / "cgroup"
    for name, content in {"proc/self/cgroup": cgroup, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    found = oom_count(proc, cgroups)
    return None if found is None else OomCount(str(Path(found.file).relative_to(folder)), found.kills)


@pytest.mark.parametrize(
    ("cgroup", "files", "wanted"),
    [
        ("0::/a/b\n", {"cgroup/a/b/memory.events": EVENTS, "proc/vmstat": VMSTAT}, OomCount("cgroup/a/b/memory.events", 2)),
        ("0::/of/the/host\n", {"cgroup/memory.events": EVENTS, "proc/vmstat": VMSTAT}, OomCount("cgroup/memory.events", 2)),
        (
            "5:cpu:/\n4:memory:/a\n0::/\n",
            {"cgroup/memory/a/memory.oom_control": CONTROL, "cgroup/memory/memory.oom_control": "oom_kill 9\n", "proc/vmstat": VMSTAT},
            OomCount("cgroup/memory/a/memory.oom_control", 5),
        ),
        ("4:memory:/docker/x\n", {"cgroup/memory/memory.oom_control": CONTROL}, OomCount("cgroup/memory/memory.oom_control", 5)),
        ("0::/\n", {"proc/vmstat": VMSTAT}, OomCount("proc/vmstat", 7)),
        ("0::/\n", {"proc/vmstat": "nr_free_pages 9\n"}, None),
        ("", {}, None),
    ],
)
def test_the_count_nearest_to_the_process_is_read(cgroup: str, files: dict[str, str], wanted: OomCount | None, tmp_path: Path) -> None:
    assert machine(tmp_path, cgroup, files) == wanted


def test_this_machine_is_read_without_an_error() -> None:
    found = oom_count()
    assert found is None or oom_kills(Path(found.file)) is not None


@pytest.mark.skipif(not can_limit_memory(), reason="who may not make control groups has nothing whose memory runs out")
def test_the_count_rises_by_one_where_the_kernel_ends_a_process() -> None:
    told = "from trials.machine.oom_count import oom_count; print(oom_count(), flush=True)"
    with group_of(LIMIT_BYTES) as folder:
        swap = {name: int((folder / name).read_text()) for name in SWAP if (folder / name).exists()}
        assert swap == {name: SWAP[name] for name in swap}, "what is too much goes nowhere else"
        before = subprocess.run(inside(folder, [sys.executable, "-c", told]), capture_output=True, text=True, check=True).stdout
        greedy = subprocess.run(inside(folder, [sys.executable, "-c", "bytearray(1 << 30)"]), capture_output=True)
        assert greedy.returncode == -9
        after = subprocess.run(inside(folder, [sys.executable, "-c", told]), capture_output=True, text=True, check=True).stdout
    assert str(folder) in before
    assert "kills=0" in before
    assert after == before.replace("kills=0", "kills=1")
