"""Where files are kept between studies, whatever the environment says; which files a pattern names, whatever links lead where."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sized
from pathlib import Path

import pytest

from search_space.errors import SpecError
from tests.support.without_privilege import as_anybody
from trials.study.files import cache_folder, globbed, is_globbed


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


FILES = ("text/a.txt", "text/sub/b.txt", "text/sub/deep/c.txt", "text/.hidden/d.txt", "text/[odd]/e.txt", "away/f.txt", "away/deep/g.txt")
USUAL = ["[odd]/e.txt", "a.txt", "sub/b.txt", "sub/deep/c.txt"]
"""What `**/*.txt` names in the folder `text` of these, without any link."""
AWAY = ["out/deep/g.txt", "out/f.txt"]
ABOVE = ["sub/deep/high/away/deep/g.txt", "sub/deep/high/away/f.txt"]
Links = dict[str, str]
LINKED: dict[str, tuple[Links, list[str]]] = {
    "no link": ({}, USUAL),
    "a folder to itself": ({"text/self": "."}, USUAL),
    "a folder to itself, twice": ({"text/self": ".", "text/sub/me": "."}, USUAL),
    "to the folder above": ({"text/sub/up": ".."}, USUAL),
    "to a folder above the pattern's": ({"text/up": "..", "text/sub/deep/high": "../../.."}, [*USUAL, *ABOVE]),
    "two folders to each other": ({"text/sub/there": "../[odd]", "text/[odd]/back": "../sub"}, USUAL),
    "two folders to each other, one of them away": ({"text/out": "../away", "away/back": "../text"}, [*USUAL, *AWAY]),
    "away and back to the folder above": ({"text/out": "../away", "away/back": ".."}, [*USUAL, *AWAY]),
    "a circle of three": ({"text/1": "sub/deep", "text/sub/deep/2": "../../[odd]", "text/[odd]/3": "../1"}, USUAL),
    "to a folder away": ({"text/out": "../away"}, [*USUAL, *AWAY]),
    "to a folder away, through a link": ({"text/out": "../other", "other": "away"}, [*USUAL, *AWAY]),
    "several to a folder away": ({f"text/{name}": "../away" for name in ("out", "out2", "p")}, [*USUAL, *AWAY]),
    "to a folder that is there": ({"text/aside": "sub/deep", "text/0": "sub"}, USUAL),
    "to a file away": ({"text/f.txt": "../away/f.txt"}, [*USUAL, "f.txt"]),
    "to a file that is there": ({"text/0.txt": "a.txt", "text/sub/z.txt": "../a.txt"}, USUAL),
    "many to one file": ({f"text/{number}.txt": "../away/f.txt" for number in range(5)}, [*USUAL, "0.txt"]),
    "a link to a link to one file": ({"text/1.txt": "2.txt", "text/2.txt": "../away/f.txt"}, [*USUAL, "1.txt"]),
    "to a folder that a link hides": ({"text/.own": "../away"}, USUAL),
    "another suffix, to nothing": ({"text/n.md": "nowhere", "text/.n.txt": "nowhere"}, USUAL),
    "forty folders in a row, each to the first": ({f"text/{number}": "sub" for number in range(40)}, USUAL),
    "forty folders away, each to all": (
        {f"away/deep/{number}": "../../away" for number in range(40)} | {"text/out": "../away"}, [*USUAL, *AWAY]
    ),
}  # fmt: skip


def tree(home: Path, links: Links) -> Path:
    """The folder `text` of FILES, with links by what they lead to."""
    for name in FILES:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(name)
    for name, to in links.items():
        (home / name).symlink_to(to)
    return home / "text"


def names(folder: Path, pattern: str) -> list[str]:
    return [str(path.relative_to(folder)) for path in globbed(folder, pattern, "corpus.files").values()]


@pytest.mark.parametrize("case", LINKED)
def test_a_pattern_names_each_file_once_whatever_links_lead_where(case: str, tmp_path: Path) -> None:
    links, expected = LINKED[case]
    folder = tree(tmp_path, links)
    assert names(folder, "**/*.txt") == sorted(expected)
    assert names(folder, "**/**/*.txt") == sorted(expected)
    assert names(folder, f"{folder}/**/*.txt") == sorted(expected)
    assert is_globbed(folder, "**/*.txt")


PATTERNS = {
    "*.txt": ["a.txt"],
    "a.txt": ["a.txt"],
    "./a.txt": ["a.txt"],
    "sub": [],
    "**": [*USUAL],
    "sub/**": ["sub/b.txt", "sub/deep/c.txt"],
    "sub/../*.txt": ["sub/../a.txt"],
    "*/b.txt": ["sub/b.txt"],
    "*/b.txt/*": [],
    "*/deep/c.txt": ["sub/deep/c.txt"],
    "[s]ub/deep/c.txt": ["sub/deep/c.txt"],
    "*/nothing.txt": [],
    f"*/{'x' * 300}": [],
    "*/b\0.txt": [],
    "*/../a.txt": ["[odd]/../a.txt"],
    "**/c.txt": ["sub/deep/c.txt"],
    "**/deep/*": ["sub/deep/c.txt"],
    "**/deep/**": ["sub/deep/c.txt"],
    "*/*/c.???": ["sub/deep/c.txt"],
    "[odd]/*.txt": ["[odd]/e.txt"],
    "[odd]/e.txt": ["[odd]/e.txt"],
    "[s]ub/b.[!x]xt": ["sub/b.txt"],
    ".hidden/*": [".hidden/d.txt"],
    ".*/*": [".hidden/d.txt"],
    "../away/**/*.txt": ["../away/deep/g.txt", "../away/f.txt"],
    "a**.txt": ["a.txt"],
    "a.txt/*": [],
    "nothing/*": [],
    "*.md": [],
    "x[": [],
    "a\0*": [],
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_name_what_a_shells_would(pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tree(tmp_path, {})
    assert [str(path) for path in globbed(folder, pattern, "k").values()] == [f"{folder}/{name}" for name in PATTERNS[pattern]]
    monkeypatch.chdir(folder)
    assert [str(path) for path in globbed(Path(), pattern, "k").values()] == PATTERNS[pattern]
    assert is_globbed(folder, pattern) == bool(PATTERNS[pattern]) or pattern == "sub"


def each_other(folder: Path) -> None:
    (folder / "n.txt").symlink_to("m.txt")
    (folder / "m.txt").symlink_to("n.txt")


def closed(folder: Path) -> None:
    (folder / "sub" / "deep").chmod(0)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link to nothing": (lambda folder: (folder / "n.txt").symlink_to("nowhere"), "n.txt must be a file, found a link that leads nowhere"),
    "a link to itself": (lambda folder: (folder / "n.txt").symlink_to("n.txt"), "n.txt must be a file, found a link that leads nowhere"),
    "two links to each other": (each_other, "m.txt must be a file, found a link that leads nowhere"),
    "a pipe": (lambda folder: os.mkfifo(folder / "sub" / "n.txt"), "sub/n.txt must be a file, found a pipe"),
    "a folder that may not be read": (closed, "sub/deep must be a folder that can be read, found: Permission denied"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_pattern_cannot_have_meant_is_one_sentence(case: str, tmp_path: Path) -> None:
    make, found = REFUSED[case]
    folder = tree(tmp_path, {})
    make(folder)
    with pytest.raises(SpecError, match=f"^corpus.files: {folder}/{found}; .*name what lies beside it$"):
        as_anybody(lambda: globbed(folder, "**/*.txt", "corpus.files"))
    assert as_anybody(lambda: is_globbed(folder, "**/*.txt"))
    assert as_anybody(lambda: names(folder, "a*.txt")) == ["a.txt"], "what the pattern does not lead through is no matter"
    (folder / "sub" / "deep").chmod(0o700)


@pytest.mark.parametrize("mode", [0o711, 0o755])
def test_a_folder_is_not_listed_for_a_name_without_wildcards(mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tree(tmp_path, {"text/sub/link.txt": "../../away/f.txt"})
    (folder / "sub").chmod(mode)
    assert as_anybody(lambda: names(folder, "*/b.txt")) == ["sub/b.txt"]
    assert as_anybody(lambda: names(folder, "*/deep/*.txt")) == ["sub/deep/c.txt"]
    assert as_anybody(lambda: names(folder, "*/link.txt")) == ["sub/link.txt"]
    listed, scandir = list[str](), os.scandir

    def noted(name: str) -> object:
        listed.append(name)
        return scandir(name)

    monkeypatch.setattr("os.scandir", noted)
    assert names(folder, "*/b.txt") == ["sub/b.txt"]
    assert listed == [str(folder)]


def test_a_folder_that_may_not_be_entered_is_refused_by_its_own_name(tmp_path: Path) -> None:
    folder = tree(tmp_path, {})
    closed(folder)
    with pytest.raises(SpecError, match=f"^k: {folder}/sub/deep must be a folder that can be read, found: Permission denied;"):
        as_anybody(lambda: globbed(folder, "sub/*/c.txt", "k"))
    (folder / "sub" / "deep").chmod(0o700)


def test_a_file_systems_own_folder_is_passed_over(tmp_path: Path) -> None:
    folder = tree(tmp_path, {})
    (folder / "lost+found").mkdir(mode=0)
    assert as_anybody(lambda: names(folder, "**/*.txt")) == USUAL


def test_a_pattern_leads_through_a_bounded_number_of_names_in_about_the_time_of_a_walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):
        folder = tmp_path / f"{number:02}" / "x"
        folder.mkdir(parents=True)
        for each in range(100):
            (folder / f"{each:02}.txt").touch()
    seconds: dict[str, float] = {}
    works: dict[str, Callable[[], Sized]] = {"walk": lambda: [*os.walk(tmp_path)], "pattern": lambda: globbed(tmp_path, "**/*.txt", "k")}
    for _ in range(3):
        for what, work in works.items():
            began = time.process_time()
            assert len(work()) in (201, 10_000)
            seconds[what] = min(seconds.get(what, 1e9), time.process_time() - began)
    assert seconds["pattern"] < 50 * seconds["walk"]  # 8 to 17: a walk does not look what lies at each name
    monkeypatch.setattr("trials.study.files.MOST_NAMES", 300)
    assert len(globbed(tmp_path, "*/x/07.txt", "k")) == 100, "names beside these are not counted"
    monkeypatch.setattr("trials.study.files.MOST_NAMES", 100)
    assert len(globbed(tmp_path, "07/x/*.txt", "k")) == 100
    assert len(globbed(tmp_path, "07/**/[01]*.txt", "k")) == 20
    (tmp_path / "07" / "x" / "100.txt").touch()
    said = rf"^k must lead .* found more with 07/x/\*.txt, most of them in {tmp_path}/07/x; put its texts into fewer files, as .jsonl with"
    with pytest.raises(SpecError, match=said):
        globbed(tmp_path, "07/x/*.txt", "k")
    monkeypatch.setattr("trials.study.files.MOST_NAMES", 10_000)
    with pytest.raises(SpecError, match=r"^k must lead through at most 10,000 names .*, found more with \*\*/\*.txt; name the folders"):
        globbed(tmp_path, "**/*.txt", "k")
