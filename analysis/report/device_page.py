"""A study's front on another device, for the command line and as a page that stands beside the measured report: predicted, and said so."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from analysis.fronts.device_front import Retargeted
from analysis.records.record import Kind
from analysis.records.replicates import averaged
from analysis.report.figures import figure_html, front_figure, plotly_script
from analysis.report.html import Html, document, element, facts, section, table
from analysis.text import format as words
from analysis.text.columns import aligned

COLUMNS = ("trial", "shape", "predicted", "90 %", "measured", "bits per byte", "on front", "")


def retarget_rows(moved: Retargeted) -> dict[str, Any]:
    """Ready for JSON: the table and the front, and the references that it beats."""
    return {
        "table": moved.name,
        "device": str(moved.header),
        "predicted": True,
        "left_out_median_error": moved.left_out.median_error,
        "check_median_error": None if moved.checks is None else moved.checks.median_error,
        "front": [_row(moved, number) for number in _shown(moved)],
    }


def _shown(moved: Retargeted) -> list[int]:
    """The front from fast to slow, the references beside it, and what was on the measured front and is not on this one."""
    others = [
        number
        for number, place in sorted(moved.front.places.items(), key=lambda each: each[1].latency_ms)
        if number not in moved.front.members and (place.kind is Kind.REFERENCE or number in moved.measured_front.members)
    ]
    return [*moved.front.members, *others]


def _row(moved: Retargeted, number: int) -> dict[str, Any]:
    record = next(record for record in averaged(moved.records) if record.number == number)
    prediction, place = moved.predictions[number], moved.front.places[number]
    low, high = prediction.total.between()
    return {
        "trial": number,
        "name": record.name,
        "shape": record.architecture.label,
        "parameters": record.costs.parameters,
        "predicted_latency_ms": prediction.total.ms,
        "predicted_low_ms": low,
        "predicted_high_ms": high,
        "predicted_prefill_ms": prediction.prefill.ms,
        "predicted_decode_ms_per_token": prediction.decode.ms,
        "outside": prediction.outside,
        "measured_latency_ms": moved.measured[number].total_ms.median,
        "validation_bits_per_byte": place.quality,
        "on_front": number in moved.front.members,
        "on_measured_front": number in moved.measured_front.members,
        "front_probability": moved.sure.standings[number].on_front,
    }


def _notes(row: dict[str, Any]) -> list[str]:
    notes = [row["name"]] if row["name"] else []
    if row["on_front"] != row["on_measured_front"]:
        notes.append("not on the measured front" if row["on_front"] else "on the measured front only")
    elif not row["on_front"]:
        notes.append("not on the front")
    return notes + ([f"outside of the table's range: {row['outside']}"] if row["outside"] else [])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"#{row['trial']}",
        row["shape"],
        words.milliseconds(row["predicted_latency_ms"]),
        f"{words.milliseconds(row['predicted_low_ms']).removesuffix(' ms')} to {words.milliseconds(row['predicted_high_ms'])}",
        words.milliseconds(row["measured_latency_ms"]),
        words.quality(row["validation_bits_per_byte"], "bits_per_byte"),
        words.probability(row["front_probability"]),
        "; ".join(_notes(row)),
    )


def sentences(moved: Retargeted) -> list[str]:
    """What is to be known of the prediction, first that it is one."""
    both = len(set(moved.front.members) & set(moved.measured_front.members))
    found = [
        f"Latencies are predicted, not measured: from the table {moved.name} ({moved.header}).",
        f"Its shapes, each predicted from the others: {moved.left_out}.",
    ]
    found += [f"Shapes measured to check it: {moved.checks}."] if moved.checks is not None else []
    found.append(f"The predicted front has {words.plural(len(moved.front.members), 'shape')}, of which the measured one has {both}.")
    return found + [f"#{number} is outside of what the table has seen: {text}." for number, text in moved.outside.items()]


def retarget_text(moved: Retargeted) -> str:
    """The front for a terminal."""
    rows = [COLUMNS, *(_cells(_row(moved, number)) for number in _shown(moved))]
    left = [place for place, name in enumerate(COLUMNS) if name in ("trial", "shape", "")]
    return "\n".join([*aligned(rows, left), "", *sentences(moved)])


def write_retargeted(directory: Path, study: str, moved: Retargeted) -> Path:
    """Write `report-TABLE.html` into the study's directory, in one step, and return its path."""
    path = directory / f"report-{re.sub(r'[^A-Za-z0-9._-]+', '-', moved.name)}.html"
    draft = path.with_suffix(".html.part")
    draft.write_text(retarget_page(study, moved), encoding="utf-8")
    os.replace(draft, path)
    return path


def retarget_page(study: str, moved: Retargeted) -> str:
    """The whole page."""
    figure = front_figure(moved.records, sure=moved.sure)
    figure.update_layout(title_text=f"Bits per byte against predicted latency on {moved.header.device}")
    figure.update_xaxes(
        title_text=f"Predicted latency, ms for {moved.header.prompt_tokens} prompt and {moved.header.new_tokens} new tokens"
    )
    lead, *rest = sentences(moved)
    caption = (
        "Each point is one trained shape; its level bar runs from the 10th to the 90th percentile of the predicted latency, and a shape's "
        "place on the front counts that doubt in. Nothing on this page was measured on this device."
    )
    shown = [_row(moved, number) for number in _shown(moved)]
    columns = {name: name not in ("trial", "shape", "") for name in COLUMNS}
    threads = words.plural(moved.header.threads, "thread")
    about = {
        "Device": moved.header.device,
        "Runtime": f"{moved.header.runtime} {moved.header.runtime_version}, {moved.header.precision}, {threads}",
        "Workload": f"{moved.header.prompt_tokens} prompt and {moved.header.new_tokens} new tokens, batch 1",
        "Table": f"{moved.name}, measured by {moved.header.protocol}",
    }
    header = element("header", element("h1", f"{study} on {moved.header.device}"), element("p", lead, class_="lead"))
    text = "The front from fast to slow, then references and what was on the measured front. “Measured” is what the study measured itself."
    parts = [
        section(
            "front",
            "The predicted front",
            *(element("p", sentence) for sentence in rest),
            element("figure", Html(figure_html(figure, "plot-predicted")), element("figcaption", caption)),
            table(columns, [_cells(row) for row in shown], text),
        ),
        section("device", "The device", facts(about)),
    ]
    return document(f"{study} on {moved.header.device} · archfront", Html(plotly_script()), [header, *parts])
