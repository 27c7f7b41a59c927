"""The whole journey, as a person takes it: a study's YAML, one command, and a model that transformers loads."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from analysis.records.record import Kind, read_finals, read_records
from tests.conftest import Call
from trials.network.weights import load_network
from trials.study.directory import tokenizer_file, weights_file

ROOT = Path(__file__).resolve().parent.parent
STUDY = """
name: journey
corpus: {files: ["*.txt"]}
budget: {parameters: 20_000, tolerance: 0.05}
space:
  vocab_size: 300
  num_unique_layers: [1, 2]
  hidden_size: [24, 32]
  head_dim: 8
  num_key_value_heads: [1, 2]
  intermediate_size: {solve: true, multiple_of: 4, ratio: [0.5, 12]}
  sharing: [none, {strategy: immediate, repeats: 2}]
latency: {prompt_tokens: 8, new_tokens: 8, repeats: 2}
proxy: {tokens: 4_096, context_tokens: 32, batch_sequences: 8, evaluation_tokens: 1024, cooldowns: [0.5],
  precision: float32, compile: false}
search: {trials: 3}
workers: {count: 2, threads: 1}
references: [deep-thin]
on_end: [PYTHON, -m, heard]
"""
OF_THE_PERSON = "import os\nif 'HEARS' not in os.environ: raise RuntimeError('not ours')\n"
"""A package of a person's that has the name of one of ours."""
HEARD = "import json, os, sys; os.environ['HEARS'] = ''; import analysis; told = json.load(sys.stdin)\n"
HEARD += "with open('heard.json', 'w') as file: json.dump([analysis.__file__, told['state'], os.environ.get('PYTHONPATH')], file)\n"
"""A program of theirs that hears of the study's end, and uses their package."""
OURS = re.compile(r"$|(archfront:|ready after|time|report|MLflow|terms|more|export) | *(\d+ (h|min) )*\d+(\.\d)? s  ")
"""How a line of a run begins, and nothing of a library's."""
WORDS = [
    "the",
    "shape",
    "of",
    "a",
    "small",
    "model",
    "matters",
    "more",
    "than",
    "its",
    "size",
    "says",
    "and",
    "the",
    "front",
    "shows",
    "it",
]


def archfront_program(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "archfront", *arguments]
    own = {**os.environ, "XDG_CACHE_HOME": str(cwd / "cache"), "PYTHONPATH": str(ROOT)}  # else it finds the trainings of the last time
    return subprocess.run(command, cwd=cwd, env=own, capture_output=True, text=True, timeout=900)


@pytest.mark.slow
def test_from_a_study_to_a_model_that_transformers_loads(tmp_path: Path, archfront: Call) -> None:
    generator = torch.Generator().manual_seed(0)
    picks = torch.randint(len(WORDS), (40_000,), generator=generator).tolist()
    lines = [" ".join(WORDS[pick] for pick in picks[start : start + 12]) for start in range(0, len(picks), 12)]
    (tmp_path / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "study.yaml").write_text(STUDY.replace("PYTHON", sys.executable), encoding="utf-8")
    for package in ("search_space", "analysis", "trials"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(OF_THE_PERSON)
    (tmp_path / "heard.py").write_text(HEARD)

    ran = archfront_program("run", "study.yaml", "--json", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"^ready after \d+\.\d s: imports .*Ray .*, workers ", ran.stderr, re.MULTILINE)
    not_ours = [line for line in ran.stderr.splitlines() if not OURS.match(line)]
    assert not_ours == []
    directory = tmp_path / "runs" / "journey"
    records, finals = read_records(directory), read_finals(directory)
    assert [record.number for record in records] == [0, 1, 2, 3]
    assert [record.kind for record in records] == [Kind.REFERENCE, *[Kind.SAMPLED] * 3]
    assert all(record.finished and record.latency and record.training for record in records)
    front = json.loads(ran.stdout)
    assert {row["trial"] for row in front} <= set(finals)  # a second latency may take a member off the front
    assert all(row["test_bits_per_byte"] is not None and row["final_total_ms"] is not None for row in front)
    bracketed = {number for number, final in finals.items() if final.learning_rate_bracket}
    assert bracketed == {number for number, final in finals.items() if final.fresh_seed} != set()
    for number, final in finals.items():
        training = records[number].training
        assert training is not None
        assert training.validation is not None
        assert [cooldown.tokens for cooldown in training.cooldowns] == [2_048]
        if number in bracketed:
            assert [point.factor for point in final.learning_rate_bracket] == [0.5, 1.0, 2.0]
            assert final.learning_rate_bracket[1].bits_per_byte == training.validation.bits_per_byte
            assert len({point.bits_per_byte for point in final.learning_rate_bracket}) == 3
    assert (directory / "report.html").exists()
    heard = json.loads((tmp_path / "heard.json").read_text())
    assert heard == [str(tmp_path / "analysis" / "__init__.py"), "finished", str(ROOT)], (
        "theirs is theirs, and ours was nowhere taken for it"
    )

    again = archfront("run", "study.yaml", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == front, "a finished study is not run again"

    (tmp_path / "text.txt").unlink()  # an export needs the study's directory alone
    exported = archfront("export", str(directory), "--pick", "most-accurate", "--format", "hf,onnx", "--output", "model")
    assert exported.returncode == 0, exported.stderr
    from transformers import AutoModelForCausalLM, AutoTokenizer

    best = min((record for record in records if record.number in finals), key=lambda r: r.training.validation.bits_per_byte)  # type: ignore[union-attr]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path / "model"), AutoTokenizer.from_pretrained(tmp_path / "model")
    ids = tokenizer("the front shows it", return_tensors="pt")["input_ids"]
    network = load_network(weights_file(directory, best.number), best.architecture)
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, network(ids), atol=1e-4, rtol=0)
    hugging_face, onnx = json.loads((tmp_path / "model" / "verification.json").read_text())
    assert hugging_face["latency"] is None
    assert onnx["latency"]["runtime"] == "onnxruntime"
    assert onnx["latency"]["total_ms"]["median"] > 0
    assert "ms for" in (tmp_path / "model" / "README.md").read_text()
    assert tokenizer_file(directory, best.architecture.vocab_size).read_bytes() == (tmp_path / "model" / "tokenizer.json").read_bytes()
