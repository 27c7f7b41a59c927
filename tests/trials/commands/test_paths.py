"""Every argument and every key that names a path, with every kind of path that cannot be used: one sentence, soon, and nothing changed."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import archfront
from analysis.law_report.law_page import write_page
from analysis.records.record import append
from search_space.errors import WorkError
from tests.support.bad_paths import NOT_READ, NOT_WRITTEN, Make
from tests.support.bad_studies import values
from tests.support.fakes import small_study
from tests.support.sample_study import sample_finals, sample_records
from tests.support.without_privilege import as_anybody
from trials.commands.paths import GivenPath, Use, given_paths
from trials.commands.verbs import VERBS, parser
from trials.study.directory import claim
from trials.study.load_study import STUDY

ROOT = Path(__file__).resolve().parents[3]
ARGUMENTS = {
    "plan": "plan {}",
    "plan --directory": "plan study.yaml --directory {}",
    "describe": "describe {}",
    "describe --device": "describe mobilellm-125m --device {}",
    "sample": "sample {}",
    "run": "run {}",
    "run --directory": "run study.yaml --directory {}",
    "run --tracking-uri": "run study.yaml --tracking-uri sqlite:///{}",
    "ablate": "ablate {}",
    "ablate --directory": "ablate ablation.yaml --directory {}",
    "status": "status {}",
    "choose": "choose {} 1 --because words",
    "init --output": "init --name x --output {}",
    "report": "report {}",
    "report --device": "report done --device {}",
    "report --output": "report done --output {}",
    "export": "export {} --pick knee",
    "export --output": "export done --pick knee --output {}",
    "train": "train {} --data text.txt --plan",
    "train --recipe": "train done --plan --recipe {}",
    "train --data": "train done --tokens 1M --plan --data {}",
    "train --output": "train done --tokens 1M --output {}",
    "evaluate": "evaluate {} --tasks sums=sums.jsonl",
    "evaluate --data": "evaluate done --tasks sums --data {}",
    "compare": "compare {} --tasks sums=sums.jsonl",
    "compare --text": "compare done --text {}",
    "compare --data": "compare done --tasks sums --data {}",
    "tune": "tune {} --data synthetic:api --output out",
    "tune --data": "tune done --data {} --output out",
    "tune --held-out": "tune done --data synthetic:api --held-out {} --output out",
    "tune --output": "tune done --data synthetic:api --output {}",
    "judge": "judge {} --data chats.jsonl --judge-url http://127.0.0.1:1",
    "judge --data": "judge done --data {} --judge-url http://127.0.0.1:1",
    "latency": "latency {}",
    "profile-device": "profile-device {}",
    "profile-device --output": "profile-device study.yaml --output {}",
    "profile-device --trials": "profile-device study.yaml --trials {} --output table.jsonl",
    "profile-device --fit": "profile-device --fit {}",
    "lr-check": "lr-check {}",
    "lr-check --directory": "lr-check study.yaml --directory {}",
    "validate": "validate {}",
    "validate --directory": "validate study.yaml --directory {}",
    "promote": "promote {}",
    "promote --study": "promote done --study {}",
    "fit": "fit {}",
    "fit --html": "fit runs.csv --html {}",
    "track": "track {}",
    "ui": "ui {}",
    "ui --tracking-uri": "ui done --tracking-uri sqlite:///{}",
    **{name: f"{name} {{}} --address http://127.0.0.1:1" for name in VERBS if name.startswith("job submit ")},
    "lr-check --study-directory": "lr-check study.yaml --study-directory {}",
    "profile-device --study-directory": "profile-device study.yaml --study-directory {} --output table.jsonl",
    "job submit train --recipe": "job submit train study.yaml --recipe {} --address http://127.0.0.1:1",
    "job submit train --data": "job submit train study.yaml --tokens 1M --data {} --address http://127.0.0.1:1",
    "job fetch": "job fetch quickstart-1a2b3c4d {} --address http://127.0.0.1:1",
}
"""A command line for each, with a place for the path."""
WRITTEN = {"run --directory", "ablate --directory", "report --output", "export --output", "profile-device --output", "lr-check --directory"}
READ_THERE = {"plan --directory", "lr-check --study-directory", "profile-device --study-directory"}
"""Where `run` writes, and these do not."""
WRITTEN |= READ_THERE | {"validate --directory", "fit --html", "init --output", "job fetch", "train --output", "tune --output"}
FILES_WRITTEN = {"report --output", "fit --html", "profile-device --output", "init --output"}
NEW_DATABASE = {"run --tracking-uri", "ui --tracking-uri"}
KEYS: dict[str, Callable[[str], dict[str, Any]]] = {
    "corpus.files": lambda path: {"corpus": {"files": [path]}},
    "corpus.dataset": lambda path: {"corpus": {"dataset": path}},
    "corpus.tokenizer": lambda path: {"corpus": {"files": ["text.txt"], "tokenizer": path}},
    "corpus.validation": lambda path: {"corpus": {"files": ["text.txt"], "validation": {"code": path}}},
    "references": lambda path: {"references": [path]},
    "search.latency_table": lambda path: {"search__latency_table": path},
}
SUFFIXES = {
    "references": ".yaml",
    "corpus.tokenizer": ".json",
    "search.latency_table": ".jsonl",
    "corpus.dataset": "",
    "profile-device --output": ".jsonl",
}
SUFFIXES |= {
    "describe": ".yaml",
    "latency": ".yaml",
    "train": ".yaml",
    "train --recipe": "train done --plan --recipe {}",
    "train --data": ".txt",
    "job submit train --recipe": ".yaml",
    "job submit train --data": ".txt",
    "describe --device": ".jsonl",
    "report --device": ".jsonl",
    "fit": ".csv",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study, a finished one, an ablation and a table."""
    folder = tmp_path_factory.mktemp("paths")
    done = folder / "done"
    done.mkdir()
    records = sample_records(12)
    for record in records:
        append(done, record)
    for final in sample_finals(records).values():
        append(done, final)
    (done / STUDY).write_text(small_study()[1])
    (folder / "study.yaml").write_text(small_study()[1])
    (folder / "ablation.yaml").write_text((ROOT / "studies" / "mobilellm" / "depth-width.yaml").read_text())
    (folder / "runs.csv").write_text("params,tokens,loss\n1e6,1e8,3.0\n")
    answered = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'
    (folder / "chats.jsonl").write_text(f"{answered}\n" * 4)
    (folder / "text.txt").write_text("some text\n" * 9000)
    return folder


ADDRESS = "s3://key:hunter2@bucket/study"


def refuses_the_address(said: str) -> None:
    one_sentence(said)
    assert "must be a path of a file system, found an address that begins with s3://, and no such store is read or written" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("name", sorted(set(ARGUMENTS) - {"run --tracking-uri", "ui --tracking-uri"}))
def test_an_address_of_a_store_is_refused_before_anything_is_written(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    assert archfront.main([word.replace("{}", f"{ADDRESS}{SUFFIXES.get(name, '')}") for word in shlex.split(ARGUMENTS[name])]) == 2
    refuses_the_address(capsys.readouterr().err)
    assert sorted(place.rglob("*")) == before, "it is a folder of that name to the system"


@pytest.mark.parametrize("name", [name for name in VERBS if name.startswith("job submit ")])
def test_an_address_of_a_store_is_no_job_s_directory(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert archfront.main([*name.split(), "study.yaml", "--directory", ADDRESS, "--address", "http://127.0.0.1:1"]) == 2
    refuses_the_address(capsys.readouterr().err)


@pytest.mark.parametrize("key", KEYS)
def test_an_address_of_a_store_in_a_study_is_refused(key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values(**KEYS[key](f"{ADDRESS}{SUFFIXES.get(key, '.txt')}"))))
    assert archfront.main(["plan", str(tmp_path / "study.yaml")]) == 2
    refuses_the_address(capsys.readouterr().err)


def kinds(name: str) -> dict[str, Make]:
    found = dict(NOT_WRITTEN if name in WRITTEN else NOT_READ)
    if name in NEW_DATABASE:
        for kind in ("a link that leads nowhere", "nothing", "a NUL", "a file that the system refuses to read"):
            del found[kind]
    if name in READ_THERE:
        del found["a file system without room for files"]
    if name in FILES_WRITTEN:
        found["a directory"] = NOT_READ["a directory"]
    return found


def one_sentence(said: str) -> None:
    """The end of what was said; notices, and where a table will be, may stand before."""
    assert "Traceback" not in said
    last = said.splitlines()[-1]
    assert last.startswith("archfront: ")
    assert ";" in last, "a cure"
    assert "None" not in last
    assert len(last) < 700


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name in ARGUMENTS for kind in kinds(name)])
def test_a_path_that_cannot_be_used_is_one_sentence(
    name: str, kind: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    path = kinds(name)[kind](tmp_path, SUFFIXES.get(name, ""))
    command = [word.replace("{}", path) for word in shlex.split(ARGUMENTS[name])]
    assert archfront.main(command) == 2, capsys.readouterr()
    said = capsys.readouterr()
    one_sentence(said.err)
    assert sorted(place.rglob("*")) == before, "nothing was made or removed"


@pytest.mark.parametrize(
    ("key", "kind"), [(key, kind) for key in KEYS for kind in NOT_READ if (key, kind) != ("corpus.dataset", "a directory")]
)
def test_a_path_of_a_study_that_cannot_be_used_is_one_sentence(
    key: str, kind: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = NOT_READ[kind](tmp_path, SUFFIXES.get(key, ".txt"))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values(**KEYS[key](path))))
    (tmp_path / "text.txt").write_text((place / "text.txt").read_text())
    assert archfront.main(["plan", str(tmp_path / "study.yaml")]) == 2, capsys.readouterr()
    one_sentence(capsys.readouterr().err)


def test_every_argument_that_names_a_path_is_in_the_table() -> None:
    """By the words that stand for one in a verb's help."""
    commands = parser()
    for name in VERBS:
        asked = commands
        for word in name.split():
            (under,) = [action for action in asked._actions if isinstance(action, argparse._SubParsersAction)]
            asked = under.choices[word]
        for action in asked._actions:
            if str(action.metavar) in {"STUDY", "DIR", "FILE", "PATH", "NAME|FILE", "TABLE", "TABLE.csv", "RUNS.csv|DIR"}:
                flag = f"{name} {action.option_strings[0]}" if action.option_strings else name
                assert callable(action.type), flag
                path = action.type("x")
                assert isinstance(path, GivenPath), flag
                assert flag in ARGUMENTS or path.use is Use.ELSEWHERE, flag
                assert (flag in WRITTEN) == (path.use not in (Use.READ, Use.ELSEWHERE)), flag
    assert [path.argument for path in given_paths(commands.parse_args(["ablate", "a", "b"]))] == ["FILE", "FILE", "--directory"]


@pytest.mark.parametrize("asked", [[], ["--json"], ["--objectives", "bits_per_byte,kv_cache_bytes"]])
def test_a_directory_that_cannot_be_written_gives_its_front_and_its_page_elsewhere(
    asked: list[str], place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done, page = place / "done", tmp_path / "page.html"
    before = sorted(done.rglob("*"))
    done.chmod(0o555)
    try:
        assert as_anybody(lambda: archfront.main(["report", str(done), *asked])) == 0
        said = capsys.readouterr()
        assert as_anybody(lambda: archfront.main(["report", str(done), *asked, "--output", str(page)])) == 0
        again = capsys.readouterr()
    finally:
        done.chmod(0o755)
    assert "on_front" in said.out if asked == ["--json"] else "on the front" in said.out
    assert again.out == said.out
    notices = [line for line in said.err.splitlines() if line.startswith("archfront:")]
    assert notices == [f"archfront: {done} cannot be written, so there is no page; name a file for it with --output"]
    assert "archfront:" not in again.err
    assert page.stat().st_size > 1_000_000
    assert sorted(done.rglob("*")) == before


@pytest.mark.parametrize("write", ["a page", "a study"])
def test_a_disk_that_is_full_is_no_wrong_input(write: str, tmp_path: Path) -> None:
    file = tmp_path / ("page.html" if write == "a page" else STUDY)
    file.with_name(f"{file.name}.{os.getpid()}.part").symlink_to("/dev/full")
    said = r"cannot be written \(No space left on device\); make room, and run the same command again"
    if write == "a page":
        with pytest.raises(WorkError, match=said):
            write_page(file, "a page")
    else:
        with pytest.raises(WorkError, match=said), claim(tmp_path, small_study()[1]):
            pass
    assert not file.exists()


@pytest.mark.parametrize("command", ["plan study.yaml", "describe mobilellm-125m", "report done", "run study.yaml --directory x"])
def test_a_working_directory_that_is_gone_is_one_sentence(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert archfront.main(command.split()) == 2
    said = "archfront: the working directory must be one that is there, found: No such file or directory; change into another\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_empty_path_is_one_sentence(name: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    assert archfront.main([word.replace("{}", "") for word in shlex.split(ARGUMENTS[name])]) == 2
    one_sentence(capsys.readouterr().err)
    assert sorted(place.rglob("*")) == before
