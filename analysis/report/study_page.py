"""One self-contained HTML page about a study, for a person: what was asked, found and spent, and how to export a shape.

Everything on it is computed from the records; plotly.js is inside, so that it opens without a network.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from analysis.fidelity.rank_validity import Validity
from analysis.fronts.device_front import DeviceTransfer
from analysis.fronts.doubts import bracket_sentences, selection_bias_sentences, uncertainty_sentences
from analysis.fronts.findings import front_sentences, outcome_sentence, reference_sentence
from analysis.fronts.front import REFERENCE_MARGIN, Front, front_of
from analysis.fronts.membership import Membership, estimate_membership, picks
from analysis.fronts.rounding import rounding_sentences
from analysis.objectives.objective import Objective
from analysis.objectives.observed import Observed
from analysis.objectives.problem import STANDARD, Problem, problem_of
from analysis.objectives.quality import half_width_of
from analysis.records.record import FinalRecord, Kind, TrialRecord
from analysis.records.summary import StudySummary
from analysis.report.answers import answers_part
from analysis.report.drawing import shape_code, shape_drawing
from analysis.report.figures import curves_figure, front_figure, front_figures, picture, plotly_script
from analysis.report.first_screen import export_command, first_screen
from analysis.report.html import Html, element, folded, later, paragraphs, sections_page
from analysis.report.judged_tables import task_tables, validation_tables
from analysis.report.search_figures import search_part
from analysis.report.sections import ForecastFound, asked_facts, cost_facts, environment_facts, forecast_part, health_part, validity_part
from analysis.report.tables import all_trials, front_table, unfinished
from analysis.report.terms import hover
from analysis.report.traces import MANY
from analysis.report.written import written_part
from analysis.text import words
from analysis.text.passes import GOOD_EPOCHS, passes_sentences

logger = logging.getLogger(__name__)

REPORT = "report.html"
SECTIONS = {
    "found": "What was found",
    "front": "The front",
    "answers": "What moves the loss",
    "asked": "What was asked",
    "curves": "Learning curves",
    "search": "The search",
    "forecast": "After longer training",
    "validity": "Whether the ranking can be trusted",
    "health": "Health checks",
    "unfinished": "Trials that did not finish",
    "cost": "What it cost",
    "export": "Export",
    "environment": "Environment",
}


def report_page(
    summary: StudySummary,
    records: Sequence[TrialRecord],
    finals: Mapping[int, FinalRecord],
    longer: Validity | None = None,
    ahead: ForecastFound = None,
    problem: Problem = STANDARD,
    membership: Membership | None = None,
    left_out: Sequence[str] = (),
    devices: Sequence[DeviceTransfer] = (),
) -> str:
    """The whole page; the same records give the same page.

    `longer` is what longer trainings say of the ranking, where there are any; `ahead` the front at the study's target, if it has one;
    `membership` that of the records' front, where it is known already; `left_out` a sentence for each line that is no record; `devices`
    what tables of other devices say of it.
    """
    front = front_of(records, finals, problem)
    membership = membership or estimate_membership(front)
    parts: dict[str, Callable[[], list[Html]]] = {
        "found": lambda: [*_left_out(left_out), *_found(records, finals, front, membership)],
        "front": lambda: _front(records, finals, front, membership),
        "answers": lambda: answers_part(records, front, summary.corpus_name),
        "asked": lambda: asked_facts(summary, records),
        "curves": lambda: _curves(records, front),
        "search": lambda: search_part(records, front, membership),
        "forecast": lambda: forecast_part(ahead, records, front),
        "validity": lambda: validity_part(longer),
        "health": lambda: health_part(records),
        "unfinished": lambda: [unfinished(records)] if any(not record.finished for record in records) else [],
        "cost": lambda: cost_facts(summary, records),
        "export": lambda: _export(summary, records, front, membership),
        "environment": lambda: environment_facts(summary, records),
    }
    bodies = {name: made_or_said(make) for name, make in parts.items()}
    caption = front_caption(front) if front.points else ""
    first = made_or_said(lambda: [first_screen(summary, records, front, membership, caption, len(left_out), devices)])
    return sections_page(summary.name, "", SECTIONS, bodies, plotly_script(), first[0])


def made_or_said(make: Callable[[], list[Html]]) -> list[Html]:
    """A part of the page, or a sentence on what stood in its way: one record that no part was made for takes no page down."""
    try:
        return make()
    except Exception as error:
        logger.warning("a part of the report could not be made", exc_info=True)
        return [paragraphs([f"This part could not be made ({type(error).__name__}: {error}); the others do not hang on it."])]


def _left_out(lines: Sequence[str]) -> list[Html]:
    return (
        [paragraphs([f"{words.plural(len(lines), 'line')} of the study's files cannot be read and is left out: {lines[0]}."])]
        if lines
        else []
    )


CURVES_CAPTION = "Loss on the validation split at each evaluation."
DOTTED_CAPTION = " Dotted lines belong to trials that did not finish; they stop where the trial did."
MARKED_CAPTION = " A mark without a line is a trial that did not finish and was evaluated once."
MANY_CURVES_CAPTION = (
    "Loss on the validation split at each evaluation of the front and of the references; the band holds eight of ten of the other trials "
    "that finished, and those that did not are left out."
)


def _found(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership) -> list[Html]:
    references = [record for record in records if record.kind is Kind.REFERENCE]
    held = [reference_sentence(record, finals, front, membership) for record in references] if front.points else []
    return [
        paragraphs(
            [outcome_sentence(records), *passes_sentences(records, beyond=GOOD_EPOCHS), *front_sentences(records, front, membership)[:1]]
        ),
        _cards(records, finals, front, membership),
        paragraphs(
            [
                *rounding_sentences(records),
                *uncertainty_sentences(front, membership),
                *bracket_sentences(finals, front),
                *held,
                *selection_bias_sentences(records, finals, front, membership),
            ]
        ),
        *written_part(records, finals, membership),
    ]


def _cards(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership) -> Html:
    by_number = {record.number: record for record in records}
    cards = []
    for number, titles in picks(front, membership).items():
        record, point, posterior = by_number[number], front.points[number], membership.posteriors[number]
        test = finals[number].test if number in finals else None
        values = list(zip(front.objectives, point.values, strict=True))
        numbers = [
            element("span", o.words.write(v), " ", element("small", o.words.short or o.words.label), title=o.words.meaning)
            for o, v in values
        ]
        ranges = [(o, interval) for o, interval in zip(front.objectives, posterior.intervals, strict=True) if interval is not None]
        on_test = [(o, o.value(Observed.judged_by(record, test))) for o in front.problem.shown if o.has_splits]
        width = None if test is None else half_width_of(test)
        told = ", ".join(objective.said(value) for objective, value in on_test if value is not None)
        told += "" if test is None or width is None else f" (± {width:.3f} bits per byte at 90 %, by {test.documents:,} documents)"
        cards.append(
            element(
                "div",
                element("div", Html(words.joined([str(titled(title)) for title in titles])), class_="what"),
                element("div", Html(" ".join(numbers)), class_="figure"),
                element("p", shape_code(record.title, record.architecture)),
                shape_drawing(record.architecture),
                *(
                    element("p", f"90 % credible interval: {o.between_text(i.low, i.high)}{f' {o.words.label}' if len(ranges) > 1 else ''}")
                    for o, i in ranges
                ),
                element("p", f"on the true front with {words.probability(posterior.on_front)}", **hover("on the front")),
                element("p", ", ".join(words.shape(record.architecture)), class_="quiet"),
                element("p", f"test split: {told}" if told else "not measured on the test split", class_="quiet"),
                class_="card reference" if record.kind is Kind.REFERENCE else "card",
            )
        )
    return element("div", *cards, class_="cards")


def titled(title: str) -> Html:
    """What a shape was picked for, with what that means."""
    named = hover(title) or {"title": f"Of the front, the one that is {title}."}
    return element("span", title, **named)


def _front(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership) -> list[Html]:
    if not front.points:
        return []
    figures = front_figures(records, front, membership)
    beside = list(figures.items())[1 if front.members else 0 :]  # the first stands on the first screen
    return [
        *(picture(name, figure, "The same shapes along another pair of objectives.") for name, figure in beside),
        front_table(records, finals, front, membership),
        *validation_tables(records, finals, front, membership),
        *task_tables(records, finals, front, membership),
        *_beside(records, finals, front),
        _hypervolume(front),
        folded(f"Every trial ({len(records)})", later(all_trials(records, finals, front, membership))),
    ]


def front_caption(front: Front) -> str:
    """What a front's figures show."""
    objectives = front.objectives
    measured = [objective for objective in objectives if objective.noise == "measurement"]
    repeated = [objective for objective in measured if any(p.readings[objectives.index(objective)].spread for p in front.points.values())]
    said = ["Each point is one trained shape."]
    said += [f"Its thin bars are the p10 to p90 of the repeated measurement of {_labels(repeated)}."] if repeated else []
    if any(objective.noise == "seed" for objective in objectives):
        said.append(
            "The pale bar is the 90 % credible interval of its quality with the selection bias taken out, where it may be on the front."
        )
    again = f"{_labels(measured)} {'was' if len(measured) == 1 else 'were'}"
    said += [f"Of the shapes that stand out, {again} measured again on the quiet machine."] if measured else []
    if len(objectives) == 2:
        said.append("Shapes on the line are the front: none is beaten in both numbers.")
    else:
        said.append(
            "Shapes with a strong ring are the front: none is beaten in all three numbers. Colour tells the third, yellow where best; the "
            "dotted line is the front of these two alone."
        )
    straight = "straight line" if len(objectives) == 2 else "plane"
    return " ".join([*said, f"The knee lies furthest below the {straight} between the front's ends. Hover to see a shape."])


def _beside(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front) -> list[Html]:
    """Figure of the trials by what is shown beside two objectives, in place of the one that a training tells."""
    beside = [objective.name for objective in front.problem.shown if objective not in front.objectives]
    told = [objective.name for objective in front.objectives if objective.known == "training"]
    if len(front.objectives) != 2 or not beside or len(told) != 1:
        return []
    problem = problem_of([beside[0] if name == told[0] else name for name in front.problem.names])
    figure = front_figure(records, front_of(records, finals, problem))
    return [picture(beside[0], figure, f"The same trials by {problem.objectives[0].words.label}.")]


def _hypervolume(front: Front) -> Html:
    assert front.reference_point is not None  # there are places
    at = front.reference_point
    corner = words.joined([front.objectives[place].said(at[place]) for place in front.problem.columns])
    worst = "reference" if any(point.kind is Kind.REFERENCE for point in front.points.values()) else "trial"
    rule = f"{REFERENCE_MARGIN:g} times the worst {worst} in each number"
    text = f"Hypervolume: the front dominates {front.hypervolume:.1%} of the box from zero to {corner} ({rule})."
    return element("p", text, class_="quiet")


def _labels(objectives: Sequence[Objective]) -> str:
    return words.joined([objective.words.label for objective in objectives])


def _curves(records: Sequence[TrialRecord], front: Front) -> list[Html]:
    figure = curves_figure(records, front)
    dotted = [trace for trace in figure.data if trace.line.dash == "dot"]
    lengths = [len([*run]) for trace in dotted for there, run in groupby(trace.y, lambda loss: loss is not None) if there]
    unfinished = DOTTED_CAPTION * (max(lengths, default=0) > 1) + MARKED_CAPTION * (1 in lengths)
    caption = MANY_CURVES_CAPTION if len(records) > MANY else CURVES_CAPTION + unfinished
    return [picture("curves", figure, caption)] if figure.data else []


def _export(summary: StudySummary, records: Sequence[TrialRecord], front: Front, membership: Membership) -> list[Html]:
    if not front.members:
        return []
    chosen = picks(front, membership)
    if summary.choice is not None:
        chosen = (
            {summary.choice.trial: ["chosen", *chosen.get(summary.choice.trial, [])]}
            | chosen
            | {summary.choice.trial: ["chosen", *chosen.get(summary.choice.trial, [])]}
        )
    others = [number for number in front.members if number not in chosen]
    shapes = {record.number: record for record in records}
    text = "Each command writes config.json, safetensors and tokenizer files that transformers loads."
    blocks = [
        element("h3", f"{words.joined(titles).capitalize()}: {shapes[n].title}") + _command(summary, [n]) for n, titles in chosen.items()
    ]
    rest = [element("h3", "The rest of the front") + _command(summary, others)] if others else []
    return [element("p", text), *map(Html, blocks), *map(Html, rest)]


def _command(summary: StudySummary, numbers: Sequence[int]) -> Html:
    return element("pre", "\n".join(export_command(summary, number) for number in numbers))
