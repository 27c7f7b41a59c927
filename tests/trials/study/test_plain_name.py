"""Names of studies, sets and tasks: what is taken, and a name like it for what is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from search_space.errors import SpecError
from tests.conftest import Call
from trials.study.load_study import parse_study
from trials.study.section import LONGEST_NAME, plain_name

LIKE = {
    "my study": "my-study",
    "tri / eins: ü": "tri-eins-u",
    "../../etc": "etc",
    "_hidden": "hidden",
    "-x": "x",
    ".": "mine",
    "": "mine",
    "研究": "mine",
    "Übung 1": "Ubung-1",
    "a\nb": "a-b",
    "x" * 300: "x" * LONGEST_NAME,
    "what?.yaml": "what-.yaml",
}
"""Names that are refused, and what is proposed in their place."""


@pytest.mark.parametrize("name", LIKE)
def test_a_name_that_is_not_taken_is_told_with_one_that_is(name: str) -> None:
    with pytest.raises(ValueError, match=f"^must be 1 to {LONGEST_NAME} letters .*, found .*; write ") as refused:
        plain_name(name)
    [like] = re.findall(r"; write '(.*?)', say$", str(refused.value)) or [LIKE[name]]
    assert LIKE[name].startswith(like.removesuffix("..."))
    assert plain_name(LIKE[name]) == LIKE[name]


@pytest.mark.parametrize("name", ["a", "7", "deep-thin", "v1.2_b", "x" * LONGEST_NAME])
def test_a_plain_name_is_taken(name: str) -> None:
    assert plain_name(name) == name


CORPUS = "corpus: {name: python-stdlib"
STUDIES = {
    "name": f"name: my study\n{CORPUS}}}\nbudget: {{parameters: 1M}}\n",
    "corpus.validation": f"name: x\n{CORPUS}, validation: {{my set: a.txt}}}}\nbudget: {{parameters: 1M}}\n",
    "corpus.tasks": f"name: x\n{CORPUS}, tasks: {{my set: a.jsonl}}}}\nbudget: {{parameters: 1M}}\n",
}


@pytest.mark.parametrize("key", STUDIES)
def test_every_key_that_names_something_says_so(key: str) -> None:
    with pytest.raises(SpecError, match=rf"{key} must .* letters a to z.*, found 'my (study|set)'; write 'my-(study|set)', say"):
        parse_study(yaml.safe_load(STUDIES[key]), "study.yaml")


def test_init_refuses_a_name_before_it_asks_or_writes(archfront: Call, tmp_path: Path) -> None:
    done = archfront("init", "--name", "my study")
    assert done.returncode == 2
    assert "--name must be 1 to" in done.stderr
    assert list(tmp_path.iterdir()) == []
