from __future__ import annotations

import sys
from typing import Any

import pytest

from search_space.errors import SpecError
from tests.support.fakes import small_study
from trials.study.directory import MAY_CHANGE
from trials.study.end_listener import require_there, url_of
from trials.study.load_study import load_begun, load_study


@pytest.mark.parametrize(
    ("listener", "url"),
    [
        ("https://host/hook?a=b", "https://host/hook?a=b"),
        (["http://127.0.0.1:8000/x"], "http://127.0.0.1:8000/x"),
        ("$HOOK", "https://host/secret"),
        ([sys.executable, "-c", "$HOOK"], None),
        ("cat", None),
        (["echo", "https://host"], None),
    ],
)
def test_a_listener_is_an_address_or_a_command(listener: Any, url: str | None) -> None:
    study, _ = small_study(on_end=listener)
    assert study.on_end is not None
    assert url_of(study.on_end, {"HOOK": "https://host/secret"}) == url
    require_there(study.on_end, {"HOOK": "https://host/secret"})


@pytest.mark.parametrize(
    ("listener", "said"),
    [
        ("", "must be a URL or a command"),
        ([], "on_end"),
        ({"url": "x"}, "on_end"),
        ([1], "on_end"),
        ("ftp://host/x", "must be one http:// or https:// URL"),
        (["https://host", "again"], "must be one http:// or https:// URL"),
        ("https://", "must be one http:// or https:// URL"),
        ("http:///path", "must be a URL with a host"),
        ("http://host:port/", "must be a URL with a host"),
        ("http://host/a b", "must be a URL with a host"),
        ("https://me:hunter2@host/x", "must have no password, for copies of the study have it too"),
        (["a\0b"], "must be a URL or a command"),
    ],
)
def test_what_cannot_hear_is_refused_and_no_password_is_said(listener: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said) as refused:
        small_study(on_end=listener)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("listener", "said"),
    [
        ("no-such-program", "must name a command that is on the driver's machine, found no 'no-such-program'"),
        ("$HOOK", "the variable HOOK must hold an http:// or https:// URL, found none of that name"),
        ("$OTHER", "found something else"),
    ],
)
def test_what_is_not_there_is_said_before_a_study_begins(listener: str, said: str) -> None:
    with pytest.raises(SpecError, match=said) as refused:
        require_there((listener,), {"OTHER": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_a_program_beside_the_study_is_named_by_its_path(tmp_path: Any) -> None:
    _, text = small_study(on_end=["./tell.sh", "loudly"])
    (tmp_path / "study.yaml").write_text(text)
    (tmp_path / "tell.sh").write_text("#!/bin/sh\n")
    assert load_study(tmp_path / "study.yaml").on_end == (str(tmp_path / "tell.sh"), "loudly")
    assert load_begun(tmp_path / "study.yaml", str(tmp_path / "run"))[0].on_end == (str(tmp_path / "tell.sh"), "loudly")


def test_a_study_that_goes_on_may_tell_somebody_else() -> None:
    assert "on_end" in MAY_CHANGE
