"""What the shapes of a front would reach after a longer training, how sure that is, and which experiment would settle it cheapest.

Where nothing was trained longer, a shape's loss is its level at the study's own length (`analysis.statistics.seed_noise`) less what longer
training takes from it (`analysis.fidelity.token_exponent`); else trainings of all lengths say it together
(`analysis.fidelity.mixed_lengths`).
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.fidelity.experiments import WORTH, Experiment, FrontDecisions, by_worth
from analysis.fidelity.mixed_lengths import LossesAhead, MixedLengths
from analysis.fidelity.rank_validity import LongRun
from analysis.fidelity.token_exponent import EXPONENTS, draw_token_exponents, loss_drops
from analysis.fronts.cost_posteriors import CostDraws, CostPosteriors
from analysis.fronts.domination import non_dominated_draws
from analysis.fronts.front import Front
from analysis.fronts.membership import Membership
from analysis.records.record import TrialRecord
from analysis.records.training import FARTHEST
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
DOUBTFUL = 0.05
"""Expected wrong decisions below which an order counts as settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeForecast:
    """One shape after the target's tokens."""

    number: int
    now: float
    """Bits per byte at the study's own length, the mean of its seeds."""
    measured: float | None
    """Bits per byte after the target's tokens, the mean of its seeds; None where it was not trained so far."""
    low: float
    """Lower end of the 90 % interval of what one training would measure."""
    expected: float
    high: float
    on_front: float
    """Probability that nothing as fast is truly better then, among the shapes that have a prospect."""
    most_accurate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontForecast:
    """A front at a longer training."""

    times: float
    """The target's tokens over the study's own."""
    forecasts: tuple[ShapeForecast, ...]
    """Members of the front and near-ties, and with longer trainings those of the target's front too, in the order in which a front is
    listed."""
    exponent: tuple[float, float] | None
    """90 % interval of the tokens' exponent; None where losses were learnt from trainings of mixed lengths."""
    longer: int
    """Trainings longer than the study's that it was learnt from."""
    wrong: float
    """Expected number of shapes that are taken for members of that front, or not, wrongly."""
    experiments: tuple[Experiment, ...]
    """What each training would spare of that, but for those that were made."""

    @property
    def experiment(self) -> Experiment | None:
        """The cheapest that spares much; None where the order is as good as settled, or none spares enough."""
        return next(iter(by_worth(self.experiments)), None) if self.wrong >= DOUBTFUL else None

    def next_of_target_length(self, among: Container[int]) -> list[int]:
        """Shapes `among` some whose training to the target's length spares much, by what it spares for its FLOPs; empty where the order is
        as good as settled.
        """
        possible = [found for found in self.experiments if found.times == self.times and found.number in among]
        return [found.number for found in by_worth(possible)] if self.wrong >= DOUBTFUL else []


def forecast_front(
    records: Sequence[TrialRecord], front: Front, membership: Membership, times: float, longer: Sequence[LongRun] = ()
) -> FrontForecast:
    """The front at so many times the study's tokens; raises SpecError where the records cannot say.

    `longer` are trainings of the study's shapes at other lengths, in the quality that the records have: with any that finished, lengths
    are learnt from all trainings together (`analysis.fidelity.length_model`), else from what each training showed on its way.
    """
    if not 1 < times <= FARTHEST:
        raise SpecError(
            f"a target must be longer than the study's trainings and at most {FARTHEST:g} times as long, found "
            f"{times:.3g} times; choose another"
        )
    place = front.problem.require_forecast_place()
    if not front.points:
        raise SpecError("a prediction needs two finished trainings with losses at several token counts, found none; let the study go on")
    random, numbers = np.random.default_rng(0), sorted(front.points)
    drawn = CostPosteriors([front.points[number] for number in numbers], front.problem).draw(random)
    prospects = members_and_near_ties(front, membership)
    lengths = sorted({length for length in FACTORS if length < times} | {times})
    mixed = MixedLengths.of(records, longer, times, front, prospects)
    if mixed is None:
        weighed, ahead = _by_power(records, front, drawn, prospects, lengths, random)
    else:
        weighed, ahead = mixed.numbers, mixed.ahead(lengths, len(drawn.costs[place]), random)
    measured = {} if mixed is None else mixed.measured
    there, columns = ahead.losses[times], [numbers.index(number) for number in weighed]
    member = non_dominated_draws([there if which == place else drawn.costs[which][:, columns] for which in front.problem.columns])
    on_front = member.mean(axis=0)
    listed = [i for i, number in enumerate(weighed) if on_front[i] >= NEAR_TIE or number in prospects or number in measured]
    listed.sort(key=lambda i: front.costs(weighed[i])[front.problem.ordering])
    seen = there + ahead.noises[:, None] * random.standard_normal(there.shape)
    ends = np.quantile(seen, ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2), axis=0)
    best = np.bincount(there.argmin(axis=1), minlength=len(weighed)) / len(there)
    forecasts = tuple(
        ShapeForecast(
            number=weighed[i],
            now=front.points[weighed[i]].values[place],
            measured=measured.get(weighed[i]),
            low=float(ends[0, i]),
            expected=float(ends[1, i]),
            high=float(ends[2, i]),
            on_front=float(on_front[i]),
            most_accurate=float(best[i]),
        )
        for i in listed
    )
    flops = {record.number: _flops(record) for record in records}
    decisions = FrontDecisions(member, ahead.losses, float(ahead.noises.mean()))
    made = set() if mixed is None else mixed.made
    experiments = decisions.experiments([(weighed[i], i, flops[weighed[i]]) for i in listed])
    return FrontForecast(
        times=times,
        forecasts=forecasts,
        exponent=ahead.exponent,
        longer=0 if mixed is None else mixed.longer,
        wrong=decisions.wrong,
        experiments=tuple(found for found in experiments if (found.number, found.times) not in made),
    )


def members_and_near_ties(front: Front, membership: Membership) -> list[int]:
    """Members of a front and near-ties, in the order in which a front is listed."""
    found = [number for number, posterior in membership.posteriors.items() if number in front.members or posterior.on_front >= NEAR_TIE]
    return sorted(found, key=lambda number: front.costs(number)[front.problem.ordering])


def _by_power(
    records: Sequence[TrialRecord],
    front: Front,
    drawn: CostDraws,
    prospects: Sequence[int],
    lengths: Sequence[float],
    random: np.random.Generator,
) -> tuple[list[int], LossesAhead]:
    """Prospects with losses on the way of their trainings, and what they lose by one exponent for all shapes."""
    rows, place = loss_drops(records), front.problem.require_forecast_place()
    chosen = [number for number in prospects if number in rows]
    if len(rows) < 2 or not chosen:
        found = f"{len(rows)}" if len(rows) < 2 else f"{len(rows)}, none of them near the front"
        raise SpecError(
            "a prediction needs two finished trainings with losses at several token counts, one of them of a shape near the front, found "
            f"{found}; state proxy.cooldowns, such as [0.25, 0.5], in a new study"
        )
    levels, noises, numbers = drawn.costs[place], drawn.noises[place], sorted(front.points)
    assert noises is not None  # a seed moves it
    coefficients, exponents = draw_token_exponents(rows, numbers, levels.mean(), len(levels), random)
    keep = [numbers.index(number) for number in chosen]
    drift = LOSS_DRIFT * random.standard_normal((len(levels), 1))
    losses = {
        length: (levels - coefficients * (1 - length ** -exponents[:, None]) * (1 + drift * (length > 1)))[:, keep] for length in lengths
    }
    return chosen, LossesAhead(losses, noises, percentile_interval(exponents))


def _flops(record: TrialRecord) -> float:
    return 0.0 if record.training is None else record.costs.training_flops_per_token * record.training.tokens


def forecast_sentences(found: FrontForecast, labels: Mapping[int, str]) -> list[str]:
    """The forecast in words, the experiment last."""
    tops = [forecast for forecast in found.forecasts if forecast.on_front >= 0.5]
    said = [
        f"After {found.times:.3g} times the tokens {len(tops)} of these {plural(len(found.forecasts), 'shape')} are likely to be on the "
        f"front; {found.wrong:.1f} such decisions{' of all shapes' if found.longer else ''} are expected to be wrong. {_basis(found)}"
    ]
    if found.exponent is not None and found.exponent[0] <= EXPONENTS[0]:
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


def _basis(found: FrontForecast) -> str:
    """What the losses are foreseen from."""
    if found.exponent is not None:
        low, high = found.exponent
        return f"Loss falls by a power of the tokens of {low:.2f} to {high:.2f}."
    there = sum(forecast.measured is not None for forecast in found.forecasts)
    return (
        f"How loss falls was learnt from all trainings together, {plural(found.longer, 'longer one')} among them; {there} of these shapes "
        f"{'was' if there == 1 else 'were'} measured there. All losses are float32's."
    )
