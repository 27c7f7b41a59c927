"""JSON is written in one way, which knows no NaN."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.house import files

ROOT = Path(__file__).resolve().parent.parent
OWN = {
    "analysis/records/json_writer.py",
    "search_space/architecture.py",  # the ground floor's key of a shape, which has sizes and words alone
    "trials/jobs/sender.py",  # a job on the head that has the standard library alone
    "trials/tuning/chat_template.py",  # the filter `tojson` of a model's template, with the options that templates give it
    "trials/trial/checkpoint.py",  # a state that nobody else reads, to be had again bit for bit
}


def test_no_other_file_writes_json() -> None:
    found = {file for file in files() if re.search(r"\bjson\.dumps?\(|log_dict\(", (ROOT / file).read_text(encoding="utf-8"))}
    assert found == OWN
