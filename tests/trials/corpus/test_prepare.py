"""Corpora as users meet them: text in, splits, a tokenizer, token blocks, and sentences where the text is not usable."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from search_space.errors import SpecError
from trials.corpus import encoding
from trials.corpus.blocks import SPLITS, Ids, TokenBlocks
from trials.corpus.documents import find_documents
from trials.corpus.prepare import corpus_hash, prepare_corpus
from trials.corpus.shuffle import permute
from trials.corpus.splits import take_inventory
from trials.corpus.tiktoken_twin import byte_of_character
from trials.corpus.tokenizer import END_OF_TEXT, Encoder, load_encoder, train_tokenizer
from trials.study.corpus_spec import CorpusSpec

SCRIPTS = (
    "It's what we've got: they'll say \"don't\", he'd agree, I'm sure -- 3,141.59 at 50%!",
    "Größenwahn im Café, ça alors; žluťoučký kůň; İstanbul'da ılık",
    "Съешь же ещё этих мягких французских булок, да выпей чаю № 5",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία",
    "我能吞下玻璃而不伤身体。いろはにほへと ちりぬるを 키스의 고유조건은 입술끼리",
    "نص حكيم له سر قاطع وذو شأن عظيم ١٢٣ דג סקרן שט בים",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश १२३ เป็นมนุษย์สุดประเสริฐ",
    "👩‍👩‍👧‍👦 🇨🇭 ½ Ⅷ ² ª º e\u0301 \u200b\u00a0\u2003x \ufeff \U0001d54f 𐍈 \u0085 \x00\x07",
    "def f(x):\r\n\tif x:\n\n        return  {'a': x[0] ** 2}   # 's 'll\n \n",
    f"   \n\n\t  {END_OF_TEXT} in the middle of a text{END_OF_TEXT}  ",
)


def sentences(number: int, seed: int = 0) -> str:
    """Lines of made-up words that a tokenizer can learn from."""
    words = np.random.default_rng(seed).integers(0, 4000, size=(number, 9))
    return "".join(" ".join(f"{'aeiou'[word % 5]}{word % 97:x}{'lmnrst'[word % 6]}{word // 97}" for word in line) + ".\n" for line in words)


def spec_of(*files: Path) -> CorpusSpec:
    return CorpusSpec(files=tuple(map(str, files)))


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())
    return file


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("text") / "lines.txt", sentences(4000) + "\n".join(SCRIPTS))


@pytest.fixture(scope="session")
def blocks(text_file: Path, tmp_path_factory: pytest.TempPathFactory) -> TokenBlocks:
    return prepare_corpus(spec_of(text_file), 600, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def encoder(blocks: TokenBlocks) -> Encoder:
    assert blocks.tokenizer_file is not None
    return load_encoder(blocks.tokenizer_file)


def exported_ids(encoder: Encoder, text: str) -> list[int]:
    ids: list[int] = encoder.exported.encode(text, add_special_tokens=False).ids
    return ids


def decoded(tokenizer: Tokenizer, ids: np.ndarray) -> list[str]:
    """The pieces of text that the ids spell."""
    ends = np.flatnonzero(ids == 0)
    assert len(ends)
    assert ends[-1] == len(ids) - 1
    return [tokenizer.decode(part[part != 0].tolist()) for part in np.split(ids, ends[:-1] + 1)]


# Text and splits


def test_the_splits_hold_the_text_once_and_no_piece_is_in_two_of_them(text_file: Path, blocks: TokenBlocks, encoder: Encoder) -> None:
    pieces = {split: decoded(encoder.exported, getattr(blocks, split)) for split in SPLITS}
    assert sorted(piece for split in SPLITS for piece in pieces[split]) == sorted(find_documents(spec_of(text_file)).pieces())
    assert not set(pieces["train"]) & set(pieces["test"])
    assert not set(pieces["train"]) & set(pieces["validation"])
    shares = {split: sum(map(len, pieces[split])) / sum(len(piece) for split in SPLITS for piece in pieces[split]) for split in SPLITS}
    assert shares == pytest.approx({"train": 0.9, "validation": 0.05, "test": 0.05}, abs=0.03)


def test_bytes_per_token_counts_the_bytes_of_any_slice(blocks: TokenBlocks, encoder: Encoder) -> None:
    assert sum(int(blocks.bytes_per_token[getattr(blocks, split)].sum()) for split in SPLITS) == len(sentences(4000)) + len(
        "\n".join(SCRIPTS).encode()
    )
    text = sentences(1)
    assert blocks.bytes_per_token[encoder.encode([text])].sum() == len(text)


def test_neither_the_order_of_the_files_nor_the_vocabulary_moves_a_piece(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{number}.txt", sentences(20, number)) for number in range(40)]
    splits = []
    for order, vocab_size in ((files, 300), (files[::-1], 300), (files, 400)):
        blocks = prepare_corpus(spec_of(*order), vocab_size, tmp_path / "cache")
        assert blocks.tokenizer_file is not None
        tokenizer = Tokenizer.from_file(str(blocks.tokenizer_file))
        splits.append([sorted(decoded(tokenizer, getattr(blocks, split))) for split in SPLITS])
    assert splits[0] == splits[1] == splits[2]
    assert corpus_hash(spec_of(*files), tmp_path) != corpus_hash(spec_of(*files[::-1]), tmp_path)


def test_equal_documents_share_a_split_and_three_different_ones_are_enough(tmp_path: Path) -> None:
    lines = [json.dumps({"text": sentences(5, number % 3)}) for number in range(30)]
    blocks = prepare_corpus(spec_of(write(tmp_path / "a.jsonl", "\n".join(lines))), 257, tmp_path)
    assert [len(np.flatnonzero(getattr(blocks, split) == 0)) for split in SPLITS] == [10, 10, 10]


def test_a_long_document_is_cut_at_line_ends_and_never_inside_a_character(tmp_path: Path) -> None:
    lines, unbroken = sentences(1000), "語" * 20_000
    for text in (lines, unbroken, lines + unbroken):
        pieces = list(find_documents(spec_of(write(tmp_path / "a.txt", text))).pieces())
        assert "".join(pieces) == text
        assert len(pieces) > 5
        assert max(len(piece.encode()) for piece in pieces) <= 2 * 4096 + 2
    assert all(piece.endswith("\n") for piece in find_documents(spec_of(write(tmp_path / "a.txt", lines))).pieces())


def test_text_and_json_lines_of_the_same_documents_are_the_same_text(tmp_path: Path) -> None:
    documents = [sentences(3, 1), "one line", "zwölf\r\nBoxkämpfer\r\n", "half a pair: \ud800"]
    file = write(tmp_path / "a.jsonl", "\ufeff" + "\n\n".join(json.dumps({"text": text, "id": 7}) for text in documents))
    assert list(find_documents(spec_of(file)).pieces()) == [*documents[:3], "half a pair: \ufffd"]


def test_globs_are_sorted_and_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "deep/c.txt", "odd[1].txt"):
        write(tmp_path / name, name)
    names = (f"{tmp_path}/b.txt", f"{tmp_path}/**/*.txt", f"{tmp_path}/odd[1].txt")
    documents = find_documents(CorpusSpec(files=names))
    assert list(documents.pieces()) == ["b.txt", "a.txt", "deep/c.txt", "odd[1].txt"]
    assert documents.summary == "b.txt and 3 more"


def test_the_standard_library_is_there_without_its_tests() -> None:
    documents = find_documents(CorpusSpec(name="python-stdlib"))
    names = {path.name for path in documents.files}
    assert {"argparse.py", "json", "decoder.py"} & names == {"argparse.py", "decoder.py"}
    assert not [path for path in documents.files if {"test", "tests", "site-packages"} & set(path.parts[-3:])]
    assert 5e6 < sum(path.stat().st_size for path in documents.files) < 50e6
    assert documents.summary == "python-stdlib"


# Wrong input


def _bytes(data: bytes, name: str = "a.txt") -> Callable[[Path], CorpusSpec]:
    def spec(folder: Path) -> CorpusSpec:
        (folder / name).write_bytes(data)
        return spec_of(folder / name)

    return spec


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (_bytes(b""), "3 different pieces of text .* found 0; add text"),
        (_bytes(b"short"), "3 different pieces of text .* found 1; add text"),
        (_bytes(b"text", "a.doc"), r"a\.doc must end in \.txt, \.jsonl, .* or \.feather, .*, found '\.doc'; convert"),
        (_bytes(b"fine\nfi\xe9ne\n"), r"a\.txt, line 2 must be UTF-8, found byte 0xe9; convert the file"),
        (_bytes(b"fine\ncut short \xe8\xaa"), r"a\.txt, line 2 must be UTF-8, found byte 0xe8"),
        (_bytes(b'{"text": "a"}\n{"txt": "b"}\n', "a.jsonl"), r"a\.jsonl, line 2 must have a string `text`, found keys txt; put"),
        (_bytes(b'{"text": 3}\n', "a.jsonl"), "line 1 must have a string `text`, found a number"),
        (_bytes(b'{"text": "a"}\n\n{"text": \n', "a.jsonl"), "line 3 must be one JSON object, found expecting value at column"),
        (_bytes(b"[1]\n", "a.jsonl"), "line 1 must be a JSON object with `text`, found a list"),
        (_bytes(b'{"text": "\xff"}\n', "a.jsonl"), "line 1 must be UTF-8, found byte 0xff"),
        (lambda folder: spec_of(folder), "must name files, found none for .*; name its files, such as"),
        (lambda folder: spec_of(folder / "*.txt"), r"must name files, found none for .*\*\.txt; check the path"),
        (lambda folder: CorpusSpec(files=()), "must name at least one file"),
    ],
)
def test_unusable_text_is_one_sentence_with_file_line_and_cure(make: Callable[[Path], CorpusSpec], sentence: str, tmp_path: Path) -> None:
    spec = make(tmp_path)
    with pytest.raises(SpecError, match=sentence):
        prepare_corpus(spec, 512, tmp_path / "cache")


def test_a_vocabulary_that_cannot_be_had_is_refused_and_leaves_nothing_behind(text_file: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"vocab_size must be at least 257 .* found 256; raise it"):
        prepare_corpus(spec_of(text_file), 256, tmp_path)
    with pytest.raises(SpecError, match=r"vocab_size must be reached by the corpus, found \d+ tokens for 60000; lower it or add text"):
        prepare_corpus(spec_of(text_file), 60_000, tmp_path)
    assert not list(tmp_path.glob("*.partial"))


def test_an_unwritable_cache_is_one_sentence(text_file: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"cache folder .* must be writable, found: .*; set XDG_CACHE_HOME"):
        prepare_corpus(spec_of(text_file), 300, write(tmp_path / "file", "") / "cache")


def test_too_little_text_for_a_window_says_how_much_there_is(blocks: TokenBlocks) -> None:
    with pytest.raises(SpecError, match=r"the test split must hold 100001 tokens .* found \d+; add text to the corpus or lower"):
        blocks.evaluation("test", 4, 100_000)
    with pytest.raises(SpecError, match="split must be one of train, validation, test, found tset"):
        blocks.evaluation("tset", 4, 4)


# Tokenizer


def test_the_fast_ids_are_the_exported_tokenizers_on_every_script(encoder: Encoder) -> None:
    for text in (*SCRIPTS, " ".join(SCRIPTS), "".join(SCRIPTS)[::-1], " " * 70_000 + "x", "語" * 30_000, "=-" * 30_000, ""):
        ids = encoder.encode([text]).tolist()
        assert ids[:-1] == exported_ids(encoder, text)
        assert ids[-1] == 0
        assert encoder.exported.decode(ids[:-1]) == text


def test_pieces_that_are_encoded_together_have_the_ids_that_each_has_alone(encoder: Encoder) -> None:
    for pieces in (SCRIPTS, SCRIPTS[:-1], (" a \n ", "\n ", "", "b  "), ()):
        alone = [encoder.encode([text]).tolist() for text in pieces]
        assert encoder.encode(pieces).tolist() == [id_ for ids in alone for id_ in ids]


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=60) | st.text(alphabet=" \n\t'stlved1!é\u00a0\u3000", max_size=60))
def test_the_fast_ids_are_the_exported_tokenizers_on_any_text(encoder: Encoder, text: str) -> None:
    assert encoder.encode([text])[:-1].tolist() == exported_ids(encoder, text)


@pytest.mark.more
@pytest.mark.slow
def test_both_encoders_put_every_unicode_character_into_the_same_class(tmp_path: Path) -> None:
    """A probe and a lead byte are merged, so the two become one token exactly where both belong to one word.

    Whole planes without a character so far are sampled.
    """
    probes = "a1! \n"
    file = tmp_path / "tokenizer.json"
    train_tokenizer([""], 257, file)
    definition = json.loads(file.read_text())
    model = definition["model"]
    spelled = {byte: character for character, byte in byte_of_character().items()}
    for first in probes.encode():
        for lead in (*range(0x80), *range(0xC2, 0xF5)):
            model["vocab"][spelled[first] + spelled[lead]] = len(model["vocab"])
            model["merges"].append([spelled[first], spelled[lead]])
    file.write_text(json.dumps(definition))
    encoder = load_encoder(file)
    assigned = [*range(0xD800), *range(0xE000, 0x40000), *range(0xE0000, 0xE1000)]
    characters = [chr(code) for code in (*assigned, *range(0x40000, sys.maxunicode, 97))]
    texts = ["".join(f"{p}{c}" for c in characters[start : start + 64] for p in probes) for start in range(0, len(characters), 64)]
    for text in texts:
        assert encoder.encode([text])[:-1].tolist() == exported_ids(encoder, text)


@pytest.mark.slow
def test_transformers_reads_the_tokenizer_and_gives_the_same_ids(encoder: Encoder, blocks: TokenBlocks) -> None:
    from transformers import PreTrainedTokenizerFast

    loaded = PreTrainedTokenizerFast(tokenizer_file=str(blocks.tokenizer_file), eos_token=END_OF_TEXT)
    assert (len(loaded), loaded.eos_token_id) == (600, 0)
    for text in SCRIPTS[:-1]:
        assert loaded(text)["input_ids"] == encoder.encode([text])[:-1].tolist()


def test_the_vocabulary_has_exactly_its_size_and_every_byte(encoder: Encoder, blocks: TokenBlocks) -> None:
    assert encoder.exported.get_vocab_size() == blocks.vocab_size == len(blocks.bytes_per_token) == 600
    assert sorted(blocks.bytes_per_token[:257]) == [0] + [1] * 256
    assert blocks.bytes_per_token[257:].min() >= 2
    assert max(int(getattr(blocks, split).max()) for split in SPLITS) < 600


def test_equal_text_under_another_name_shares_the_blocks_and_keeps_its_name(tmp_path: Path) -> None:
    first, second = (
        prepare_corpus(spec_of(write(tmp_path / name, sentences(400))), 300, tmp_path / "cache") for name in ("a.txt", "b.txt")
    )
    assert first.tokenizer_file == second.tokenizer_file
    assert (first.corpus, second.corpus) == ("a.txt", "b.txt")


def test_the_same_corpus_gives_the_same_tokenizer_and_the_same_ids(text_file: Path, blocks: TokenBlocks, tmp_path: Path) -> None:
    again = prepare_corpus(spec_of(text_file), 600, tmp_path)
    assert again.tokenizer_file is not None
    assert blocks.tokenizer_file is not None
    assert again.tokenizer_file.read_bytes() == blocks.tokenizer_file.read_bytes()
    assert all(np.array_equal(getattr(again, split), getattr(blocks, split)) for split in SPLITS)


def test_a_vocabulary_past_sixteen_bits_has_wide_ids(tmp_path: Path) -> None:
    words = np.random.default_rng(0).integers(0, 26, size=(60_000, 5)) + ord("a")
    text = "".join(bytes(word.tolist()).decode() + " " + "\n" * (place % 9 == 8) for place, word in enumerate(words))
    blocks = prepare_corpus(spec_of(write(tmp_path / "a.txt", text)), 65_600, tmp_path)
    assert blocks.train.dtype == np.uint32
    assert blocks.train.max() > np.iinfo(np.uint16).max


# Cache


def test_a_second_call_reads_no_text_and_a_changed_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, cache = write(tmp_path / "a.txt", sentences(400)), tmp_path / "cache"
    monkeypatch.setattr("trials.corpus.splits.SETTLED_SECONDS", -60.0)  # the file is as good as old
    first = prepare_corpus(spec_of(file), 300, cache)
    with monkeypatch.context() as patch:
        patch.setattr("trials.corpus.documents.Documents.documents", lambda documents: pytest.fail("the text was read"))
        assert prepare_corpus(spec_of(file), 300, cache).corpus_sha256 == first.corpus_sha256
    write(file, sentences(400, seed=1))
    assert prepare_corpus(spec_of(file), 300, cache).corpus_sha256 != first.corpus_sha256


def test_a_file_that_changed_just_now_is_not_trusted_by_its_time(tmp_path: Path) -> None:
    file = write(tmp_path / "a.txt", sentences(400))
    take_inventory(find_documents(spec_of(file)), tmp_path / "cache")
    assert not (tmp_path / "cache" / "inventories").exists()


def test_the_default_cache_follows_the_desktop_standard(text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    blocks = prepare_corpus(spec_of(text_file), 300)
    assert blocks.tokenizer_file is not None
    assert blocks.tokenizer_file.is_relative_to(tmp_path / "archfront")


PREPARE = """
import os, signal, sys
from pathlib import Path
from trials.corpus import encoding
from trials.corpus.prepare import prepare_corpus
from trials.study.corpus_spec import CorpusSpec
encoding.BUNDLE_BYTES, encoding.CHECKPOINT_BUNDLES = 20_000, 2
file, cache, saves = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
save = encoding._save
def save_and_die(progress, folder):
    global saves
    save(progress, folder)
    saves -= 1
    if not saves:
        with (folder / "train.bin").open("ab") as torn:
            torn.write(b"torn")
        os.kill(os.getpid(), signal.SIGKILL)
encoding._save = save_and_die
prepare_corpus(CorpusSpec(files=(file,)), 600, cache)
"""


def start(file: Path, cache: Path, saves: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PREPARE, str(file), str(cache), str(saves)], cwd=Path(__file__).resolve().parents[3])


def test_a_killed_call_is_continued_and_gives_the_same_blocks(
    text_file: Path, blocks: TokenBlocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start(text_file, tmp_path, saves=3).wait(60) == -signal.SIGKILL
    (partial,) = tmp_path.glob("*.partial")
    done = json.loads((partial / "progress.json").read_text())["pieces"]
    encoded: list[int] = []
    whole = encoding._encode_bundle

    def counted(bundle: encoding.Bundle, *rest: Any) -> dict[str, Ids]:
        encoded.append(len(bundle))
        return whole(bundle, *rest)

    monkeypatch.setattr(encoding, "_encode_bundle", counted)

    resumed = prepare_corpus(spec_of(text_file), 600, tmp_path)

    assert done > 0
    assert done + sum(encoded) == len(list(find_documents(spec_of(text_file)).pieces()))
    assert all(np.array_equal(getattr(resumed, split), getattr(blocks, split)) for split in SPLITS)
    assert not list(tmp_path.glob("*.partial"))


def test_two_processes_at_once_make_one_folder_of_blocks(text_file: Path, blocks: TokenBlocks, tmp_path: Path) -> None:
    both = [start(text_file, tmp_path, saves=-1) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir() and path.name != "inventories")
    assert np.array_equal(TokenBlocks.load(folder).train, blocks.train)


def test_text_that_changes_while_it_is_encoded_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "a.txt", sentences(400))
    monkeypatch.setattr("trials.corpus.prepare.load_encoder", lambda *named: write(file, sentences(400, seed=1)) and load_encoder(*named))
    with pytest.raises(SpecError, match=r"the corpus a\.txt must stay as it is while it is encoded, found it changed; run again"):
        prepare_corpus(spec_of(file), 300, tmp_path / "cache")
    monkeypatch.undo()
    assert prepare_corpus(spec_of(file), 300, tmp_path / "cache").vocab_size == 300


# Batches


@settings(max_examples=200, deadline=None)
@given(size=st.integers(1, 3000), seed=st.integers(0, 2**63), epoch=st.integers(0, 2**40))
def test_a_shuffle_is_a_permutation_of_any_size(size: int, seed: int, epoch: int) -> None:
    shuffled = permute(np.arange(size, dtype=np.uint64), size, seed, np.full(size, epoch, np.uint64))
    assert sorted(shuffled.tolist()) == list(range(size))


def test_shuffles_of_neighbouring_epochs_and_seeds_are_unlike() -> None:
    size = 10_000
    orders = np.array([permute(np.arange(size, dtype=np.uint64), size, s, np.full(size, e, np.uint64)) for s in (0, 1) for e in (0, 1, 2)])
    correlations = np.corrcoef(np.vstack([orders, np.arange(size)]))
    assert np.abs(correlations - np.eye(7)).max() < 0.05  # five standard deviations of independent orders


def counting_blocks(tokens: int) -> TokenBlocks:
    """Blocks whose every id says where it stands."""
    ids = np.arange(tokens, dtype=np.uint32)
    return TokenBlocks(ids, ids, ids, tokens, np.ones(tokens, np.int32), "counting", "", None)


@settings(max_examples=60, deadline=None)
@given(
    tokens=st.integers(2, 700),
    context=st.integers(1, 40),
    sequences=st.integers(1, 50),
    seed=st.integers(0, 2**32),
    step=st.integers(0, 30),
)
def test_a_batch_depends_on_seed_and_step_alone_and_an_epoch_repeats_no_target(
    tokens: int, context: int, sequences: int, seed: int, step: int
) -> None:
    if tokens <= context:
        return
    blocks = counting_blocks(tokens)
    batch = blocks.batch(seed, step, sequences, context)
    assert batch.shape == (sequences, context + 1)
    assert batch.dtype == np.int64
    assert (np.diff(batch) == 1).all()
    assert np.array_equal(batch, counting_blocks(tokens).batch(seed, step, sequences, context))
    one_by_one = [blocks.batch(seed, step * sequences + place, 1, context) for place in range(sequences)]
    assert np.array_equal(batch, np.concatenate(one_by_one))

    windows = max((tokens - context) // context, 1)
    for epoch in range(2):
        targets = np.concatenate([blocks.batch(seed, epoch * windows + place, 1, context) for place in range(windows)])[:, 1:].ravel()
        assert len(np.unique(targets)) == len(targets) == windows * context
        assert len(targets) > tokens - 1 - 2 * context


def test_epochs_and_seeds_cut_and_order_the_text_differently() -> None:
    blocks = counting_blocks(100 * 64)
    starts = [blocks.batch(seed, epoch, 99, 64)[:, 0] for seed in (0, 1) for epoch in range(8)]
    assert len({int(start[0]) % 64 for start in starts}) > 8
    assert not any(np.array_equal(a, b) for place, a in enumerate(starts) for b in starts[:place])


@settings(max_examples=60, deadline=None)
@given(tokens=st.integers(2, 700), context=st.integers(1, 40), wanted=st.integers(1, 900))
def test_evaluation_windows_are_spread_evenly_and_share_no_target(tokens: int, context: int, wanted: int) -> None:
    if tokens <= context:
        return
    windows = counting_blocks(tokens).evaluation("validation", wanted, context)
    assert len(windows) == min(max(wanted // context, 1), (tokens - 1) // context)
    assert len(np.unique(windows[:, 1:])) == windows[:, 1:].size
    gaps = np.diff(windows[:, 0])
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= context


def test_evaluation_covers_a_split_that_is_smaller_than_asked_for(blocks: TokenBlocks) -> None:
    windows = blocks.evaluation("test", 10**9, 16)
    assert np.array_equal(windows[:, :-1].ravel(), blocks.test[: windows.shape[0] * 16])


# Travel


def test_blocks_survive_a_pickle_and_a_folder_of_their_own(blocks: TokenBlocks, tmp_path: Path) -> None:
    blocks.save(tmp_path / "sent")
    for copy in (pickle.loads(pickle.dumps(blocks)), TokenBlocks.load(tmp_path / "sent")):
        assert all(type(getattr(copy, split)) is np.ndarray for split in SPLITS)
        assert np.array_equal(copy.batch(3, 5, 4, 32), blocks.batch(3, 5, 4, 32))
        assert (copy.vocab_size, copy.corpus, copy.corpus_sha256) == (blocks.vocab_size, blocks.corpus, blocks.corpus_sha256)
        assert np.array_equal(copy.bytes_per_token, blocks.bytes_per_token)
    sent = TokenBlocks.load(tmp_path / "sent")
    assert sent.tokenizer_file == tmp_path / "sent" / "tokenizer.json"
    assert sent.train.dtype == np.uint16


def test_a_folder_that_was_cut_short_is_noticed(blocks: TokenBlocks, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"must hold token blocks, found no meta\.json"):
        TokenBlocks.load(tmp_path)
    blocks.save(tmp_path)
    os.truncate(tmp_path / "train.bin", 2000)
    with pytest.raises(SpecError, match=r"train\.bin must hold \d+ tokens, found 1000; copy the folder again"):
        TokenBlocks.load(tmp_path)


def test_blocks_need_numpy_alone() -> None:
    heavy = ("torch", "tokenizers", "tiktoken", "ray", "pydantic")
    code = f"import sys, trials.corpus.blocks; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).resolve().parents[3], capture_output=True, check=True, text=True
    )
    assert found.stdout.strip() == "[]"
