"""One self-contained HTML page about a study, for a person: what was asked, found and spent, and how to export a shape.

Everything on it is computed from the records; plotly.js is inside, so that it opens without a network.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from analysis.fidelity.rank_validity import Validity
from analysis.fronts.doubts import bracket_sentences, selection_bias_sentences, uncertainty_sentences
from analysis.fronts.findings import front_sentences, outcome_sentence, reference_sentence
from analysis.fronts.front import REFERENCE_MARGIN, Front, front_of
from analysis.fronts.membership import Membership, estimate_membership, picks
from analysis.records.files import write_whole
from analysis.records.record import FinalRecord, Kind, TrialRecord
from analysis.records.summary import StudySummary
from analysis.report.figures import curves_figure, front_figure, picture, plotly_script
from analysis.report.html import Html, element, folded, paragraphs, sections_page
from analysis.report.sections import ForecastFound, asked_facts, cost_facts, environment_facts, forecast_part, health_part, validity_part
from analysis.report.tables import all_trials, front_table, unfinished, validation_tables
from analysis.text import words

REPORT = "report.html"
PARTS = {
    "found": "What was found",
    "front": "The front",
    "asked": "What was asked",
    "curves": "Learning curves",
    "forecast": "After longer training",
    "validity": "Whether the ranking can be trusted",
    "health": "Health checks",
    "unfinished": "Trials that did not finish",
    "cost": "What it cost",
    "export": "Export",
    "environment": "Environment",
}


def write_report(
    directory: Path,
    summary: StudySummary,
    records: Sequence[TrialRecord],
    finals: Mapping[int, FinalRecord],
    longer: Validity | None = None,
    ahead: ForecastFound = None,
) -> Path:
    """Write `report.html` into the study's directory, in one step, and return its path."""
    return write_whole(directory / REPORT, report_page(summary, records, finals, longer, ahead).encode())


def report_page(
    summary: StudySummary,
    records: Sequence[TrialRecord],
    finals: Mapping[int, FinalRecord],
    longer: Validity | None = None,
    ahead: ForecastFound = None,
) -> str:
    """The whole page; the same records give the same page.

    `longer` is what longer trainings say of the ranking, where there are any; `ahead` the front at the study's target, if it has one.
    """
    front = front_of(records, finals)
    membership = estimate_membership(front)
    bodies = {
        "found": _found(records, finals, front, membership),
        "front": _front(records, finals, front, membership),
        "asked": asked_facts(summary, records),
        "curves": _curves(records, finals),
        "forecast": forecast_part(ahead, records, front),
        "validity": validity_part(longer),
        "health": health_part(records),
        "unfinished": [unfinished(records)] if any(not record.finished for record in records) else [],
        "cost": cost_facts(summary, records),
        "export": _export(summary, records, front, membership),
        "environment": environment_facts(summary, records),
    }
    lead = f"Architecture search: shapes that spend {summary.budget}, compared by bits per byte and by measured latency."
    return sections_page(summary.name, lead, PARTS, bodies, plotly_script())


FRONT_CAPTION = (
    "Each point is one trained shape, its level bar the p10 to p90 of the repeated latency measurement; the pale upright bar is the 90 % "
    "credible interval of its quality with the selection bias taken out, shown where it may be on the front. Latency is the median of the "
    "workload, measured again on the quiet machine for the shapes that have such a measurement. Shapes on the line are the front: none "
    "is beaten in both numbers. The knee is the one furthest below the straight line between the front's ends, on log latency. Hover to "
    "see a shape."
)
CURVES_CAPTION = (
    "Loss on the validation split at each evaluation. Dotted lines belong to trials that did not finish; they stop where the trial did."
)


def _found(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership) -> list[Html]:
    references = [record for record in records if record.kind is Kind.REFERENCE]
    held = [reference_sentence(record, finals, front) for record in references] if front.places else []
    return [
        paragraphs([outcome_sentence(records), *front_sentences(records, front, membership)[:1]]),
        _cards(records, finals, front, membership),
        paragraphs(
            [
                *uncertainty_sentences(front, membership),
                *bracket_sentences(finals, front),
                *held,
                *selection_bias_sentences(records, finals, front, membership),
            ]
        ),
    ]


def _cards(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership) -> Html:
    by_number = {record.number: record for record in records}
    cards = []
    for number, titles in picks(front, membership).items():
        record, place, posterior = by_number[number], front.places[number], membership.posteriors[number]
        test = finals[number].test if number in finals else None
        bits = words.quality(place.quality, "bits_per_byte")
        cards.append(
            element(
                "div",
                element("div", words.joined(titles), class_="what"),
                element("div", bits, Html(" <small>bits per byte in</small> "), words.milliseconds(place.latency_ms), class_="figure"),
                element("p", element("code", record.title)),
                element("p", f"90 % credible interval: {words.interval(posterior.low, posterior.high, 'bits_per_byte')}"),
                element("p", f"on the true front with {words.probability(posterior.on_front)}"),
                element("p", ", ".join(words.shape(record.architecture)), class_="quiet"),
                element("p", f"test split: {words.qualities(test)}" if test else "not measured on the test split", class_="quiet"),
                class_="card reference" if record.kind is Kind.REFERENCE else "card",
            )
        )
    return element("div", *cards, class_="cards")


def _front(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership) -> list[Html]:
    if not front.places:
        return []
    accuracy = front_figure(records, finals, "next_token_accuracy")
    return [
        picture("bits-per-byte", front_figure(records, finals), FRONT_CAPTION),
        front_table(records, finals, front, membership),
        *validation_tables(records, finals, front, membership),
        picture("accuracy", accuracy, "The same trials by next-token accuracy."),
        _hypervolume(front),
        folded(f"Every trial ({len(records)})", all_trials(records, finals, front, membership)),
    ]


def _hypervolume(front: Front) -> Html:
    assert front.reference_point is not None  # there are places
    latency_ms, bits = front.reference_point
    corner = f"{words.milliseconds(latency_ms)} and {bits:.3f} bits per byte"
    worst = "reference" if any(place.kind is Kind.REFERENCE for place in front.places.values()) else "trial"
    rule = f"{REFERENCE_MARGIN:g} times the worst {worst} in each number"
    text = f"Hypervolume: the front dominates {front.hypervolume:.1%} of the box from zero to {corner} ({rule})."
    return element("p", text, class_="quiet")


def _curves(records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord]) -> list[Html]:
    figure = curves_figure(records, finals)
    return [picture("curves", figure, CURVES_CAPTION)] if figure.data else []


def _export(summary: StudySummary, records: Sequence[TrialRecord], front: Front, membership: Membership) -> list[Html]:
    if not front.members:
        return []
    chosen = picks(front, membership)
    others = [number for number in front.members if number not in chosen]
    shapes = {record.number: record for record in records}
    text = "Each command writes config.json, safetensors and tokenizer files that transformers loads."
    blocks = [
        element("h3", f"{words.joined(titles).capitalize()}: {shapes[n].title}") + _command(summary, [n]) for n, titles in chosen.items()
    ]
    rest = [element("h3", "The rest of the front") + _command(summary, others)] if others else []
    return [element("p", text), *map(Html, blocks), *map(Html, rest)]


def _command(summary: StudySummary, numbers: Sequence[int]) -> Html:
    directory = shlex.quote(summary.directory)
    return element("pre", "\n".join(f"archfront export {directory} --trial {number} --format hf" for number in numbers))
