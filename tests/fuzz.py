"""Files that were changed at random, through every reader, for as long as is asked; figures at the end.

python -m tests.fuzz --minutes 30 [--seed 20261129]
python -m tests.fuzz --seed 1 --only 'study quickstart' --number 17     one of them again
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from tests.support.fuzz_subjects import subjects
from tests.support.fuzzing import Tally, attempt, attempt_command

COMMAND_EACH = 40
"""Every so-manieth change goes through the program itself, where there is a command for it."""


def main(arguments: Sequence[str]) -> int:
    """Fuzz, and say what was found; returns 1 where anything was."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Change files at random and see that each is read or refused."
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=int(date.today().strftime("%Y%m%d")), help="of the changes (default: the day)")
    parser.add_argument("--only", help="one subject by its name")
    parser.add_argument("--number", type=int, help="one change of it alone")
    options = parser.parse_args(arguments)
    end, tally = time.monotonic() + 60 * options.minutes, Tally()
    with tempfile.TemporaryDirectory(prefix="archfront-fuzz-") as name:
        os.environ["XDG_CACHE_HOME"] = f"{name}/cache"
        chosen = [subject for subject in subjects(Path(name) / "files") if options.only in (None, subject.name)]
        for subject in chosen:
            outcome, _ = attempt(subject, subject.content)
            if outcome is not None:
                raise SystemExit(f"{subject.name} must be good as it is: {outcome}")
        if options.number is not None:
            for subject in chosen:
                how, content = subject.changed(options.seed, options.number)
                outcome, seconds = attempt(subject, content)
                tally.add(subject, options.number, content, outcome, seconds)
                print(f"{subject.name} {options.number} ({how}): {outcome}, {seconds:.2f} s\n{content.decode(errors='backslashreplace')}")
            print(tally.told(options.seed))
            return bool(tally.faults)
        number, through_program = 0, Tally()
        while time.monotonic() < end:
            for place, subject in enumerate(chosen):
                _, content = subject.changed(options.seed, number)
                tally.add(subject, number, content, *attempt(subject, content))
                if subject.words and (number + place) % COMMAND_EACH == 0 and time.monotonic() < end:
                    through_program.add(subject, number, content, *attempt_command(subject, content))
                subject.path.write_bytes(subject.content)
            number += 1
        print(f"seed {options.seed}\nin process: {tally}\nthrough the program: {through_program}")
        print(f"{tally.told(options.seed)}\n\n{through_program.told(options.seed, through_program=True)}")
        return bool(tally.faults or through_program.faults)
    return bool(tally.faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
