"""Whose a study is in MLflow, in which experiment, and with which tags of a person's own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

import archfront
from search_space.errors import SpecError
from tests.support.mlflow_here import TrackerHere
from tests.support.ray_head import write_study
from tests.trials.tracking.test_mlflow_tracker import STUDY_YAML, records, study
from trials.commands.arguments import add_tracking, tags_of
from trials.jobs.order import Order
from trials.machine.provenance import OWNER_VARIABLE, owner
from trials.tracking.mlflow_location import location_of

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")  # MLflow's own use of SQLAlchemy


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_tracking(parser)
    return parser.parse_args(words)


def test_a_study_is_its_owners_in_an_experiment_with_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    def parent_of(**given: Any) -> Any:
        tracker = TrackerHere(tmp_path, study(), STUDY_YAML, **given)
        assert tracker.has_all(records(3), {}) == (not given)
        tracker.bring_up_to_date(records(3), {})
        client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
        [runs] = [client.search_runs([each.experiment_id]) for each in client.search_experiments() if each.name == "phones of 2026"]
        assert {run.data.tags["mlflow.user"] for run in runs} == {"ada"}
        [parent] = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        return parent

    monkeypatch.setenv(OWNER_VARIABLE, "ada")
    first = parent_of(experiment="phones of 2026", tags={"team": "phones", "for/whom": "us"})
    assert {"team": "phones", "for/whom": "us"}.items() <= first.data.tags.items()
    assert parent_of().info.run_id == first.info.run_id
    again = parent_of(tags={"team": "tablets"})
    assert (again.info.run_id, again.data.tags["team"], again.data.tags["for/whom"]) == (first.info.run_id, "tablets", "us")
    with pytest.raises(SpecError, match="found 'other' for phones of 2026; leave it out"):
        location_of(tmp_path, None, experiment="other")
    assert location_of(tmp_path, "sqlite:////elsewhere.db", experiment="other").experiment == "other"


def test_an_experiment_stays_where_the_address_has_a_password_and_a_studys_own_name_is_one(tmp_path: Path) -> None:
    uri = "postgresql://me:hunter2@host/db"
    assert location_of(tmp_path, uri, study_name="sample").experiment is None
    for given in (uri, uri.replace("hunter2", "another")):
        with pytest.raises(SpecError, match="found 'other' for that of the study's name; leave it out"):
            location_of(tmp_path, given, experiment="other", study_name="sample")
    assert location_of(tmp_path, uri, experiment="sample", study_name="sample").experiment == "sample"
    assert location_of(tmp_path, uri.replace("host", "another"), experiment="other", study_name="sample").experiment == "other"
    with pytest.raises(SpecError, match="found 'sample' for other"):
        location_of(tmp_path, uri.replace("host", "another"), experiment="sample", study_name="sample")


def test_who_submits_a_job_is_its_owner_and_what_is_given_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[Order] = []
    monkeypatch.setattr("trials.jobs.submit.submit", lambda order, address, variables: orders.append(order))
    study = write_study(tmp_path / "studies")
    given = ["--experiment", "my phones", "--tag", "team=phones", "--tag", "why=a = b; $HOME"]
    words = ["job", "submit", "run", str(study), "--directory", "/data/x", *given, "--address", "http://127.0.0.1:1"]
    assert archfront.main(words) == 0
    command = orders[0].command()
    assert command.endswith("--directory /data/x --experiment 'my phones' --tag team=phones --tag 'why=a = b; $HOME'")
    monkeypatch.delenv(OWNER_VARIABLE, raising=False)
    monkeypatch.setenv("LOGNAME", "bob")
    assert owner() == "bob"
    monkeypatch.setenv(OWNER_VARIABLE, "ada")
    assert owner() == "ada"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tag", "team"), "must be KEY=VALUE"),
        (("--tag", "=phones"), "must be KEY=VALUE"),
        (("--tag", "team="), "must be KEY=VALUE"),
        (("--tag", "a b=c"), "must be KEY=VALUE"),
        (("--tag", "mlflow.user=eve"), "must have a key that does not begin with mlflow., which is taken"),
        (("--tag", "archfront.outcome=finished"), "must have a key that does not begin with archfront., which is taken"),
        (("--tag", f"long={'x' * 5001}"), "must be KEY=VALUE"),
        (("--experiment", " "), "must be a name of at most 250 letters"),
        (("--experiment", "two\nlines"), "must be a name of at most 250 letters"),
    ],
)
def test_a_tag_or_experiment_that_mlflow_cannot_keep_is_refused(words: tuple[str, str], said: str) -> None:
    with pytest.raises(argparse.ArgumentError, match=said):
        parsed(*words)


def test_a_tag_is_given_once() -> None:
    with pytest.raises(SpecError, match="found team again"):
        tags_of(parsed("--tag", "team=a", "--tag", "team=b"))
