"""A front seen along two of its objectives: which stands on which axis, where its shapes lie, and what their axes look like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

from analysis.fronts.domination import non_dominated
from analysis.fronts.front import Front, ObjectivePoint, ObjectiveReading
from analysis.fronts.membership import Membership
from analysis.objectives.objective import Objective
from analysis.objectives.problem import Problem
from analysis.report import theme


@dataclass(frozen=True)
class Projection:
    """A front, and the places of two of its objectives in the study's order."""

    front: Front
    membership: Membership
    x: int
    y: int
    device: str | None = None
    """Device whose latencies are predicted; None where they are measured."""

    @property
    def across(self) -> Objective:
        """Along the level axis."""
        return self.front.objectives[self.x]

    @property
    def upright(self) -> Objective:
        """Along the other one."""
        return self.front.objectives[self.y]

    @property
    def third(self) -> int | None:
        """Place of the objective that has no axis; None where there are two."""
        return next((place for place in self.front.problem.columns if place not in (self.x, self.y)), None)

    @property
    def title(self) -> str:
        """`Bits per byte against latency`."""
        upright, across = self._said(self.upright, self.upright.words.label), self._said(self.across, self.across.words.label)
        return f"{upright[0].upper()}{upright[1:]} against {across}" + (f" on {self.device}" if self.device else "")

    def _said(self, objective: Objective, text: str) -> str:
        """The text with a word before it where the objective is predicted."""
        return f"predicted {text[0].lower()}{text[1:]}" if self.device is not None and objective.phase is not None else text

    def readings(self, number: int) -> tuple[ObjectiveReading, ObjectiveReading]:
        """What a trial shows, level and upright."""
        readings = self.front.points[number].readings
        return readings[self.x], readings[self.y]

    def at(self, number: int) -> tuple[float, float]:
        """Where a trial lies."""
        x, y = self.readings(number)
        return x.value, y.value

    @cached_property
    def border(self) -> list[int]:
        """The trials that no other feasible one beats in these two objectives, from left to right: with two, the front itself."""
        if self.third is None and self.x == self.front.problem.ordering:
            return [*self.front.members]
        numbers = [number for number, point in self.front.points.items() if point.infeasible is None]
        return [numbers[index] for index in non_dominated([[self.front.costs(n)[self.x], self.front.costs(n)[self.y]] for n in numbers])]

    @property
    def better(self) -> str:
        """Where better shapes lie: `down and left`."""
        return f"{'down' if self.upright.better == 'lower' else 'up'} and {'left' if self.across.better == 'lower' else 'right'}"

    @property
    def free_side(self) -> str:
        """Where nothing can lie beside a member of the front, in Plotly's words."""
        return self.better.replace("down", "bottom").replace("up", "top").replace(" and", "")

    def inward(self, number: int) -> str:
        """Above a point, away from the nearer end of the level axis, in Plotly's words."""
        across = [point.values[self.x] for point in self.front.points.values()]
        return "top left" if self.at(number)[0] ** 2 > min(across) * max(across) else "top right"

    def axis(self, place: int) -> dict[str, Any]:
        """Plotly's layout of the axis of the objective at this place of the study's order."""
        objective, points = self.front.objectives[place], [*self.front.points.values()]
        values = [point.values[place] for point in points]
        title = self._said(objective, axis_title(objective, points))
        found: dict[str, Any] = {"title_text": f"{title[0].upper()}{title[1:]}"}
        if is_logarithmic(objective, values):
            ticks = theme.log_ticks(values)
            return found | {"type": "log", "tickvals": ticks, "ticktext": [*map(objective.words.tick, ticks)]}
        return found | ({"tickformat": objective.words.tick_format} if objective.words.tick_format else {})

    def color(self, number: int) -> float:
        """Colour of a trial on the colour axis: its third objective, by the exponent on a logarithmic one."""
        assert self.third is not None
        value = self.front.points[number].values[self.third]
        return math.log10(value) if self.front.objectives[self.third].scale == "log" else value

    @property
    def color_axis(self) -> dict[str, Any]:
        """Plotly's layout of the colour axis."""
        assert self.third is not None
        objective = self.front.objectives[self.third]
        values = [point.values[self.third] for point in self.front.points.values()]
        title = f"{objective.words.title}, {objective.words.unit}" if objective.words.unit else objective.words.title
        bar: dict[str, Any] = {"title": {"text": title, "side": "top"}, "thickness": 14, "outlinewidth": 0, "len": 0.9}
        if objective.scale == "log":
            inside = [tick for tick in theme.log_ticks(values) if min(values) <= tick <= max(values)]
            ticks = inside if len(inside) > 1 else sorted({min(values), max(values)})
            bar |= {"tickvals": [math.log10(tick) for tick in ticks], "ticktext": [*map(objective.words.tick, ticks)]}
        else:
            bar |= {"tickformat": objective.words.tick_format}
        return {"colorscale": theme.COLOR_SCALE, "colorbar": bar, "reversescale": objective.better == "lower"}

    def annotated_at(self, number: int) -> tuple[float, float]:
        """Where Plotly puts an annotation: by the exponent on a logarithmic axis."""
        x, y = (
            math.log10(value)
            if is_logarithmic(self.front.objectives[place], [p.values[place] for p in self.front.points.values()])
            else value
            for place, value in zip((self.x, self.y), self.at(number), strict=True)
        )
        return x, y


def pairs_of(problem: Problem) -> list[tuple[int, int]]:
    """Places of level and upright objective for each pair: what is known before a training lies level, where one of two is."""
    objectives = problem.objectives
    pairs = combinations(problem.columns, 2)
    return [(y, x) if objectives[x].known == "training" and objectives[y].known != "training" else (x, y) for x, y in pairs]


def is_logarithmic(objective: Objective, values: Sequence[float]) -> bool:
    """Whether an axis is better read so."""
    return objective.scale == "log" and theme.wants_log(values)


def axis_title(objective: Objective, points: Sequence[ObjectivePoint]) -> str:
    """Title of an objective's axis, with the workload where it is part of the objective."""
    latency = next((point.latency for point in points if point.latency is not None), None)
    tokens = (0, 0) if latency is None else (latency.prompt_tokens, latency.new_tokens)
    return objective.words.axis.format(prompt_tokens=tokens[0], new_tokens=tokens[1])
