"""Files that were changed at random are read or refused in one sentence; and the mutations and the bounds that say so do what they say."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from search_space.errors import SpecError
from tests.support.fuzz_subjects import subjects
from tests.support.fuzzing import MOST_BYTES, Fault, Subject, attempt, fuzz, smallest
from tests.support.mutations import OF_FORMAT, mutated

TRIES = 70
"""Of each of the kinds of files; 2,000 in all at least."""
SEED = 0
CONTENT = {
    "yaml": b"name: a\nspace:\n  sizes: [1, 2]\n  mlp: swiglu\n",
    "json": b'{"name": "a", "sizes": [1, 2]}',
    "jsonl": b'{"number": 0, "kind": "a"}\n{"number": 1, "kind": "b"}\n',
    "csv": b"N,D,loss\n1,2,3\n4,5,6\n",
    "bytes": b"some text\nand more\n",
}
GOOD_SENTENCE = "a.yaml: sizes must be a number, found 'x'; write one"


@pytest.mark.more
def test_whatever_is_changed_in_a_file_is_read_or_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tally = fuzz(subjects(tmp_path / "files"), SEED, TRIES)
    print(tally)
    assert tally.tried.total() >= 2_000
    assert not tally.faults, f"{tally}\n{tally.told(SEED)}"
    assert min(tally.refused, tally.held) > 0.1 * tally.tried.total()  # neither all broken nor all whole


@pytest.mark.parametrize("form", OF_FORMAT)
def test_a_seed_has_the_same_changes_and_others_have_others(form: str) -> None:
    def changes(seed: int) -> list[bytes]:
        return [mutated(CONTENT[form], form, random.Random(f"{seed} {number}"))[1] for number in range(60)]

    assert changes(0) == changes(0)
    assert changes(0) != changes(1)
    assert len({*changes(0)}) > 30


def subject_of(read: Callable[[bytes], str | None], path: Path) -> Subject:
    return Subject("it", "bytes", b"good", path, lambda: read(path.read_bytes()))


def _raises(error: BaseException) -> str | None:
    raise error


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (lambda content: None, None),
        (lambda content: "{}", None),
        (lambda content: _raises(SpecError(GOOD_SENTENCE)), "refused"),
        (lambda content: _raises(SpecError("sizes must be a number, found 'x'")), "sentence"),
        (lambda content: _raises(SpecError("sizes; correct it")), "sentence"),
        (lambda content: _raises(SpecError(f"sizes must not be found {'x' * 999}; correct it")), "sentence"),
        (lambda content: _raises(KeyError("sizes")), "traceback"),
        (lambda content: '{"a": NaN}', "json"),
        (lambda content: str(len(bytearray(2 * MOST_BYTES))), "memory"),
        (lambda content: next(str(n) for n in count() if n < 0), "seconds"),
    ],
    ids=["held", "held with JSON", "refused", "no cure", "nothing found", "long", "traceback", "json", "memory", "seconds"],
)
def test_what_must_not_happen_is_told_from_what_may(read: Callable[[bytes], str | None], kind: str | None, tmp_path: Path) -> None:
    outcome, _ = attempt(subject_of(read, tmp_path / "file"), b"anything")
    assert (outcome.kind if isinstance(outcome, Fault) else "refused" if outcome else None) == kind


def test_the_smallest_piece_shows_the_same_fault(tmp_path: Path) -> None:
    subject = subject_of(lambda content: str(1 // (b"bad" not in content)), tmp_path / "file")
    content = b"one line\nanother with bad words in it\n" * 20
    found, _ = attempt(subject, content)
    assert isinstance(found, Fault)
    assert smallest(subject, content, found) == b"bad"
