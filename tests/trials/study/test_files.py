"""Where files are kept between studies, whatever the environment says."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_space.errors import SpecError
from trials.study.files import cache_folder


@pytest.mark.parametrize("given", [None, "", ".", "cache", "../cache", "~/cache"])
def test_a_cache_that_is_not_named_by_its_whole_path_is_the_users(
    given: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if given is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", given)
    monkeypatch.chdir(tmp_path)
    assert cache_folder() == tmp_path / ".cache" / "archfront"
    assert [path.name for path in tmp_path.iterdir()] == [".cache"]


def test_a_whole_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a"))
    assert cache_folder() == tmp_path / "a" / "archfront"


def test_a_user_without_a_name_and_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def nobody(number: int) -> object:
        raise KeyError(number)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(SpecError, match="must have a home directory, found none; set HOME or XDG_CACHE_HOME"):
        cache_folder()
