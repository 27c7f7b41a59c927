"""A study's front on another device as a page that stands beside the measured report: predicted, and said so."""

from __future__ import annotations

import re
from pathlib import Path

from analysis.fronts.device_front import DeviceTransfer, device_cells, device_columns, transfer_rows, transfer_sentences
from analysis.records.files import write_whole
from analysis.report.figures import front_figures, picture, plotly_script
from analysis.report.html import document, element, facts, section, table
from analysis.text import words


def write_transfer(directory: Path, study: str, transfer: DeviceTransfer) -> Path:
    """Write `report-TABLE.html` into the study's directory, in one step, and return its path."""
    return write_whole(
        directory / f"report-{re.sub(r'[^A-Za-z0-9._-]+', '-', transfer.name)}.html", transfer_page(study, transfer).encode()
    )


def transfer_page(study: str, transfer: DeviceTransfer) -> str:
    """The whole page."""
    figures = front_figures(transfer.records, transfer.front, transfer.membership, transfer.header.device)
    lead, *rest = transfer_sentences(transfer)
    caption = (
        "Each point is one trained shape; bars run from the 10th to the 90th percentile of what is predicted, and a shape's "
        "place on the front counts that doubt in. Nothing on this page was measured on this device."
    )
    columns = {name: name not in ("trial", "shape", "") for name in device_columns(transfer)}
    threads = words.plural(transfer.header.threads, "thread")
    about = {
        "Device": transfer.header.device,
        "Runtime": f"{transfer.header.runtime} {transfer.header.runtime_version}, {transfer.header.precision}, {threads}",
        "Workload": f"{transfer.header.prompt_tokens} prompt and {transfer.header.new_tokens} new tokens, batch 1",
        "Table": f"{transfer.name}, measured by {transfer.header.protocol}",
    }
    header = element("header", element("h1", f"{study} on {transfer.header.device}"), element("p", lead, class_="lead"))
    text = "The front as it is listed, then references and what was on the measured front. “Measured” is what the study measured itself."
    parts = [
        section(
            "front",
            "The predicted front",
            *(element("p", sentence) for sentence in rest),
            *(picture(name, figure, caption) for name, figure in figures.items()),
            table(columns, [device_cells(row, transfer) for row in transfer_rows(transfer)["front"]], text),
        ),
        section("device", "The device", facts(about)),
    ]
    return document(f"{study} on {transfer.header.device} · archfront", plotly_script(), [header, *parts])
