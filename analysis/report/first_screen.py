"""What a study's page says before anything is unfolded: the recommendation with its doubt, its command, the front, and limits to try.

The script of the page (`page.js`) answers limits by the rule of `analysis.fronts.decision`, from the draws that stand here.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.fronts.decision import Decision, FrontDraws, decide, draw_fronts
from analysis.fronts.device_front import DeviceTransfer, caveats
from analysis.fronts.findings import outcome_sentence
from analysis.fronts.front import Front
from analysis.fronts.membership import Membership, picks
from analysis.fronts.recommendation import second_place
from analysis.fronts.rounding import rounding_interval
from analysis.latency.latency_model import Prediction
from analysis.objectives.objective import Objective
from analysis.objectives.quality import ROUNDING_LOSS
from analysis.objectives.registry import find_objective
from analysis.records.choice import Choice
from analysis.records.record import TrialRecord
from analysis.records.replicates import averaged
from analysis.records.summary import StudySummary
from analysis.report.drawing import shape_drawing
from analysis.report.figures import figure_place, front_figures
from analysis.report.html import Html, element, folded, html, json_text
from analysis.report.projection import pairs_of
from analysis.report.terms import hover
from analysis.statistics.arrays import Array, Indices
from analysis.text import words
from analysis.text.typed import typed

BEST_MEANING = "The chance that no other shape within the limits is truly better in the study's first objective."
TIES_SAID = 6
"""Shapes that are named as ties; the script of the page names as many."""
STEPS = 65_535
"""Steps in which a page holds the range of an objective's draws."""


def first_screen(
    summary: StudySummary,
    records: Sequence[TrialRecord],
    front: Front,
    membership: Membership,
    caption: str,
    left_out: int = 0,
    devices: Sequence[DeviceTransfer] = (),
) -> Html:
    """The head of the page; without a front it says how far the study is.

    `left_out` counts lines that are no records; `devices` are what tables of other devices say of the study, which a reader may choose.
    """
    heading = element("h1", summary.name)
    if not front.members:
        return element("header", heading, element("p", f"{summary.budget}. {outcome_sentence(records)}", class_="lead"))
    unread = f"; {words.plural(left_out, 'unreadable line')} left out" if left_out else ""
    finished = sum(record.finished for record in records)
    lead = element("p", f"{summary.budget}; {finished} of {words.plural(len(records), 'trial')} finished{unread}", class_="lead")
    figures = front_figures(records, front, membership)
    name, figure = next(iter(figures.items()))
    figure.update_layout(meta="first")  # by which the script knows which one goes without a legend where there is no room
    draws = draw_fronts(front)
    shapes = {record.number: record for record in averaged(records)}
    answer = decide(front, membership, draws)
    members = [_member(number, summary, shapes[number], front, membership) for number in front.members]
    data = decision_data(front, draws, members, f"plot-{name.replace('_', '-')}")
    others = [(f"device-{place}", device) for place, device in enumerate(devices, start=1)]
    taken = next(member for member in members if member["trial"] == answer.pick)
    return element(
        "header",
        element("div", heading, lead, class_="name"),
        _pick(taken, answer, front, summary.choice),
        element(
            "figure",
            element("div", figure_place(name, figure), data_device=""),
            *(_device(key, device, summary) for key, device in others if device.front.members),
            folded("How to read it", element("p", caption)),
            class_="front",
        ),
        _limits(front, others),
        Html(f'<script type="application/json" id="decision">{json_text(data)}</script>'),
        class_="first",
    )


def _pick(member: Mapping[str, Any], answer: Decision, front: Front, choice: Choice | None) -> Html:
    """What the script says anew for each limit, as it is without any, and below it what was decided."""
    more = ", …" if len(answer.ties) > TIES_SAID else "."
    ties = f"Ties: {', '.join(f'#{number}' for number in answer.ties[:TIES_SAID])}{more}" if answer.ties else ""
    on_front, best = (words.probability(share) for share in (answer.on_front, answer.best))

    def said(name: str, text: object, tag: str = "span") -> Html:
        return element(tag, text, data_say=name)

    card = (
        element("div", member["what"], class_="what", data_say="what", **hover("recommended")),
        element("div", Html(member["written"]), class_="figure", data_say="values"),
        element("p", element("code", member["title"], data_say="title", title=member["shape"])),
        said("drawing", Html(member["drawing"]), "div"),
        element("p", "Right with ", said("on_front", on_front, "b"), ": none within the limits beats it.", **hover("on the front")),
        element(
            "p",
            element("span", f"The {front.objectives[0].words.best} with ", said("best", best, "b"), ". ", title=BEST_MEANING),
            element("span", ties, data_say="ties", **hover("ties")),
        ),
        element("p", said("interval", member["interval"]), class_="quiet", **hover("credible interval")),
    )
    decided = [] if choice is None else [element("p", element("b", "Chosen"), f": {choice}", class_="chosen", **hover("chosen"))]
    return element("div", element("div", *card, class_="card"), said("command", Html(member["command"]), "pre"), *decided, class_="pick")


def _device(key: str, device: DeviceTransfer, summary: StudySummary) -> Html:
    """What stands in the place of the measured front where this device is chosen: its figure, and what the script decides by."""
    shapes = {record.number: record for record in device.records}
    members = [
        _member(number, summary, shapes[number], device.front, device.membership, device.predictions[number])
        for number in device.front.members
    ]
    name, figure = next(iter(front_figures(device.records, device.front, device.membership, device.header.device).items()))
    figure.update_layout(meta="first")
    draws = draw_fronts(device.front, device.deviations)
    data = decision_data(device.front, draws, members, f"plot-{name}-{key}".replace("_", "-"))
    script = Html(f'<script type="application/json" class="decision" data-device="{key}">{json_text(data)}</script>')
    said = [element("p", " ".join(found), class_="quiet")] if (found := caveats(device)) else []
    return element("div", figure_place(f"{name}-{key}", figure), *said, script, data_device=key, hidden="hidden")


def _limits(front: Front, devices: Sequence[tuple[str, DeviceTransfer]]) -> Html:
    chosen = [element("option", "as measured", value="")]
    chosen += [_choice(key, device) for key, device in devices]
    fields = [element("label", element("span", "Device"), element("select", *chosen, name="device"), element("span"), **hover("device"))]
    fields = [] if not devices else fields
    fields += [
        element(
            "label",
            element("span", f"{objective.words.title} {'at most' if objective.better == 'lower' else 'at least'}"),
            Html(
                str(element("input", name=objective.name, inputmode="decimal", autocomplete="off", data_unit=objective.words.unit,
                            placeholder=_worst(objective, front))).removesuffix("</input>")
            ),
            element("span", objective.words.unit),
            title=objective.words.meaning,
        )
        for objective in front.objectives
    ]  # fmt: skip
    return element("form", element("b", "Limits"), *fields, element("button", "Clear", type="reset"), class_="limits")


def _choice(key: str, device: DeviceTransfer) -> Html:
    if device.front.members:
        return element("option", f"{device.name}, predicted", value=key, title=str(device.header))
    return element("option", f"{device.name}: no shape keeps to the limits", value=key, title=str(device.header), disabled="disabled")


def _worst(objective: Objective, front: Front) -> str:
    """The value of the member that is worst in it, as a hint of what may be typed."""
    place = front.objectives.index(objective)
    value = max((front.points[number].values[place] for number in front.members), key=objective.cost)
    return objective.cell(value)


def _member(
    number: int, summary: StudySummary, record: TrialRecord, front: Front, membership: Membership, prediction: Prediction | None = None
) -> dict[str, Any]:
    """What the page says of a member of the front where it is taken; `prediction` where its latency was not measured."""
    point, titles = front.points[number], picks(front, membership).get(number, [])
    pairs = list(zip(front.objectives, point.values, membership.posteriors[number].intervals, strict=True))
    written = [
        element("span", o.words.write(value), " ", element("small", o.words.short or o.words.label), class_="nowrap", title=o.words.meaning)
        for o, value, _ in pairs
    ]
    intervals = [f"{o.between_text(i.low, i.high)} {o.words.label}" for o, _, i in pairs if i is not None]
    lost = rounding_interval(record.training.validation) if record.training is not None and prediction is None else None
    if lost is not None and record.rounded_quality is not None:
        intervals.append(f"{find_objective(ROUNDING_LOSS).between_text(*lost)} lost by rounding to {record.rounded_quality.precision}")
    if prediction is not None:
        phases = [(o, getattr(prediction, o.phase).between()) for o in front.objectives if o.phase is not None]
        intervals += [f"{o.between_text(low, high)} predicted {o.words.label}" for o, (low, high) in phases]
    return {
        "trial": number,
        "values": list(point.values),
        "ties": [other for other in membership.posteriors[number].ties or () if other in front.members],
        "what": words.capitalised(words.joined(titles or ["recommended"])),
        "written": " ".join(written),
        "title": record.title,
        "shape": "; ".join(words.shape(record.architecture)),
        "drawing": shape_drawing(record.architecture),
        "interval": f"90 %: {'; '.join(intervals)}" if intervals else "",
        "command": " ".join(f'<span class="nowrap">{html(word)}</span>' for word in export_command(summary, number).split()),
    }


def export_command(summary: StudySummary, number: int) -> str:
    """What is typed to have a trial's files."""
    return f"archfront export {typed(summary.directory)} --trial {number} --format hf"


def decision_data(front: Front, draws: FrontDraws, members: Sequence[Mapping[str, Any]], figure: str) -> dict[str, Any]:
    """What the page's script decides by, ready for JSON; `figure` is the element that shows the front."""
    x, y = pairs_of(front.problem)[0]
    return {
        "objectives": [
            {"name": o.name, "higher": o.better == "higher", "log": o.noise != "seed", "worst": _worst(o, front)} for o in front.objectives
        ],
        "second": second_place(front),
        "members": list(members),
        "shapes": list(draws.numbers),
        "counts": _shorts(draws.counts),
        "which": _shorts(draws.which),
        "costs": [_packed(costs, draws) for costs in draws.costs],
        "figure": {"id": figure, "x": x, "y": y},
    }  # fmt: skip


def _packed(costs: Array, draws: FrontDraws) -> dict[str, Any]:
    """The draws of an objective in steps of its range, or what a closed form says of each shape."""
    exact = np.zeros(len(draws.numbers))
    exact[draws.which] = costs
    if (exact[draws.which] == costs).all():
        return {"exact": exact.tolist()}
    low, high = float(costs.min()), float(costs.max())
    return {"low": low, "step": (high - low) / STEPS, "data": _shorts(np.rint((costs - low) / (high - low) * STEPS))}


def _shorts(values: Array | Indices) -> str:
    return base64.b64encode(np.asarray(values).astype("<u2").tobytes()).decode()
