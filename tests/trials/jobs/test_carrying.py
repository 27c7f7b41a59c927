from __future__ import annotations

import pytest

from search_space.errors import SpecError
from trials.jobs.carrying import carried

HERE = {"HUB_TOKEN": "a secret", "EMPTY": "", "LARGE": "x" * 70_000, "RAY_ADDRESS": "auto"}


def test_what_is_named_is_carried_and_nothing_else() -> None:
    assert carried(["HUB_TOKEN", "EMPTY", "HUB_TOKEN"], HERE) == {"HUB_TOKEN": "a secret", "EMPTY": ""}
    assert carried([], HERE) == {}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("OTHER", "--env must be the name of a variable that is set in this environment, found a text of 5 characters that names none"),
        ("hf_secret", "found a text of 9 characters that names none and is not shown"),
        ("a-secret=", "--env must be a variable's name without its value, found a text of 9 characters; export it"),
        ("HUB_TOKEN=a secret", "--env must be a variable's name without its value, found 'HUB_TOKEN' with more"),
        ("", "--env must be a variable's name"),
        ("2ND", "--env must be a variable's name"),
        ("A B", "--env must be a variable's name"),
        ("RAY_ADDRESS", "--env must not be a variable by which the job itself runs, found RAY_ADDRESS"),
        ("PYTHONPATH", "--env must not be"),
        ("LD_PRELOAD", "--env must not be"),
        ("PATH", "--env must not be"),
        ("ARCHFRONT_CARRIED", "--env must not be"),
        ("LARGE", "--env must carry at most 65,536 bytes, found 70,000"),
    ],
)
def test_what_cannot_be_carried_is_refused_without_its_value(name: str, said: str) -> None:
    with pytest.raises(SpecError, match=said) as refused:
        carried([name], HERE)
    assert "secret" not in str(refused.value)


def test_which_of_several_cannot_be_carried_is_said() -> None:
    with pytest.raises(SpecError, match="found a text of 5 characters in place 2 of 2 that"):
        carried(["HUB_TOKEN", "OTHER"], HERE)
