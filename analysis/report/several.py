"""Several studies on one page: their fronts over each other, what each recommends, and in what they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from analysis.fronts.front import Front
from analysis.fronts.membership import Membership
from analysis.objectives.problem import Problem
from analysis.records.record import TrialRecord
from analysis.report import theme
from analysis.report.drawing import shape_code
from analysis.report.figures import blank_figure, picture, plotly_script
from analysis.report.html import Html, element, paragraphs, sections_page, table
from analysis.report.projection import axis_title, is_logarithmic, pairs_of
from analysis.text import words

SEVERAL_SECTIONS = {"fronts": "The fronts", "differences": "What differs"}
COMPARABLE = ("corpus", "proxy", "latency", "device", "text")
"""Beginnings of keys whose difference makes numbers of another kind."""


@dataclass(frozen=True)
class ComparedStudy:
    """One of the studies."""

    name: str
    """What it is called on the page; no two alike."""
    directory: str
    records: Sequence[TrialRecord]
    front: Front
    membership: Membership
    settings: Mapping[str, str]
    """Every key of the study with its value, and what its records say of text and device."""


def several_page(studies: Sequence[ComparedStudy]) -> str:
    """The whole page; all studies are read under the same objectives."""
    names = words.joined([study.name for study in studies])
    differing = differing_settings([study.settings for study in studies])
    figures = overlaid_figures(studies)
    caption = (
        "Each colour is a study; strong points are its front, in a line where they are more than one, and pale points the other shapes "
        "that finished. Hover to see a shape."
    )
    bodies = {
        "fronts": [
            *warnings(differing),
            *(picture(name, figure, caption) for name, figure in figures.items()),
            recommended_table(studies),
        ],
        "differences": [settings_table(studies, differing)] if differing else [paragraphs(["The studies say the same."])],
    }
    return sections_page(names, f"{len(studies)} studies, one over the other", SEVERAL_SECTIONS, bodies, plotly_script())


def differing_settings(settings: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Every key that is not the same everywhere, with its value in each study; a dash where a study has no such key."""
    keys = dict.fromkeys(key for each in settings for key in each)
    values = {key: [each.get(key, words.ABSENT) for each in settings] for key in keys}
    return {key: found for key, found in values.items() if len(set(found)) > 1}


def warnings(differing: Mapping[str, object]) -> list[Html]:
    """A sentence where numbers of the studies are not of one kind."""
    found = [key for key in differing if key.startswith(COMPARABLE)]
    if not found:
        return []
    return [paragraphs([f"Their numbers are not of one kind, for the studies differ in {words.joined(found[:6])}."])]


def overlaid_figures(studies: Sequence[ComparedStudy]) -> dict[str, go.Figure]:
    """A figure for each pair of objectives."""
    problem = studies[0].front.problem
    return {f"{problem.names[y]}-{problem.names[x]}": _overlaid(studies, problem, x, y) for x, y in pairs_of(problem)}


def _overlaid(studies: Sequence[ComparedStudy], problem: Problem, x: int, y: int) -> go.Figure:
    across, upright = problem.objectives[x], problem.objectives[y]
    figure = blank_figure(f"{upright.words.title} against {across.words.label}", "fronts of several studies")
    for study, color in zip(studies, theme.STUDIES, strict=False):
        points = study.front.points
        others = [n for n in points if n not in study.front.members]
        labels = {record.number: escape(record.title) for record in study.records}
        for numbers, look in (
            (others, {"mode": "markers", "marker": {"color": color, "size": 6, "opacity": 0.25}, "showlegend": False}),
            (
                study.front.members,
                {"mode": "lines+markers", "marker": {"color": color, "size": 10}, "line": {"color": color, "width": 2, "shape": "hv"}},
            ),
        ):
            listed = sorted(numbers, key=lambda n, points=points: points[n].values[x])
            said = [f"<b>{escape(study.name)} {labels[n]}</b><br>{_said(problem, points[n].values)}" for n in listed]
            places = {"x": [points[n].values[x] for n in listed], "y": [points[n].values[y] for n in listed]}
            mode = {"mode": "markers"} if len(problem.objectives) > 2 else {}
            hover = {"hovertext": said, "hovertemplate": "%{hovertext}<extra></extra>"}
            figure.add_trace(go.Scatter({**places, **hover, **look, **mode, "name": study.name}))
    seen = [point for study in studies for point in study.front.points.values()]
    for place, update in ((x, figure.update_xaxes), (y, figure.update_yaxes)):
        objective, values = problem.objectives[place], [point.values[place] for point in seen]
        update(title_text=axis_title(objective, seen))
        if values and is_logarithmic(objective, values):
            ticks = theme.log_ticks(values)
            update(type="log", tickvals=ticks, ticktext=[*map(objective.words.tick, ticks)])
    return figure


def _said(problem: Problem, values: Sequence[float]) -> str:
    return ", ".join(objective.said(value) for objective, value in zip(problem.objectives, values, strict=True))


def recommended_table(studies: Sequence[ComparedStudy]) -> Html:
    """What each study recommends, and how large its front is."""
    problem = studies[0].front.problem
    rows = []
    for study in studies:
        number, shapes = study.membership.recommended, {record.number: record for record in study.records}
        if number is None:
            rows.append((study.name, words.ABSENT, words.ABSENT, *(words.ABSENT for _ in problem.objectives), words.ABSENT, "0"))
            continue
        cells = (o.cell(value) for o, value in zip(problem.objectives, study.front.points[number].values, strict=True))
        label = shape_code(shapes[number].architecture.label, shapes[number].architecture)
        sure = words.probability(study.membership.posteriors[number].on_front)
        rows.append((study.name, f"#{number}", label, *cells, sure, f"{len(study.front.members)}"))
    columns = {"Study": False, "Trial": False, "Shape": False} | {o.heading(): True for o in problem.objectives}
    return table({**columns, "on the front": True, "front members": True}, rows, "What each study recommends.")


def settings_table(studies: Sequence[ComparedStudy], differing: Mapping[str, Sequence[str]]) -> Html:
    """A row for each key that differs."""
    columns = {"Key": False} | {study.name: False for study in studies}
    named = {study.name: f"The study in {study.directory}." for study in studies}
    rows = [(element("code", key), *values) for key, values in differing.items()]
    return table(columns, rows, "Keys of the studies that are not the same everywhere.", named=named)
