"""The link that an odd directory has where MLflow reads no address with its path: one for all processes, in a plain folder of this user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from search_space.errors import SpecError
from trials.tracking import mlflow_location
from trials.tracking.mlflow_location import UNPLAIN, plain_path

UNPLAIN_NAMES = [f"a{mark}b" for mark in sorted(UNPLAIN)]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plain folder for temporary files that has nothing."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_a_plain_directory_needs_no_link(tmp_path: Path, temporary: Path) -> None:
    assert plain_path(tmp_path) == tmp_path
    assert list(temporary.iterdir()) == []


def test_a_process_that_is_killed_leaves_the_one_link_that_the_next_one_uses(tmp_path: Path, temporary: Path) -> None:
    for name in UNPLAIN_NAMES:
        (tmp_path / name).mkdir()
    code = (
        "import os; from pathlib import Path; from trials.tracking.mlflow_location import plain_path\n"
        f"for name in {UNPLAIN_NAMES!r}: plain_path(Path({str(tmp_path)!r}) / name)\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    [folder] = temporary.iterdir()
    left = {link: link.lstat().st_ino for link in folder.iterdir()}
    assert {plain_path(tmp_path / name) for name in UNPLAIN_NAMES} == {*left}
    assert {plain_path(tmp_path / name).resolve() for name in UNPLAIN_NAMES} == {tmp_path / name for name in UNPLAIN_NAMES}
    assert {link: link.lstat().st_ino for link in folder.iterdir()} == left, "what was there was used"
    assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (os.getuid(), 0o700)


def test_a_link_that_leads_elsewhere_is_made_anew(tmp_path: Path, temporary: Path) -> None:
    directory = tmp_path / UNPLAIN_NAMES[0]
    directory.mkdir()
    link = plain_path(directory)
    link.unlink()
    link.symlink_to(temporary)
    assert plain_path(directory) == link
    assert link.resolve() == directory


def test_a_folder_that_somebody_has_put_in_its_place_is_refused(tmp_path: Path, temporary: Path) -> None:
    (temporary / f"archfront-{os.getuid()}-links").symlink_to(tmp_path)
    with pytest.raises(SpecError, match="must be a folder of this user, found another's or a link; remove it, or point TMPDIR"):
        plain_path(tmp_path / UNPLAIN_NAMES[0])


@pytest.mark.parametrize("name", UNPLAIN_NAMES)
def test_where_temporary_files_lie_in_an_odd_folder_the_link_has_a_plain_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, plain = tmp_path / name, tmp_path / "plain"
    for folder in (odd, plain):
        folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(odd))
    monkeypatch.setattr(mlflow_location, "PLAIN_PLACES", (str(tmp_path / "absent"), str(odd), str(plain), str(tmp_path)))
    assert plain_path(odd).parent.parent == plain
    monkeypatch.setattr(mlflow_location, "PLAIN_PLACES", (str(tmp_path / "absent"),))
    with pytest.raises(SpecError, match=r"must have a folder for a link .*, found none .*; set TMPDIR to a folder without \?, % and #$"):
        plain_path(odd)
