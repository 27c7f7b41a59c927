"""Winners as registered models of MLflow: loaded by their aliases in a process of their own, without archfront and without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis.fronts.front import front_of
from analysis.fronts.membership import estimate_membership
from analysis.fronts.picks import picked
from analysis.records.choice import Choice, append_choice
from tests.support.sample_study import sample_finals
from tests.trials.reporting.test_mlflow_tracker import records, study, track
from trials.study.directory import tokenizer_file, weights_file

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
def test_winners_are_models_that_write_text_wherever_the_directory_is(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    made = tmp_path / "made"
    made.mkdir()
    with_files(made)
    seen = records()
    track(made, seen)
    append_choice(made, Choice(trial=5, because="it is small", by="ada", chosen_at="2026-11-29T12:00:00+00:00"))
    track(made, seen)
    directory = Path(shutil.move(made, tmp_path / "moved"))
    track(directory, seen)

    uri = f"sqlite:///{directory}/mlflow.db"
    client = MlflowClient(tracking_uri=uri)
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
    assert list(MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db").search_registered_models()) == []
