"""Whether what a front promised held when its shapes were trained longer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.fidelity.forecast import FrontForecast
from analysis.fidelity.rank_validity import LongRun
from analysis.fronts.domination import non_dominated
from analysis.fronts.front import Front
from analysis.objectives.registry import FORECAST
from analysis.text import words


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """One shape before and after."""

    number: int
    shape: str
    known: Mapping[str, float]
    """What the study has of its other objectives, by their names."""
    before: float
    """Bits per byte in the study."""
    after: float | None
    """Bits per byte after the longer training, with another seed; None where it did not finish."""
    reason: str | None
    low: float | None
    """Lower end of the 90 % interval that the study forecast; None where it has no cooldowns to see by."""
    high: float | None
    on_front_before: bool
    """Whether the shape is on the front of the promoted shapes that finished, judged by the short training."""
    on_front_after: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """All shapes that were trained longer."""

    times: float
    """Tokens of the longer trainings over the study's."""
    shapes: tuple[Promoted, ...]
    """Promoted shapes in the order in which the study's front is listed."""
    not_forecast: str | None
    """Why nothing was forecast; None where it was."""


def promotion(
    numbers: Sequence[int], runs: Mapping[int, LongRun], labels: Mapping[int, str], study: Front, times: float, ahead: FrontForecast | str
) -> Promotion:
    """Compare the long trainings of these trials, in the order given, with their places in the study and what it forecast."""
    forecast_place, problem = study.problem.require_forecast_place(), study.problem
    before = {number: study.points[number].values[forecast_place] for number in numbers}
    after = {number: bits for number in numbers if (bits := runs[number].bits_per_byte) is not None}

    def members(losses: Mapping[int, float]) -> set[int]:
        """The front of those that finished, with these losses."""
        done = [*after]
        costs = [[losses[n] if column == forecast_place else study.costs(n)[column] for column in problem.columns] for n in done]
        return {done[place] for place in non_dominated(costs)}

    was, now = members(before), members(after)
    forecasts = {} if isinstance(ahead, str) else {forecast.number: forecast for forecast in ahead.forecasts}
    shapes = tuple(
        Promoted(
            number=number,
            shape=labels[number],
            known={name: value for name, value in zip(problem.names, study.points[number].values, strict=True) if name != FORECAST},
            before=before[number],
            after=runs[number].bits_per_byte,
            reason=runs[number].reason,
            low=forecasts[number].low if number in forecasts else None,
            high=forecasts[number].high if number in forecasts else None,
            on_front_before=number in was,
            on_front_after=number in now,
        )
        for number in numbers
    )
    return Promotion(times=times, shapes=shapes, not_forecast=ahead if isinstance(ahead, str) else None)


def promotion_sentences(found: Promotion) -> list[str]:
    """What held and what did not."""
    after = {shape.number: shape.after for shape in found.shapes if shape.after is not None}
    done = [shape for shape in found.shapes if shape.number in after]
    failed = [f"#{shape.number} did not finish: {shape.reason}." for shape in found.shapes if shape.after is None]
    if not done:
        return failed
    was, now = min(done, key=lambda shape: shape.before), min(done, key=lambda shape: after[shape.number])
    held = [shape for shape in done if shape.on_front_before]
    gone = [f"#{shape.number}" for shape in held if not shape.on_front_after]
    new = [f"#{shape.number}" for shape in done if not shape.on_front_before and shape.on_front_after]
    left, joined = (f"; {words.joined(them)} {verb} it" if them else "" for them, verb in ((gone, "left"), (new, "joined")))
    ahead = after[was.number] - after[now.number]
    still = f"{len(held) - len(gone)} of the {len(held)} members of their front are still on it{left}"
    if len(held) == 1:
        still = f"the one member of their front {'has left' if gone else 'is still on'} it"
    said = [
        f"After {found.times:g} times the tokens, {still}{joined}.",
        f"The most accurate is still #{now.number}."
        if was is now
        else f"The most accurate was #{was.number} and is #{now.number}, {ahead:.3f} bits per byte ahead of it now.",
    ]
    if found.not_forecast is None:
        seen = [shape.low <= after[shape.number] <= shape.high for shape in done if shape.low is not None and shape.high is not None]
        if len(seen) == 1:
            said.append(f"The one loss that was forecast fell {'inside' if seen[0] else 'outside'} its 90 % interval.")
        elif seen:
            said.append(f"{sum(seen)} of {len(seen)} losses fell inside the 90 % intervals that the study forecast.")
    else:
        said.append(f"Nothing was forecast: {found.not_forecast}.")
    return said + failed
