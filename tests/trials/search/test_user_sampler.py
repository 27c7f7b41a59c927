"""`search.sampler: MODULE:CLASS`: whatever the user's class is, it proposes by the records alone or is refused in one sentence."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import archfront
from search_space.errors import SpecError, WorkError
from tests.support.bad_studies import TEXT, values
from tests.support.fakes import small_study
from tests.trials.search.test_proposer import SPACE, search
from tests.trials.search.test_replay import finished
from trials.jobs.shipment import pack
from trials.plans.check_study import check
from trials.search.proposer import Proposer
from trials.study.spec import StudySpec

names = (f"written_by_a_user_{number}" for number in itertools.count())
BEGIN = """
import numpy as np
from optuna.samplers import BaseSampler, RandomSampler

class Own(BaseSampler):
    def infer_relative_search_space(self, study, trial):
        return {}
    def sample_relative(self, study, trial, search_space):
        return {}
    def sample_independent(self, study, trial, name, distribution):
        return RandomSampler(3).sample_independent(study, trial, name, distribution)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that a test writes into the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return next(names)


def study_with(sampler: str, **search: Any) -> StudySpec:
    return small_study(search={"sampler": sampler, **search})[0]


REFUSED = {
    "no such class": (
        "",
        "Ownn",
        "search.sampler must name a class of MODULE, found no 'Ownn' in it, which has Own; correct it",
    ),
    "no sampler": ("Own = dict", "Own", "must name a subclass of optuna.samplers.BaseSampler, found <class 'dict'>"),
    "an instance": ("Own = RandomSampler(0)", "Own", "must name a subclass of optuna.samplers.BaseSampler, found <optuna"),
    "syntax": ("def", "Own", "the module MODULE must be importable, found that it raises SyntaxError: invalid syntax"),
    "an import of what is missing": ("import no_such_library", "Own", "found that it raises ModuleNotFoundError: No module named 'no_such"),
    "a program": (
        "import sys; sys.exit('usage: x')",
        "Own",
        "the module MODULE must be importable, found that it raises SystemExit: usage: x",
    ),
    "a class that is imported late": (
        "del Own\ndef __getattr__(name): import no_such_library",
        "Own",
        "the class MODULE:Own must be importable, found that it raises ModuleNotFoundError: No module named 'no_such_library'; install",
    ),
    "an argument without default": (
        "class Own(RandomSampler):\n  def __init__(self, mu): pass",
        "Own",
        "must be made with search.sampler_options (none), found that it raises TypeError: Own.__init__() missing 1 required",
    ),
    "what cannot propose": (
        "class Own(RandomSampler):\n  def sample_independent(self, study, *others): return study.best_trial.params",
        "Own",
        "must propose for a study of 2 objectives, found that it raises RuntimeError: A single best trial cannot be retrieved",
    ),
    "chance without seed": (
        "class Own(RandomSampler):\n  def __init__(self): super().__init__()",
        "Own",
        "must propose the same for equal trials and an equal seed, found two proposals",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_class_that_cannot_propose_is_refused_at_the_gate_in_one_sentence(kind: str, module: str) -> None:
    code, name, said = REFUSED[kind]
    Path(f"{module}.py").write_text(BEGIN + code)
    with pytest.raises(SpecError) as caught:
        check(study_with(f"{module}:{name}"))
    assert said.replace("MODULE", module) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sampler", "options", "said"),
    [
        ("optuna.samplers:QMCSampler", {}, "must keep nothing beside the trials"),
        ("optuna.samplers:CmaEsSampler", {}, "must propose for a study of 2 objectives"),
        ("optuna.samplers:TPESampler", {"mu": 3}, "must be made with search.sampler_options (mu)"),
        ("optuna.samplers:TPESampler", {"seed": 3}, "search.sampler_options must leave out seed"),
        ("optuna.integration:BoTorchSampler", {}, "the class optuna.integration:BoTorchSampler must be importable"),
        ("optuna.samplers:BaseSampler", {}, "must name a subclass of optuna.samplers.BaseSampler"),
        ("optuna.simplers:GPSampler", {}, "found no optuna.simplers in "),
    ],
)
def test_samplers_of_optuna_that_cannot_be_asked_by_the_records_are_refused(sampler: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said.replace("(", r"\(").replace(")", r"\)")):
        check(study_with(sampler, sampler_options=options))


def test_a_module_of_the_working_directory_proposes_and_travels_with_a_job(module: str, tmp_path: Path) -> None:
    Path(f"{module}.py").write_text(BEGIN)
    Path("text.txt").write_text(TEXT)
    Path("study.yaml").write_text(
        yaml.safe_dump(values(corpus={"files": ["text.txt"]}, space__vocab_size=280, search__sampler=f"{module}:Own"))
    )
    assert archfront.main(["plan", "study.yaml"]) == 0
    pack(Path("study.yaml"), tmp_path / "job")
    assert (tmp_path / "job/study" / f"{module}.py").read_text() == BEGIN
    records = finished(study_with(f"{module}:Own", trials=8))
    shapes = [record.architecture for record in records if record.replicates is None]
    assert len(set(shapes)) == len(shapes)


def test_options_reach_the_constructor() -> None:
    sampler = "tests.support.around_the_best:AroundTheBest"
    near, far = ([r.architecture for r in search(Proposer(SPACE, 0, sampler, options={"step": step}), 12)] for step in (0, 5))
    assert near != far
    assert near == [r.architecture for r in search(Proposer(SPACE, 0, sampler, options={"step": 0}), 12)]


def test_a_genetic_sampler_breeds_from_the_best_of_the_records() -> None:
    records = search(Proposer(SPACE, 0, "random"), 12)
    proposer = Proposer(SPACE, 0, "optuna.samplers:NSGAIIISampler", options={"population_size": 8})
    upside_down = [
        replace(record, training=other.training, latency=other.latency) for record, other in zip(records, reversed(records), strict=True)
    ]
    assert proposer.propose(12, records, []) != proposer.propose(12, upside_down, [])
    assert proposer.propose(7, records[:7], []) == proposer.propose(7, upside_down[:7], []), "random before there is a population"


@pytest.mark.slow
@pytest.mark.more
def test_optunas_gaussian_process_by_its_path_learns_and_replays() -> None:
    def made() -> Proposer:
        return Proposer(SPACE, 0, "optuna.samplers:GPSampler", options={"n_startup_trials": 4, "deterministic_objective": False})

    records = search(made(), 7)
    again = made()
    for number in (6, 5):
        proposal = again.propose(number, records[:number], [])
        assert proposal is not None
        assert proposal[1] == records[number].architecture


def test_what_a_sampler_raises_later_is_one_sentence(module: str) -> None:
    Path(f"{module}.py").write_text(
        BEGIN + "class Late(Own):\n  def sample_independent(self, study, *others):\n    raise ValueError('enough\\nof it')"
    )
    with pytest.raises(WorkError, match=f"search.sampler: {module}:Late raised ValueError: enough when it was asked for a shape") as caught:
        Proposer(SPACE, 0, f"{module}:Late").propose(0, [], [])
    assert "\n" not in str(caught.value)
