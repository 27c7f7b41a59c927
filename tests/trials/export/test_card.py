"""An export's card: whatever a team writes for its decision is one row of the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.records.choice import Choice
from search_space.errors import SpecError
from tests.support import fakes
from tests.support.sample_study import sample_records
from trials.export.card import write_card
from trials.export.front_matter import first_heading, require_license
from trials.reporting.model_card import title


@pytest.mark.parametrize("because", ["half the time | same loss", "first line\nsecond line", "| a | b |\n|---|---|", "ends in \\"])
def test_a_decision_is_one_row_whatever_it_says(because: str, tmp_path: Path) -> None:
    study, _ = fakes.small_study()
    choice = Choice(trial=0, because=because, by="a | b", chosen_at="2026-11-29T12:00:00+00:00")
    write_card(tmp_path / "README.md", study, sample_records(1)[0], None, [], [], choice=choice)
    rows = [line for line in (tmp_path / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert all(row.replace("\\\\", "").replace("\\|", "").count("|") == 3 for row in rows)
    [chosen] = [row for row in rows if row.startswith("| chosen |")]
    assert "by a \\| b on 2026-11-29: " in chosen
    assert chosen.endswith(" |")


@pytest.mark.parametrize(
    ("formats", "license_name", "expected"),
    [
        (["hf", "gguf"], None, {"license": "unknown", "library_name": "transformers"}),
        (["gguf"], "apache-2.0", {"license": "apache-2.0", "library_name": "gguf"}),
        (["yaml"], "cc-by-4.0", {"license": "cc-by-4.0"}),
    ],
)
def test_the_hub_reads_license_library_and_task(
    formats: list[str], license_name: str | None, expected: dict[str, str], tmp_path: Path
) -> None:
    from huggingface_hub import ModelCard

    study, _ = fakes.small_study()
    record = sample_records(1)[0]
    write_card(tmp_path / "README.md", study, record, None, formats, [], license_name=license_name)
    found = ModelCard.load(tmp_path / "README.md").data.to_dict()
    assert found == expected | {"pipeline_tag": "text-generation", "tags": ["archfront"]}
    assert first_heading((tmp_path / "README.md").read_text()) == title(study.name, record)


@pytest.mark.parametrize("text", ["# a\n---\nb\n---\n", "---\nx: 1\n---\n\n# a\n", "\n# a", "---\n# a"])
def test_the_title_is_found_with_and_without_front_matter(text: str) -> None:
    assert first_heading(text) == ("---" if text == "---\n# a" else "# a")


@pytest.mark.parametrize("name", ["", "Apache 2", "a: b", "x\n---", "-", "ü"])
def test_what_is_no_license_is_one_sentence(name: str) -> None:
    with pytest.raises(SpecError, match="--license must be a name as the Hugging Face hub has them"):
        require_license(name)
