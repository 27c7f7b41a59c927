"""Where each document goes: whole, with its near copies, and a directory of before is continued only where nothing moved."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from search_space.errors import SpecError
from tests.trials.corpus.test_prepare import sentences, spec_of, write
from trials.corpus.blocks import SPLITS, TokenBlocks
from trials.corpus.documents import find_documents
from trials.corpus.near_copies import Sketches, group_near_copies
from trials.corpus.prepare import prepare_corpus
from trials.corpus.split_choice import LEAST_DOCUMENTS
from trials.corpus.splits import Inventory, read_pieces, take_inventory
from trials.study.corpus_spec import CorpusSpec


def documents_file(folder: Path, documents: list[str]) -> CorpusSpec:
    return spec_of(write(folder / "documents.jsonl", "".join(f"{json.dumps({'text': text})}\n" for text in documents)))


def splits_of_documents(spec: CorpusSpec, inventory: Inventory) -> list[set[str]]:
    """The splits that each document has text in."""
    found: list[set[str]] = []
    for piece, split in inventory.assigned(find_documents(spec)):
        if piece.is_first:
            found.append(set())
        found[-1].add(split)
    return found


DOCUMENTS = [sentences(12 + 150 * (number % 10 == 0), number) for number in range(240)]
"""Some 700 bytes each, every tenth of two or three sections."""

COPIES: dict[str, Callable[[str], str]] = {
    "capitals and white space": lambda text: text.upper().replace(" ", "\n\n  "),
    "punctuation": lambda text: "> " + text.replace(".\n", ";\n> "),
    "a header": lambda text: "Copyright, all rights reserved, somebody\n" + text,
    "a word in 150": lambda text: " ".join("other" if place % 150 == 7 else word for place, word in enumerate(text.split())),
    "an end that is cut": lambda text: text[: len(text) * 9 // 10],
}
"""What somebody does to a document before it is published again."""


def test_a_document_is_in_one_split_whole(tmp_path: Path) -> None:
    spec = documents_file(tmp_path, DOCUMENTS)
    inventory = take_inventory(find_documents(spec), tmp_path)
    found = splits_of_documents(spec, inventory)
    assert len(list(read_pieces(find_documents(spec)))) > len(found) == 240
    assert {len(splits) for splits in found} == {1}
    facts = inventory.facts
    assert (facts.unit, facts.near_copies) == ("document", 0)
    assert {name: facts.splits[name].documents for name in SPLITS} == {name: found.count({name}) for name in SPLITS}
    total = sum(len(text) for text in DOCUMENTS)
    assert sum(content.size_bytes for content in facts.splits.values()) == total
    for name in ("validation", "test"):
        assert facts.splits[name].size_bytes / total == pytest.approx(0.05, abs=0.02)
    assert len({content.sha256 for content in facts.splits.values()}) == 3


@pytest.mark.parametrize("change", COPIES)
def test_near_copies_are_on_one_side(change: str, tmp_path: Path) -> None:
    copies = [COPIES[change](text) for text in DOCUMENTS]
    spec = documents_file(tmp_path, DOCUMENTS + copies)
    inventory = take_inventory(find_documents(spec), tmp_path)
    found = splits_of_documents(spec, inventory)
    assert found[:240] == found[240:]
    assert inventory.facts.near_copies == 480
    assert {"test"} in found


def test_near_copies_are_those_that_share_seven_tenths_of_their_runs() -> None:
    random = np.random.default_rng(0)
    original = sentences(40).split()
    for share, together in ((0.003, True), (0.3, False)):
        sketches = Sketches()
        for text in (original, [word if random.random() > share else "another" for word in original]):
            sketches.begin()
            sketches.add(" ".join(text).encode())
        assert (len(set(group_near_copies(*sketches.signatures()))) == 1) is together


def test_what_is_too_short_for_a_run_or_looked_at_in_parts_has_its_own_signature() -> None:
    sketches = Sketches()
    long = sentences(300).encode()
    for parts in ([b"short"], [b""], [long], [long[:5000], long[5000:]], [b"short"]):
        sketches.begin()
        for part in parts:
            sketches.add(part)
    signatures, has_one = sketches.signatures()
    assert has_one.tolist() == [False, False, True, True, False]
    assert np.array_equal(signatures[2], signatures[3])
    assert len(set(group_near_copies(signatures, has_one))) == 4
    nothing = Sketches().signatures()
    assert group_near_copies(*nothing).tolist() == []


def test_sections_that_repeat_are_on_one_side_too(tmp_path: Path) -> None:
    text = sentences(3000)
    file = write(tmp_path / "a.txt", text + text.upper())
    inventory = take_inventory(find_documents(spec_of(file)), tmp_path)
    assert inventory.facts.unit == "section"
    assert inventory.facts.near_copies > 20


def test_a_document_that_would_fill_a_split_alone_is_trained_on(tmp_path: Path) -> None:
    large = sentences(3000, 999)
    spec = documents_file(tmp_path, [large, *DOCUMENTS * 2, *(sentences(14, 1000 + number) for number in range(300))])
    found = splits_of_documents(spec, take_inventory(find_documents(spec), tmp_path))
    assert found[0] == {"train"}
    assert found.count({"test"}) > 10


def test_one_document_that_is_nearly_all_is_cut_into_sections(tmp_path: Path) -> None:
    spec = documents_file(tmp_path, [sentences(9000), *(f"{number}" for number in range(LEAST_DOCUMENTS))])
    inventory = take_inventory(find_documents(spec), tmp_path)
    assert inventory.facts.unit == "section"
    assert set().union(*splits_of_documents(spec, inventory)) == set(SPLITS)


def test_few_documents_without_near_copies_are_split_as_before(tmp_path: Path) -> None:
    spec = documents_file(tmp_path, DOCUMENTS[: LEAST_DOCUMENTS - 1])
    inventory = take_inventory(find_documents(spec), tmp_path)
    assert inventory.sha256 == inventory.facts.text_sha256
    ordered = sorted(inventory.assigned(find_documents(spec)), key=lambda found: found[0].rank)
    assert [split for _, split in ordered] == sorted((split for _, split in ordered), key=("test", "validation", "train").index)


def record_of(corpus_sha256: str) -> Any:
    return SimpleNamespace(title="trial 3", training=SimpleNamespace(corpus_sha256=corpus_sha256))


def test_a_directory_of_before_goes_on_only_where_its_split_is_the_same(tmp_path: Path) -> None:
    by_document = prepare_corpus(documents_file(tmp_path, DOCUMENTS), 300, tmp_path / "cache")
    assert by_document.facts is not None
    of_before = record_of(by_document.facts.text_sha256)  # what its record has: the text, which was split by pieces
    with pytest.raises(SpecError, match=r"^the corpus must be split as trial 3 .* found that documents .*; name another directory"):
        by_document.require_same_text([of_before])
    by_document.require_same_text([record_of(by_document.corpus_sha256)])
    with pytest.raises(SpecError, match="must be the text that trial 3 was trained on"):
        by_document.require_same_text([record_of("0" * 64)])
    few = prepare_corpus(documents_file(tmp_path, DOCUMENTS[:50]), 300, tmp_path / "cache")
    assert few.facts is not None
    few.require_same_text([record_of(few.facts.text_sha256)])


def test_blocks_know_where_the_documents_of_their_held_out_splits_begin(tmp_path: Path) -> None:
    blocks = prepare_corpus(documents_file(tmp_path, DOCUMENTS), 300, tmp_path / "cache")
    blocks.save(tmp_path / "sent")
    for found in (blocks, TokenBlocks.load(tmp_path / "sent")):
        assert found.facts == blocks.facts is not None
        for split in SPLITS[1:]:
            ids, starts = getattr(found, split), found.unit_starts[split]
            bounds = [*starts.tolist(), len(ids)]
            texts = [int(blocks.bytes_per_token[ids[a:b]].sum()) for a, b in pairwise(bounds)]
            assert found.facts is not None
            assert found.facts.splits[split].documents == len(starts)
            assert set(texts) <= {len(text) for text in DOCUMENTS}


def test_no_file_of_the_standard_library_is_in_two_splits(tmp_path: Path) -> None:
    spec = CorpusSpec(name="python-stdlib")
    inventory = take_inventory(find_documents(spec), tmp_path)
    assert {len(splits) for splits in splits_of_documents(spec, inventory)} == {1}
    assert inventory.facts.near_copies > 20  # the tables of its encodings


def test_another_version_of_a_note_is_no_note(tmp_path: Path) -> None:
    inventory = take_inventory(find_documents(documents_file(tmp_path, DOCUMENTS)), tmp_path)
    again = Inventory.of(json.loads(json.dumps(dataclasses.asdict(inventory))))
    assert again == inventory
