"""Several studies on one page, and a study in a notebook."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import Call
from tests.support.fuzz_subjects import STORED
from trials.reporting.several_studies import report_several
from trials.reporting.stored_study import read_study

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    """A study, and one of more tokens whose front is another."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        shutil.copytree(STORED / "search", folder)
    lines = (second / "records.jsonl").read_text().splitlines()
    (second / "records.jsonl").write_text("\n".join([*lines[:-3], ""]))
    text = (second / "study.yaml").read_text()
    (second / "study.yaml").write_text(re.sub(r"seed: \d+", "seed: 77", text, count=1))
    return first, second


def test_several_studies_stand_on_one_page_that_says_in_what_they_differ(archfront: Call, both: tuple[Path, Path], tmp_path: Path) -> None:
    done = archfront("report", *map(str, both), "--output", str(tmp_path / "page.html"))
    assert done.returncode == 0, done.stderr
    assert "seed: " in done.stdout
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "What differs" in page
    assert "seed</code></td><td>" in page
    assert "<td>77</td>" in page
    assert page.count('"name":"first"') >= 2, "two studies of one name are told apart by their folders"
    assert page.count('"name":"second"') >= 2
    assert archfront("report", *map(str, both)).returncode == 0
    assert (both[0] / "report-several.html").exists()


def test_studies_of_one_name_and_one_directory_name_are_told_apart_by_their_paths(
    both: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    elsewhere = both[1].rename(tmp_path / "other" / "first")
    monkeypatch.chdir(tmp_path)
    for given in ([Path("first"), elsewhere], [elsewhere, Path("first")], [Path("first"), Path("other/first")]):
        page = report_several(given, output=tmp_path / "page.html").read_text(encoding="utf-8").replace("\\u002f", "/")
        assert all(page.count(f'"name":"{path}"') >= 2 for path in (both[0], elsewhere))


def test_what_cannot_stand_on_one_page_is_refused(archfront: Call, both: tuple[Path, Path]) -> None:
    for words, said in [
        (("--device", "nothing"), "--device must be of one study"),
        (("--objectives", "total_ms"), "objectives"),
    ]:
        done = archfront("report", *map(str, both), *words)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    done = archfront("report", str(both[0]), str(STORED / "scaling"))
    assert (done.returncode, "has no front to lay over others" in done.stderr) == (2, True)
    done = archfront("report", str(both[0]), f"{both[0]}/../{both[0].name}")
    assert (done.returncode, "must have each study once" in done.stderr) == (2, True)
    done = archfront("report", *[str(both[0])] * 9)
    assert (done.returncode, "at most 8 studies" in done.stderr) == (2, True)


def test_the_example_of_the_documents_runs(both: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "report.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "runs").mkdir()
    both[0].rename(tmp_path / "runs" / "quickstart")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(example, names)
    assert len(names["trials"]) == len(read_study(Path("runs/quickstart")).records)  # type: ignore[arg-type]
    assert (tmp_path / "front.html").stat().st_size > 1_000_000
    assert names["best"] == names["study"].membership.recommended  # type: ignore[attr-defined]
