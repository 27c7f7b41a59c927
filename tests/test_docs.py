"""The documentation says what the code says."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from analysis.laws.options import FORMS
from docs import generate
from trials.corpus.documents import READERS
from trials.search.samplers import SAMPLERS

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PAGES = [name for name in DOCUMENTS if name.parts[0] == "docs"]
CITING = ("search_space", "analysis", "trials", "benchmarks", "studies")
"""Where a constant or a recipe may rest on an entry of docs/findings.md."""


def links(name: Path) -> set[Path]:
    """Files that a document links to, by their paths from the root."""
    found = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / name).read_text(encoding="utf-8"))
    return {(ROOT / name.parent / target).resolve().relative_to(ROOT) for target in found}


@pytest.mark.parametrize("name", DOCUMENTS, ids=str)
def test_generated_parts_are_up_to_date(name: Path) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text == generate.filled(text), f"{name} is behind the code; run: python docs/generate.py"


@pytest.mark.parametrize("name", DOCUMENTS, ids=str)
def test_links_to_files_lead_somewhere(name: Path) -> None:
    assert [str(target) for target in links(name) if not (ROOT / target).exists()] == []


@pytest.mark.parametrize("name", PAGES, ids=str)
def test_the_first_page_links_to_every_page_and_each_page_back(name: Path) -> None:
    assert name in links(Path("README.md"))
    assert Path("README.md") in links(name), f"{name} must end with a link to README.md"


def test_the_first_page_is_a_screen_and_a_half() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 800


def test_what_rests_on_a_measurement_cites_an_entry_that_there_is() -> None:
    entries, wrong, cited = generate.findings(), [], 0
    for path in (path for place in CITING for suffix in ("py", "yaml") for path in (ROOT / place).rglob(f"*.{suffix}")):
        text = re.sub(r"\s+(# )?", " ", path.read_text(encoding="utf-8")) if path != Path(__file__) else ""
        for said in text.split("docs/findings.md")[1:]:
            cited += 1
            wrong += [] if any(said.startswith(f", {entry}") for entry in entries) else [f"{path.relative_to(ROOT)}: {said[:60]}"]
    assert wrong == [], "cite as docs/findings.md, DATE: TITLE"
    assert cited > 40


def test_each_constant_that_an_entry_sets_cites_it() -> None:
    named = 0
    for entry, head in generate.findings().items():
        for names, path in re.findall(r"((?:`[A-Z_0-9, ]+`(?: and )?)+) of `([\w/]+\.py)`", head["Sets"]):
            said = documented(ROOT / path)
            for name in re.findall(r"[A-Z_0-9]+", names):
                named += 1
                assert f"docs/findings.md, {entry}" in said[name], f"{name} of {path} must cite {entry!r}"
    assert named > 20


def documented(path: Path) -> dict[str, str]:
    """The names that a module sets at its top, with the docstring under each, its words one blank apart."""
    body, found = ast.parse(path.read_text(encoding="utf-8")).body, {}
    for node, after in pairwise(body):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            for name in ast.walk(target):
                if isinstance(name, ast.Name):
                    found[name.id] = " ".join(str(after.value.value).split())
    return found


@pytest.mark.parametrize(
    ("name", "known"), [("scaling.md", FORMS), ("corpora.md", tuple(READERS)), ("study.md", tuple(SAMPLERS))], ids=lambda value: str(value)
)
def test_a_document_names_all_that_may_be_chosen(name: str, known: Sequence[str]) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert [word for word in known if f"`{word}`" not in text] == []


def test_design_names_files_and_functions_that_there_are() -> None:
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    paths = {*re.findall(r"`((?:archfront|analysis|search_space|trials|tests|docs)[\w/]*\.py)`", text)}
    assert len(paths) > 30
    assert [path for path in paths if "NAME" not in path and not (ROOT / path).is_file()] == []
    missing = []
    for name, path in re.findall(r"`(\w+)` of\s+`([\w/]+\.py)`", text):
        defined = rf"^\s*(?:def|class) {name}\b|^{name}\b.* = "
        missing += [] if re.search(defined, (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE) else [f"{name} of {path}"]
    assert missing == []


def test_design_says_where_each_thing_is_added() -> None:
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8").partition("## Where to add")[2].partition("\n## ")[0]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ")]
    things = (
        "sampler",
        "runtime",
        "export format",
        "dimension of shape",
        "objective",
        "verb",
        "section of the report",
        "corpus format",
        "law",
    )
    assert sorted(rows[1:]) == sorted(things)
