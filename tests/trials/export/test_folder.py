"""What an export does to the folder that it is written into: nothing is lost that a person left there, and nothing half is left."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import archfront
from analysis.records.record import append
from search_space.architecture import Architecture
from search_space.errors import SpecError, WorkError
from tests.support.sample_network import spread_out
from tests.support.sample_study import sample_records
from trials.catalogue.formats import ARCHITECTURE, FORMATS, Format
from trials.corpus.tokenizer import train_tokenizer
from trials.export import export_trial as module
from trials.export.check import Check, Original
from trials.export.export_trial import Export, export_trial
from trials.export.folder import SUMS
from trials.export.verification import VERIFICATION
from trials.formats.model import Model
from trials.network.weights import save_weights, write_safetensors
from trials.reporting.model_card import CARD
from trials.reporting.stored_study import read_study
from trials.study.directory import tokenizer_file, weights_file

ROOT = Path(__file__).resolve().parents[3]
SHAPE = Architecture(
    vocab_size=300, hidden_size=32, num_unique_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=64
)
WRITTEN = [CARD, SUMS, ARCHITECTURE, VERIFICATION]
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's directory whose trials 0 and 1 can be exported."""
    directory = tmp_path_factory.mktemp("study")
    shutil.copyfile(ROOT / "studies" / "quickstart.yaml", directory / "study.yaml")
    for record in sample_records(3):
        append(directory, replace(record, architecture=SHAPE))
    tokenizer = tokenizer_file(directory, SHAPE.vocab_size)
    tokenizer.parent.mkdir()
    train_tokenizer(["def front(points): return points\n" * 20] * 20, 270, tokenizer)
    for number in (0, 1):
        weights_file(directory, number).parent.mkdir(exist_ok=True)
        save_weights(weights_file(directory, number), spread_out(SHAPE))
    return directory


def _export(study: Path, output: Path, trial: int = 0, *, formats: tuple[str, ...] = ("yaml",), force: bool = False) -> Export:
    stored = read_study(study)
    return export_trial(stored, stored.record(trial), list(formats), output, force=force)


def _contents(folder: Path) -> dict[str, bytes | str]:
    return {
        path.relative_to(folder).as_posix(): os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "other"
        for path in sorted(folder.rglob("*"))
    }


def _their_file(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text("theirs")


def _their_list(folder: Path) -> None:
    (folder / ARCHITECTURE).write_text("theirs")
    lines = subprocess.run(["sha256sum", ARCHITECTURE], cwd=folder, capture_output=True, text=True, check=True).stdout
    (folder / "SHA256SUMS").write_text(lines)


THEIRS: dict[str, Callable[[Path], object]] = {
    "another file": _their_file("notes.txt"),
    "a file of the same name": _their_file(ARCHITECTURE),
    "a card of something else": _their_file(CARD),
    "a hidden file": _their_file(".env"),
    "a list with another name": _their_list,
    "a list that is none": lambda folder: (
        (folder / SUMS).write_bytes(b"\xff\x00 no  list\n"),
        (folder / ARCHITECTURE).write_text("theirs"),
    ),
    "a folder": lambda folder: (folder / "data").mkdir(),
    "a folder of the same name": lambda folder: (folder / ARCHITECTURE).mkdir(),
    "a link": lambda folder: (folder / ARCHITECTURE).symlink_to("/etc/hostname"),
    "a dangling link": lambda folder: (folder / ARCHITECTURE).symlink_to("nowhere"),
    "a pipe": lambda folder: os.mkfifo(folder / ARCHITECTURE),
    "very many files": lambda folder: [_their_file(f"{number}.txt")(folder) for number in range(200)],
}


@pytest.mark.parametrize("what", THEIRS)
def test_what_no_export_wrote_is_refused_and_stays_as_it_is(what: str, study: Path, tmp_path: Path) -> None:
    THEIRS[what](tmp_path)
    before = _contents(tmp_path)
    with pytest.raises(
        SpecError, match=r"must hold nothing but what `archfront export` wrote there, found .*; name another folder .*--force"
    ):
        _export(study, tmp_path)
    assert _contents(tmp_path) == before


@pytest.mark.parametrize("what", sorted({*THEIRS} - {"a folder of the same name"}))
def test_by_force_files_of_the_same_names_are_replaced_and_others_stay(what: str, study: Path, tmp_path: Path) -> None:
    THEIRS[what](tmp_path)
    before = _contents(tmp_path)
    export = _export(study, tmp_path, force=True)
    assert [path.name for path in export.files] == WRITTEN
    after = _contents(tmp_path)
    assert {name: after[name] for name in before if name not in WRITTEN} == {name: before[name] for name in before if name not in WRITTEN}
    assert set(after) == {*before, *WRITTEN}
    assert "theirs" not in (tmp_path / ARCHITECTURE).read_text()


def test_a_folder_where_a_file_belongs_is_refused_by_force_too(study: Path, tmp_path: Path) -> None:
    (tmp_path / ARCHITECTURE).mkdir()
    with pytest.raises(
        SpecError, match=r"must have no folder architecture.yaml where the export writes a file; name another with --output"
    ):
        _export(study, tmp_path, force=True)
    assert _contents(tmp_path) == {ARCHITECTURE: "other"}


def test_an_export_is_written_again_until_somebody_changes_a_file_of_it(study: Path, tmp_path: Path) -> None:
    output = tmp_path / "a b" / "model"
    assert _export(study, output).files == _export(study, output).files == [output / name for name in WRITTEN]
    subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=output, check=True)
    (output / CARD).write_text((output / CARD).read_text() + "\nA line of mine.\n")
    with pytest.raises(SpecError, match=r"found README\.md;"):
        _export(study, output)
    assert "A line of mine." in (output / CARD).read_text()


def test_another_trial_s_export_is_refused_by_force_too(study: Path, tmp_path: Path) -> None:
    _export(study, tmp_path)
    for force in (False, True):
        with pytest.raises(SpecError, match=r"must hold no other export, found the card of `.*, trial 0 of the study quickstart`"):
            _export(study, tmp_path, 1, force=force)


def test_what_an_export_that_was_killed_left_is_removed_by_the_next(study: Path, tmp_path: Path) -> None:
    for process in (2**22 + 1, 10**30, os.getppid()):
        (tmp_path / f".export.{process}.part").mkdir()
    _export(study, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([f".export.{os.getppid()}.part", *WRITTEN])


def write_broken(path: Path, model: Model) -> None:
    path.write_bytes(b"half")
    raise FULL


def write_damaged(path: Path, model: Model) -> None:
    path.write_bytes(b"whole")


def write_through_safetensors(path: Path, model: Model) -> None:
    most, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        write_safetensors(path, model.weights)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))


def write_interrupted(path: Path, model: Model) -> None:
    path.write_bytes(b"half")
    raise KeyboardInterrupt


def find_equal(name: str, path: Path, original: Original) -> Check:
    return Check(format=name, loaded_by="this test", passed=True)


def find_other(name: str, path: Path, original: Original) -> Check:
    return Check(format=name, loaded_by="this test", passed=False, failure="it is another")


def find_nothing(name: str, path: Path, original: Original) -> Check:
    return Check(format=name, loaded_by="nothing is installed", passed=None)


def find_by_a_library_that_raises(name: str, path: Path, original: Original) -> Check:
    raise KeyError("rope_type")


def write_by_a_library_that_raises(path: Path, model: Model) -> None:
    raise OSError("no file named model.safetensors found")  # as transformers has it, of no errno


def find_full(name: str, path: Path, original: Original) -> Check:
    raise FULL


ENDS = {
    "write_broken find_equal": (WorkError, r"is as it was, because a file of the export cannot be written \(No space left on device\)"),
    "write_through_safetensors find_equal": (WorkError, r"is as it was, because .* \(File too large\)"),
    "write_damaged find_full": (WorkError, r"is as it was, because .* \(No space left on device\)"),
    "write_damaged find_other": (WorkError, "must equal the trained model and does not: broken, loaded by this test: it is another"),
    "write_damaged find_by_a_library_that_raises": (
        WorkError,
        "^the format broken could not be read again, because its library raised KeyError: 'rope_type'; nothing was exported",
    ),
    "write_by_a_library_that_raises find_equal": (WorkError, "could not be written, because its library raised OSError: no file named"),
    "write_interrupted find_equal": (KeyboardInterrupt, "^$"),
}


@pytest.mark.parametrize("earlier", ["nothing", "an empty folder", "an export"])
@pytest.mark.parametrize("end", ENDS)
def test_an_export_that_fails_leaves_the_folder_as_it_was(
    end: str, earlier: str, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "model"
    if earlier == "an export":
        _export(study, output)
    elif earlier == "an empty folder":
        output.mkdir()
    before = _contents(tmp_path)
    _add_format(monkeypatch, *end.split())
    error, said = ENDS[end]
    with pytest.raises(error, match=said):
        _export(study, output, formats=("yaml", "broken"))
    assert _contents(tmp_path) == before


def test_a_card_that_cannot_be_written_leaves_the_folder_as_it_was(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise FULL

    monkeypatch.setattr(module, "write_card", refuse)
    with pytest.raises(WorkError, match="is as it was"):
        _export(study, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(value: float, study: Path, tmp_path: Path) -> None:
    weights = load_file(weights_file(study, 1))
    weights["model.norm.weight"][3] = value
    other = tmp_path / "study"
    shutil.copytree(study, other)
    save_file({name: tensor.to(torch.bfloat16) for name, tensor in weights.items()}, weights_file(other, 1))
    with pytest.raises(
        SpecError, match=r"0001.safetensors must hold finite weights, found 1 of 32 in model.norm.weight that are not; restore"
    ):
        _export(other, tmp_path / "model", 1)
    assert not (tmp_path / "model").exists()


def test_verified_is_said_of_formats_that_were(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _add_format(monkeypatch, "write_damaged", "find_nothing")
    command = ["export", str(study), "--trial", "0", "--output", str(tmp_path / "model"), "--format"]
    assert archfront.main([*command, "broken"]) == 0
    said = capsys.readouterr().err
    assert said.endswith("\nbroken is not verified: nothing is installed\n")
    assert "verified as" not in said
    assert archfront.main([*command, "yaml,broken"]) == 0
    said, printed = capsys.readouterr()[::-1]
    assert "yaml verified as its README.md says; broken is not verified: nothing is installed" in said
    assert printed.splitlines() == [str(tmp_path / "model" / name) for name in sorted([*WRITTEN, "broken.bin"])]
    (tmp_path / "model" / "notes.txt").write_text("mine")
    assert archfront.main([*command, "yaml"]) == 2
    assert archfront.main([*command, "yaml", "--force"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "model" / name) for name in WRITTEN]


def _add_format(monkeypatch: pytest.MonkeyPatch, writer: str, check: str) -> None:
    here = "tests.trials.export.test_folder"
    row = Format(summary="broken", usage="No use.", file="broken.bin", writer=f"{here}:{writer}", check=f"{here}:{check}")
    monkeypatch.setitem(FORMATS, "broken", row)
