"""YAML and JSON of anybody's become values or one sentence with the line, within bounds, wherever the product reads them."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from analysis.records.json_text import parse_json, read_json
from search_space.errors import LONGEST_QUOTE, SpecError, quoted, shortened
from trials.study.yaml_file import LARGEST_YAML_BYTES, MOST_LEVELS, MOST_VALUES, parse_yaml, read_yaml

ROOT = Path(__file__).resolve().parents[3]
TAGS = ("bool", "int", "float", "seq", "map", "set", "omap", "pairs", "binary", "timestamp", "merge", "value", "python/name:os.system")
SCALARS = ("foo", "''", "0x", "0b2", "1_", "2024-13-45", "99:99:99", ".inf", "~", "[1]", "{a: 1}", "=", "<<", "1" * 5000)
BROKEN = (
    "a: [",
    "a: *b",
    "- a\nb",
    "a: 1\na: 2",
    "&a [*a]",
    "? [a]\n: b",
    '"\x07"',
    "\t",
    "%YAML 9\n---",
    "--- 1\n--- 2",
    "\ud800",
    "<<: 3",
)


@pytest.mark.parametrize("text", [*(f"a: !!{tag} {scalar}" for tag in TAGS for scalar in SCALARS), *SCALARS, *BROKEN], ids=quoted)
def test_whatever_a_yaml_says_it_is_plain_values_or_a_sentence_with_a_line(text: str) -> None:
    said = ""
    try:
        found = parse_yaml(text)
    except ValueError as error:
        said = str(error)
    if said:
        assert re.match(r"line \d+: ", said)
        assert len(said) < 3 * LONGEST_QUOTE
    else:
        assert isinstance(found["a"] if isinstance(found, dict) and "a" in found else found, str | int | float | bool | list | dict | None)


def test_a_date_is_text() -> None:
    assert parse_yaml("name: 2024-13-45\nother: 2024-01-31") == {"name": "2024-13-45", "other": "2024-01-31"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * (MOST_LEVELS + 1), f"line 1: more than {MOST_LEVELS} levels"),
        ("- " * 900 + "1", f"line 1: more than {MOST_LEVELS} levels"),
        (
            "\n".join(["k0: &k0 [1, 2]", *(f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * 20)}]" for n in range(1, 9))]),
            "aliases are written out",
        ),
        ("\n".join(["k0: &k0 {a: 1}", *(f"k{n}: &k{n}\n  <<: [{', '.join([f'*k{n - 1}'] * 20)}]" for n in range(1, 9))]), "aliases"),
        (f"[{'a,' * (MOST_VALUES + 1)}]", f"more than {MOST_VALUES:,} values"),
        ("#" * (LARGEST_YAML_BYTES + 1), f"more than {LARGEST_YAML_BYTES:,} bytes"),
        ("a: 1\nb: 2\na: 3", "line 3: `a` stands there twice"),
    ],
    ids=["brackets", "dashes", "aliases", "merges", "values", "bytes", "twice"],
)
def test_what_passes_a_bound_is_refused_at_once(text: str, said: str) -> None:
    begun = time.process_time()
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_yaml(text)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1,\n "a": 2}', "line 2, column 2: `a` stands there twice"),
        ('[{"a": "b"}, {"a": "a", "b": {"a": 1, "a": 2}}]', "line 1, column 39: `a` stands there twice"),
        ('{"NaN": [1,\n NaN]}', "line 2, column 2: NaN, which is no number"),
        ("[-Infinity]", "line 1, column 2: -Infinity, which is no number"),
        ("[1e999]", "line 1, column 2: 1e999, which is too large for a number"),
        ("1" * 5000, "line 1, column 1: a number of 5,000 digits"),
        ("[" * 100_000, "without end"),
        ("{1: 2}", "line 1, column 2: Expecting property name"),
        (b"[\n\xff]", "line 2: byte 0xff is not UTF-8"),
        ("", "line 1, column 1: Expecting value"),
    ],
    ids=quoted,
)
def test_what_is_no_json_has_its_place(text: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_json(text)


def test_a_file_is_named_with_its_line_and_cure(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1,\n"a": 1}', encoding="utf-8")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(SpecError, match=r"a\.json cannot be read as JSON \(line 2, column 1: `a` stands there twice\); the cure"):
        read_yaml(tmp_path / "a.json", "missing", "the cure")
    with pytest.raises(SpecError, match=r"folder\.json must hold numbers, found something else than a file; the cure"):
        read_json(tmp_path / "folder.json", "numbers", "the cure")


@pytest.mark.parametrize("value", ["y" * 9999, ["x"] * 9999, {"a": "b" * 99}, 10**5000, "two\nlines"], ids=quoted)
def test_a_found_value_is_quoted_short_and_on_one_line(value: object) -> None:
    assert len(quoted(value)) <= LONGEST_QUOTE
    assert "\n" not in quoted(value) + shortened(value if not isinstance(value, int) else "")


def test_there_is_one_reader_of_yaml_and_one_of_json_and_one_way_to_quote() -> None:
    """No file of the product reads by itself, and no sentence repeats a found value at full length."""
    others = []
    for path in [ROOT / "archfront.py", *(file for top in ("search_space", "analysis", "trials") for file in (ROOT / top).rglob("*.py"))]:
        text = path.read_text(encoding="utf-8")
        if re.search(r"json\.loads?\(|yaml\.(safe_)?load|found \{[^{}]*!r\}", text):
            others.append(path.relative_to(ROOT).as_posix())
    assert others == ["trials/jobs/sender.py"], "a job on the head that has the standard library alone"
