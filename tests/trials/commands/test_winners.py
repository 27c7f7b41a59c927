"""A team's decision: on record, on the page, in the card of its export and in MLflow."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from analysis.records.choice import read_choice
from tests.conftest import Call
from tests.support.fuzz_subjects import STORED
from tests.support.needs import rest_is_more


@pytest.fixture
def study(tmp_path: Path) -> Path:
    shutil.copytree(STORED / "search", tmp_path / "study")
    return tmp_path / "study"


def test_a_decision_is_kept_and_shown_with_who_and_when(archfront: Call, study: Path) -> None:
    done = archfront("choose", str(study), "2", "--because", "small <enough> for the phone", "--by", "the on-device team")
    assert done.returncode == 0, done.stderr
    assert "archfront export" in done.stderr
    found = read_choice(study)
    assert found is not None
    assert (found.trial, found.because, found.by) == (2, "small <enough> for the phone", "the on-device team")
    page = (study / "report.html").read_text(encoding="utf-8")
    assert "small &lt;enough&gt; for the phone" in page
    assert f"#2, by the on-device team on {found.chosen_at[:10]}" in page
    assert archfront("choose", str(study), "0", "--because", "second thoughts", "--by", "me").returncode == 0
    again = read_choice(study)
    assert again is not None
    assert (again.trial, len((study / "choices.jsonl").read_text().splitlines())) == (0, 2), "the last counts, the first stays"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("999", "--because", "x"), "has no trial 999"),
        (("9", "--because", "x"), "found #9, which stopped early"),
        (("2", "--because", "  "), "must have words"),
        (("2", "--because", "x", "--by", " "), "must have words"),
    ],
)
def test_a_decision_without_a_trial_or_words_is_refused(words: tuple[str, ...], said: str, archfront: Call, study: Path) -> None:
    done = archfront("choose", str(study), *words)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert read_choice(study) is None


def test_what_is_chosen_is_exported_by_its_word_and_its_card_says_why(archfront: Call, study: Path) -> None:
    done = archfront("export", str(study), "--pick", "chosen")
    assert (done.returncode, "nothing is chosen" in done.stderr) == (2, True)
    weights = sorted((study / "weights").glob("*.safetensors"))
    number = str(int(weights[0].stem))
    assert archfront("choose", str(study), number, "--because", "it fits", "--by", "us").returncode == 0
    done = archfront("export", str(study), "--pick", "chosen", "--format", "hf", "--output", str(study / "out"))
    assert done.returncode == 0, done.stderr
    card = (study / "out" / "README.md").read_text(encoding="utf-8")
    assert "| chosen | by us on 20" in card
    assert "it fits |" in card


@pytest.mark.slow
@pytest.mark.parametrize("name", rest_is_more(["study", "50%20of?x=1#a 'b'"], "study"))
def test_mlflow_has_the_decision_as_tags_of_the_study_and_of_its_trial(
    name: str, archfront: Call, study: Path, request: pytest.FixtureRequest
) -> None:
    if name != study.name:
        request.getfixturevalue("mlflow_process")  # a process that works in the directory
        study = study.rename(study.with_name(name))
    assert archfront("report", str(study)).returncode == 0
    for number in (2, 3):
        done = archfront("choose", str(study), str(number), "--because", f"reason {number}", "--by", "us")
        assert (done.returncode, "could not be told" in done.stderr) == (0, False), done.stderr
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{study.rename(study.with_name('plain')) / 'mlflow.db'}")
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    tags = [run.data.tags for run in runs]
    [parent] = [each for each in tags if "archfront.chosen_because" in each]
    assert (parent["archfront.chosen"], parent["archfront.chosen_because"]) == ("3", "reason 3")
    assert [each["archfront.number"] for each in tags if each.get("archfront.chosen") == "true"] == ["3"]
