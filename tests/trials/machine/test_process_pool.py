"""Processes of a pool are the program's own: they hear what asks them to end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = f"""import sys

sys.path.insert(0, {str(ROOT)!r})
from archfront import main

if __name__ == "__main__":
    import signal

    from trials.machine.process_pool import side_by_side

    stops = {{signal.SIGINT, signal.SIGTERM, signal.SIGHUP}}
    assert signal.pthread_sigmask(signal.SIG_UNBLOCK, stops) >= stops, "the program blocks them until it hears them"
    [(_, blocked)] = side_by_side(signal.pthread_sigmask, [(signal.SIG_BLOCK, ())], 1, lower="nothing")
    print(sorted(blocked & stops))
"""


def test_a_spawned_process_of_the_installed_program_blocks_no_signal(tmp_path: Path) -> None:
    """It imports the program's script again, whose first line blocks what asks the program itself to end."""
    (tmp_path / "archfront").write_text(PROGRAM, encoding="utf-8")
    done = subprocess.run([sys.executable, str(tmp_path / "archfront")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
