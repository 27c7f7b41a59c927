"""What a sentence quotes of an error: every kind of OSError that there is, with and without words of the system's."""

from __future__ import annotations

import argparse
import ast
import errno
import gzip
import io
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from search_space.errors import FULL, SpecError, WorkError, complaint_of, refused, require_reachable
from tests.support.house import ROOT, files
from trials.commands.paths import system_refusal

LIBRARIES: tuple[type[OSError], ...] = (
    gzip.BadGzipFile,
    io.UnsupportedOperation,
    socket.gaierror,
    socket.herror,
    shutil.Error,
    shutil.SameFileError,
)
"""Errors of the standard library that are OSErrors and are raised with words of their own alone."""
RAISED_ELSEWHERE = {"search_space/errors.py", "analysis/records/files.py", "trials/network/weights.py"}
"""Where the system's words are made, or travel on in another OSError."""


def errors() -> Iterator[OSError]:
    """Each kind, as the system raises it with each of its numbers, and as a library does."""
    for number in sorted(errno.errorcode):
        yield OSError(number, os.strerror(number))
        yield OSError(number, os.strerror(number), "some/file")
        yield OSError(number, None)
    ours = [kind for kind in OSError.__subclasses__() if kind.__module__ == "builtins"]
    kinds: list[type[OSError]] = [OSError, *ours, *LIBRARIES]
    for kind in kinds:
        yield from (kind(*words) for words in [(), ("no room\nat all",), ("x" * 1_000,)])


def test_no_sentence_says_that_none_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in errors():
        assert complaint_of(error) not in ("", "None"), repr(error)

        def refuse(*_: object, error: OSError = error) -> None:
            raise error

        told = [refused(error, "some/file", "be readable", "see to it"), system_refusal(error, argparse.Namespace())]
        with monkeypatch.context() as patched:
            patched.setattr(os, "stat", refuse)
            if not isinstance(error, FileNotFoundError):
                with pytest.raises(SpecError) as raised:
                    require_reachable("some/file", "--output")
                told.append(raised.value)
        for sentence in map(str, filter(None, told)):
            assert "None" not in sentence, repr(error)
            assert len(sentence) < 500
        assert isinstance(told[0], WorkError) is (error.errno in FULL), "a full disk is no wrong input"


def test_the_systems_words_are_asked_for_in_one_place() -> None:
    asking = {
        path
        for path in files()
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "strerror"
    }
    assert asking <= RAISED_ELSEWHERE, "complaint_of says it, and never None"


def test_a_path_that_the_system_refuses_is_told_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"found .*: File name too long; shorten it"):
        require_reachable(tmp_path / ("x" * 300), "--output")


def test_a_long_path_is_cut_where_it_does_not_tell_the_file(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["folder"] * 30)
    deep.mkdir(parents=True)
    (deep / "shape.yaml").symlink_to("shape.yaml")
    with pytest.raises(SpecError, match=r"found '/.*\.\.\..*/shape\.yaml': Too many levels of symbolic links"):
        require_reachable(deep / "shape.yaml", "--output")
    told = str(refused(OSError(errno.EACCES, "Permission denied"), deep / "shape.yaml", "be readable", "see to it"))
    assert "/shape.yaml must be readable, found: Permission denied" in told
    assert len(told) < 300


def test_a_path_through_a_link_and_back_is_the_systems_to_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its letters alone it would lead through the file beside the link."""
    far = tmp_path / "far"
    (far / "sub").mkdir(parents=True)
    (far / "data").mkdir()
    (far / "data" / "x.yaml").touch()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("link").symlink_to(far / "sub")
    Path("data").touch()
    require_reachable("link/../data/x.yaml", "--output")
