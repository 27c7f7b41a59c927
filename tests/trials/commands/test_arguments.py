"""Counts on the command line have bounds, and may be written as people write them."""

from __future__ import annotations

import pytest

import archfront
from search_space.errors import LONGEST_QUOTE
from trials.commands.verbs import parser

FLAGS = {
    "describe mobilellm-125m": ("--context-tokens",),
    "sample s.yaml": ("-n", "--seed"),
    "ablate s.yaml": ("--workers",),
    "latency mobilellm-125m": ("--prompt-tokens", "--new-tokens", "--context-positions", "--threads", "--repeats"),
    "profile-device s.yaml": ("--shapes", "--checks", "--seeds"),
    "lr-check s.yaml": ("--shapes", "--rates", "--tokens"),
    "validate s.yaml": ("--shapes", "--times"),
    "promote runs/x": ("--times", "--top"),
    "fit runs.csv": ("--refits", "--seed"),
    "export runs/x": ("--trial", "--parameters", "--vocab-size", "--head-dim", "--latency-ms", "--context"),
    "train runs/x": ("--trial", "--tokens", "--seed", "--threads", "--state-seconds", "--price-per-hour"),
    "ui runs/x": ("--port",),
}
WRONG = ("nan", "inf", "1e30", "-1", "many", "", "1MB", "9" * 5000)


@pytest.mark.parametrize(("command", "flag"), [(command, flag) for command, flags in FLAGS.items() for flag in flags])
def test_a_count_beyond_its_bounds_is_refused_before_anything_is_made(command: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    for value in WRONG:
        with pytest.raises(SystemExit) as ended:
            archfront.main([*command.split(), f"{flag}={value}"])
        assert ended.value.code == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert f"argument {flag}" in said or "argument -n/--count" in said
        assert "must be" in said
        assert "found" in said
        assert len(said) < 250 + LONGEST_QUOTE


def test_sizes_may_be_written_as_people_write_them() -> None:
    options = parser().parse_args(["lr-check", "study.yaml", "--tokens", "1.5M", "--rates", "3"])
    assert (options.tokens, options.rates) == (1_500_000, 3)


LISTS = {
    "export runs/x --trial 0": "--format",
    "tune runs/x --data synthetic:api --output out": "--format",
    "evaluate runs/x": "--tasks",
    "compare runs/x": "--ways",
    "report runs/x": "--objectives",
    "profile-device --fit table.csv": "--features",
}
"""Command lines, and a list of names that each takes; `report --devices` is another."""


@pytest.mark.parametrize("command", LISTS)
@pytest.mark.parametrize("value", ["", " ", ",", "a,", ",a", "a,,b", "a, ,b", "a,b,a", "a, a"])
def test_a_list_names_each_once_and_nothing_empty(value: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        archfront.main([*command.split(), LISTS[command], value])
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"argument {LISTS[command]}: must " in said
    assert "; leave " in said
