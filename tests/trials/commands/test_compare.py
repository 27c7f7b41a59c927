"""`archfront compare` as people call it: a trial rounded and pruned, trials at equal bytes, models of elsewhere beside them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search_space.architecture import Architecture
from search_space.sharing import Sharing
from tests.conftest import Call
from tests.support.weighed_study import weighed_study
from trials.catalogue.ways import USUAL_WAYS, read_way
from trials.comparison.candidates import shape_bytes
from trials.corpus.blocks import TokenBlocks
from trials.network.weights import load_network
from trials.rounding.table import ROUNDINGS
from trials.rounding.ways import way_of
from trials.study.directory import weights_file
from trials.training.evaluation import evaluate, evaluate_deployed

SHAPE = Architecture(
    vocab_size=300, hidden_size=32, num_unique_layers=1, num_attention_heads=2, num_key_value_heads=2, head_dim=16, intermediate_size=64
)
SHAPES = [
    SHAPE,
    replace(SHAPE, num_unique_layers=2),
    replace(SHAPE, sharing=Sharing("immediate", 2)),
    replace(SHAPE, num_key_value_heads=1),
    replace(SHAPE, num_unique_layers=3),
]
QUESTIONS = [{"query": f"def front_{n}(points): return", "choices": ["points[1]", "(stniop[1"], "gold": 0} for n in range(30)]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TokenBlocks]:
    directory = tmp_path_factory.mktemp("study")
    blocks = weighed_study(directory, SHAPES)
    for name in ("code", "other"):
        (directory / f"{name}.jsonl").write_text("\n".join(map(json.dumps, QUESTIONS)))
    return directory, blocks


def rows_of(archfront: Call, *words: str) -> list[dict[str, Any]]:
    done = archfront("compare", *words, "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_the_figures_are_those_of_the_study_s_own_windows_and_roundings(archfront: Call, study: tuple[Path, TokenBlocks]) -> None:
    directory, blocks = study
    rows = rows_of(archfront, str(directory), "--trial", "1", "--ways", "float32,w8a8,prune50", "--tasks", "code", "--data", str(directory))
    network = load_network(weights_file(directory, 1), SHAPES[1])
    own = evaluate_deployed(network, blocks, "validation", 2048, 32, ROUNDINGS["executorch", "int8"])
    plain, rounded, pruned = rows
    assert own.rounded is not None
    assert plain["bits_per_byte"]["value"] == pytest.approx(own.bits_per_byte, rel=1e-6)
    assert plain["bits_per_byte"]["low"] < own.bits_per_byte < plain["bits_per_byte"]["high"]
    assert rounded["bits_per_byte"]["value"] == pytest.approx(own.rounded.bits_per_byte, rel=1e-6)
    more = rounded["more_bits_per_byte"]
    assert more["value"] == pytest.approx(own.rounded.bits_per_byte - own.bits_per_byte, abs=1e-6)
    assert more["high"] - more["low"] < plain["bits_per_byte"]["high"] - plain["bits_per_byte"]["low"], "they are paired"
    assert plain["more_bits_per_byte"] is None
    assert plain["more_accuracy"] == {}
    assert [row["way"] for row in rows] == ["float32", "w8a8", "prune50"]
    assert pruned["stored_bytes"] < plain["stored_bytes"]
    assert rounded["more_accuracy"]["code"].keys() == {"value", "low", "high"}
    assert all(row["trained_here"] and row["tasks"][0]["questions"] == 30 for row in rows)


def test_a_model_from_disk_stands_beside_a_trial_on_the_study_s_text(archfront: Call, study: tuple[Path, TokenBlocks]) -> None:
    directory, blocks = study
    out = directory / "out"
    assert archfront("export", str(directory), "--trial", "0", "--format", "hf", "--output", str(out)).returncode == 0
    own, other = rows_of(archfront, str(directory), str(out), "--trial", "0", "--ways", "float32")
    assert (own["trained_here"], other["trained_here"]) == (True, False)
    assert other["bits_per_byte"] == own["bits_per_byte"], "of equal tokenizers the windows are read as they are"
    network = load_network(weights_file(directory, 0), SHAPE)
    assert own["bits_per_byte"]["value"] == pytest.approx(evaluate(network, blocks, "validation", 2048, 32).bits_per_byte)
    done = archfront("compare", str(directory), str(out), "--trial", "0", "--ways", "float32")
    assert "out (not trained here)" in done.stdout


def test_at_equal_bytes_the_best_of_each_kind_and_way_stands_in_the_table(archfront: Call, study: tuple[Path, TokenBlocks]) -> None:
    directory, blocks = study
    size = 44_000
    every = [(number, name, shape_bytes(shape, way_of(read_way(name)))) for number, shape in enumerate(SHAPES) for name in USUAL_WAYS]
    rows = rows_of(archfront, str(directory), "--stored-bytes", str(size))
    fitting = {(number, name) for number, name, taken in every if 0.9 * size <= taken <= size}
    assert {(int(row["model"][-1]), row["way"]) for row in rows} == fitting
    kinds = {(row["model"][-1], row["way"]) for row in rows}
    assert {("0", "float16"), ("1", "prune50"), ("2", "float16"), ("4", "int8")} <= kinds, "smaller, pruned, shared, rounded"
    network = load_network(weights_file(directory, 0), SHAPE)
    with way_of(read_way("float16")).applied(network):
        tested = evaluate(network, blocks, "test", 2048, 32).bits_per_byte
    assert next(row for row in rows if row["model"][-1] == "0")["bits_per_byte"]["value"] == pytest.approx(tested), (
        "chosen on another split"
    )
    assert rows_of(archfront, str(directory), str(directory), "--stored-bytes", str(size)) == rows, "a study that is named twice"
    none = archfront("compare", str(directory), "--stored-bytes", "1k")
    assert (none.returncode, "the trials take" in none.stderr) == (2, True), none.stderr


def test_text_of_files_is_read_alike_by_every_model(archfront: Call, study: tuple[Path, TokenBlocks], tmp_path: Path) -> None:
    directory, _ = study
    (tmp_path / "a.txt").write_text("Die Prüfung läuft; ça va. 日本語のテキスト.\n" * 40)
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps({"text": f"return points[{n}]"}) for n in range(9)))
    files = ["--text", str(tmp_path / "a.txt"), "--text", str(tmp_path / "b.jsonl")]
    rows = rows_of(archfront, str(directory), str(directory), "--trial", "0", "--ways", "float16", *files)
    assert rows[0]["bits_per_byte"] == rows[1]["bits_per_byte"]
    assert rows[1]["more_bits_per_byte"] == {"value": 0, "low": 0, "high": 0}
    short = rows_of(archfront, str(directory), "--trial", "0", "--ways", "float16", *files[:2], "--text-bytes", "100")
    assert short[0]["bits_per_byte"]["low"] is None, "one document has no interval"


def test_a_person_reads_two_tables(archfront: Call, study: tuple[Path, TokenBlocks]) -> None:
    directory, _ = study
    done = archfront("compare", str(directory), "--trial", "1", "--tasks", "code,other", "--data", str(directory), "--limit", "20")
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    assert all(way in words for way in USUAL_WAYS)
    assert "against the first" in done.stdout
    assert "mean" in words
    assert "one training each" in done.stdout


def test_what_is_pruned_is_trained_on_where_that_is_asked_for(archfront: Call, study: tuple[Path, TokenBlocks]) -> None:
    directory, _ = study
    asked = [str(directory), "--trial", "1", "--ways", "float16,prune50,prune50+int8"]
    before, after = rows_of(archfront, *asked), rows_of(archfront, *asked, "--retrain", "5k")
    assert before[0] == after[0]
    plain, *retrained = [row["retrained_tokens"] for row in after]
    assert plain is None
    assert retrained[0] == retrained[1]
    assert abs(retrained[0] - 5000) < 1000, "whole steps"
    assert all(b["stored_bytes"] == a["stored_bytes"] for b, a in zip(before, after, strict=True))
    assert after[1]["bits_per_byte"]["value"] < before[1]["bits_per_byte"]["value"]
    assert "k tokens more" in archfront("compare", *asked, "--retrain", "5k").stdout


def test_rows_that_were_found_before_one_fails_are_printed(archfront: Call, study: tuple[Path, TokenBlocks], tmp_path: Path) -> None:
    directory, _ = study
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text('{"model_type": "unheard"}')
    done = archfront("compare", str(directory), str(tmp_path / "m"), "--trial", "0", "--ways", "float32,int8", "--json")
    assert done.returncode != 0
    assert "unheard" in done.stderr
    assert [row["way"] for row in json.loads(done.stdout)] == ["float32", "int8"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{study}", "--ways", "int9"], "did you mean `int8`?"),
        (["{study}/nothing", "--ways", "int8"], "something to read"),
        (["{study}/nothing", "--text", "{study}/0.txt"], "a model must be"),
        (["{study}/0.txt", "--stored-bytes", "1M", "--text", "{study}/0.txt"], "--stored-bytes must go with a study's directory"),
        (["{study}", "--ways", "int8", "--retrain", "5k"], "--retrain must go with a study's directory and a way such as prune50"),
        (["{study}", "--limit", "3"], "--data and --limit must go with --tasks"),
        (["{study}", "--text", "{study}/none.txt"], "--text must name files, found none"),
        (["{study}", "--trial", "99"], "has no trial 99"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(words: list[str], said: str, archfront: Call, study: tuple[Path, TokenBlocks]) -> None:
    directory, _ = study
    done = archfront("compare", *(word.format(study=directory) for word in words))
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
