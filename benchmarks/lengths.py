"""What trainings of mixed lengths say of the long ones, beside other ways of spending the same core-seconds.

    python -m benchmarks.lengths SET [--rows FILE] [--orders 20]

Replays the long reference of a set in benchmarks/proxy.yaml, whose trainings have finished losses at an eighth, a quarter and half of
their tokens, and maybe before. Of every way the table has, over random orders of the shapes, the median and quartiles of: the core-seconds
spent (FLOPs where a GPU made the rows), as a share of training every shape to the end; Kendall's tau between what is believed of the long
losses and the measured ones, over all shapes; the hypervolume of the front that is believed in, measured at the long length, as a share of
the long front's own, in bits per byte and decoding FLOPs below the worst shape; and the share of 90 % intervals that held, over shapes that
were not trained long.

A longer training is made anew, as `archfront promote` does, and its early losses are not looked at. Short and long losses are of one run
with one seed where the file has one only; the ceiling is the tau of two seeds over the shapes that have two.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from analysis.fidelity.forecast import forecast_front
from analysis.fidelity.length_model import LengthModel, SeenLoss
from analysis.fidelity.mixed_lengths import MixedLengths
from analysis.fidelity.rank_validity import LongRun
from analysis.fidelity.token_exponent import draw_token_exponents, loss_drops
from analysis.fronts.domination import hypervolume, non_dominated
from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership
from analysis.records.latency import Spread
from analysis.records.record import Kind, TrialRecord
from analysis.records.training import Cooldown, Quality
from analysis.statistics.rank_correlation import rank_correlation
from benchmarks.proxy import SETS, Comparison, read_results
from benchmarks.proxy_contenders import Point
from search_space.architecture import Architecture
from search_space.cost import decode_flops, training_flops_per_token
from tests.support.fakes import answer
from trials.trial.task import TrialTask

SHORT = 1 / 8
"""Length of a study's own trainings over the target's."""
CONTEXT = 128
DRAWS = 2_000
LONG_SHARES = (0.05, 0.1, 0.15, 0.25)
"""Shares of the shapes that are trained long."""


@dataclass(frozen=True)
class Curves:
    """Every shape's losses under its first seed, by length."""

    shapes: list[Architecture]
    lengths: list[float]
    """Over the longest."""
    losses: np.ndarray[Any, Any]
    """Bits per byte, [shapes, lengths]."""
    seconds: np.ndarray[Any, Any]
    """Core-seconds of a run that ends there, likewise; FLOPs where a GPU made it."""
    second_seed: dict[int, float]
    """Long losses under another seed, by the shape's place."""

    @classmethod
    def of(cls, name: str, rows: Path) -> Curves:
        """The first reference of a set, of the shapes that have been trained with it."""
        comparison, done = Comparison.of(yaml.safe_load(SETS.read_text(encoding="utf-8"))[name], None), read_results(rows)
        recipe = next(iter(comparison.references.values())).key
        shapes = [shape for shape in comparison.shapes if (shape.key, recipe, 0) in done]
        points = [done[shape.key, recipe, 0] for shape in shapes]
        again = {
            place: done[shape.key, recipe, 1][-1].bits_per_byte for place, shape in enumerate(shapes) if (shape.key, recipe, 1) in done
        }
        whole = points[0][-1].tokens
        return cls(
            shapes,
            [point.tokens / whole for point in points[0]],
            np.array([[point.bits_per_byte for point in of_shape] for of_shape in points]),
            np.array([[_cost(shape, point) for point in of_shape] for shape, of_shape in zip(shapes, points, strict=True)]),
            again,
        )

    def at(self, length: float) -> int:
        """Column of the length nearest to this one."""
        return int(np.argmin(np.abs(np.log(np.array(self.lengths) / length))))

    @property
    def flops(self) -> list[float]:
        """Of decoding, each shape."""
        return [float(decode_flops(shape, CONTEXT)) for shape in self.shapes]

    def record(self, place: int, number: int) -> TrialRecord:
        """The trial of a study whose own trainings are short, with what it saw on its way, and decoding FLOPs in place of a latency."""
        short, base = self.at(SHORT), answer(TrialTask(number=number, kind=Kind.SAMPLED, architecture=self.shapes[place], seed=0))
        assert base.training is not None
        assert base.latency is not None
        tokens = [round(1e6 * length / self.lengths[short]) for length in self.lengths]
        end, ms = float(self.losses[place, short]), self.flops[place] / 1e6
        way = tuple(
            Cooldown(tokens=tokens[at], loss=float(self.losses[place, at]), bits_per_byte=float(self.losses[place, at]))
            for at in range(short)
        )
        quality = Quality(loss=end, bits_per_byte=end, next_token_accuracy=0.3, tokens=65_536)
        training = replace(base.training, tokens=tokens[short], planned_tokens=tokens[short], validation=quality, cooldowns=way)
        return replace(base, training=training, latency=replace(base.latency, total_ms=Spread(median=ms, p10=ms, p90=ms)))

    def hypervolume(self, members: Sequence[int]) -> float:
        """Of these shapes, at their long losses."""
        places = np.column_stack([np.log(self.flops), self.losses[:, -1]])
        scaled = (places - places.min(axis=0)) / np.ptp(places, axis=0)
        return float(hypervolume(scaled[list(members)].tolist(), [1.0, 1.0]))


@dataclass(frozen=True)
class Belief:
    """What one way of spending believes in the end."""

    seconds: float
    expected: np.ndarray[Any, Any]
    """Of every shape's long loss, or anything that orders it; shape [shapes]."""
    inside: float | None = None
    """Share of the 90 % intervals that held; None where there are none."""


Way = Callable[[Curves, np.random.Generator], Belief]


def all_at(length: float) -> Way:
    """Every shape to one length, and the loss there for the long one."""

    def spend(curves: Curves, _: np.random.Generator) -> Belief:
        at = curves.at(length)
        return Belief(float(curves.seconds[:, at].sum()), curves.losses[:, at])

    return spend


def halving(curves: Curves, random: np.random.Generator) -> Belief:
    """Every shape to the short length, and the better half each time to twice as much (Jamieson and Talwalkar 2016), continued."""
    order, kept = random.permutation(len(curves.shapes)), list(range(len(curves.shapes)))
    expected, seconds, paid = np.zeros(len(curves.shapes)), 0.0, np.zeros(len(curves.shapes))
    for rung, length in enumerate((SHORT, 2 * SHORT, 4 * SHORT, 1.0)):
        at = curves.at(length)
        seconds += float((curves.seconds[kept, at] - paid[kept]).sum())
        paid[kept] = curves.seconds[kept, at]
        expected[kept] = curves.losses[kept, at] - 10 * rung
        kept = sorted(kept, key=lambda place: (curves.losses[place, at], order[place]))[: max(1, len(kept) // 2)]
    return Belief(seconds, expected)


def mixed(share: float, most_telling: bool) -> Way:
    """Every shape to the short length, and a share of them to the long one: drawn, or the most telling one after another."""

    def spend(curves: Curves, random: np.random.Generator) -> Belief:
        order = random.permutation(len(curves.shapes)).tolist()
        records = [curves.record(place, number) for number, place in enumerate(order)]
        front = front_of(records)
        membership, times = estimate_membership(front), 1 / SHORT
        count, longer = max(2, round(share * len(order))), list[LongRun]()
        while len(longer) < count:
            trained = {run.number for run in longer}
            left = [number for number in range(len(order)) if number not in trained]
            if most_telling:
                left = forecast_front(records, front, membership, times, longer).next_of_target_length(left) or left
            longer.append(_long(curves, order[left[0]], left[0], records[left[0]]))
        every = MixedLengths.of(records, longer, times, front, range(len(order)))
        assert every is not None
        ahead = every.ahead([times], DRAWS, np.random.default_rng(0))
        losses = ahead.losses[times]
        seen = losses + ahead.noises[:, None] * random.standard_normal(losses.shape)
        low, high = np.quantile(seen, (0.05, 0.95), axis=0)
        expected, inside = np.zeros(len(order)), []
        for column, number in enumerate(every.numbers):
            place = order[number]
            expected[place] = losses[:, column].mean()
            if number not in every.measured:
                inside.append(low[column] < curves.losses[place, -1] < high[column])
        long = [order[run.number] for run in longer]
        seconds = curves.seconds[:, curves.at(SHORT)].sum() + curves.seconds[long, -1].sum()
        return Belief(float(seconds), expected, float(np.mean(inside)))

    return spend


def by_exponent(curves: Curves, _: np.random.Generator) -> Belief:
    """Every shape to the short length, and from there by one exponent for all, as a forecast without longer trainings has it."""
    records = [curves.record(place, place) for place in range(len(curves.shapes))]
    levels = curves.losses[:, curves.at(SHORT)]
    drawn, exponents = draw_token_exponents(loss_drops(records), range(len(records)), float(levels.mean()), DRAWS, np.random.default_rng(0))
    expected = (levels - drawn * (1 - (1 / SHORT) ** -exponents[:, None])).mean(axis=0)
    return Belief(float(curves.seconds[:, curves.at(SHORT)].sum()), expected)


def none_long(curves: Curves, _: np.random.Generator) -> Belief:
    """Every shape to the short length, and from there by the model of mixed lengths: the order there, the level being open."""
    short = curves.at(SHORT)
    places, lengths = range(len(curves.shapes)), range(short + 1)
    seen = [SeenLoss(place, place, curves.lengths[at], float(curves.losses[place, at])) for place in places for at in lengths]
    draws, _noises = LengthModel(curves.shapes, seen, np.random.default_rng(0)).draw([1.0], DRAWS, np.random.default_rng(0))
    return Belief(float(curves.seconds[:, short].sum()), np.log(draws[:, 0]).mean(axis=0))


def _cost(shape: Architecture, point: Point) -> float:
    flops = point.tokens * training_flops_per_token(shape, CONTEXT)
    return float(flops) if point.core_seconds is None else point.core_seconds


def _long(curves: Curves, place: int, number: int, record: TrialRecord) -> LongRun:
    bits = float(curves.losses[place, -1])
    return LongRun(number=number, architecture_key=record.architecture.key, times=1 / SHORT, seed=1, tokens=1, bits_per_byte=bits)


def ways() -> Iterator[tuple[str, Way]]:
    """By name."""
    for length, said in ((SHORT, "an eighth"), (2 * SHORT, "a quarter"), (4 * SHORT, "half")):
        yield f"all to {said}", all_at(length)
    yield "halving on the loss", halving
    yield "all to an eighth, by one exponent", by_exponent
    yield "all to an eighth, by the model", none_long
    for share in LONG_SHARES:
        yield f"mixed, {share:.0%} long, drawn", mixed(share, most_telling=False)
        yield f"mixed, {share:.0%} long, most telling", mixed(share, most_telling=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=yaml.safe_load(SETS.read_text(encoding="utf-8")), help="of benchmarks/proxy.yaml")
    parser.add_argument("--rows", type=Path, help="JSON lines of `benchmarks.proxy` (default those in results/)")
    parser.add_argument("--orders", type=int, default=20, help="of the shapes (default %(default)s)")
    options = parser.parse_args()
    rows = options.rows or Path(__file__).parent / "results" / f"proxy-{options.set}.jsonl"
    curves = Curves.of(options.set, rows)
    both = [(float(curves.losses[place, -1]), other) for place, other in curves.second_seed.items()]
    ceiling = rank_correlation(*(list(column) for column in zip(*both, strict=True))) if len(both) > 2 else None
    print(f"{len(curves.shapes)} shapes; tau of two seeds over {len(both)} of them: {'unknown' if ceiling is None else ceiling}\n")
    print("| way | of the cost of all long | tau | hypervolume | inside 90 % |\n|---|---|---|---|---|")
    whole = curves.hypervolume(range(len(curves.shapes)))
    for name, way in ways():
        told = [way(curves, np.random.default_rng(order)) for order in range(options.orders)]
        taus = [rank_correlation(belief.expected.tolist(), curves.losses[:, -1].tolist()).tau for belief in told]
        fronts = [non_dominated(list(zip(curves.flops, belief.expected.tolist(), strict=True))) for belief in told]
        cells = [
            _spread([belief.seconds / curves.seconds[:, -1].sum() for belief in told]),
            _spread(taus),
            _spread([curves.hypervolume(members) / whole for members in fronts], 3),
            _spread([belief.inside for belief in told if belief.inside is not None]),
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _spread(values: Sequence[float], digits: int = 2) -> str:
    """Median and quartiles."""
    if not values:
        return "–"
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:.{digits}f}" if high - low < 1e-9 else f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    main()
