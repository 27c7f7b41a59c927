"""The documentation says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import generate

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("name", DOCUMENTS, ids=str)
def test_generated_parts_are_up_to_date(name: Path) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text == generate.filled(text), f"{name} is behind the code; run: python docs/generate.py"


@pytest.mark.parametrize("name", DOCUMENTS, ids=str)
def test_links_to_files_lead_somewhere(name: Path) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / name.parent / target).exists(), f"{name} links to {target}, which is not there"
