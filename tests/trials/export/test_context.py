"""An export that states another context than that of its training: what files say, what is measured, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import yaml

import archfront
from analysis.records.record import append
from search_space.architecture import Architecture
from tests.support.needs import rest_is_more
from tests.support.sample_network import spread_out
from tests.support.sample_study import sample_records
from trials.corpus.blocks import TokenBlocks
from trials.corpus.prepare import prepare_corpus
from trials.export.export_trial import export_trial
from trials.network.weights import save_weights
from trials.reporting.model_card import CARD
from trials.reporting.stored_study import read_study
from trials.study.directory import tokenizer_file, weights_file
from trials.study.load_study import load_study
from trials.training.evaluation import evaluate

ROOT = Path(__file__).resolve().parents[3]
SHAPE = Architecture(
    vocab_size=300, hidden_size=32, num_unique_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=64
)
TRAINED, STATED = 32, 96


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TokenBlocks]:
    """A study's directory whose trial 0 can be exported, and its text."""
    directory = tmp_path_factory.mktemp("study")
    for number in range(40):
        (directory / f"{number}.txt").write_text("".join(f"def front_{number}(points): return points[{line}]\n" for line in range(200)))
    values = yaml.safe_load((ROOT / "studies" / "quickstart.yaml").read_text())
    values["corpus"] = {"files": [str(directory / "*.txt")]}
    values["proxy"] |= {"context_tokens": TRAINED, "evaluation_tokens": 2048}
    (directory / "study.yaml").write_text(yaml.safe_dump(values))
    blocks = prepare_corpus(load_study(directory / "study.yaml").corpus, SHAPE.vocab_size)
    record = replace(sample_records(1)[0], architecture=SHAPE)
    assert record.training is not None
    append(directory, replace(record, training=replace(record.training, corpus_sha256=blocks.corpus_sha256)))
    assert blocks.tokenizer_file is not None
    for target in (tokenizer_file(directory, SHAPE.vocab_size), weights_file(directory, 0)):
        target.parent.mkdir(exist_ok=True)
    tokenizer_file(directory, SHAPE.vocab_size).write_bytes(blocks.tokenizer_file.read_bytes())
    save_weights(weights_file(directory, 0), spread_out(SHAPE))
    return directory, blocks


def test_files_state_it_and_quality_there_is_measured_beside_the_trainings(
    study: tuple[Path, TokenBlocks], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, blocks = study
    options = ["--trial", "0", "--format", "hf,onnx,yaml", "--context", str(STATED), "--output", str(tmp_path)]
    assert archfront.main(["export", str(directory), *options]) == 0
    *_, quality, last = capsys.readouterr().err.strip().splitlines()
    assert "verified" in last
    tokens = 2048 // STATED * STATED
    judged = [evaluate(spread_out(SHAPE), blocks, "validation", tokens, length).bits_per_byte for length in (STATED, TRAINED)]
    assert quality.startswith(f"context {STATED} tokens, trained at {TRAINED}: {judged[0]:.3f}")
    assert f"{judged[1]:.3f}" in quality.partition("split")[2]
    assert quality in (tmp_path / CARD).read_text()
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["model_max_length"] == STATED
    assert json.loads((tmp_path / "config.json").read_text())["max_position_embeddings"] == 2048  # what is stated at least
    facts = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx", load_external_data=False).metadata_props}
    assert facts["context_tokens"] == str(STATED)


def test_the_trainings_context_is_stated_where_no_other_is_asked_for(study: tuple[Path, TokenBlocks], tmp_path: Path) -> None:
    stored = read_study(study[0])
    for context in (None, TRAINED):
        made = export_trial(stored, stored.record(0), ["hf"], tmp_path / str(context), context=context)
        assert made.context is None
        assert json.loads((tmp_path / str(context) / "tokenizer_config.json").read_text())["model_max_length"] == TRAINED


@pytest.mark.parametrize("name", rest_is_more(["gguf", "executorch"], "gguf"))
def test_a_file_with_a_context_of_its_own_has_it(name: str, study: tuple[Path, TokenBlocks], tmp_path: Path) -> None:
    pytest.importorskip(name, reason=f"pip install 'archfront[{name}]'")
    stored, longer = read_study(study[0]), 2100
    export_trial(stored, stored.record(0), [name], tmp_path, context=longer)
    if name == "gguf":
        from gguf import GGUFReader

        (field,) = [field for key, field in GGUFReader(tmp_path / "model.gguf").fields.items() if key.endswith(".context_length")]
        assert field.contents() == longer
        return
    import torch
    from executorch.runtime import Runtime

    forward = Runtime.get().load_program(str(tmp_path / "model.pte")).load_method("forward")
    assert forward is not None
    logits = forward.execute([torch.ones((1, longer), dtype=torch.int64), torch.tensor([0])])[0]
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(
    ("context", "formats", "memory", "said"),
    [
        ("1M", "hf", 1 << 40, r"--context must be at most the [\d,]+ tokens of the validation split, .* found 1,000,000; lower it"),
        ("500k", "executorch", 1 << 20, r"has inside, found 64 MB where this machine has 1.0 MB; lower it, or leave executorch out"),
        ("0", "hf", 1 << 40, "must be at least 1, found 0"),
        ("2000000", "hf", 1 << 40, "must be at most 1,048,576"),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_is_written(
    context: str,
    formats: str,
    memory: int,
    said: str,
    study: tuple[Path, TokenBlocks],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trials.machine.memory.usable_bytes", lambda *_: memory)
    output = tmp_path / "export"
    try:
        code = archfront.main(["export", str(study[0]), "--trial", "0", "--format", formats, "--context", context, "--output", str(output)])
    except SystemExit as end:
        code = end.code  # type: ignore[assignment]
    assert code == 2
    found = capsys.readouterr().err
    assert re.search(said, found), found
    assert not output.exists()
