"""A first study for a person's own text, budget, device and time, which the gate accepts."""

from __future__ import annotations

import io
import itertools
import os
import pty
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import archfront
from analysis.text.words import trials_text
from trials.commands import begin
from trials.plans.check_study import check
from trials.plans.foretell import ExpectedTrials
from trials.plans.plan_study import plan_study
from trials.study.first_study import FEWEST_TRIALS, MOST_TRIALS, STATED_RUNTIMES, USUAL_TRIALS, FirstStudy
from trials.study.load_study import load_study

SIZES = (100_000, 250_000, 1_000_000, 10_000_000, 125_000_000, 1_000_000_000)
RUNTIMES = [name for name in STATED_RUNTIMES if name not in ("executorch", "llama.cpp", "torch-cuda")]
"""Those that are here in any environment of the tests."""


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is worked in, with a person's texts in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts").mkdir()
    for number in range(3):
        (tmp_path / "texts" / f"{number} it's ü.txt").write_text("some words of mine, and others\n" * 40_000, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("size", SIZES)
def test_the_gate_accepts_every_combination(size: int, texts: Path) -> None:
    kinds: list[tuple[Any, ...]] = [*itertools.product([(), ("texts/*.txt",), ("texts/0 it's ü.txt",)], RUNTIMES, [0, 1], [None, 0.1, 24])]
    for files, runtime, gpus, hours in kinds[:: 1 if size == SIZES[0] else 7]:
        study = FirstStudy(name="mine-1.x", files=files, parameters=size, runtime=runtime, gpus=gpus, hours=hours)
        (texts / "mine.yaml").write_text(study.text, encoding="utf-8")
        made = load_study(texts / "mine.yaml")
        check(made, trains_here=False)
        assert made.budget == {"parameters": size}
        assert (made.latency.runtime, made.workers.gpus, made.search.trials) == (runtime, gpus, study.trials)


def test_every_line_of_it_is_explained() -> None:
    lines = FirstStudy(name="mine", hours=2.5).text.splitlines()
    assert all("#" in line for line in lines)
    assert "about 2.5 hours" in lines[0]
    assert max(map(len, lines)) <= 160


def test_trials_are_as_many_as_the_hours_hold() -> None:
    study = FirstStudy(name="mine", hours=1.0)
    assert study.within(60.0, 600.0).trials == 50
    assert study.within(3600.0, 0.0).trials == FEWEST_TRIALS
    assert study.within(0.1, 0.0).trials == MOST_TRIALS
    assert replace(study, hours=None).within(60.0, 600.0).trials == study.trials


def test_flags_write_a_study_that_plan_reads(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (texts / "studies").mkdir()
    flags = ["--name", "mine", "--text", "texts/*.txt", "--parameters", "250k", "--runtime", "torch", "--device", "cpu"]
    assert archfront.main(["init", *flags, "--output", "studies/mine.yaml"]) == 0
    assert capsys.readouterr().out == "studies/mine.yaml\n"
    values = yaml.safe_load((texts / "studies" / "mine.yaml").read_text(encoding="utf-8"))
    assert values["corpus"]["files"] == [str(texts / "texts" / "*.txt")]
    check(load_study(texts / "studies" / "mine.yaml"), trains_here=False)
    assert archfront.main(["init", *flags, "--output", "studies/mine.yaml"]) == 2
    assert "studies/mine.yaml must not be there yet, found a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--text", "nowhere/*.txt"], "corpus.files must name files, found none for"),
        (["--name", "no name"], "name must"),
        (["--name", "x", "--output", "nowhere/x.yaml"], "--output must be a file that can be written"),
    ],
)
def test_what_cannot_be_a_study_is_one_sentence_and_leaves_no_file(
    flags: list[str], said: str, texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(texts.rglob("*"))
    assert archfront.main(["init", *flags]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert len(printed.err.splitlines()) == 1
    assert sorted(texts.rglob("*")) == before


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_what_no_flag_says_is_asked(texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("mine\n'texts/0 it\ntexts/*.txt 'texts/0 it'\\''s ü.txt'\n1\n250k\ntpu\ncpu\ncommand\n\n\n"))
    monkeypatch.setattr("sys.stderr", said := Terminal())
    assert archfront.main(["init"]) == 0
    study = load_study(texts / "mine.yaml")
    assert (study.budget, study.latency.runtime, study.workers.gpus) == ({"parameters": 250_000}, "onnxruntime", 0)
    assert study.corpus.files == (str(texts / "texts/*.txt"), str(texts / "texts/0 it's ü.txt"))
    assert 'it must have quotes in pairs, found "\'texts/0 it"' in said.getvalue()
    assert "found 'command'" in said.getvalue()
    assert "it must be at least 20000, found 1" in said.getvalue()
    assert "it must be one of cpu, gpu, found 'tpu'" in said.getvalue()


def test_the_program_asks_on_a_terminal(texts: Path) -> None:
    """The real one, whose standard error of its own is no terminal by then: what libraries write is set apart."""
    shown, person = pty.openpty()
    (texts / "home" / "my texts").mkdir(parents=True)
    (texts / "home" / "my texts" / "a.txt").write_text("some words of mine, and others\n" * 40_000, encoding="utf-8")
    answers = ["mine", "'~/my texts/a.txt'", "250k", "cpu", "torch", ""]
    os.write(shown, "".join(f"{answer}\n" for answer in answers).encode())
    started = subprocess.Popen(
        [sys.executable, "-m", "archfront", "init"],
        stdin=person, stdout=person, stderr=person, cwd=texts,
        env=os.environ | {"PYTHONPATH": str(Path(archfront.__file__).parent), "HOME": str(texts / "home")},
    )  # fmt: skip
    os.close(person)
    said = b""
    with suppress(OSError):  # how a terminal of nobody ends
        while read := os.read(shown, 4096):
            said += read
    assert started.wait(60) == 0, said
    assert b"name of the study [my-study]: " in said
    values = yaml.safe_load((texts / "mine.yaml").read_text(encoding="utf-8"))
    assert values["corpus"]["files"] == ["home/my texts/a.txt"]
    assert values["latency"]["runtime"] == "torch"


def test_hours_are_turned_into_trials_by_the_plan(texts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Plan:
        """The machine has other work while the second one is made."""

        def __init__(self, trials: int) -> None:
            self.time, self.trials = self, trials
            self.processor_share = free if trials == begin.TRIED[0] else 0.5
            self.estimated_seconds = (300.0 + 60.0 * trials) / self.processor_share

    free = 1.0
    monkeypatch.setattr("trials.plans.plan_study.plan_study", lambda study: Plan(study.search.trials))
    assert archfront.main(["init", "--name", "mine", "--parameters", "250k", "--hours", "1"]) == 0
    assert load_study(texts / "mine.yaml").search.trials == 55
    assert begin.TRIED[0] < begin.TRIED[1]
    assert archfront.main(["init", "--name", "short", "--parameters", "250k", "--hours", "0.01"]) == 0
    assert load_study(texts / "short.yaml").search.trials == FEWEST_TRIALS
    assert "take about 11 min" in (said := capsys.readouterr().err)
    assert "fewer --parameters, or a shorter proxy.tokens" in said
    assert "at work here" not in said
    free = 0.25
    assert archfront.main(["init", "--name", "busy", "--parameters", "250k", "--hours", "0.01"]) == 0
    assert (
        "take about 44 min 0 s beside what else is at work here now, 11 min 0 s without it; fewer --parameters" in capsys.readouterr().err
    )


def test_init_and_plan_count_the_trials_alike_and_no_more_than_there_are_shapes(
    texts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert archfront.main(["init", "--name", "few", "--parameters", "50k"]) == 0
    study = load_study(texts / "few.yaml")
    expected = ExpectedTrials(study, check(study))
    assert study.search.trials == expected.trials < USUAL_TRIALS, "this budget has fewer shapes than a study usually tries"
    said = trials_text(expected.trials, len(expected.first.references), expected.replicates)
    assert f"archfront: {said}\n" in capsys.readouterr().err
    monkeypatch.setattr("trials.plans.plan_study.ready_paces", lambda *_: None)
    assert f"few: {said}; " in str(plan_study(study))
    more = study.model_copy(update={"search": study.search.model_copy(update={"trials": 500})})
    assert f"few: {said}; " in (text := str(plan_study(more)))
    assert "the space has no more shapes; 500 were asked for" in text
