"""A disk that fills midway, a real one: each verb says one sentence and ends with 1, nothing is lost or half written, and it goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from analysis.records.record import RECORDS, read_records
from search_space.architecture import Architecture
from tests.conftest import Call
from tests.support import fakes
from tests.support.needs import rest_is_more
from tests.support.small_disk import FILLER, SMALL_DISK, filling, leave_room, make_room, small_disk
from tests.support.weighed_study import weighed_study
from trials.driver.run_study import run_study
from trials.tracking.mlflow_location import DATABASE

pytestmark = [pytest.mark.needs, SMALL_DISK, pytest.mark.slow]
SHAPE = Architecture(
    vocab_size=300, hidden_size=32, num_unique_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=64
)
PAGE = 4096


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as folder:
        yield folder


@pytest.fixture(scope="module")
def weighed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("weighed") / "study"
    weighed_study(directory, [SHAPE] * 4)
    return directory


def one_sentence(said: str) -> None:
    """Notices may stand before it."""
    assert "Traceback" not in said
    last = said.splitlines()[-1]
    assert last.startswith("archfront: ")
    assert ("room" in last, "No space left on device" in last, "None" in last) == (True, True, False), last


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


DISKS = rest_is_more([(0, 4), (0, 0), (2 * PAGE, 4), (8 * PAGE, 4), (300 << 10, 4), (1 << 20, 13), (0, 13)], (0, 4))
"""Bytes that are left, and at which trial."""


@pytest.mark.usefixtures("ray_here")
@pytest.mark.parametrize(("left", "at"), DISKS)
def test_a_study_ends_with_one_sentence_and_goes_on(
    left: int, at: int, disk: Path, archfront: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = disk.parent / "study.yaml"
    study.write_text(fakes.small_study(search={"trials": 12})[1])
    words = ("run", str(study), "--directory", str(disk / "study"))
    monkeypatch.setattr("trials.driver.run_study.run_study", partial(run_study, evaluate=partial(filling, disk, left, at)))
    done = archfront(*words)
    assert (done.returncode, (disk / FILLER).exists()) == (1, True), done.stderr
    one_sentence(done.stderr)
    before = (disk / "study" / RECORDS).read_bytes() if (disk / "study" / RECORDS).exists() else b""
    kept = before[: before.rfind(b"\n") + 1]
    numbers = [json.loads(line)["number"] for line in kept.splitlines()]  # in the order of their ends
    assert len(set(numbers)) == len(numbers)
    assert [path.name for path in (disk / "study").rglob("*.part")] == []
    make_room(disk)
    monkeypatch.setattr("trials.driver.run_study.run_study", partial(run_study, evaluate=fakes.plausible))
    done = archfront(*words)
    assert done.returncode == 0, done.stderr
    assert (disk / "study" / RECORDS).read_bytes().startswith(kept), "no record was changed"
    assert sorted(record.number for record in read_records(disk / "study")) == list(range(14))


def test_a_study_that_cannot_begin_leaves_nothing_half(disk: Path, archfront: Call) -> None:
    leave_room(disk, 0)
    study = disk.parent / "study.yaml"
    study.write_text(fakes.small_study()[1])
    done = archfront("run", str(study), "--directory", str(disk / "study"))
    assert done.returncode == 1
    one_sentence(done.stderr)
    assert [name for name, content in contents(disk).items() if content and name != FILLER] == []


ROOM = rest_is_more([0, PAGE, 4 * PAGE, 16 * PAGE], 4 * PAGE)
"""Bytes that are left, fewer than what each verb writes."""
ASKED: dict[str, tuple[str, ...]] = {
    "report": ("report", "{study}"),
    "report --output": ("report", "{study}", "--output", "{disk}/page.html"),
    "export": ("export", "{study}", "--trial", "0", "--format", "yaml,hf", "--output", "{disk}/out"),
    "track": ("track", "{study}"),
    "fit --html": ("fit", "{chinchilla}", "--html", "{disk}/fit.html", "--refits", "200"),
}
WRITTEN = {"report": "study/report.html", "report --output": "page.html", "fit --html": "fit.html", "track": f"study/{DATABASE}"}


@pytest.mark.parametrize("left", ROOM)
@pytest.mark.parametrize("verb", ASKED)
def test_what_is_written_beside_is_whole_or_as_it_was(verb: str, left: int, disk: Path, weighed: Path, archfront: Call) -> None:
    shutil.copytree(weighed, disk / "study")
    places = {"study": disk / "study", "disk": disk, "chinchilla": Path(__file__).parents[2] / "data" / "chinchilla_epoch.csv"}
    words = [word.format(**places) for word in ASKED[verb]]
    leave_room(disk, left)
    before = contents(disk)
    done = archfront(*words)
    assert done.returncode == 1, done.stderr
    one_sentence(done.stderr)
    after = contents(disk)
    assert {name: content for name, content in after.items() if before.get(name) != content} == {}
    make_room(disk)
    done = archfront(*words)
    assert done.returncode == 0, done.stderr
    there = WRITTEN.get(verb, "out/model.safetensors")
    assert (disk / there).is_file()
