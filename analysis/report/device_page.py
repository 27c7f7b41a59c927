"""A study's front on another device as a page that stands beside the measured report: predicted, and said so."""

from __future__ import annotations

import re
from pathlib import Path

from analysis.fronts.device_front import DeviceTransfer, device_cells, device_columns, transfer_rows, transfer_sentences
from analysis.records.files import write_whole
from analysis.report.figures import front_figures, picture, plotly_script
from analysis.report.html import facts, paragraphs, sections_page, table
from analysis.text import words

DEVICE_SECTIONS = {"front": "The predicted front", "device": "The device"}


def write_transfer(directory: Path, study: str, transfer: DeviceTransfer, output: Path | None = None) -> Path:
    """Write `report-TABLE.html` into the study's directory, or another file, in one step, and return its path."""
    page = directory / f"report-{re.sub(r'[^A-Za-z0-9._-]+', '-', transfer.name)}.html" if output is None else output
    return write_whole(page, transfer_page(study, transfer).encode())


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
    text = "The front as it is listed, then references and what was on the measured front. “Measured” is what the study measured itself."
    bodies = {
        "front": [
            paragraphs(rest),
            *(picture(name, figure, caption) for name, figure in figures.items()),
            table(columns, [device_cells(row, transfer) for row in transfer_rows(transfer)["front"]], text),
        ],
        "device": [facts(about)],
    }
    return sections_page(f"{study} on {transfer.header.device}", lead, DEVICE_SECTIONS, bodies, plotly_script())
