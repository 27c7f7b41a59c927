"""An export's card: whatever a team writes for its decision is one row of the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.records.choice import Choice
from tests.support import fakes
from tests.support.sample_study import sample_records
from trials.export.card import write_card


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
