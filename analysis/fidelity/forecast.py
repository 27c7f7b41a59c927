"""What the shapes of a front would reach after a longer training, how sure that is, and which experiment would settle it cheapest.

A shape's loss is its level at the study's own length (`analysis.statistics.seed_noise`) and what longer training takes from it
(`analysis.fidelity.token_exponent`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.fidelity.token_exponent import EXPONENTS, draw_token_exponents, loss_drops
from analysis.fronts.cost_posteriors import CostPosteriors
from analysis.fronts.domination import non_dominated_draws
from analysis.fronts.front import Front
from analysis.fronts.membership import Membership
from analysis.records.record import TrialRecord
from analysis.records.training import FARTHEST
from analysis.statistics.arrays import Array
from analysis.statistics.intervals import LEVEL, percentile_interval
from analysis.text.words import plural, quantity
from search_space.errors import SpecError

NEAR_TIE = 0.1
"""Chance of standing on the front from which a shape beside it is a near-tie."""
FACTORS = (1.0, 2.0, 4.0)
"""Lengths of the experiments that are weighed, over the study's own, as far as the target; the first is a further seed."""
LOSS_DRIFT = 0.2
"""Standard deviation by which all shapes' losses together fall more or less beyond the study's own length than the power says, over the
fall itself. Of the one study that was followed: in one doubling and in two they fell by a fifth more (docs/findings.md, 2026-11-27: what is
foreseen of longer trainings, on planted studies)."""
SIMULATED = 64
DOUBTFUL = 0.05
"""Expected wrong decisions below which an order counts as settled."""
WORTH = 0.01
"""Share of the expected wrong decisions that a training must spare to be named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeForecast:
    """One shape after the target's tokens."""

    number: int
    now: float
    """Bits per byte at the study's own length, the mean of its seeds."""
    low: float
    """Lower end of the 90 % interval of what one training would measure."""
    expected: float
    high: float
    on_front: float
    """Probability that nothing as fast is truly better then, among the shapes that have a prospect."""
    most_accurate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A training that would say something about the order."""

    number: int
    times: float
    """Tokens of the experiment over the study's own."""
    flops: float
    settles: float
    """Share of the expected wrong decisions that it would spare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontForecast:
    """A front at a longer training."""

    times: float
    """The target's tokens over the study's own."""
    forecasts: tuple[ShapeForecast, ...]
    """Members of the front and near-ties, in the order in which a front is listed."""
    exponent: tuple[float, float]
    """90 % interval of the tokens' exponent."""
    wrong: float
    """Expected number of shapes among them that are taken for members of that front, or not, wrongly."""
    experiment: Experiment | None
    """The cheapest that spares much of that; None where the order is as good as settled, or none spares enough."""


def forecast_front(records: Sequence[TrialRecord], front: Front, membership: Membership, times: float) -> FrontForecast:
    """The front at so many times the study's tokens; raises SpecError where the records cannot say."""
    if not 1 < times <= FARTHEST:
        raise SpecError(
            f"a target must be longer than the study's trainings and at most {FARTHEST:g} times as long, found "
            f"{times:.3g} times; choose another"
        )
    forecast_place = front.problem.require_forecast_place()
    rows = loss_drops(records)
    chosen = [number for number in members_and_near_ties(front, membership) if number in rows]
    if len(rows) < 2 or not chosen:
        found = f"{len(rows)}" if len(rows) < 2 else f"{len(rows)}, none of them near the front"
        raise SpecError(
            "a prediction needs two finished trainings with losses at several token counts, one of them of a shape near the front, found "
            f"{found}; state proxy.cooldowns, such as [0.25, 0.5], in a new study"
        )
    points = [front.points[number] for number in sorted(front.points)]
    numbers = [point.number for point in points]
    random = np.random.default_rng(0)
    drawn = CostPosteriors(points, front.problem).draw(random)
    levels, noises = drawn.costs[forecast_place], drawn.noises[forecast_place]
    assert noises is not None  # a seed moves it
    coefficients, exponents = draw_token_exponents(rows, numbers, levels.mean(), len(levels), random)
    keep = [numbers.index(number) for number in chosen]
    drift = LOSS_DRIFT * random.standard_normal((len(levels), 1))

    def at(length: float) -> Array:
        """Losses after that many times the tokens, [draws, chosen]."""
        fall = coefficients * (1 - length ** -exponents[:, None]) * (1 + drift)
        found: Array = (levels - fall)[:, keep]
        return found

    there = at(times)
    columns = [there if column == forecast_place else drawn.costs[column][:, keep] for column in front.problem.columns]
    member = non_dominated_draws(columns)
    seen = there + noises[:, None] * random.standard_normal(there.shape)
    ends = np.quantile(seen, ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2), axis=0)
    best = np.bincount(there.argmin(axis=1), minlength=len(keep)) / len(there)
    forecasts = tuple(
        ShapeForecast(
            number=numbers[place],
            now=points[place].values[forecast_place],
            low=float(ends[0, i]),
            expected=float(ends[1, i]),
            high=float(ends[2, i]),
            on_front=float(member[:, i].mean()),
            most_accurate=float(best[i]),
        )
        for i, place in enumerate(keep)
    )
    wrong = _wrong(member.mean(axis=0))
    flops = {record.number: _flops(record) for record in records}
    tried = {length: at(length) for length in FACTORS if length <= times}
    noise = membership.noises[forecast_place]
    assert noise is not None
    experiment = None if wrong < DOUBTFUL else _cheapest(tried, member, [numbers[place] for place in keep], noise.size, flops, random)
    return FrontForecast(times=times, forecasts=forecasts, exponent=percentile_interval(exponents), wrong=wrong, experiment=experiment)


def members_and_near_ties(front: Front, membership: Membership) -> list[int]:
    """Members of a front and near-ties, in the order in which a front is listed."""
    found = [number for number, posterior in membership.posteriors.items() if number in front.members or posterior.on_front >= NEAR_TIE]
    return sorted(found, key=lambda number: front.costs(number)[front.problem.ordering])


def _wrong(on_front: Array) -> float:
    """Expected wrong decisions where each shape is taken for what it more probably is."""
    return float(np.minimum(on_front, 1 - on_front).sum())


def _cheapest(
    tried: Mapping[float, Array],
    member: npt.NDArray[np.bool_],
    numbers: Sequence[int],
    noise: float,
    flops: Mapping[int, float],
    random: np.random.Generator,
) -> Experiment | None:
    """The experiment that spares most for its FLOPs, of those that spare at least half of what any does; each is simulated.

    None where none spares enough to be worth its training.
    """
    before, posterior = _wrong(member.mean(axis=0)), member.astype(float)
    weighed = []
    for times, losses in tried.items():
        for i, number in enumerate(numbers):
            shown = random.choice(losses[:, i], size=SIMULATED) + noise * random.standard_normal(SIMULATED)
            odds = np.exp(-0.5 * ((shown[:, None] - losses[None, :, i]) / noise) ** 2)
            share = (odds / odds.sum(axis=1, keepdims=True)) @ posterior
            after = float(np.minimum(share, 1 - share).sum(axis=1).mean())
            weighed.append(Experiment(number=number, times=times, flops=times * flops[number], settles=max(0.0, 1 - after / before)))
    most = max(found.settles for found in weighed)
    if most < WORTH:
        return None
    worthwhile = max(most / 2, WORTH)
    return max((found for found in weighed if found.settles >= worthwhile), key=lambda found: found.settles / found.flops)


def _flops(record: TrialRecord) -> float:
    return 0.0 if record.training is None else record.costs.training_flops_per_token * record.training.tokens


def forecast_sentences(found: FrontForecast, labels: Mapping[int, str]) -> list[str]:
    """The forecast in words, the experiment last."""
    tops = [forecast for forecast in found.forecasts if forecast.on_front >= 0.5]
    low, high = found.exponent
    said = [
        f"After {found.times:.3g} times the tokens {len(tops)} of these {plural(len(found.forecasts), 'shape')} are likely to be on the "
        f"front; {found.wrong:.1f} such decisions are expected to be wrong. Loss falls by a power of the tokens of {low:.2f} to {high:.2f}."
    ]
    if low <= EXPONENTS[0]:
        said.append(
            "The cooldowns hardly bend as a power does: loss still falls in nearly a straight line along the logarithm of the tokens, as "
            "it does early in training, and is likely to fall more than forecast."
        )
    if found.experiment is None:
        settled = "Their order is as good as settled: no training would change it much."
        return [*said, settled if found.wrong < DOUBTFUL else f"No single further training would spare {WORTH:.0%} of them."]
    wanted = found.experiment
    what = "with a further seed" if wanted.times == 1 else f"for {wanted.times:g} times the tokens"
    cost = f"{quantity(wanted.flops)} FLOPs, spares {wanted.settles:.0%} of the wrong decisions"
    return [*said, f"The cheapest next experiment is #{wanted.number} {labels[wanted.number]} trained {what} ({cost})."]
