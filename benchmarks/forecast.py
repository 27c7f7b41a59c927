"""Whether what is forecast of longer trainings comes true, on planted studies whose seeds move a loss more or less than the prior takes.

    python -m benchmarks.forecast [--studies 60]

Prints for each planted noise the share of 90 % intervals that held what a new training measured, and how often shapes stated to be on the
front were. The studies are those of tests/support/planted_forecast.py: 24 shapes, two cooldowns, no replicates, looked at at 4 times the
tokens.
"""

from __future__ import annotations

import argparse

from tests.support.planted_forecast import followed

NOISES = (0.004, 0.008, 0.016, 0.024)
"""Standard deviations between seeds, bits per byte; what is taken before a study has replicates is 0.016 at the planted level."""
BANDS = ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0))


def judged(noise: float, studies: int) -> str:
    """One line of the table."""
    found = followed(range(studies), noise)
    bands = [(found.stated >= low) & ((found.stated < high) | (high == 1)) for low, high in BANDS]
    cells = [f"{found.stated[band].mean():.0%} → {found.held[band].mean():.0%}" for band in bands]
    return " | ".join([f"| {noise:g}", f"{found.inside.mean():.1%}", f"{found.widths.mean():.1%}", *cells]) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=60, help="for each noise (default 60)")
    options = parser.parse_args()
    chances = " | ".join(f"stated {low:.0%} to {high:.0%} → true" for low, high in BANDS)
    print(f"| planted noise | inside 90 % intervals | their width | {chances} |\n" + "|---" * (3 + len(BANDS)) + "|")
    for noise in NOISES:
        print(judged(noise, options.studies), flush=True)


if __name__ == "__main__":
    main()
