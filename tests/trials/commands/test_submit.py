"""Every verb that trains or measures can be sent to a cluster, and says there what it was told here."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

import archfront
from search_space.errors import SpecError
from tests.support.bad_studies import SHAPE, TEXT
from tests.support.ray_head import write_study
from tests.trials.trial.test_scaling_grid import VALUES as GRID
from trials.commands.jobs import _what_next
from trials.commands.verbs import VERBS, _has_no_verb, parser
from trials.jobs.order import Order

TRAINING = [name.removeprefix("job submit ") for name in VERBS if name.startswith("job submit ")]
ADDRESS = ["--address", "http://127.0.0.1:1"]
OPTIONS = {
    "run": ["--tracking-uri", "http://host:5000", "--experiment", "ours", "--tag", "team=phones", "--tag", "a=b c"],
    "validate": ["--shapes", "5", "--times", "2.5"],
    "promote": ["--times", "3", "--top", "2", "--most-telling", "1"],
    "lr-check": ["--shapes", "2", "--rates", "3", "--tokens", "4k"],
    "ablate": ["--scale", "proxy", "--workers", "3"],
    "profile-device": ["--runtime", "onnxruntime", "--precision", "int8", "--shapes", "20", "--checks", "3"],
    "train": [
        "--pick",
        "knee",
        "--recipe",
        "mobilellm-120k",
        "--tokens",
        "4k",
        "--devices",
        "2",
        "--seed",
        "3",
        "--threads",
        "2",
        "--state-seconds",
        "30",
        "--tracking-uri",
        "http://host:5000",
        "--license",
        "mit",
    ],
}
"""All that a verb is told, but for its file and directory."""
OF_THE_PLACE = {
    "help",
    "study",
    "study_directory",
    "directory",
    "address",
    "env",
    "file",
    "output",
    "subject",
    "trial",
    "data",
    "tokenizer",
}
"""Where a verb works and what it reads, which lies elsewhere in a job; of `train` see `tests/trials/jobs/test_training_shipment.py`."""
HERE_ALONE = {"json", "verbose", "trials", "fit", "column", "features", "seeds", "plan", "price_per_hour"}
"""What a verb reads that no job does: how its answer is printed, files of this machine, and what measures nothing."""


def arguments_of(name: str) -> set[str]:
    made: argparse.ArgumentParser = parser()
    for word in name.split():
        (inner,) = [action for action in made._actions if isinstance(action, argparse._SubParsersAction)]
        made = inner.choices[word]
    return {action.dest for action in made._actions}


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> list[Order]:
    """What would have been sent."""
    found: list[Order] = []

    def keep(order: Order, address: str, variables: object) -> str:
        found.append(order)
        return "a-job"

    monkeypatch.setattr("trials.jobs.submit.submit", keep)
    return found


def written(verb: str, folder: Path) -> Path:
    if verb != "ablate":
        return write_study(folder)
    arm = {name: value for name, value in SHAPE.items() if name != "intermediate_size"}
    scale = {"arms": {"a": {**arm, "intermediate_size": 140}, "b": {**arm, "intermediate_size": 144}}, "proxy": {"tokens": 4096}}
    folder.mkdir()
    (folder / "text.txt").write_text(TEXT)
    ablation = {"name": "mine", "question": "q", "baseline": "a", "published": {"source": "s"}, "scales": {"proxy": scale}}
    (folder / "mine.yaml").write_text(yaml.safe_dump({**ablation, "corpus": {"files": ["text.txt"]}}))
    return folder / "mine.yaml"


def test_every_verb_that_trains_can_be_sent() -> None:
    assert {name for name, verb in VERBS.items() if verb.goes_on} - {"job fetch"} == set(TRAINING) == set(OPTIONS)


@pytest.mark.parametrize("verb", TRAINING)
def test_a_job_reads_what_its_verb_reads(verb: str) -> None:
    assert arguments_of(verb) - OF_THE_PLACE - HERE_ALONE == arguments_of(f"job submit {verb}") - OF_THE_PLACE
    assert {f"--{name}" for name in arguments_of(verb) - OF_THE_PLACE - HERE_ALONE} == {
        word.replace("-", "_").replace("__", "--") for word in OPTIONS[verb] if word.startswith("--")
    }


@pytest.mark.parametrize("verb", TRAINING)
def test_the_command_of_a_job_says_what_was_said_here(verb: str, tmp_path: Path, orders: list[Order]) -> None:
    path = written(verb, tmp_path / "studies")
    assert archfront.main(["job", "submit", verb, str(path), "--directory", "~/kept/x", *OPTIONS[verb], *ADDRESS]) == 0
    command = orders[0].command()
    opening, _, said = command.partition(" -m archfront ")
    assert opening.startswith("cd study && PYTHONPATH=")
    there, here = parser().parse_args(shlex.split(said)), parser().parse_args(["job", "submit", verb, str(path), *OPTIONS[verb], *ADDRESS])
    told = {name: value for name, value in vars(there).items() if name not in OF_THE_PLACE | HERE_ALONE | {"verb"}}
    assert told == {name: value for name, value in vars(here).items() if name in told}
    assert there.verb == verb
    assert path.name in shlex.split(said)
    assert any(word.startswith("~/kept/x") for word in shlex.split(said))
    assert (orders[0].verb, orders[0].files, orders[0].directory) == (verb, (path,), "~/kept/x")


@pytest.mark.parametrize("verb", TRAINING)
def test_a_job_works_below_archfront_in_the_home_folder_unless_told_otherwise(verb: str, tmp_path: Path, orders: list[Order]) -> None:
    path = written(verb, tmp_path / "studies")
    assert archfront.main(["job", "submit", verb, str(path), *(["--tokens", "4k"] if verb == "train" else []), *ADDRESS]) == 0
    own = {"lr-check": "tiny-lr-check", "ablate": "mine", "profile-device": "tiny-device", "train": "tiny-recommended-train"}
    assert orders[0].directory == f"~/archfront/{own.get(verb, 'tiny')}"
    assert orders[0].study == ("mine" if verb == "ablate" else "tiny")


@pytest.mark.parametrize("verb", ["lr-check", "profile-device"])
def test_a_job_that_only_reads_a_study_reads_it_where_it_lies_there(
    verb: str, tmp_path: Path, orders: list[Order], capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(written(verb, tmp_path / "studies"))
    for given, wanted in (
        ([], "~/archfront/tiny"),
        (["--study-directory", "/data/x y"], "/data/x y"),
        (["--study-directory", "~/a"], "~/a"),
    ):
        assert archfront.main(["job", "submit", verb, path, *given, *ADDRESS]) == 0
        words = shlex.split(orders[-1].command())
        assert words[words.index("--study-directory") + 1] == wanted
    assert archfront.main(["job", "submit", verb, path, "--study-directory", "runs/tiny", *ADDRESS]) == 2
    assert "--study-directory must be absolute or begin with ~/" in capsys.readouterr().err
    assert len(orders) == 3


@pytest.mark.parametrize(
    ("verb", "asked"),
    [("lr-check", "trials.experiments.lr_check.run_rate_check"), ("profile-device", "trials.latency.device_profile.choose_shapes")],
)
def test_what_a_study_left_open_is_what_it_began_with_where_it_lies(
    verb: str, asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, heads = write_study(tmp_path / "studies"), list[set[int]]()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "study.begun.yaml").write_text(yaml.safe_dump({"defaults": {"space": {"num_key_value_heads": [1]}}}))

    def look(study: Any, *others: object, **more: object) -> None:
        space = getattr(study, "search_space", study)
        heads.append({shape.num_key_value_heads for shape in space.sample(50, 0)})
        raise SpecError("enough is known")

    monkeypatch.setattr(asked, look)
    for where in ([], ["--study-directory", str(tmp_path / "there")]):
        assert archfront.main([verb, str(path), *where]) == 2
    assert heads == [{1, 2}, {1}]


def test_a_study_in_the_place_of_a_verb_is_run(tmp_path: Path, orders: list[Order]) -> None:
    assert archfront.main(["job", "submit", str(write_study(tmp_path / "studies")), *ADDRESS]) == 0
    assert orders[0].verb == "run"


@pytest.mark.parametrize("options", [[], ["--tag", "a=b"], ["--directory", "~/kept/x"]], ids=" ".join)
def test_a_study_behind_options_is_run_too(options: list[str], tmp_path: Path, orders: list[Order]) -> None:
    path = str(write_study(tmp_path / "studies"))
    assert archfront.main(["job", "submit", *ADDRESS, *options, path]) == 0
    assert archfront.main(["job", "submit", *options, path, *ADDRESS]) == 0
    assert [order.verb for order in orders] == ["run", "run"]


@pytest.mark.parametrize("words", [["--help"], ["ablat", "study.yaml"], ["ablate", "--help"], ["ablate", "study.yaml"], ["--address", "u"]])
def test_no_verb_is_put_before_another_nor_where_no_study_is(words: list[str]) -> None:
    assert not _has_no_verb(words, TRAINING)


REFUSED = {
    "validate": [(["--times", "0.5"], "--times must be above 1"), (["--shapes", "2"], "--shapes must be at least 3")],
    "promote": [(["--times", "50"], "--times must be above 1 and at most 8"), (["--times", "1"], "--times must be above 1")],
    "lr-check": [(["--rates", "4"], "--rates must be odd")],
    "profile-device": [
        (["--shapes", "1"], "--shapes must be at least 8"),
        (["--runtime", "torch", "--precision", "int4"], "precision"),
    ],
    "ablate": [(["--scale", "nope"], "mine has no scale nope")],
    "train": [
        ([], "--tokens must say how long"),
        (["--tokens", "4k", "--license", "My own!"], "--license"),
        (["--recipe", "mobilelm-120k"], "mobilellm-120k"),
        (["--tokens", "4k", "--tokenizer", "x.json"], "--tokenizer must go with --data"),
        (["--tokens", "4k", "--study-directory", "runs/tiny"], "--study-directory must be absolute or begin with ~/"),
    ],
}


@pytest.mark.parametrize(("verb", "options", "said"), [(verb, *case) for verb, cases in REFUSED.items() for case in cases])
def test_what_the_head_would_refuse_is_refused_here(
    verb: str, options: list[str], said: str, tmp_path: Path, orders: list[Order], capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(verb, tmp_path / "studies")
    assert archfront.main(["job", "submit", verb, str(path), *options, *ADDRESS]) == 2
    assert said in capsys.readouterr().err
    assert not orders


@pytest.mark.parametrize("verb", ["promote", "lr-check", "profile-device"])
def test_a_study_of_laws_is_sent_to_no_verb_that_needs_a_space(
    verb: str, tmp_path: Path, orders: list[Order], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**GRID, "corpus": {"files": ["text.txt"]}}))
    assert archfront.main(["job", "submit", verb, str(tmp_path / "study.yaml"), *ADDRESS]) == 2
    assert "found a study with `scaling`" in capsys.readouterr().err
    assert not orders


def test_a_mistyped_verb_is_named_with_the_likeliest(capsys: pytest.CaptureFixture[str]) -> None:
    assert archfront.main(["job", "submit", "valdate", "study", *ADDRESS]) == 2
    assert "did you mean `validate`" in capsys.readouterr().err


@pytest.mark.parametrize("verb", TRAINING)
def test_what_is_said_after_a_fetch_can_be_typed(verb: str, tmp_path: Path) -> None:
    said = _what_next(verb, tmp_path)
    assert str(tmp_path) in said
    commands = [word for line in said.splitlines() for word in re.findall(r"archfront (\S+)", line)]
    assert commands == {"ablate": ["ablate"], "lr-check": ["lr-check"], "profile-device": [], "train": ["evaluate"]}.get(
        verb, ["report", "export"]
    )
