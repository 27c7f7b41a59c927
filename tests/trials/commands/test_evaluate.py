"""`archfront evaluate` as people call it: a study's trials, folders and files of others, one model against another."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import Call
from tests.support.fuzz_subjects import STORED

PAIRS = [{"good": f"def f{number}(x):\n    return x", "bad": f"return{number} f def (x)", "UID": "order"} for number in range(40)]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    shutil.copytree(STORED / "search", tmp_path / "study")
    return tmp_path / "study"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "blimp.jsonl").write_text("\n".join(map(json.dumps, PAIRS)))
    (folder / "sums.jsonl").write_text(json.dumps({"query": "x =", "choices": ["1", "one"], "gold": 0}))
    return folder


def test_a_trial_answers_as_its_export_does(archfront: Call, study: Path, data: Path) -> None:
    number = str(int(sorted((study / "weights").glob("*.safetensors"))[0].stem))
    assert (
        archfront(
            "export", str(study), "--trial", number, "--format", "hf,gguf", "--gguf-precision", "float32", "--output", str(study / "out")
        ).returncode
        == 0
    )
    gguf = next((study / "out").glob("*.gguf"))
    asked = ["--tasks", "blimp,sums", "--data", str(data), "--trial", number, "--json"]
    done = archfront("evaluate", str(study), *asked)
    assert done.returncode == 0, done.stderr
    [ours] = json.loads(done.stdout)
    assert ours["tasks"][0]["groups"].keys() == {"order"}
    assert ours["tasks"][0]["questions"] == 40
    others = archfront("evaluate", str(study / "out"), str(gguf), *asked[:4], "--json")
    assert others.returncode == 0, others.stderr
    for other in json.loads(others.stdout):
        for theirs, own in zip(other["tasks"], ours["tasks"], strict=True):
            assert theirs["accuracy"] == own["accuracy"]
            assert theirs["bits_per_byte"] == pytest.approx(own["bits_per_byte"], rel=1e-5)
    assert json.loads(others.stdout)[1]["against_first"]["blimp"]["value"] == 0
    both = archfront("evaluate", str(study), str(gguf), *asked)
    assert [each["context_tokens"] for each in json.loads(both.stdout)] == [2048, 32], "as the export's files state"


def test_a_person_reads_a_table_with_intervals_and_what_chance_is(archfront: Call, study: Path, data: Path) -> None:
    number = str(int(sorted((study / "weights").glob("*.safetensors"))[0].stem))
    done = archfront("evaluate", *[str(study)] * 2, "--trial", number, "--tasks", "blimp,sums", "--data", str(data), "--limit", "20")
    assert done.returncode == 0, done.stderr
    assert "against the first" in done.stdout
    assert "blimp         20    50.0" in done.stdout
    assert "guessing" in done.stdout
    assert "published" not in done.stdout
    asked = [str(study), "--trial", number, "--tasks", "sums", "--data", str(data), "--published"]
    assert "published, not measured here" in archfront("evaluate", *asked).stdout
    assert json.loads(archfront("evaluate", *asked, "--json").stdout)[-1]["published"]["rows"][0]["grade"] == "A"
    assert "1 question" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{study}", "--tasks", "piqa", "--data", "{data}"], "--data must hold piqa.jsonl, found blimp, sums"),
        (["{study}", "--tasks", "blimp"], "must come with --data FOLDER"),
        (["{study}", "--tasks", "piqa", "--harness", "--published"], "--published must stand without --harness"),
        (["{data}", "--tasks", "sums", "--data", "{data}"], "a model must be a Hugging Face folder"),
        (["{data}", "--tasks", "sums", "--data", "{data}", "--pick", "knee"], "--pick must go with a study's directory"),
        (["{study}", "--tasks", "sums", "--data", "{data}", "--pick", "fastst"], "--pick fastst"),
        (["{study}", "--tasks", "sums", "--data", "{data}", "--trial", "999"], "has no trial 999"),
        (["{study}", "--tasks", "sums=a\0b", "--data", "{data}"], "--tasks sums"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(words: list[str], said: str, archfront: Call, study: Path, data: Path) -> None:
    done = archfront("evaluate", *(word.format(study=study, data=data) for word in words))
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert len([line for line in done.stderr.splitlines() if not line.startswith("archfront: left")]) <= 2
