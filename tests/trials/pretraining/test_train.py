"""`archfront train`: a model that others load, gone on with bit for bit after any end, judged by what was foreseen."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from analysis.records.files import write_whole
from search_space.architecture import Architecture
from search_space.cost import parameters, unrolled_parameters
from search_space.errors import SpecError
from tests.conftest import Call
from trials.models.load_model import load_model
from trials.network.weights import load_network
from trials.pretraining.kept_files import kept_curve
from trials.pretraining.recipes import TrainingRecipe
from trials.pretraining.statement import (
    CURVE,
    FORESEEN,
    LEFT_FILES,
    MODEL_LEFT,
    RESULT,
    STATE,
    STATEMENT,
    TRAINED_TOKENIZER,
    TRAINED_WEIGHTS,
    Statement,
)
from trials.study.corpus_spec import CorpusSpec
from trials.trial.shape_file import shape_text

ROOT = Path(__file__).resolve().parents[3]
WORDS = ("the", "shape", "of", "a", "small", "model", "matters", "more", "than", "its", "size", "says", "and", "front", "shows", "it")
SHAPE = Architecture.from_dict(
    {
        "vocab_size": 300,
        "hidden_size": 32,
        "num_unique_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "intermediate_size": 64,
        "sharing": {"strategy": "immediate", "repeats": 2},
    }
)
RECIPE: dict[str, Any] = {
    "source": "a test",
    "steps": 40,
    "warmup_steps": 7,
    "batch_sequences": 4,
    "context_tokens": 32,
    "precision": "float32",
    "compile": False,
    "evaluations": 4,
    "evaluation_tokens": 512,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration, a text and a recipe."""
    draw = random.Random(0)
    lines = [" ".join(draw.choice(WORDS) for _ in range(12)) for _ in range(2_000)]
    (tmp_path / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "shape.yaml").write_text(shape_text(SHAPE), encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    return tmp_path


def words(output: str, *more: str) -> list[str]:
    return ["train", "shape.yaml", "--data", "text.txt", "--recipe", "recipe.yaml", "--threads", "1", "--output", output, *more]


def test_a_configuration_becomes_a_model_that_is_loaded_by_every_door(archfront: Call, folder: Path) -> None:
    done = archfront(*words("out", "--license", "mit"))
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    for wanted in (
        "28,192 parameters, 4 blocks run, 2 stored",
        "5,120 tokens in 40 steps of 4 x 32, 7 of them warm-up",
        "passes",
        "memory",
    ):
        assert wanted in said
    assert "time about" in said
    assert "100% 5,120 tokens: loss" in said
    model = folder / "out" / "model"
    stored = load_file(folder / "out" / TRAINED_WEIGHTS)
    assert sum(each.numel() for each in stored.values()) == parameters(SHAPE), "shared blocks stay shared"
    card = (model / "README.md").read_text(encoding="utf-8")
    assert "license: mit" in card
    assert f"{unrolled_parameters(SHAPE):,} weights for {parameters(SHAPE):,}" in card
    loaded = load_model(model)
    network = load_network(folder / "out" / TRAINED_WEIGHTS, SHAPE)
    tokens = torch.randint(300, (2, 20), generator=torch.Generator().manual_seed(0))
    from transformers import AutoModelForCausalLM, AutoTokenizer

    theirs = AutoModelForCausalLM.from_pretrained(model)
    with torch.no_grad():
        torch.testing.assert_close(loaded.network(tokens), network(tokens), atol=1e-5, rtol=0)
        torch.testing.assert_close(theirs(tokens).logits, network(tokens), atol=1e-4, rtol=0)
    assert AutoTokenizer.from_pretrained(model)("the front")["input_ids"] == loaded.encode("the front")
    (folder / "sums.jsonl").write_text(json.dumps({"query": "the front", "choices": ["shows it", "xyz"], "gold": 0}) + "\n")
    asked = archfront("evaluate", "out/model", "--tasks", "sums=sums.jsonl", "--json")
    assert asked.returncode == 0, asked.stderr

    before = {path: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()}
    again = archfront(*words("out", "--json"))
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["training"]["tokens"] == 5_120
    assert {path: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()} == before, "what is over is not made again"
    other = archfront(*words("out", "--seed", "3"))
    assert (other.returncode, "seed is 0 there and 3 here" in other.stderr) == (2, True)


def test_a_plan_says_what_it_takes_and_leaves_nothing(archfront: Call, folder: Path) -> None:
    done = archfront(*words("out", "--plan", "--price-per-hour", "3"))
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "shape", "recipe", "text", "memory", "work", "time", "money", "foreseen",
    ]  # fmt: skip
    assert not (folder / "out").exists()
    longer = archfront(*words("out", "--plan", "--tokens", "10M"))
    assert "warmup_steps" not in longer.stderr
    assert "beyond 4 passes" in longer.stdout


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_whatever_ends_a_training_the_same_command_ends_it_as_if_nothing_had_been(how: signal.Signals, folder: Path) -> None:
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, "steps": 400}), encoding="utf-8")
    program = [sys.executable, str(ROOT / "archfront.py")]
    own = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}

    def run(output: str) -> subprocess.Popen[bytes]:
        command = [*program, *words(output, "--state-seconds", "0.05")]
        return subprocess.Popen(command, cwd=folder, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    assert run("whole").wait(300) == 0
    ended = 0
    for _ in range(6):
        state = folder / "cut" / STATE
        before = state.stat().st_mtime_ns if state.exists() else None
        going = run("cut")
        while going.poll() is None and not (folder / "cut" / RESULT).exists():
            if state.exists() and state.stat().st_mtime_ns != before:  # one of its own: where writing is slow it is the only one
                os.killpg(going.pid, how) if how is signal.SIGKILL else going.send_signal(how)
                break
            time.sleep(0.005)
        code = going.wait(120)
        if code == 0:
            break
        ended += 1
        assert code == (-signal.SIGKILL if how is signal.SIGKILL else 143)
        assert state.exists()
        assert not (folder / "cut" / RESULT).exists()
        if ended == 2:
            assert run("cut").wait(300) == 0
            break
    assert ended >= 1, "it was never ended on its way"
    ours, theirs = (load_file(folder / name / TRAINED_WEIGHTS) for name in ("cut", "whole"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours), "bit for bit"
    curves = [
        [{key: value for key, value in point.items() if key != "seconds"} for point in _read(folder, name, CURVE)]
        for name in ("cut", "whole")
    ]
    assert curves[0] == curves[1]
    assert not (folder / "cut" / STATE).exists()


@pytest.mark.parametrize("how", ["cut", "another torch", "another text"])
def test_a_state_that_cannot_be_gone_on_from_is_refused_and_kept(
    how: str, archfront: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("trials.training.proxy_run.ProxyRun.result", _killed)
        assert archfront(*words("out", "--state-seconds", "0.001")).returncode == 130
    state = folder / "out" / STATE
    if how == "cut":
        state.write_bytes(state.read_bytes()[:-9])
    elif how == "another torch":
        monkeypatch.setattr("trials.trial.checkpoint.torch.__version__", "2.0.1")
    else:
        (folder / "text.txt").write_text((folder / "text.txt").read_text()[:50_000], encoding="utf-8")
    before = {path: path.read_bytes() for path in (state, folder / "out" / TRAINED_TOKENIZER)}
    done = archfront(*words("out"))
    assert (done.returncode, "remove it to begin anew" in done.stderr) == (2, True), done.stderr
    assert {path: path.read_bytes() for path in before} == before
    state.unlink()
    assert archfront(*words("out")).returncode == 0, "it begins anew where a person says so"


def _killed(_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", LEFT_FILES)
def test_a_folder_that_holds_files_of_a_trainings_names_is_refused_and_left_as_it_is(name: str, archfront: Call, folder: Path) -> None:
    file = folder / "out" / (name if name != MODEL_LEFT else f"{name}/config.json")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"a person's")
    done = archfront(*words("out"))
    assert (done.returncode, f"found {name} without a {STATEMENT}" in done.stderr) == (2, True), done.stderr
    assert file.read_bytes() == b"a person's"
    assert not (folder / "out" / STATEMENT).exists()


def test_a_shape_that_the_machine_cannot_train_is_told_by_the_plan_and_refused(archfront: Call, folder: Path) -> None:
    vast = {**SHAPE.as_dict(), "hidden_size": 1 << 16, "intermediate_size": 1 << 20}
    (folder / "shape.yaml").write_text(shape_text(Architecture.from_dict(vast)), encoding="utf-8")
    plan = archfront(*words("out", "--plan"))
    assert plan.returncode == 0, plan.stderr
    assert "it cannot be trained here: a step of one sequence of 32 tokens must fit into" in plan.stdout
    done = archfront(*words("out"))
    assert (done.returncode, "take a larger machine" in done.stderr) == (2, True), done.stderr
    assert not (folder / "out").exists()


def test_a_training_that_was_begun_on_a_gpu_is_refused_where_none_is(
    archfront: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert archfront(*words("out")).returncode == 0
    statement = folder / "out" / STATEMENT
    statement.write_text(statement.read_text().replace('"device": "cpu"', '"device": "cuda"'))
    assert archfront(*words("out")).returncode == 0, "what is over is told anywhere"
    (folder / "out" / RESULT).rename(folder / "out" / STATE)
    done = archfront(*words("out"))
    assert (done.returncode, "begun on a GPU, and this machine has none" in done.stderr) == (2, True), done.stderr
    plan = archfront(*words("out", "--plan"))
    assert (plan.returncode, "this machine has none" in plan.stdout) == (0, True), plan.stderr


def test_what_the_model_cannot_be_written_as_is_refused_before_the_first_step(archfront: Call, folder: Path) -> None:
    odd = {**SHAPE.as_dict(), "mlp": "gelu", "qk_norm": True}
    (folder / "odd.yaml").write_text(shape_text(Architecture.from_dict(odd)), encoding="utf-8")
    done = archfront("train", "odd.yaml", *words("out")[2:])
    assert (done.returncode, "cannot be written as a model for transformers: qk_norm must be false" in done.stderr) == (2, True), (
        done.stderr
    )
    assert not (folder / "out").exists()


def test_a_model_that_lacks_a_file_is_written_again_and_a_persons_file_stops_before_a_step(archfront: Call, folder: Path) -> None:
    assert archfront(*words("out")).returncode == 0
    model = folder / "out" / MODEL_LEFT
    whole = {path.name: path.read_bytes() for path in model.iterdir()}
    (model / "model.safetensors").unlink()
    assert archfront(*words("out")).returncode == 0
    assert {path.name: path.read_bytes() for path in model.iterdir()} == whole
    (model / "README.md").write_text("a person's words")
    assert archfront(*words("out")).returncode == 0, "a card may be edited"
    (model / "config.json").unlink()
    (folder / "out" / RESULT).unlink()
    (folder / "out" / STATE).write_bytes(b"")
    done = archfront(*words("out"))
    assert (done.returncode, "found README.md; move it away" in done.stderr) == (2, True), done.stderr
    assert "--force" not in done.stderr


def test_a_mistake_does_not_occupy_the_folder(archfront: Call, folder: Path) -> None:
    odd = archfront(*words("out", "--devices", "3"))
    assert (odd.returncode, "must be a multiple of the 3 devices, found 4" in odd.stderr) == (2, True), odd.stderr
    assert not (folder / "out").exists()
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, "context_tokens": 1 << 15}), encoding="utf-8")
    assert archfront(*words("out")).returncode == 2
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    done = archfront(*words("out"))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["nothing.yaml", "--data", "text.txt"], "nothing.yaml is not a file"),
        (["shape.yaml"], "--data must name the text"),
        (["shape.yaml", "--data", "none.txt"], "none.txt"),
        (["shape.yaml", "--data", "text.txt", "--pick", "knee"], "--pick must go with a study's directory"),
        (["shape.yaml", "--data", "text.txt", "--trial", "1"], "--trial must go with a study's directory"),
        (["shape.yaml", "--data", "text.txt", "--recipe", "mobilelm-120k"], "mobilellm-120k"),
        (["shape.yaml", "--data", "text.txt", "--license", "My own!"], "--license"),
        (["shape.yaml", "--data", "text.txt", "--tokenizer", "./none.json"], "none.json"),
        (["shape.yaml", "--data", "text.txt", "--recipe", "mobilellm-120k", "--tokens", "1M"], "warmup_steps"),
        (["shape.yaml", "--data", "text.txt", "--address", "127.0.0.1:1"], "a Ray cluster must answer at --address='127.0.0.1:1'"),
        (["."], "must be a study's directory or hold"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_a_sentence(more: list[str], said: str, archfront: Call, folder: Path) -> None:
    done = archfront("train", *more, "--output", "out")
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert not (folder / "out").exists()


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"title": 3}', "{broken"])
def test_a_statement_that_was_changed_is_refused_in_a_sentence(damage: str, archfront: Call, folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / STATEMENT).write_text(damage)
    done = archfront(*words("out"))
    assert (done.returncode, STATEMENT in done.stderr) == (2, True), done.stderr


def test_a_disk_that_is_full_costs_one_warning_and_no_training(
    archfront: Call, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def only_others(path: Path, content: bytes) -> None:
        full() if path.name == CURVE else write_whole(path, content)

    monkeypatch.setattr("trials.trial.checkpoint.write_safetensors", full)
    monkeypatch.setattr("trials.pretraining.pretrain.write_whole", only_others)
    done = archfront(*words("out", "--state-seconds", "0.001"))
    assert done.returncode == 0, done.stderr
    said = " ".join(record.getMessage() for record in caplog.records)
    assert (said.count(f"{STATE} cannot be written"), said.count(f"{CURVE} cannot be written (No space left")) == (1, 1), said
    assert (folder / "out" / MODEL_LEFT / "config.json").is_file()


@pytest.mark.parametrize("key", ["title", "device", "seed", "threads", "devices"])
@pytest.mark.parametrize("value", ["null", "-1", "[]", "{}", "0.5"])
def test_a_value_of_a_statement_that_was_changed_is_named(key: str, value: str, tmp_path: Path) -> None:
    proxy = TrainingRecipe("x", "x", RECIPE).of(SHAPE).plain()
    text = CorpusSpec(name="python-stdlib")
    sound = Statement(
        title="x", shape=SHAPE, proxy=proxy, recipe="x", recipe_source="x", corpus=text, seed=0, threads=1, device="cpu", devices=1
    )
    assert Statement.from_dict(sound.as_dict(), "here").as_dict() == sound.as_dict()
    with pytest.raises(SpecError, match=rf"^{STATEMENT} must be what .* found {key} missing or of another kind"):
        Statement.from_dict({**sound.as_dict(), key: json.loads(value)}, STATEMENT)


@pytest.mark.parametrize("name", [RESULT, FORESEEN])
@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"tokens": "many"}', "{broken", "3"])
def test_what_a_folder_keeps_and_is_damaged_is_refused_in_a_sentence(name: str, damage: str, archfront: Call, folder: Path) -> None:
    assert archfront(*words("out")).returncode == 0
    (folder / "out" / name).write_text(damage)
    done = archfront(*words("out"))
    assert (done.returncode, name in done.stderr, "restore it from a copy" in done.stderr) == (2, True, True), done.stderr


@pytest.mark.parametrize("damage", ["{}", "[3]", '[{"tokens": 1}]', '[{"tokens": -1, "seconds": 0}]', "[{}"])
def test_a_curve_that_is_damaged_is_refused_in_a_sentence(damage: str, tmp_path: Path) -> None:
    (tmp_path / CURVE).write_text(damage)
    with pytest.raises(SpecError, match="restore it from a copy"):
        kept_curve(tmp_path / CURVE)


def _read(folder: Path, name: str, file: str) -> Any:
    return json.loads((folder / name / file).read_text(encoding="utf-8"))
