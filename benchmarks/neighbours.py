"""Other searches and ours on one task, a space of which a tenth spends the budget; writes benchmarks/neighbours.md.

    python -m benchmarks.neighbours [--trials 120] [--seed 0] [--syne-tune PYTHON] [--neps PYTHON]

Peers that do not install beside our dependencies run in environments of their own, whose interpreters are named by the options and
which need nothing of ours:

    python -m venv syne && syne/bin/pip install "syne-tune[basic]==0.16.0"
    python -m venv neps && neps/bin/pip install neural-pipeline-search==0.17.0

What each proposes is asked of its sampler alone (`peers/proposals.py`); what becomes of its trials is seen on the program that a user
of it would write (`peers/*_program.py`, of ours the YAML), with a training that only waits.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.peers import lives
from benchmarks.peers.task import PARAMETERS, TOLERANCE, all_points, spends

ROOT = Path(__file__).resolve().parent.parent
PROPOSE = {
    "optuna": ("optuna", "Optuna, TPE (Ray's OptunaSearch)"),
    "optuna-constrained": ("optuna", "Optuna with `set_constraint`"),
    "syne-tune": ("syne-tune", "syne-tune, random search"),
    "neps": ("neps", "NePS, Bayesian optimization"),
    "archfront": ("archfront", "archfront"),
}
"""Of each way to propose, whose environment it needs and its title."""
RUN = {
    "ray": "Ray Tune with OptunaSearch",
    "optuna": "Optuna in SQLite, two threads",
    "syne-tune": "syne-tune, local backend",
    "neps": "NePS, one process",
    "archfront": "archfront",
}
TIMED_TRIALS = 24
"""For the time between trials."""
PAGE = """\
# Beside other searches

Written by `python -m benchmarks.neighbours --trials {trials} --seed {seed}`; do not edit.

A rectangular space of {points:,} points, {spending:,} of which spend {parameters:,} parameters within {tolerance:.0%}.

## What is proposed

Each search is asked for one point after the other and told how it did; NePS, whose proposals are slow, for fewer.

{proposals}
## What becomes of trials

Of the program that a user of each would write (`peers/`), {few} trials, two at a time but for NePS.

- *NaN*: a third of the points have a loss that is no number. Optuna alone keeps these as failed, archfront as diverged.
  Ray Tune's row is of the study that its OptunaSearch proposes from.
- *Kill*: the driver gets `kill -9` while the trainings after the first {killed_after} are on their way, and ten seconds later the same
  command is given again. Each training takes {training_seconds:g} s. {few} to {most} trainings begin where only those that were cut off
  are made again.
- *Seconds between trials*: of {timed} that take no time.
- *Lines*: of code; of archfront those of its YAML. The others' leave out what trains and measures, which archfront brings.

{fates}"""


def proposals(pythons: dict[str, str], trials: int, seed: int) -> str:
    """The table of what is proposed."""
    rows = []
    for peer, (whose, title) in PROPOSE.items():
        if (python := pythons.get(whose)) is None:
            continue
        command = [python, "-m", "benchmarks.peers.proposals", peer, str(trials), str(seed)]
        done = subprocess.run(command, cwd=ROOT, env=lives.environment(), stdout=subprocess.PIPE, text=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        print(peer, found, file=sys.stderr)
        numbers = (found["proposed"], found["feasible"], found["distinct"], f"{found['ms']:.1f}")
        rows.append(_row(f"{title} {found['version']}", *numbers))
    return _row("search", "proposed", "spend the budget", "of these distinct", "ms a proposal, imports included") + _rule(5) + "".join(rows)


def fates(pythons: dict[str, str]) -> str:
    """The table of what becomes of trials."""
    rows = []
    for peer, title in RUN.items():
        if (python := pythons.get(peer)) is None:
            continue
        no_number, killed = lives.with_no_numbers(peer, python), lives.after_a_kill(peer, python)
        seconds = lives.seconds_between(peer, python, TIMED_TRIALS)
        print(peer, no_number, killed, seconds, file=sys.stderr)
        rows.append(
            _row(
                title,
                no_number.running,
                no_number.no_number,
                f"{killed.finished} of {lives.TRIALS}" if killed.ended else f"{killed.finished} of {lives.TRIALS}, did not end",
                killed.running,
                killed.trained,
                "" if seconds is None else f"{seconds:.3f}",
                lives.lines(peer),
            )
        )
    head = _row(
        "program", "NaN: left running", "NaN: taken for a result", "kill: with a result", "kill: left running", "kill: trainings begun",
        "seconds between trials", "lines a user writes",
    )  # fmt: skip
    return head + _rule(8) + "".join(rows)


def page(options: argparse.Namespace) -> str:
    """Both tables, and what they are of."""
    pythons = dict.fromkeys(("ray", "optuna", "archfront"), sys.executable)
    pythons |= {peer: python for peer, python in (("syne-tune", options.syne_tune), ("neps", options.neps)) if python}
    points = all_points()
    return PAGE.format(
        trials=options.trials,
        seed=options.seed,
        points=len(points),
        spending=sum(map(spends, points)),
        parameters=PARAMETERS,
        tolerance=TOLERANCE,
        few=lives.TRIALS,
        most=lives.TRIALS + 2,
        killed_after=lives.KILLED_AFTER,
        training_seconds=lives.TRAINING_SECONDS,
        timed=TIMED_TRIALS,
        proposals=proposals(pythons, options.trials, options.seed),
        fates=fates(pythons),
    )


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |\n"


def _rule(columns: int) -> str:
    return "|" + "---|" * columns + "\n"


def main() -> None:
    """Ask each peer, in its own interpreter, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--syne-tune", metavar="PYTHON", help="interpreter of an environment with syne-tune; left out without it")
    parser.add_argument("--neps", metavar="PYTHON", help="interpreter of an environment with NePS; left out without it")
    (ROOT / "benchmarks" / "neighbours.md").write_text(page(parser.parse_args()), encoding="utf-8")


if __name__ == "__main__":
    main()
