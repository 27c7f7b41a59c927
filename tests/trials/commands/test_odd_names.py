"""A study whose folders are called anything at all: each verb reads it, writes where it should, and nothing lies elsewhere."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from analysis.records.record import read_records
from tests.conftest import Call
from tests.support import fakes
from tests.support.sample_network import spread_out
from trials.corpus.prepare import prepare_corpus
from trials.driver.run_study import run_study
from trials.network.weights import save_weights
from trials.study.directory import tokenizer_file, weights_file
from trials.study.load_study import load_stored
from trials.study.own_database import LONGEST_DATABASE_BYTES
from trials.tracking.mlflow_location import DATABASE

ODD = {
    "marks of addresses": "what?a=b&c 100% #1",
    "quotes and a shell's": 'it\'s "it" `a` $(id) $HOME;|<>',
    "another script": " ünï 日本 🙂 e\u0301 ",
    "an option": "-rf --json",
    "line ends": "two\nlines\tand a tab\r",
    "globs": "*{x}[b]~!**",
    "formats": "a%20b %(here)s %s {0} ${x} \\n",
    "a drive": "c:\\d@e+f=g,h",
    "dots": "...",
    "the longest": "x" * 255,
}


def _write_small_study(home: Path) -> None:
    """A study and its text."""
    for number in range(4):
        (home / f"{number}.txt").write_text("".join(f"def front_{number}(points): return points[{line}]\n" for line in range(900)))
    recipe = {"tokens": 4_096, "context_tokens": 64, "evaluation_tokens": 1_024}
    (home / "study.yaml").write_text(fakes.small_study(corpus={"name": None, "files": ["*.txt"]}, proxy=recipe, search={"trials": 4})[1])


def active_runs(database: Path) -> int:
    with closing(sqlite3.connect(database)) as opened:
        return int(opened.execute("SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'").fetchone()[0])


@pytest.mark.more
@pytest.mark.slow
@pytest.mark.usefixtures("ray_here", "mlflow_process")
@pytest.mark.parametrize("name", ODD.values(), ids=ODD)
def test_every_verb_takes_a_study_under_any_name(name: str, archfront: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.driver.run_study.run_study", partial(run_study, evaluate=fakes.plausible))
    home = tmp_path / name
    home.mkdir()
    _write_small_study(home)
    (home / "sums.jsonl").write_text(json.dumps({"query": "def front", "choices": ["_0(points)", "xyz"], "gold": 0}) + "\n")
    kept = name[: LONGEST_DATABASE_BYTES - len(os.fsencode(home / "runs" / "_" / DATABASE)) + 1]
    study, directory = f"./{name}/study.yaml", f"./{name}/runs/{kept}"
    there = home / "runs" / kept

    def done(*words: str) -> str:
        found = archfront(*words)
        assert found.returncode == 0, (words, found.stderr)
        assert "Traceback" not in found.stderr
        assert "could not" not in found.stderr
        return found.stdout + found.stderr

    done("plan", study, "--directory", directory, "--json")
    done("run", study, "--directory", directory)
    records = read_records(there)
    assert len(records) == 6
    blocks = prepare_corpus(load_stored(there).corpus, 300)
    assert blocks.tokenizer_file is not None
    for file in (tokenizer_file(there, 300), weights_file(there, 0)):
        file.parent.mkdir(exist_ok=True)
    tokenizer_file(there, 300).write_bytes(blocks.tokenizer_file.read_bytes())
    for record in records:
        save_weights(weights_file(there, record.number), spread_out(record.architecture))
    assert "finished" in done("status", directory)
    assert json.loads(archfront("report", directory, "--json").stdout)
    done("track", directory)
    assert active_runs(there / DATABASE) == 1 + len(records)
    done("choose", directory, "0", "--because", "it fits", "--by", "us")
    done("export", directory, "--pick", "chosen", "--format", "yaml,hf", "--output", f"./{name}/out/{name}")
    assert (home / "out" / name / "model.safetensors").is_file()
    done("evaluate", directory, f"./{name}/out/{name}", "--pick", "chosen", "--tasks", "sums", "--data", f"./{name}", "--json")
    done("compare", directory, "--trial", "0", "--ways", "float16", "--json")
    done("promote", directory, "--times", "2", "--top", "1", "--json")
    done("train", directory, "--trial", "0", "--tokens", "2k", "--threads", "1", "--output", f"./{name}/trained")
    assert (home / "trained" / "model" / "model.safetensors").is_file()
    done("report", directory, "--output", f"./{name}/page.html")
    assert [path.name for path in tmp_path.iterdir()] == [name], "something lies beside the study"
    assert sorted(path.name for path in home.iterdir() if path.suffix not in {".txt"}) == [
        "out", "page.html", "runs", "study.yaml", "sums.jsonl", "trained",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.more
@pytest.mark.usefixtures("ray_here", "mlflow_process")
def test_a_path_longer_than_a_database_may_have_costs_mlflows_runs_alone(
    archfront: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("trials.driver.run_study.run_study", partial(run_study, evaluate=fakes.plausible))
    name = ODD["the longest"]
    home, near = tmp_path / name, tmp_path / "near"
    home.mkdir()
    _write_small_study(home)
    found = archfront("run", f"./{name}/study.yaml", "--directory", f"./{name}/{name}")
    assert found.returncode == 0
    assert "Traceback" not in found.stderr
    [said] = [line for line in caplog.messages if "the path of a SQLite database must have at most" in line]
    assert "its records are safe" in said
    assert not (home / name / DATABASE).exists()
    assert len(read_records(home / name)) == 6
    assert archfront("report", f"./{name}/{name}").returncode == 0
    assert archfront("track", f"./{name}/{name}").returncode == 1
    (home / name).rename(near)
    assert archfront("track", "near").returncode == 0
    assert active_runs(near / DATABASE) == 7
