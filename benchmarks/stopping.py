"""What stopping trials early saves and loses: ours beside others, replayed on learning curves that were made once.

    python -m benchmarks.stopping [--orders 40] [--shapes all|even|odd]
    python -m benchmarks.stopping --condense FOLDER     # of a study of curves.yaml, into results/curves-0.2M.jsonl

Every order of the shapes is a study with two workers: the trial at place k is judged by what the trials up to place k - 4 left. A
stopped trial costs the tokens up to its rung, a finished one all. Hypervolumes are of finished trials, as a share of what training
every shape to the end reaches: `strict` below the medians of all shapes' latency and final loss, `report` below 1.1 times the worst of
the two references in each, as a report has it. `members` is the share of the full front's members that finished; `35%` and `50%` are
the strict hypervolume when so much of the full run's tokens is spent. Median (first to third quartile) over the orders.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from analysis.fronts.domination import hypervolume, non_dominated
from analysis.records.record import read_records
from analysis.search import early_stopping
from analysis.search.early_stopping import LearningCurve
from trials.study.search_spec import RUNGS

CURVES = Path(__file__).parent / "results" / "curves-0.2M.jsonl"
DELAY = 4
"""Places between a trial and the last record that judges it: with two workers, what its proposal knew."""
EQUAL = (0.35, 0.5)
"""Shares of the full run's tokens at which policies are compared."""
Asked = Callable[[LearningCurve, Sequence[LearningCurve], int], bool]
Ran = list[tuple[LearningCurve, float]]
"""Each trial as it ended, and the share of its tokens that it took."""


@dataclass(frozen=True)
class Corners:
    """Points that hypervolumes are measured from, of a set of shapes and its references."""

    strict: tuple[float, float]
    report: tuple[float, float]


def _latency_ms(curve: LearningCurve) -> float:
    """What is known of a shape before its training."""
    return curve.known[0] if curve.known else 0.0


def condense(folder: Path) -> None:
    """A study's records as one short line a trial."""
    with CURVES.open("w", encoding="utf-8") as file:
        for record in sorted(read_records(folder), key=lambda record: record.number):
            training, latency = record.training, record.latency
            if not record.finished or training is None or training.validation is None or latency is None:
                raise SystemExit(f"trial {record.number} must have finished to be condensed; found {record.outcome}")
            bits = training.validation.bits_per_byte / training.validation.loss
            seen = {point.tokens: round(bits * point.validation_loss, 6) for point in training.curve if point.validation_loss is not None}
            row = {
                "number": record.number,
                "kind": record.kind,
                "latency_ms": round(latency.total_ms.median, 4),
                "load_average": round(latency.load_average or 0.0, 2),
                "seen": seen,
                "final": round(training.validation.bits_per_byte, 6),
                "parameters": record.costs.parameters if record.costs else None,
                "training_flops_per_token": record.costs.training_flops_per_token if record.costs else None,
                "training_seconds": round(training.wall_seconds, 2),
            }
            file.write(json.dumps(row) + "\n")


def read() -> tuple[list[LearningCurve], list[LearningCurve]]:
    """Courses of the random shapes and of the references."""
    rows = [json.loads(line) for line in CURVES.read_text(encoding="utf-8").splitlines()]
    curves: dict[bool, list[LearningCurve]] = {True: [], False: []}
    for row in rows:
        seen = {int(tokens): loss for tokens, loss in row["seen"].items()}
        curve = LearningCurve(number=row["number"], known=(row["latency_ms"],), seen=seen, final=row["final"])
        curves[row["kind"] == "reference"].append(curve)
    return curves[False], curves[True]


def run(curves: Sequence[LearningCurve], asked: Asked, rungs: Sequence[float]) -> Ran:
    """A study of these shapes in this order, two at a time."""
    ran: Ran = []
    for place, curve in enumerate(curves):
        known = [other for other, _ in ran[: max(place - DELAY + 1, 0)]]
        ran.append(trained(curve, known, asked, rungs))
    return ran


def trained(curve: LearningCurve, known: Sequence[LearningCurve], asked: Asked, rungs: Sequence[float]) -> tuple[LearningCurve, float]:
    whole = max(curve.seen)
    for share in rungs:
        tokens = round(share * whole)
        seen = {at: loss for at, loss in curve.seen.items() if at <= tokens}
        own = LearningCurve(number=curve.number, known=curve.known, seen=seen, final=None)
        if not asked(own, known, tokens):
            return own, share
    return curve, 1.0


def ours(own: LearningCurve, others: Sequence[LearningCurve], tokens: int) -> bool:
    return early_stopping.decide_stop(own, others, tokens).goes_on


def on_loss(own: LearningCurve, others: Sequence[LearningCurve], tokens: int, factor: int) -> bool:
    """Asynchronous successive halving as Ray Tune has it: among the best 1 / factor of the losses at this rung so far."""
    losses = [other.seen[tokens] for other in others if tokens in other.seen]
    return not losses or bool(own.seen[tokens] <= np.percentile(losses, 100 / factor))


def on_rank(own: LearningCurve, others: Sequence[LearningCurve], tokens: int, factor: int) -> bool:
    """The same on fronts: among the best 1 / factor by the number of the front that a trial is on, latency and loss at this rung."""
    points = [(_latency_ms(other), other.seen[tokens]) for other in [*others, own] if tokens in other.seen]
    ranks, left, rank = [0] * len(points), list(range(len(points))), 0
    while left:
        members = {left[index] for index in non_dominated([points[index] for index in left])}
        ranks = [rank if index in members else old for index, old in enumerate(ranks)]
        left, rank = [index for index in left if index not in members], rank + 1
    return sum(other < ranks[-1] for other in ranks) < max(len(points) / factor, 1)


def halved(curves: Sequence[LearningCurve], rungs: Sequence[float], factor: int) -> Ran:
    """Successive halving with everybody waiting: the best 1 / factor by loss go on from each rung. Its order is that of its stops."""
    ran: Ran = []
    left = list(curves)
    for share in rungs:
        tokens = round(share * max(left[0].seen))
        best = sorted(left, key=lambda curve: curve.seen[tokens])[: max(len(left) // factor, 1)]
        ran += [(LearningCurve(number=curve.number, known=curve.known, seen={}, final=None), share) for curve in left if curve not in best]
        left = best
    return ran + [(curve, 1.0) for curve in left]


def figures(curves: Sequence[LearningCurve], ran: Ran, corners: Corners) -> list[float]:
    """Share of tokens, the two hypervolumes, share of members, and the strict hypervolume at equal tokens."""
    points = {curve.number: (_latency_ms(curve), float(curve.final or 0)) for curve in curves}
    numbers = list(points)
    members = {numbers[index] for index in non_dominated(list(points.values()))}
    finished = [curve.number for curve, _ in ran if curve.final is not None]
    spent = np.cumsum([share for _, share in ran]) / len(curves)

    def reached(among: Sequence[int], corner: tuple[float, float]) -> float:
        return hypervolume([points[number] for number in among], corner) / hypervolume(list(points.values()), corner)

    within = [
        [curve.number for (curve, _), cost in zip(ran, spent, strict=True) if curve.final is not None and cost <= share] for share in EQUAL
    ]
    kept = len(members.intersection(finished)) / len(members)
    equal = [reached(among, corners.strict) for among in within]
    return [float(spent[-1]), reached(finished, corners.strict), reached(finished, corners.report), kept, *equal]


def policies() -> dict[str, Callable[[Sequence[LearningCurve]], Ran]]:
    rungs = RUNGS
    made: dict[str, Callable[[Sequence[LearningCurve]], Ran]] = {
        "no stopping": lambda curves: [(curve, 1.0) for curve in curves],
        "ours": partial(run, asked=ours, rungs=rungs),
    }
    for factor, chosen in ((2, rungs), (3, (rungs[1], 0.375)), (4, (rungs[0], rungs[2])), (3, rungs), (4, rungs)):
        name = f"/{factor} at " + " ".join(f"{share:.3g}" for share in chosen)
        made["ASHA " + name] = partial(run, asked=partial(on_loss, factor=factor), rungs=chosen)
        made["on ranks " + name] = partial(run, asked=partial(on_rank, factor=factor), rungs=chosen)
        made["halving " + name] = partial(halved, rungs=chosen, factor=factor)
    return made


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("--condense", type=Path, metavar="FOLDER", help="of a finished study of curves.yaml")
    arguments.add_argument("--orders", type=int, default=40)
    arguments.add_argument("--shapes", choices=["all", "even", "odd"], default="all", help="by the trials' numbers")
    arguments.add_argument("--only", default="", help="policies whose name starts so")
    asked = arguments.parse_args()
    if asked.condense is not None:
        condense(asked.condense)
        return
    shapes, references = read()
    if asked.shapes != "all":
        shapes = [curve for curve in shapes if curve.number % 2 == (asked.shapes == "odd")]
    corners = Corners(
        strict=(float(np.median([_latency_ms(curve) for curve in shapes])), float(np.median([curve.final for curve in shapes]))),
        report=(1.1 * max(_latency_ms(curve) for curve in references), 1.1 * max(curve.final or 0 for curve in references)),
    )
    print(f"{len(shapes)} shapes, {asked.orders} orders; strict corner {corners.strict}, report's {corners.report}")
    print(f"{'':<32}" + "".join(f"{name:>22}" for name in ("tokens", "strict", "report", "members", *(f"{share:.0%}" for share in EQUAL))))
    for name, policy in policies().items():
        if name.startswith(asked.only):
            print(line(name, policy, shapes, corners, asked.orders), flush=True)


def line(
    name: str, policy: Callable[[Sequence[LearningCurve]], Ran], shapes: Sequence[LearningCurve], corners: Corners, orders: int
) -> str:
    rows = []
    for seed in range(orders):
        order = [shapes[index] for index in np.random.default_rng(seed).permutation(len(shapes))]
        rows.append(figures(order, policy(order), corners))
    low, middle, high = np.percentile(rows, [25, 50, 75], axis=0)
    return f"{name:<32}" + "".join(f"{m:>8.3f} ({a:.3f}-{b:.3f})" for a, m, b in zip(low, middle, high, strict=True))


if __name__ == "__main__":
    main()
