"""Saved views of MLflow's page of runs (3.15 and later): the front as MLflow draws it, the table, learning curves, failures. Pure data.

A view is a tag of the experiment, `mlflow.sharedViewState.ID`, which holds the state of the page as the page itself keeps it. That form is
MLflow's own and may change: it is known here alone, tried in a browser by a test, and the plain address works without it.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.objectives.problem import Problem
from analysis.records.json_writer import json_of
from trials.study.spec import StudySpec

VIEW_FORM = 2
"""Raised with what a view holds, so that views of earlier versions are written once more."""
FIRST_VERSION = (3, 15)
"""MLflow's version from which its page knows saved views of runs."""
LONGEST_VIEW = 20_000
"""Characters of an experiment's tag in MLflow; a longer view leaves MLflow's own charts to the page."""
VIEW_TAG = "mlflow.sharedViewState."
TABLE_VIEW, FRONT_VIEW, CURVES_VIEW, FAILURES_VIEW, CHECKS_VIEW = "table", "front", "curves", "failures", "checks"
CHART_VIEWS = (FRONT_VIEW, CURVES_VIEW)
"""Views of charts in place of rows."""
SHAPE_COLUMNS = ("num_hidden_layers", "hidden_size", "num_attention_heads", "sharing_strategy")
MOST_COMPARED = 1000
"""Runs in one chart; the page loads a hundred, and more when asked."""
LETTER_PIXELS, MARGIN_PIXELS, LEAST_PIXELS = 6.4, 20, 76
"""Width of a letter of a column's heading, of what stands around it, and of a number."""
WIDE_COLUMNS = {"tags.`archfront.picks`": 190, "attributes.`Description`": 320}
"""Pixels of columns whose texts are longer than their headings."""
BY_SIZE = {"orderByKey": "metrics.`parameters`", "orderByAsc": True}
"""Sorted by the time of their start, the page would fold trials under their study."""
CHECK_METRICS = ("finished_shapes", "front_members_before", "front_members_held", "kendall_tau", "kendall_tau_low")
"""What is shown of runs beside a study's, by `trials.reporting.beside_run`."""
CURVE_METRICS = ("training_loss", "validation_loss")


def view_id(study_id: str, kind: str) -> str:
    """Id of a study's view of that kind; its last part is the kind."""
    return f"archfront-{study_id[:8]}-{kind}"


def view_path(experiment_id: object, study_id: str, kind: str | None) -> str:
    """The end of the address of a view on a server; of the plain page of runs where `kind` is None."""
    # else the page stands among MLflow's tools for prompts and agents, with no way from there to the registered models
    page = f"/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
    if kind is None:
        return page
    mode = "&compareRunsMode=CHART" if kind in CHART_VIEWS else ""
    return f"{page}&viewStateShareKey={view_id(study_id, kind)}{mode}"


def saved_views(
    study: StudySpec, study_id: str, parent_id: str, created_ms: int, metrics: Sequence[str], has_checks: bool = False
) -> dict[str, str]:
    """The experiment's tags, by name, that hold a study's views; `has_checks` adds one of the runs beside it.

    `parent_id` is the study's run; `metrics` are the names of all that its runs have, whose charts the page would else put below ours.
    """
    states = _search_states(study, parent_id) if study.scaling is None else _scaling_states(parent_id)
    if has_checks:
        states[CHECKS_VIEW] = ("longer trainings and checks", _checks_state(study_id))
    found = {}
    for kind, (name, state) in states.items():
        key = f"{VIEW_TAG}{view_id(study_id, kind)}"
        found[key] = _envelope(f"{study.name}: {name}", created_ms, _without_charts_of(state, metrics))
        if len(found[key]) > LONGEST_VIEW:
            found[key] = _envelope(f"{study.name}: {name}", created_ms, state)
    return found


def _search_states(study: StudySpec, parent_id: str) -> dict[str, tuple[str, dict[str, Any]]]:
    problem, ours = study.problem, f"tags.`mlflow.parentRunId` = '{parent_id}'"
    sure = {"orderByKey": "metrics.`front_probability`", "orderByAsc": False, "searchFilter": ours}
    names = [problem.names[place] for place in problem.columns]
    columns = [f"metrics.`{name}`" for name in (*names, "front_probability", "parameters")]
    columns += [*(f"params.`{name}`" for name in SHAPE_COLUMNS), "tags.`archfront.interval`", "tags.`archfront.picks`"]
    failed = {
        "searchFilter": f"{ours} AND tags.`archfront.outcome` != 'finished'",
        **_table(["tags.`archfront.outcome`", "attributes.`Description`", *(f"params.`{name}`" for name in SHAPE_COLUMNS)]),
        **BY_SIZE,
    }
    parallel = {"selectedParams": list(SHAPE_COLUMNS[:3]), "selectedMetrics": names}
    front: list[dict[str, Any]] = [
        *({"type": "SCATTER", "xaxis": _axis(x), "yaxis": _axis(y)} for x, y in _pairs(problem)),
        {"type": "PARALLEL", **parallel},
    ]
    return {
        FRONT_VIEW: ("front", {**sure, **_table(columns), **_charts({"Front": front, "Learning curves": _curves()})}),
        TABLE_VIEW: ("trials", {**sure, **_table(columns)}),
        CURVES_VIEW: ("learning curves", {**sure, **_table(columns), **_charts({"Learning curves": _curves()}, "FIRST_20_RUNS")}),
        FAILURES_VIEW: ("failures", failed),
    }


def _scaling_states(parent_id: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """A scaling study has no front: its losses by size instead."""
    ours = f"tags.`mlflow.parentRunId` = '{parent_id}'"
    sized = {**BY_SIZE, "searchFilter": ours}
    columns = [
        "metrics.`parameters`",
        "params.`trained_tokens`",
        "metrics.`bits_per_byte`",
        *(f"params.`{name}`" for name in SHAPE_COLUMNS),
    ]
    losses = {"type": "SCATTER", "xaxis": _axis("parameters"), "yaxis": _axis("bits_per_byte")}
    return {
        FRONT_VIEW: ("losses", {**sized, **_table(columns), **_charts({"Losses": [losses], "Learning curves": _curves()})}),
        TABLE_VIEW: ("trials", {**sized, **_table(columns)}),
        CURVES_VIEW: ("learning curves", {**sized, **_table(columns), **_charts({"Learning curves": _curves()}, "FIRST_20_RUNS")}),
        FAILURES_VIEW: (
            "failures",
            {
                "searchFilter": f"{ours} AND tags.`archfront.outcome` != 'finished'",
                **_table(["tags.`archfront.outcome`", "attributes.`Description`", *columns[:2]]),
                **BY_SIZE,
            },
        ),
    }


def _checks_state(study_id: str) -> dict[str, Any]:
    """What was trained beside a study: each run's description is its verdict, and its figures are metrics of its own."""
    columns = [
        "tags.`archfront.kind`",
        "attributes.`Description`",
        "params.`times`",
        "metrics.`kendall_tau`",
        "metrics.`front_members_held`",
    ]
    return {"searchFilter": f"tags.`archfront.beside` = '{study_id}'", **_table(columns), "orderByKey": "tags.`archfront.kind`"}


def _table(columns: Sequence[str]) -> dict[str, Any]:
    """State of a table with these columns in this order, each as wide as its heading, so that many stand side by side."""
    return {"selectedColumns": list(columns), "columnOrder": list(columns), "columnWidths": {name: _pixels(name) for name in columns}}


def _pixels(column: str) -> int:
    """What a column's heading, its name without what kind it is of, takes of the page."""
    heading = column.partition("`")[2].rstrip("`")
    return WIDE_COLUMNS.get(column, max(LEAST_PIXELS, round(LETTER_PIXELS * len(heading)) + MARGIN_PIXELS))


def _pairs(problem: Problem) -> list[tuple[str, str]]:
    """Axes of the drawings of a front: what it is listed by, and each other objective."""
    first, *others = (problem.names[place] for place in problem.columns)
    return [(first, other) for other in others]


def _axis(name: str) -> dict[str, str]:
    return {"key": name, "type": "METRIC"}


def _curves() -> list[dict[str, Any]]:
    labels = {"training_loss": "training loss by tokens", "validation_loss": "validation loss by tokens"}
    return [
        {"type": "LINE", "metricKey": name, "selectedMetricKeys": [name], "displayName": labels[name], "xAxisKey": "step"} | _LINE
        for name in reversed(CURVE_METRICS)
    ]


_LINE = {
    "lineSmoothness": 0,
    "scaleType": "linear",
    "xAxisScaleType": "linear",
    "useGlobalXaxisKey": False,
    "useGlobalLineSmoothing": False,
    "range": {},
    "yAxisKey": "metric",
    "yAxisExpressions": [],
    "ignoreOutliers": False,
    "selectedXAxisMetricKey": "",
}


def _charts(sections: Mapping[str, Sequence[Mapping[str, Any]]], hidden: str = "SHOW_ALL") -> dict[str, Any]:
    """The page's state with these cards in sections of their names, one or two in a row."""
    found: dict[str, list[dict[str, Any]]] = {"compareRunSections": [], "compareRunCharts": []}
    for at, (name, cards) in enumerate(sections.items()):
        section = {"uuid": f"section-{at}", "name": name, "display": True, "isReordered": True, "deleted": False, "isGenerated": False}
        found["compareRunSections"].append({**section, "columns": min(2, len(cards)), "cardHeight": 420})
        found["compareRunCharts"] += [
            {
                "uuid": f"chart-{at}-{place}",
                "metricSectionId": section["uuid"],
                "runsCountToCompare": MOST_COMPARED,
                "deleted": False,
                "isGenerated": False,
                **card,
            }
            for place, card in enumerate(cards)
        ]
    return {**found, "isAccordionReordered": True, "runsHiddenMode": hidden, "autoRefreshEnabled": True, "hideEmptyCharts": True}


def _without_charts_of(state: dict[str, Any], metrics: Sequence[str]) -> dict[str, Any]:
    """A page without the chart that it makes of each of these metrics by itself."""
    if "compareRunCharts" not in state:
        return state
    ours, section = {chart.get("metricKey") for chart in state["compareRunCharts"]}, state["compareRunSections"][-1]["uuid"]
    gone = [
        {"type": "BAR", "uuid": f"gone-{at}", "metricKey": name, "metricSectionId": section, "deleted": True, "isGenerated": True}
        for at, name in enumerate(metrics)
        if name not in ours
    ]
    return {**state, "compareRunCharts": [*state["compareRunCharts"], *gone]}


def _envelope(name: str, created_ms: int, state: Mapping[str, Any]) -> str:
    packed = base64.b64encode(zlib.compress(json_of(state).encode(), 9)).decode()
    return json_of({"name": name, "createdAt": created_ms, "state": f"deflate;{packed}"})
