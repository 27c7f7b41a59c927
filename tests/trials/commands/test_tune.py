"""`archfront tune` as people call it: a study's trial becomes a chat model that transformers, llama.cpp's reader and archfront load."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from search_space.architecture import Architecture
from search_space.errors import SpecError
from tests.conftest import Call
from tests.support.fuzz_subjects import STORED
from tests.trials.formats.test_shared_decoder import shared_study
from trials.corpus.tokenizer import train_tokenizer
from trials.export.card import require_no_other
from trials.export.export_tuned import tuned_title
from trials.export.folder import SUMS
from trials.export.front_matter import front_matter
from trials.export.tune_model import TuningWish, tune_model
from trials.models.load_model import load_model
from trials.models.loaded_model import LoadedModel
from trials.network.decoder import Network
from trials.tuning.chat import Chat, Message, read_chats

SHAPE = Architecture(
    vocab_size=270, hidden_size=16, num_unique_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=8, intermediate_size=16
)

CHATS = [
    {"messages": [{"role": "user", "content": f"{word}?"}, {"role": "assistant", "content": f"{word} is {word[::-1]}."}]}
    for word in (f"w{number}" for number in range(40))
]


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    file = tmp_path / "chats.jsonl"
    file.write_text("\n".join(map(json.dumps, CHATS)))
    return file


@pytest.mark.slow
def test_a_trial_is_tuned_and_its_export_has_the_template_that_it_learned(archfront: Call, chats: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    shutil.copytree(STORED / "search", tmp_path / "study")
    out = tmp_path / "out"
    words = ["tune", str(tmp_path / "study"), "--trial", "0", "--data", str(chats), "--output", str(out), "--json"]
    done = archfront(*words, "--epochs", "12", "--learning-rate", "5e-3", "--format", "hf,gguf", "--written", "3")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["chats"], found["held_out_chats"], found["left_out_chats"]) == (36, 4, 0)
    assert found["loss"]["change"]["high"] < 0
    assert json.loads((out / "tuning.json").read_text()) == found
    assert len((out / "answers.jsonl").read_text().splitlines()) == 3
    assert "held-out loss (4 chats" in (out / "README.md").read_text()

    tokenizer, model = AutoTokenizer.from_pretrained(out), AutoModelForCausalLM.from_pretrained(out)
    [chat] = read_chats(chats, 1)
    messages = [each.as_dict() for each in chat.messages]
    asked = tokenizer.apply_chat_template(messages[:1], add_generation_prompt=True, return_tensors="pt", return_dict=True)
    ours = load_model(out)
    assert ours.chat_template == tokenizer.chat_template
    with torch.inference_mode():
        theirs = model(asked["input_ids"]).logits
        torch.testing.assert_close(ours.network(asked["input_ids"]), theirs, atol=1e-4, rtol=1e-4)
    written = model.generate(**asked, max_new_tokens=200, do_sample=False)[0, asked["input_ids"].shape[1] :].tolist()
    assert tokenizer.eos_token_id in written, "a tuned model ends its answer"
    gguf = load_model(out / "model.gguf")
    assert (gguf.chat_template, gguf.end_token_ids) == (ours.chat_template, ours.end_token_ids)
    again = archfront("tune", str(out), "--data", str(chats), "--output", str(tmp_path / "again"), "--epochs", "1", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["loss"]["before"]["value"] == pytest.approx(found["loss"]["after"]["value"], rel=1e-4)


@pytest.mark.more
@pytest.mark.slow
def test_what_is_shared_stays_so_and_dialogues_that_call_tools_are_scored(archfront: Call, tmp_path: Path) -> None:
    study, out = shared_study(tmp_path / "study"), tmp_path / "out"
    words = ["--data", "synthetic:api", "--limit", "40", "--output", str(out), "--keep-sharing", "--epochs", "1", "--written", "6"]
    done = archfront("tune", str(study), "--trial", "0", *words)
    assert done.returncode == 0, done.stderr
    assert load_model(out).architecture.sharing.repeats == 2
    lines = done.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines if line.startswith(("before", "after"))] == ["before", "after"]
    assert "published: MobileLLM-350M" in done.stdout
    assert "65.3" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{study}", "--data", "{chats}", "--format", "hf,onnx"], "--format must be hf and gguf where a model is tuned, found 'onnx'"),
        (["{study}", "--data", "{chats}", "--format", "gguf", "--keep-sharing"], "--keep-sharing must go with hf in --format"),
        (["{study}", "--data", "{chats}", "--trial", "0", "--keep-sharing"], "--keep-sharing must go with a model that runs a stored"),
        (["{study}", "--data", "{bad}"], "line 2 must be a JSON object with messages"),
        (["{study}", "--data", "{chats}", "--limit", "3"], "--data must have at least 4 chats"),
        (["{study}", "--data", "{chats}", "--held-out", "{bad}"], "line 2 must be a JSON object with messages"),
        (
            ["{study}/none", "--data", "{chats}"],
            "a model must be a Hugging Face folder (config.json, weights, tokenizer.json), a GGUF file or",
        ),
        (["{chats}", "--data", "{chats}", "--trial", "0"], "--trial must go with a study's directory"),
        (["{study}", "--data", "{chats}", "--trial", "999"], "has no trial 999"),
        (["{study}", "--data", "{chats}", "--output", "{study}"], "--output must be another folder than that of the model"),
        (["{study}", "--data", "{chats}", "--output", "{study}/../study", "--force"], "--output must be another folder than that of the"),
        (["{study}", "--data", "{chats}", "--output", "/proc/none/out"], "/proc/none/out must be a directory that can be written"),
        (
            ["{study}", "--data", "{chats}", "--trial", "0", "--output", "{other}"],
            "must hold no other export, found the card of `m, tuned on the chats of a`",
        ),
        (
            ["{study}", "--data", "{chats}", "--trial", "0", "--output", "{other}", "--force"],
            "must hold no other export, found the card of",
        ),
    ],
)
def test_what_cannot_be_tuned_is_one_sentence(words: list[str], said: str, archfront: Call, chats: Path, tmp_path: Path) -> None:
    shutil.copytree(STORED / "search", tmp_path / "study")
    (tmp_path / "bad.jsonl").write_text(f"{json.dumps(CHATS[0])}\n[")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "README.md").write_text("\n".join([*front_matter(["hf"], None), tuned_title("m", "b/a")]))
    if "--force" not in words:
        (tmp_path / "other" / SUMS).write_text(
            f"{hashlib.sha256((tmp_path / 'other' / 'README.md').read_bytes()).hexdigest()}  README.md\n"
        )
    places = {"study": tmp_path / "study", "chats": chats, "bad": tmp_path / "bad.jsonl", "other": tmp_path / "other"}
    done = archfront("tune", "--output", str(tmp_path / "out"), *(word.format(**places) for word in words))
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "out").exists()


def test_a_tuned_model_is_replaced_by_no_other(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("\n".join([*front_matter(["hf"], None), tuned_title("m", "a")]))
    with pytest.raises(SpecError, match="must hold no other export, found the card of `m, tuned on the chats of a`"):
        require_no_other(tmp_path, "# 1x8, trial 5 of the study other")
    require_no_other(tmp_path, tuned_title("m", "b/a"))
    (tmp_path / "README.md").write_text("# A model of somebody's")
    require_no_other(tmp_path, "# 1x8, trial 5 of the study other")


def test_a_model_without_an_end_of_answers_is_refused_before_it_is_tuned(tmp_path: Path) -> None:
    train_tokenizer(["user assistant: the answer is\n" * 20] * 20, 270, tmp_path / "tokenizer.json")
    endless = (
        "{% set asked = 'assistant: ' if add_generation_prompt else '' %}"
        "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}{{ asked }}"
    )
    model = LoadedModel("m", Network(SHAPE), Tokenizer.from_file(str(tmp_path / "tokenizer.json")), 0, (), 64, "float32", endless)
    chats = [Chat((Message("user", "a"), Message("assistant", "b")))] * 2
    wish = TuningWish(
        learned=chats, held_out=chats, data="a", epochs=1, batch_chats=1, learning_rate=None, seed=0, written=0, formats=["hf"],
        output=tmp_path / "out", license_name=None, keeps_sharing=False,
    )  # fmt: skip
    with pytest.raises(SpecError, match="m must have a token at which an answer ends"):
        tune_model(model, wish, lambda text: None)


@pytest.mark.parametrize("given", ["2", "0", "-1e-3", "fast", "nan"])
def test_a_learning_rate_that_is_none_is_refused(given: str, archfront: Call, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        archfront("tune", "study", "--data", "chats.jsonl", "--output", "out", f"--learning-rate={given}")
    assert "must be a number above 0 and at most 1, such as 3e-4" in capsys.readouterr().err
