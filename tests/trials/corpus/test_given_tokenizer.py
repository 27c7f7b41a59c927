"""Tokenizers that a study names: the ids of the library `tokenizers`, a vocabulary that fits, and sentences where one cannot be used."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from search_space.errors import SpecError
from tests.trials.corpus.test_prepare import SCRIPTS, sentences
from trials.corpus.given_tokenizer import given_tokenizer, read_tokenizer
from trials.corpus.prepare import prepare_corpus, require_corpus
from trials.corpus.tokenizer import load_encoder, train_tokenizer
from trials.jobs.shipment import pack
from trials.study.corpus_spec import CorpusSpec
from trials.study.load_study import load_study

Definition = dict[str, Any]

ROOT = Path(__file__).resolve().parents[3]
LLAMA_3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
"""How Llama 3 splits text into words, as its tokenizer.json says."""
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


@pytest.fixture(scope="module")
def definition(tmp_path_factory: pytest.TempPathFactory) -> Definition:
    """A tokenizer.json of 700 tokens that knows words of every script of SCRIPTS."""
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    train_tokenizer([sentences(200), *SCRIPTS * 3], 700, file)
    loaded: Definition = json.loads(file.read_text())
    return loaded


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    file = tmp_path / "lines.txt"
    file.write_bytes((sentences(1000) + "\n".join(SCRIPTS)).encode())
    return file


def saved(definition: Definition, file: Path, **changes: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({**definition, **changes}))
    return file


def with_model(definition: Definition, **changes: Any) -> Definition:
    return {**definition, "model": {**definition["model"], **changes}}


def split_by(*steps: Definition) -> Definition:
    return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": list(steps)}}


def by_expression(pattern: str) -> Definition:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return split_by(split, {**BYTE_LEVEL, "use_regex": False})


def added(content: str, id_: int, *, special: bool) -> Definition:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": id_, "content": content, "special": special, **flags}


def with_every_split(definition: Definition) -> Definition:
    """As a tokenizer that was tiktoken's comes to Hugging Face: each token with all pairs that join to it, and words looked up whole."""
    vocab: dict[str, int] = definition["model"]["vocab"]
    tokens = sorted((token for token in vocab if len(token) > 1 and token != "<|endoftext|>"), key=vocab.__getitem__)
    pairs = [[token[:cut], token[cut:]] for token in tokens for cut in range(1, len(token))]
    return with_model(definition, merges=[pair for pair in pairs if pair[0] in vocab and pair[1] in vocab], ignore_merges=True)


def renumbered(definition: Definition) -> Definition:
    """The same tokens with ids that say nothing of the order of learning, and another end of text, the last."""
    vocab = {token: (7 * id_ + 3) % 699 for token, id_ in definition["model"]["vocab"].items() if token != "<|endoftext|>"}
    shuffled = {token: place for place, token in enumerate(sorted(vocab, key=vocab.__getitem__))}
    return {**with_model(definition, vocab=shuffled), "added_tokens": [added("</s>", 699, special=True)]}


VARIANTS: dict[str, tuple[Callable[[Definition], Definition], bool]] = {
    "GPT-2": (lambda d: d, True),
    "Llama 3": (lambda d: {**d, **by_expression(LLAMA_3)}, True),
    "digits alone": (lambda d: {**d, **split_by({"type": "Digits", "individual_digits": True}, BYTE_LEVEL)}, True),
    "every split of a token": (with_every_split, True),
    "other ids": (renumbered, True),
    "digits together": (lambda d: {**d, **split_by({"type": "Digits", "individual_digits": False}, BYTE_LEVEL)}, False),
    "an expression with gaps": (lambda d: {**d, **by_expression(r"\p{L}+|\p{N}+")}, False),
    "normalized": (lambda d: {**d, "normalizer": {"type": "NFC"}}, False),
    "tokens that are not special": (lambda d: {**d, "added_tokens": [*d["added_tokens"], added("  ", 700, special=False)]}, False),
    "merges out of order": (lambda d: with_model(d, merges=d["model"]["merges"][::-1]), False),
}
"""What published tokenizers are like, and whether tiktoken can stand for them."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in ("Llama 3", "digits alone"))) for name in VARIANTS]
)
def test_ids_are_those_of_tokenizers_on_every_script(
    name: str, definition: Definition, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change, fast = VARIANTS[name]
    file = saved(change(definition), tmp_path / "tokenizer.json")
    with caplog.at_level(logging.WARNING):
        encoder = load_encoder(file)
    assert (encoder.ids is not None) is fast
    assert len(caplog.records) == (0 if fast else 1)
    reference = Tokenizer.from_file(str(file))
    reference.encode_special_tokens = True
    newest = "digits of Unicode 17: \U00011de0\U00011de3 12"
    for text in (*SCRIPTS, sentences(20), newest, "\n".join(SCRIPTS)):
        ids = reference.encode(text, add_special_tokens=False).ids
        assert encoder.encode([text]).tolist() == [*ids, encoder.end_of_text]
        if name != "normalized":
            assert encoder.bytes_per_token[ids].sum() == len(text.encode())
    assert encoder.encode(list(SCRIPTS)).tolist() == [id_ for text in SCRIPTS for id_ in encoder.encode([text]).tolist()]


def test_a_given_tokenizer_makes_the_blocks_and_lies_beside_them(definition: Definition, text_file: Path, tmp_path: Path) -> None:
    file = saved(renumbered(definition), tmp_path / "mine" / "tokenizer.json")
    spec = CorpusSpec(files=(str(text_file),))
    exact, padded = (
        prepare_corpus(spec.model_copy(update={"tokenizer": (name,)}), size, tmp_path / "cache")
        for name, size in ((str(file), 700), (str(file.parent), 768))
    )
    assert (exact.vocab_size, padded.vocab_size, len(padded.bytes_per_token)) == (700, 768, 768)
    assert np.array_equal(exact.train, padded.train)
    assert exact.corpus_sha256 == prepare_corpus(spec, 300, tmp_path / "cache").corpus_sha256
    assert exact.tokenizer_file is not None
    assert exact.tokenizer_file.read_bytes() == file.read_bytes()
    assert exact.train[-1] == 699
    total = sum(int(padded.bytes_per_token[ids].sum()) for ids in (padded.train, padded.validation, padded.test))
    assert total == text_file.stat().st_size


def test_each_vocabulary_takes_the_largest_tokenizer_that_fits(definition: Definition, text_file: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.json"
    train_tokenizer([sentences(200)], 400, small)
    large = saved(definition, tmp_path / "large.json")
    spec = CorpusSpec(files=(str(text_file),), tokenizer=(str(large), str(small)))
    for vocab_size, file in ((400, small), (448, small), (700, large), (704, large)):
        used = prepare_corpus(spec, vocab_size, tmp_path / "cache").tokenizer_file
        assert used is not None
        assert used.read_bytes() == file.read_bytes()


def test_a_vocabulary_that_does_not_fit_is_said_with_those_that_would(definition: Definition, text_file: Path, tmp_path: Path) -> None:
    file = saved(definition, tmp_path / "tokenizer.json")
    spec = CorpusSpec(files=(str(text_file),), tokenizer=(str(file),))
    for vocab_size in (699, 8192):
        with pytest.raises(SpecError, match=rf"found {vocab_size} for 700 of .*; set it to 700, or to 768, the next multiple of 128"):
            prepare_corpus(spec, vocab_size, tmp_path / "cache")
        with pytest.raises(SpecError, match=rf"found {vocab_size} for 700"):
            require_corpus(spec, [700, vocab_size])
    require_corpus(spec.model_copy(update={"tokenizer": ("some/name",)}), [8192])


WRONG: dict[str, tuple[Callable[[Definition], Any], str]] = {
    "no object": (lambda d: [1], "must be a tokenizer.json of the library tokenizers, found other JSON; save it"),
    "other object": (lambda d: {"model": 3}, "must be a tokenizer.json of the library tokenizers, found other JSON; save it"),
    "unigram": (lambda d: with_model(d, type="Unigram"), "must be byte-level BPE without prefix space, .* found Unigram; name another"),
    "unigram as the library writes it": (
        lambda d: with_model(d, type="Unigram", vocab=[["<unk>", 0.0], ["a", -1.5]], unk_id=0),
        "without prefix space, .* found Unigram; name",
    ),
    "spaces": (lambda d: {**d, "pre_tokenizer": {"type": "Metaspace"}}, "found BPE that splits text by Metaspace; name another"),
    "nothing": (lambda d: {**d, "pre_tokenizer": None}, "found BPE that splits text by nothing; name another"),
    "lower case": (lambda d: {**d, "normalizer": {"type": "Lowercase"}}, r"found a normalizer \(Lowercase\); name another"),
    "no bytes": (lambda d: with_model(d, vocab={"a": 0}), "found 255 bytes without a token; name another"),
    "no end": (
        lambda d: renumbered({**d, "added_tokens": []}) | {"added_tokens": [added("<pad>", 699, special=True)]},
        "special token that ends a document .* found <pad>; add",
    ),
    "broken": (lambda d: with_model(d, merges=[["no", "such"]]), "must be one that the library tokenizers reads, found: "),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_tokenizer_that_cannot_be_used_is_one_sentence(name: str, definition: Definition, text_file: Path, tmp_path: Path) -> None:
    change, sentence = WRONG[name]
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(change(definition)))
    with pytest.raises(SpecError, match=sentence) as raised:
        prepare_corpus(CorpusSpec(files=(str(text_file),), tokenizer=(str(file),)), 700, tmp_path / "cache")
    assert "\n" not in str(raised.value)
    assert str(raised.value).count("the tokenizer ") == 1, "one refusal, and not one within another"


OTHERS: dict[str, tuple[bytes, str]] = {
    "cl100k.tiktoken": (b"IQ== 0\nIg== 1\n", "the ranks of tiktoken; load it with transformers and save"),
    "tekken.json": (b'{"config": {"pattern": "x"}, "vocab": [{"rank": 0}]}', "Mistral's tekken.json; load it with transformers and save"),
    "vocab.json": (b'{"a": 0, "b": 1}', "other JSON; save"),
    "merges.txt": (b"#version: 0.2\na b\n", "no JSON (line 1, column 1: Expecting value); save"),
    "blank.json": (b'\n\n\n{"a": 1}', "other JSON; save"),
    "indented.json": (b'\n{\n"a": 1}', "other JSON; save"),
    "empty.json": (b"", "no JSON (line 1, column 1: Expecting value); save"),
    "pointer.json": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n",
        "a pointer of Git LFS; fetch the file itself",
    ),
    "page.json": (b"<!DOCTYPE html><html>404</html>", "a web page; download the file itself"),
    "packed.json": (b"\x1f\x8b\x08\0", "a gzip file; decompress it"),
    "wide.json": ("{}".encode("utf-16"), "UTF-16; save it as UTF-8"),
}
"""Files of other programs' tokenizers, and of none, by how they are called."""


@pytest.mark.parametrize("name", OTHERS)
def test_files_of_other_tokenizers_are_named(name: str, tmp_path: Path) -> None:
    content, said = OTHERS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SpecError) as raised:
        read_tokenizer(tmp_path / name)
    assert str(raised.value).startswith(f"the tokenizer {tmp_path / name} must be a tokenizer.json of the library tokenizers, found {said}")
    found, cure = (f"{name} alone", "load it with") if name in {"tekken.json", "vocab.json"} else ("none", "check the path")
    with pytest.raises(SpecError, match=f"or a folder with one, found {found} at .*; {cure}"):
        given_tokenizer([f"{tmp_path}/"], 300)


def piece_of(text: str) -> bytes:
    """The first piece of a model of SentencePiece, as Protocol Buffers write it: its text, a score of 0 and a kind."""
    inner = b"\n" + bytes([len(text.encode())]) + text.encode() + b"\x15\0\0\0\0\x18\x02"
    return b"\n" + bytes([len(inner)]) + inner


NEVER_BYTE_LEVEL = {
    **{
        f"{first} of SentencePiece": ("tokenizer.model", piece_of(first), "a model of SentencePiece")
        for first in ("<unk>", "<pad>", "<s>", "▁", "[PAD]", "<blank>")
    },
    **{
        f"{first!r} of WordPiece": ("vocab.txt", f"{first}a\nb\n".encode(), "the words of WordPiece")
        for first in ("[PAD]\n", "[UNK]\r\n", "[unused0]\n", "[CLS]\n")
    },
}  # fmt: skip
"""Files whose tokenizers the library would save as one that is refused: their cure is another one."""


@pytest.mark.parametrize("case", NEVER_BYTE_LEVEL)
def test_the_cure_for_a_tokenizer_that_has_no_bytes_is_another_one(case: str, tmp_path: Path) -> None:
    name, content, kind = NEVER_BYTE_LEVEL[case]
    (tmp_path / name).write_bytes(content)
    cure = "name another one, or leave corpus.tokenizer out and one is trained$"
    with pytest.raises(SpecError, match=f"must be byte-level BPE without prefix space, .* found {kind}; {cure}"):
        given_tokenizer([f"{tmp_path}/{name}"], 300)
    for folder in (str(tmp_path), f"{tmp_path}/"):
        with pytest.raises(SpecError, match=f"or a folder with one, found {name} alone, {kind}, which is no byte-level BPE, at .*; {cure}"):
            given_tokenizer([folder], 300)


def test_ranks_of_tiktoken_under_the_name_of_a_model_are_told_to_be_converted(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"IQ== 0\nIg== 1\n")
    with pytest.raises(SpecError, match=r"found tokenizer.model alone at .*; load it with transformers and save it with save_pretrained$"):
        given_tokenizer([str(tmp_path)], 300)


def test_a_tokenizer_that_is_not_there_or_no_json_is_one_sentence(text_file: Path, tmp_path: Path) -> None:
    (tmp_path / "bytes.json").write_bytes(bytes(range(256)))
    for name, sentence in (
        ("none.json", r"must name a tokenizer\.json or a folder with one, found none at .*none\.json; check the path"),
        ("bytes.json", r"must be a tokenizer\.json of the library tokenizers, found no JSON"),
    ):
        with pytest.raises(SpecError, match=sentence):
            prepare_corpus(CorpusSpec(files=(str(text_file),), tokenizer=(str(tmp_path / name),)), 700, tmp_path / "cache")


@pytest.mark.slow
def test_a_name_on_the_hub_is_found_in_its_cache_and_otherwise_said_without_a_network(definition: Definition, tmp_path: Path) -> None:
    hub = tmp_path / "hub" / "models--some--name"
    saved(definition, hub / "snapshots" / ("0" * 40) / "tokenizer.json")
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text("0" * 40)
    code = (
        "from trials.corpus.given_tokenizer import given_tokenizer\n"
        "print(given_tokenizer(['some/name'], 700).size)\n"
        "try: given_tokenizer(['some/other'], 700)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    first, second, *rest = said.splitlines()
    assert (first, rest) == ("700", [])
    assert second.startswith("SpecError corpus.tokenizer must be a file, a folder or a name on the hub, found for some/other: ")


def test_a_study_names_a_tokenizer_beside_it_and_a_job_takes_it_along(definition: Definition, text_file: Path, tmp_path: Path) -> None:
    saved(definition, tmp_path / "mine" / "tokenizer.json")
    (tmp_path / "study.yaml").write_text(
        "name: told\ncorpus: {files: lines.txt, tokenizer: mine}\nbudget: {parameters: 100_000}\nspace: {vocab_size: 700}\n"
        "proxy: {tokens: 1000}\nsearch: {trials: 1}\n"
    )
    assert load_study(tmp_path / "study.yaml").corpus.tokenizer == (str(tmp_path / "mine"),)
    packed = pack(tmp_path / "study.yaml", tmp_path / "job")
    (shipped,) = load_study(tmp_path / "job" / packed).corpus.tokenizer or ()
    assert read_tokenizer(Path(shipped) / "tokenizer.json").size == 700


def test_the_learned_pairs_are_what_makes_a_token_from_its_bytes(definition: Definition) -> None:
    """The theorem that the twin rests on, on its own: with all lower merges done, the last join of each token is a learned one."""
    merges = [tuple(merge) for merge in definition["model"]["merges"]]
    for place, (left, right) in enumerate(merges):
        parts = list(left + right)
        while len(parts) > 2:
            before = {pair: merges.index(pair) for pair in pairwise(parts) if pair in merges[:place]}
            first = min(before, key=before.__getitem__)
            cut = next(cut for cut, pair in enumerate(pairwise(parts)) if pair == first)
            parts[cut : cut + 2] = ["".join(first)]
        assert parts == [left, right]
