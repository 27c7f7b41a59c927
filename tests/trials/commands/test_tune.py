"""`archfront tune` as people call it: a study's trial becomes a chat model that transformers, llama.cpp's reader and archfront load."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.conftest import Call
from tests.support.fuzz_subjects import STORED
from tests.trials.formats.test_shared_decoder import shared_study
from trials.models.load_model import load_model
from trials.tuning.chat import read_chats

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
        (["{study}/none", "--data", "{chats}"], "a model must be a Hugging Face folder, a GGUF file or a study's directory, found nothing"),
        (["{chats}", "--data", "{chats}", "--trial", "0"], "--trial must go with a study's directory"),
        (["{study}", "--data", "{chats}", "--trial", "999"], "has no trial 999"),
    ],
)
def test_what_cannot_be_tuned_is_one_sentence(words: list[str], said: str, archfront: Call, chats: Path, tmp_path: Path) -> None:
    shutil.copytree(STORED / "search", tmp_path / "study")
    (tmp_path / "bad.jsonl").write_text(f"{json.dumps(CHATS[0])}\n[")
    places = {"study": tmp_path / "study", "chats": chats, "bad": tmp_path / "bad.jsonl"}
    done = archfront("tune", *(word.format(**places) for word in words), "--output", str(tmp_path / "out"))
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("given", ["2", "0", "-1e-3", "fast", "nan"])
def test_a_learning_rate_that_is_none_is_refused(given: str, archfront: Call, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        archfront("tune", "study", "--data", "chats.jsonl", "--output", "out", f"--learning-rate={given}")
    assert "must be a number above 0 and at most 1, such as 3e-4" in capsys.readouterr().err
