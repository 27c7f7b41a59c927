"""A long training as a run of MLflow's: curves, figures and a registered model, each once however often the command is given."""

from __future__ import annotations

import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from search_space.errors import WorkError
from tests.conftest import Call
from tests.trials.pretraining.test_train import folder, words
from trials.tracking.mlflow_location import ARTIFACTS, DATABASE, location_of
from trials.tracking.mlflow_models import MODEL_ON_ITS_WAY

__all__ = ["folder"]


@pytest.mark.slow
def test_a_training_is_a_run_with_its_curves_and_a_registered_model(archfront: Call, folder: Path) -> None:
    uri = f"sqlite:///{folder / 'runs.db'}"
    for _ in range(2):
        done = archfront(*words("out", "--tracking-uri", uri))
        assert done.returncode == 0, done.stderr
        assert "MLflow does not take" not in done.stderr
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiments = [each.experiment_id for each in client.search_experiments()]
    (run,) = client.search_runs(experiments)
    assert (run.info.status, run.data.tags["archfront.kind"]) == ("FINISHED", "training")
    assert run.data.params["recipe"] == "recipe.yaml"
    for name, least in (("training_loss", 32), ("validation_loss", 4), ("learning_rate", 32)):
        history = client.get_metric_history(run.info.run_id, name)
        steps = [point.step for point in history]
        assert len(steps) == len(set(steps)) >= least, name
    assert run.data.metrics["bits_per_byte"] > 0
    (model,) = client.search_registered_models()
    assert [version.version for version in client.search_model_versions(f"name = '{model.name}'")] in (["1"], [1])
    assert list(model.aliases) == ["trained"]


@pytest.mark.slow
@pytest.mark.parametrize(("ends", "status"), [(KeyboardInterrupt(), "KILLED"), (WorkError("no room"), "FAILED")])
def test_a_run_does_not_seem_to_go_on_when_its_training_does_not(
    ends: BaseException, status: str, archfront: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    def end(_: object) -> None:
        raise ends

    uri = f"sqlite:///{folder / 'runs.db'}"
    client = MlflowClient(tracking_uri=uri)
    command = words("out", "--tracking-uri", uri)

    def found() -> str:
        (run,) = client.search_runs([each.experiment_id for each in client.search_experiments()])
        return str(run.info.status)

    def save(path: Path, model: Path) -> None:
        said.append(found())
        path.mkdir()
        raise RuntimeError("no room")

    said: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr("trials.training.proxy_run.ProxyRun.result", end)
        assert archfront(*command).returncode != 0
    assert found() == status
    with monkeypatch.context() as patch:
        patch.setattr("trials.pretraining.tracked.save_text_model", save)
        done = archfront(*command)
        assert (done.returncode, said) == (0, ["RUNNING"]), done.stderr
    assert not (folder / "out" / MODEL_ON_ITS_WAY).exists()
    done = archfront(*command)
    assert (done.returncode, "MLflow" in done.stderr, found()) == (0, False, "FINISHED"), done.stderr
    assert len(client.search_registered_models()) == 1


def test_a_store_that_fails_costs_a_warning_and_no_training(archfront: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("no room at sqlite://user:secret@host")

    monkeypatch.setattr("trials.pretraining.tracked.MlflowStore", fails)
    done = archfront(*words("out", "--tracking-uri", f"sqlite:///{folder / 'runs.db'}"))
    assert done.returncode == 0, done.stderr
    assert (folder / "out" / "model" / "config.json").is_file()


@pytest.mark.more
@pytest.mark.slow
def test_a_folder_that_no_address_can_name_has_its_run_all_the_same(archfront: Call, folder: Path) -> None:
    out = folder / "a%20b #1?"
    out.mkdir()
    location_of(out, None)
    done = archfront(*words(out.name))
    assert done.returncode == 0, done.stderr
    assert "MLflow" not in done.stderr
    with closing(sqlite3.connect(f"file:{quote(str(out / DATABASE))}?mode=ro", uri=True)) as database:
        assert database.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)]
        assert database.execute("SELECT count(*) FROM model_versions").fetchall() == [(1,)]
    assert (out / ARTIFACTS).is_dir()
    assert not (folder / "a b #1?").exists()
