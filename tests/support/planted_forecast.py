"""Studies whose losses follow a law, so that what is forecast of longer trainings can be held against the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analysis.fidelity.forecast import LOSS_DRIFT, FrontForecast, forecast_front
from analysis.fidelity.rank_validity import LongRun
from analysis.fronts.domination import non_dominated
from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership
from analysis.records.latency import Spread
from analysis.records.record import Kind, TrialRecord
from analysis.records.training import Cooldown, Quality
from analysis.statistics.arrays import Array
from tests.support.fakes import answer
from tests.support.sample_study import sample_records
from trials.trial.task import TrialTask

SHAPES = [record.architecture for record in sample_records(24) if record.replicates is None]
WHOLE, NOISE, SCATTER = 1_000_000, 0.008, 0.002


def planted(seed: int, cooldowns: Sequence[float] = (0.25, 0.5), noise: float = NOISE) -> tuple[list[TrialRecord], Array]:
    """A study whose losses follow a law for each shape, and what each shape truly loses at 1, 2 and 4 times its tokens."""
    random = np.random.default_rng(seed)
    exponent, drift = random.normal(0.35, 0.08), random.normal(0, LOSS_DRIFT)
    records, true_qualities = [], []
    for number, shape in enumerate(SHAPES):
        latency_ms = float(np.exp(random.normal(3.0, 0.6)))
        level = 2.3 - 0.08 * np.log(latency_ms / 20) + random.normal(0, 0.02)
        steep = random.normal(0.25, 0.03)

        def loss(times: float, level: float = level, steep: float = steep) -> float:
            return float(level - steep * (1 - times**-exponent) * (1 + drift * (times > 1)))

        luck = random.normal(0, noise)
        seen = [loss(times) + luck + random.normal(0, SCATTER) for times in (*cooldowns, 1.0)]
        record = answer(TrialTask(number=number, kind=Kind.SAMPLED, architecture=shape, seed=0))
        assert record.training is not None
        assert record.latency is not None
        quality = Quality(loss=1.5 * seen[-1], bits_per_byte=seen[-1], next_token_accuracy=0.3, tokens=2_048)
        before = tuple(
            Cooldown(tokens=round(times * WHOLE), loss=1.5 * bits, bits_per_byte=bits)
            for times, bits in zip(cooldowns, seen[:-1], strict=True)
        )
        training = replace(record.training, tokens=WHOLE, planned_tokens=WHOLE, validation=quality, cooldowns=before)
        ms = Spread(median=latency_ms, p10=latency_ms * 0.99, p90=latency_ms * 1.01)
        records.append(replace(record, training=training, latency=replace(record.latency, total_ms=ms)))
        true_qualities.append([loss(times) for times in (1.0, 2.0, 4.0)])
    return records, np.array(true_qualities)


def looked(records: Sequence[TrialRecord], times: float = 4.0, longer: Sequence[LongRun] = ()) -> FrontForecast:
    here = front_of(records)
    return forecast_front(records, here, estimate_membership(here), times, longer)


@dataclass(frozen=True)
class Followed:
    """What became of every prospect of some studies at 4 times their tokens; each has shape [prospects]."""

    inside: npt.NDArray[np.bool_]
    """Whether a new training's loss fell inside the 90 % interval."""
    widths: Array
    """Of the intervals, over the expected loss."""
    stated: Array
    """Chance of being on the front."""
    held: npt.NDArray[np.bool_]
    """Whether it truly was."""


def followed(seeds: Iterable[int], noise: float = NOISE, longer: Callable[[int], Sequence[LongRun]] = lambda _: ()) -> Followed:
    """Plant these studies, look ahead in sight of the longer trainings of each, and train on."""
    rows = []
    for seed in seeds:
        records, true_qualities = planted(seed, noise=noise)
        random = np.random.default_rng(1_000 + seed)
        forecasts = looked(records, longer=longer(seed)).forecasts
        numbers = [forecast.number for forecast in forecasts]
        ms = {record.number: record.latency.total_ms.median for record in records if record.latency}
        members = {numbers[place] for place in non_dominated([(ms[number], true_qualities[number, 2]) for number in numbers])}
        for forecast in forecasts:
            measured = true_qualities[forecast.number, 2] + random.normal(0, noise)
            width = (forecast.high - forecast.low) / forecast.expected
            rows.append((forecast.low <= measured <= forecast.high, width, forecast.on_front, forecast.number in members))
    inside, widths, stated, held = (np.array(column) for column in zip(*rows, strict=True))
    return Followed(inside, widths, stated, held)
