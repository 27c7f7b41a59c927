"""Numbers as they are written for people."""

from __future__ import annotations

import pytest

from analysis.text.words import energy_text

ENERGIES = {
    0.0: "0 J", 0.00042: "0.00042 J", 0.999: "0.999 J", 2.29: "2.29 J", 2.2: "2.2 J", 12.345: "12.3 J", 999.6: "1,000 J", 3214.0: "3,210 J",
    123_456.0: "123,000 J", 360_000.0: "0.1 kWh", 8.1e6: "2.25 kWh", 7.2e10: "20,000 kWh",
}  # fmt: skip


@pytest.mark.parametrize(("joules", "said"), ENERGIES.items())
def test_energy_is_written_out_in_three_digits(joules: float, said: str) -> None:
    assert energy_text(joules) == said
