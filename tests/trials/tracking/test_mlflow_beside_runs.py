"""Promotions, validations and checks of rates in MLflow: once each, beside their study, brought up to date, written again where lost."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from analysis.fidelity.rank_validity import VALIDITY
from analysis.records.record import append
from archfront import main
from tests.support.beside import check_rates_of, promote, validate
from tests.support.mlflow_here import TrackerHere
from tests.support.sample_study import sample_finals, sample_records
from tests.trials.tracking.test_mlflow_tracker import STUDY_YAML, study
from trials.tracking.mlflow_ablations import keep_answers, read_answers, track_answers
from trials.tracking.mlflow_location import DATABASE, PLACE, location_of

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")  # MLflow's own use of SQLAlchemy

SEEN = sample_records(14)
FINALS = sample_finals(SEEN)
NAMES = ["lr-check 0123456789ab", "promotion, 2 times longer", "validation, 3 times longer"]


def client_of(database: Path) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{database}")


def beside(directory: Path, database: Path | None = None, experiment: str = "sample") -> dict[str, Any]:
    """Runs beside the study by their names, each once."""
    client = client_of(database or directory / DATABASE)
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id], "tags.`archfront.beside` != ''", max_results=1000)
    names = sorted(run.info.run_name for run in runs)
    assert len(names) == len(set(names)), "one is there twice"
    return {run.info.run_name: run for run in sorted(runs, key=lambda run: run.info.run_name)}


def lacked(directory: Path) -> bool:
    """Whether anything had to be written."""
    tracker = TrackerHere(directory, study(), STUDY_YAML)
    found = not tracker.has_all(SEEN, FINALS)
    tracker.bring_up_to_date(SEEN, FINALS)
    assert tracker.has_all(SEEN, FINALS)
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("beside") / "study"
    directory.mkdir()
    (directory / "study.yaml").write_text(STUDY_YAML, encoding="utf-8")
    for record in SEEN:
        append(directory, record)
    for final in FINALS.values():
        append(directory, final)
    promote(directory, SEEN, 2.0)
    validate(directory, SEEN, 3.0)
    check_rates_of(directory, SEEN)
    assert lacked(directory)
    return directory


@pytest.fixture
def copied(written: Path, tmp_path: Path) -> Path:
    """The study and its check in another place; MLflow keeps where each run's files are."""
    from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

    _artifact_repos_cache.clear()
    return Path(shutil.copytree(written.parent, tmp_path / "copy") / "study")


def test_each_stands_beside_its_study_with_figures_and_files(written: Path) -> None:
    client, runs = client_of(written / DATABASE), beside(written)
    assert [*runs] == NAMES
    for name, run in runs.items():
        tags, kind = run.data.tags, name.partition(",")[0].partition(" ")[0]
        assert (tags["archfront.kind"], tags["archfront.study"], run.info.status) == (kind, "sample", "FINISHED")
        assert tags["archfront.beside"] == location_of(written, None).study_id
        assert "mlflow.parentRunId" not in tags
        assert tags["mlflow.note.content"]
        files = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert files == {f"{kind}.html", f"{kind}.json", "verdict.md"}
    assert runs["promotion, 2 times longer"].data.params["times"] == "2"
    assert runs["validation, 3 times longer"].data.metrics["kendall_tau"] == pytest.approx(1.0)


def test_an_unchanged_study_asks_mlflow_nothing_and_what_changed_updates_its_run(copied: Path) -> None:
    before = beside(copied)
    assert not lacked(copied)
    promote(copied, SEEN, 2.0, lost=1.0)  # trained once more, with another end
    assert lacked(copied)
    after = beside(copied)
    changed = {name for name in NAMES if after[name].data.metrics != before[name].data.metrics}
    assert changed == {"promotion, 2 times longer"}
    assert {name: run.info.run_id for name, run in after.items()} == {name: run.info.run_id for name, run in before.items()}
    promote(copied, SEEN, 4.0)
    assert lacked(copied)
    assert [*beside(copied)] == sorted([*NAMES, "promotion, 4 times longer"])


def test_what_is_lost_or_says_what_is_gone_is_written_again(copied: Path) -> None:
    runs = beside(copied)
    client_of(copied / DATABASE).delete_run(runs[NAMES[1]].info.run_id)
    assert lacked(copied)
    assert [*beside(copied)] == NAMES
    assert "bits_per_byte_after/trial 0" in runs[NAMES[2]].data.metrics
    lines = (copied / VALIDITY).read_text(encoding="utf-8").splitlines(keepends=True)
    (copied / VALIDITY).write_text("".join(lines[1:]), encoding="utf-8")
    assert lacked(copied)
    assert "bits_per_byte_after/trial 0" not in beside(copied)[NAMES[2]].data.metrics


@pytest.mark.slow
def test_track_writes_them_elsewhere_and_the_report_with_them(copied: Path, tmp_path: Path) -> None:
    assert main(["track", str(copied), "--tracking-uri", f"sqlite:///{tmp_path}/copy.db"]) == 0
    assert [*beside(copied, tmp_path / "copy.db")] == NAMES
    client = client_of(tmp_path / "copy.db")
    [parent] = [run for run in client.search_runs(["1"], max_results=100) if "archfront.study_id" in run.data.tags]
    assert "report.html" in {file.path for file in client.list_artifacts(parent.info.run_id)}


def test_what_ablations_found_is_kept_and_shown_in_experiments_of_their_own(tmp_path: Path, written: Path) -> None:
    from dataclasses import replace

    from trials.reporting.beside_run import ABLATION_KIND
    from trials.reporting.beside_study import beside_runs

    like = beside_runs(written, study(), SEEN, FINALS)[0]
    answers = [
        replace(like, kind=ABLATION_KIND, study=name, name=f"{name}, scale proxy", metrics={"gain_bits_per_byte/deep and narrow": -0.01})
        for name in ("depth", "heads")
    ]
    assert read_answers(tmp_path) == []
    assert keep_answers(tmp_path, answers)
    assert not keep_answers(tmp_path, answers), "they are no other answers"
    for _ in range(2):
        assert track_answers(tmp_path) == str(tmp_path / DATABASE)
    for name in ("depth", "heads"):
        [(title, run)] = beside(tmp_path, experiment=name).items()
        assert (title, run.data.tags["archfront.kind"]) == (f"{name}, scale proxy", "ablation")
        assert run.data.metrics == {"gain_bits_per_byte/deep and narrow": -0.01}
    assert keep_answers(tmp_path, [replace(answers[0], metrics={"gain_bits_per_byte/deep and narrow": 0.02})])
    assert track_answers(tmp_path) is not None
    assert beside(tmp_path, experiment="depth")["depth, scale proxy"].data.metrics["gain_bits_per_byte/deep and narrow"] == 0.02
    assert main(["track", str(tmp_path)]) == 0


def test_answers_that_are_none_or_a_server_that_is_away_are_one_sentence(
    tmp_path: Path,
    written: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from trials.reporting.beside_study import beside_runs

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert keep_answers(tmp_path, beside_runs(written, study(), SEEN, FINALS))
    assert main(["track", str(tmp_path), "--tracking-uri", "http://me:hunter2@127.0.0.1:9"]) == 1
    said = caplog.text + capsys.readouterr().err
    assert "what was found is safe" in said
    assert "hunter2" not in said
    assert (tmp_path / PLACE).is_file()
    next((tmp_path / "answers").iterdir()).write_text('{"kind": 3}', encoding="utf-8")
    assert main(["track", str(tmp_path)]) == 2
    assert "must hold what an ablation found" in capsys.readouterr().err
