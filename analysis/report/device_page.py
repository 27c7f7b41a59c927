"""A study's front on another device as a page that stands beside the measured report: predicted, and said so."""

from __future__ import annotations

import os
import re
from pathlib import Path

from analysis.fronts.device_front import DEVICE_COLUMNS, Retargeted, device_cells, retarget_rows, retarget_sentences
from analysis.report.figures import figure_html, front_figure, plotly_script
from analysis.report.html import Html, document, element, facts, section, table
from analysis.text import words


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
    lead, *rest = retarget_sentences(moved)
    caption = (
        "Each point is one trained shape; its level bar runs from the 10th to the 90th percentile of the predicted latency, and a shape's "
        "place on the front counts that doubt in. Nothing on this page was measured on this device."
    )
    columns = {name: name not in ("trial", "shape", "") for name in DEVICE_COLUMNS}
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
            table(columns, [*map(device_cells, retarget_rows(moved)["front"])], text),
        ),
        section("device", "The device", facts(about)),
    ]
    return document(f"{study} on {moved.header.device} · archfront", Html(plotly_script()), [header, *parts])
