"""Winners as registered models of MLflow: loaded by their aliases in a process of their own, without archfront and without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership
from analysis.fronts.picks import picked
from analysis.records.choice import Choice, append_choice
from search_space.cost import parameters, unrolled_parameters
from tests.support.mlflow_here import TrackerHere
from tests.support.sample_study import sample_finals
from tests.trials.tracking.test_mlflow_tracker import STUDY_YAML, Store, records, study, track
from trials.study.directory import tokenizer_file, weights_file
from trials.tracking import mlflow_models
from trials.tracking.mlflow_models import MODEL_ON_ITS_WAY, StudyModels
from trials.tracking.mlflow_runs import StudyRuns
from trials.tracking.mlflow_store import MlflowStore, save_text_model

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")  # MLflow's own use of SQLAlchemy

LOAD = """
import json, sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/sample@" + sys.argv[2])
assert not any(name.split(".")[0] in ("trials", "analysis", "search_space") for name in sys.modules)
said = model.predict(["def main(", "import"])
signature = model.metadata.signature.to_dict()
print(json.dumps({"said": said, "again": model.predict(["def main("]), "inputs": signature["inputs"]}))
"""


def with_files(directory: Path) -> None:
    """Weights of every finished trial, and the tokenizer, as a study leaves them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from trials.network.decoder import Network
    from trials.network.weights import save_weights

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=512, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False)
    text = " ".join(f"def main_{number}(): import {number} # {number * number:x}" for number in range(2000))
    tokenizer.train_from_iterator([text], trainer)
    assert tokenizer.get_vocab_size() == 512
    file = tokenizer_file(directory, 512)
    file.parent.mkdir(parents=True)
    tokenizer.save(str(file))
    for record in records():
        if record.finished:
            path = weights_file(directory, record.number)
            path.parent.mkdir(exist_ok=True)
            save_weights(path, Network(record.architecture, record.seed))


@pytest.mark.slow
def test_winners_are_models_that_write_text_wherever_the_directory_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    made = tmp_path / "made"
    made.mkdir()
    with_files(made)
    seen, folders = records(), set[str]()

    def save_and_see(path: Path, checkpoint: Path) -> None:
        folders.add(tempfile.gettempdir())
        save_text_model(path, checkpoint)

    monkeypatch.setattr(mlflow_models, "save_text_model", save_and_see)
    track(made, seen)
    assert folders == {str(made / MODEL_ON_ITS_WAY)}, "a copy of MLflow's would be left elsewhere by a kill"
    assert not (made / MODEL_ON_ITS_WAY).exists()
    (made / MODEL_ON_ITS_WAY / "left by a kill").mkdir(parents=True)
    append_choice(made, Choice(trial=5, because="it is small", by="ada", chosen_at="2026-11-29T12:00:00+00:00"))
    track(made, seen)
    assert not (made / MODEL_ON_ITS_WAY).exists()
    directory = Path(shutil.move(made, tmp_path / "moved"))
    track(directory, seen)

    uri = f"sqlite:///{directory}/mlflow.db"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    model = client.get_registered_model("sample")
    front = front_of(seen, sample_finals(seen))
    winners = {**picked(front, estimate_membership(front)), "chosen": 5}
    assert (
        set(model.aliases) == {word.replace("-", "_") for word in winners} >= {"recommended", "knee", "fastest", "most_accurate", "chosen"}
    )
    versions: dict[str, Any] = {str(version.version): version for version in client.search_model_versions("name = 'sample'")}
    assert len(versions) == len(set(winners.values())), "a trial has a version for each of its words, or again for each time it was written"
    for word, number in winners.items():
        assert versions[str(model.aliases[word.replace("-", "_")])].tags["archfront.made_of"].startswith(f"{number} ")
    files = {path.name for path in (directory / "mlflow-artifacts").rglob("model/**/*") if path.is_file()}
    assert {"model.safetensors", "tokenizer.json", "config.json", "text_model.py", "requirements.txt", "input_example.json"} <= files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".pt", ".bin"))]

    alone = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    offline = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-P", "-c", LOAD, uri, "recommended"],
        cwd=tmp_path,
        env=alone | offline,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert [text.startswith(asked) for text, asked in zip(answer["said"], ("def main(", "import"), strict=True)] == [True, True]
    assert len(answer["said"][0]) > len("def main(")
    assert answer["again"] == answer["said"][:1]
    assert json.loads(answer["inputs"]) == [{"type": "string", "required": True}]


def test_a_study_without_weights_has_no_model(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    track(tmp_path, records(3))
    assert study().name == "sample"
    assert list(MlflowClient(tracking_uri=(uri := f"sqlite:///{tmp_path}/mlflow.db"), registry_uri=uri).search_registered_models()) == []


# --- what goes wrong


def with_junk(directory: Path) -> None:
    """Files where weights and tokenizers of all finished trials are looked for."""
    for record in records():
        for path in (weights_file(directory, record.number), tokenizer_file(directory, record.architecture.vocab_size)):
            path.parent.mkdir(exist_ok=True)
            if record.finished:
                path.write_bytes(b"junk")


def aliases(directory: Path) -> dict[str, int]:
    """Words of the registered model, with the number of the trial whose version each is."""
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{directory}/mlflow.db"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    versions = {str(version.version): version.tags for version in client.search_model_versions("name = 'sample'")}
    found = client.get_registered_model("sample").aliases
    return {word: int(versions[str(version)]["archfront.made_of"].split()[0]) for word, version in found.items()}


def test_models_that_are_refused_cost_one_warning_and_the_runs_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow.exceptions import RestException

    def refuse(*_: object, **__: object) -> None:
        raise RestException({"error_code": "PERMISSION_DENIED", "message": "no right to the registry"})

    seen = records(3)

    def tracked() -> TrackerHere:
        tracker = TrackerHere(tmp_path, study(), STUDY_YAML)
        tracker.bring_up_to_date(seen, sample_finals(seen))
        return tracker

    with monkeypatch.context() as patch:
        patch.setattr(MlflowStore, "models", refuse)
        assert not tracked().failed
    [said] = [record.message for record in caplog.records if "MLflow" in record.message]
    assert "its models are not (PERMISSION_DENIED: no right to the registry); `archfront report" in said
    assert said.endswith("registers them once that is mended")
    store = Store(tmp_path)
    assert store.parent.info.status == "FINISHED"
    assert not TrackerHere(tmp_path, study(), STUDY_YAML).has_all(seen, sample_finals(seen)), "they would never be registered"
    assert tracked().has_all(seen, sample_finals(seen))
    assert Store(tmp_path).parent.info.end_time == store.parent.info.end_time


def test_who_gives_up_leaves_no_run_that_seems_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("refused")

    with monkeypatch.context() as patch:
        patch.setattr(StudyRuns, "_write_front", refuse)
        track(tmp_path, records(3))
    assert Store(tmp_path).parent.info.status == "KILLED"
    track(tmp_path, records(3))
    assert Store(tmp_path).parent.info.status == "FINISHED"


def test_damaged_weights_are_no_model_and_no_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with_junk(tmp_path)
    seen = records()
    tracker = TrackerHere(tmp_path, study(), STUDY_YAML)
    tracker.bring_up_to_date(seen, sample_finals(seen))
    assert not [record.message for record in caplog.records if "MLflow" in record.message]
    assert tracker.has_all(seen, sample_finals(seen))
    assert aliases(tmp_path) == {}
    assert not (tmp_path / MODEL_ON_ITS_WAY).exists()


def test_a_word_whose_shape_has_no_model_is_no_alias(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def add(models: StudyModels, name: str, record: Any, identity: str, run_id: str) -> str | None:
        return None if record.number == 6 else models._store.add_version(name, run_id, "model", record.title, identity)

    def choose(number: int) -> None:
        append_choice(tmp_path, Choice(trial=number, because="it is small", by="ada", chosen_at="2026-11-29T12:00:00+00:00"))
        track(tmp_path, seen)

    with_junk(tmp_path)
    monkeypatch.setattr(StudyModels, "_add", add)  # torch and copies of weights take seconds
    seen = records()
    choose(5)
    assert aliases(tmp_path)["chosen"] == 5
    choose(6)
    assert "chosen" not in aliases(tmp_path), "the word is still the former trial's"
    weights_file(tmp_path, 5).unlink()
    choose(5)
    assert aliases(tmp_path)["chosen"] == 5, "a model that is there stays when the study's own copy is deleted"


def test_the_bound_is_on_weights_as_transformers_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_junk(tmp_path)
    shape = records()[5].architecture
    assert shape.num_hidden_layers > shape.num_unique_layers
    added: list[int] = []
    monkeypatch.setattr(StudyModels, "_add", lambda models, name, record, *_: added.append(record.number))
    monkeypatch.setattr(MlflowStore, "models", lambda *_, **__: ("sample", {}, {}))
    models = StudyModels(MlflowStore.__new__(MlflowStore), tmp_path, study(), "id")
    for most in (4 * parameters(shape), 4 * unrolled_parameters(shape)):
        monkeypatch.setattr(mlflow_models, "LARGEST_MODEL_BYTES", most)
        models.register({"chosen": records()[5]}, {5: "run"})
    assert added == [5], "each block is there as often as it runs"
