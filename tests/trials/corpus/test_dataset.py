"""Corpora from Parquet files and from what the `datasets` library loads: folders of this machine here, never the network."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from search_space.errors import SpecError
from tests.trials.corpus.test_prepare import sentences
from trials.corpus import dataset
from trials.corpus.dataset import fetch_dataset
from trials.corpus.documents import find_documents
from trials.corpus.prepare import corpus_hash, prepare_corpus
from trials.jobs.shipment import pack
from trials.study.corpus_spec import CorpusSpec
from trials.study.load_study import load_study, parse_study

ROOT = Path(__file__).resolve().parents[3]
TEXTS = [f"{number}: {sentences(2, number)}" for number in range(600)]


def write_parquet(file: Path, columns: dict[str, object], **options: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(columns), file, **options)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset of three files with two splits."""
    for part in range(2):
        write_parquet(tmp_path / f"stories/train-{part}.parquet", {"id": list(range(300)), "text": TEXTS[part * 300 :][:300]})
    write_parquet(tmp_path / "stories/test-0.parquet", {"id": [0], "text": ["held out"]})
    return tmp_path / "stories"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def texts_of(spec: CorpusSpec, cache: Path) -> list[str]:
    return [text for file in fetch_dataset(spec, cache) for text in parquet.read_table(file)["text"].to_pylist()]


# Parquet files


def test_a_parquet_file_is_the_same_text_as_its_documents_in_json_lines(tmp_path: Path) -> None:
    texts = [*TEXTS[:20], "zwölf\r\nBoxkämpfer", "👩‍👩‍👧‍👦", sentences(400)]
    lines = tmp_path / "a.jsonl"
    lines.write_text("".join(json.dumps({"body": text}) + "\n" for text in texts))
    column = pyarrow.array([None, *texts, None])
    rows = write_parquet(tmp_path / "a.parquet", {"n": list(range(len(column))), "body": column}, row_group_size=7)
    first, second = (list(find_documents(CorpusSpec(files=(str(file),), column="body")).pieces()) for file in (lines, rows))
    assert "".join(second) == "".join(texts)
    assert len(first) == len(second)


def test_a_parquet_file_becomes_token_blocks(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "a.parquet", {"text": pyarrow.array(TEXTS, pyarrow.large_string())})
    assert prepare_corpus(CorpusSpec(files=(str(file),)), 300, tmp_path / "cache").corpus == "a.parquet"


def _written(columns: dict[str, object]) -> Callable[[Path], None]:
    return lambda file: parquet.write_table(pyarrow.table(columns), file)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (_written({"text": pyarrow.array([], pyarrow.string())}), "3 different pieces of text .* found 0; add text"),
        (_written({"id": [1], "body": ["a"]}), "must have a column `text`, found id, body; name one of them with corpus.column"),
        (_written({"text": [1, 2]}), "must have text in its column `text`, found int64; name another with corpus.column"),
        (lambda file: file.write_bytes(b"\x00\x01 not parquet at all"), "must be a whole Parquet file, found: .*; write it again"),
        (lambda file: file.write_bytes(b""), "must be a whole Parquet file, found: .*; write it again"),
    ],
)
def test_an_unusable_parquet_file_is_one_sentence(make: Callable[[Path], None], sentence: str, tmp_path: Path) -> None:
    make(tmp_path / "a.parquet")
    with pytest.raises(SpecError, match=sentence) as raised:
        prepare_corpus(CorpusSpec(files=(str(tmp_path / "a.parquet"),)), 300, tmp_path / "cache")
    assert "\n" not in str(raised.value)


# Datasets


def test_a_local_dataset_is_the_text_of_its_split_and_asks_no_network(folder: Path, tmp_path: Path, no_network: None) -> None:
    spec = CorpusSpec(dataset=str(folder))
    assert texts_of(spec, tmp_path / "cache") == TEXTS
    blocks = prepare_corpus(spec, 300, tmp_path / "cache")
    assert blocks.corpus == "stories, split train"
    rows = CorpusSpec(files=(f"{folder}/train-*.parquet",))
    assert sorted(texts_of(CorpusSpec(dataset=str(folder), split="test"), tmp_path / "cache")) == ["held out"]
    assert blocks.train.size == prepare_corpus(rows, 300, tmp_path / "cache").train.size


def test_json_lines_csv_and_saved_datasets_are_read_too(tmp_path: Path, no_network: None) -> None:
    import datasets

    rows = datasets.Dataset.from_dict({"text": TEXTS[:30], "id": list(range(30))})
    datasets.disable_progress_bars()
    for kind in ("json", "csv"):
        (tmp_path / kind).mkdir()
    rows.to_json(tmp_path / "json" / "train.jsonl")
    rows.to_csv(tmp_path / "csv" / "train.csv")
    rows.save_to_disk(tmp_path / "saved")
    datasets.DatasetDict({"train": rows, "test": rows}).save_to_disk(tmp_path / "both")
    for kind in ("json", "csv", "saved", "both"):
        assert texts_of(CorpusSpec(dataset=str(tmp_path / kind)), tmp_path / "cache") == TEXTS[:30], kind
    with pytest.raises(SpecError, match=r"corpus\.split must be a split of .*both \(train, test\), found dev; name one of them"):
        fetch_dataset(CorpusSpec(dataset=str(tmp_path / "both"), split="dev"), tmp_path / "cache")


def test_a_dataset_is_read_once_until_its_files_change(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, cache = CorpusSpec(dataset=str(folder)), tmp_path / "cache"
    hashed = corpus_hash(spec, cache)
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "_open", lambda *_: pytest.fail("the dataset was read again"))
        assert corpus_hash(spec, cache) == hashed
    write_parquet(folder / "train-1.parquet", {"text": TEXTS[:5]})
    assert corpus_hash(spec, cache) != hashed


def test_a_limit_ends_the_text_after_the_document_that_reaches_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = sum(len(text.encode()) for text in TEXTS[:100])
    for shard_bytes in (dataset.SHARD_BYTES, 3000):
        monkeypatch.setattr(dataset, "SHARD_BYTES", shard_bytes)
        cache = tmp_path / str(shard_bytes)
        assert texts_of(CorpusSpec(dataset=str(folder), limit_bytes=limit), cache) == TEXTS[:100]
        assert texts_of(CorpusSpec(dataset=str(folder), limit_bytes=limit + 1), cache) == TEXTS[:101]


FETCH = """
import sys, time
from pathlib import Path
from trials.corpus import dataset
from trials.study.corpus_spec import CorpusSpec
dataset.SHARD_BYTES = 3000
write, shards = dataset._write, 0
def write_and_wait(*arguments, **options):
    global shards
    if shards == 5:
        print("five", flush=True)
        time.sleep(60)
    shards += 1
    return write(*arguments, **options)
dataset._write = write_and_wait
dataset.fetch_dataset(CorpusSpec(dataset=sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_killed_call_goes_on_after_its_last_whole_shard(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", FETCH, str(folder), str(tmp_path / "cache")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "five\n"
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    shards = sorted(tmp_path.glob("cache/datasets/*/*.parquet"))
    before = {shard: os.stat(shard).st_mtime_ns for shard in shards}
    begun_after: list[int] = []
    documents = dataset._documents

    def counted(stream: Any, spec: CorpusSpec, done: int) -> Generator[str | None, None, None]:
        begun_after.append(done)
        return documents(stream, spec, done)

    monkeypatch.setattr(dataset, "_documents", counted)
    monkeypatch.setattr(dataset, "SHARD_BYTES", 3000)

    assert texts_of(CorpusSpec(dataset=str(folder)), tmp_path / "cache") == TEXTS

    assert len(before) == 5
    assert begun_after == [sum(parquet.read_metadata(shard).num_rows for shard in shards)]
    assert {shard: os.stat(shard).st_mtime_ns for shard in shards} == before


def test_what_is_wrong_with_a_dataset_is_one_sentence(folder: Path, tmp_path: Path, no_network: None) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "picture").mkdir()
    (tmp_path / "picture" / "a.tar").write_bytes(b"tar")
    write_parquet(tmp_path / "numbers/train.parquet", {"text": [1, 2]})
    broken = write_parquet(tmp_path / "broken/train.parquet", {"text": TEXTS})
    broken.write_bytes(broken.read_bytes()[:-20])
    wrong: list[tuple[CorpusSpec, str]] = [
        (CorpusSpec(dataset=f"{tmp_path}/none"), "must be a folder or a name on the hub, found nothing at .*none; check the path"),
        (CorpusSpec(dataset=str(folder), split="dev"), r"Bad split: dev.*check corpus\.dataset, corpus\.config, .* corpus\.split"),
        (CorpusSpec(dataset=str(folder), column="body"), "must have a column `body`, found id, text; name one of them with corpus.column"),
        (CorpusSpec(dataset=f"{tmp_path}/numbers"), "must have text in its column `text`, found a number"),
        (CorpusSpec(dataset=f"{tmp_path}/empty"), "must be a folder with files of text, such as .*, found none in .*empty; put them there"),
        (CorpusSpec(dataset=f"{tmp_path}/picture"), "must be one of arrow, csv, json, parquet, text files, found webdataset; convert"),
        (CorpusSpec(dataset=f"{tmp_path}/broken"), "found: "),
    ]
    for spec, sentence in wrong:
        with pytest.raises(SpecError, match=sentence) as raised:
            fetch_dataset(spec, tmp_path / "cache")
        assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_a_name_on_the_hub_without_a_network_is_one_sentence(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from trials.study.corpus_spec import CorpusSpec\n"
        "from trials.corpus.dataset import fetch_dataset\n"
        "try: fetch_dataset(CorpusSpec(dataset='some/name', config='en'), Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith(
        "SpecError the dataset some/name en, split train must be one that the library datasets can read, found: "
    )
    assert found.stdout.count("\n") == 1


def test_a_missing_library_is_said_with_the_command_that_installs_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(SpecError, match=r"pip install 'archfront\[datasets\]'"):
        fetch_dataset(CorpusSpec(dataset=str(folder)), tmp_path / "cache")


# In a study

STUDY = """
name: told
corpus: {dataset: stories}
budget: {parameters: 100_000}
space: {vocab_size: 300}
proxy: {tokens: 1000}
search: {trials: 1}
"""


def test_a_study_names_a_dataset_beside_it_and_a_job_takes_it_along(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    assert load_study(tmp_path / "study.yaml").corpus.dataset == str(folder)
    packed = pack(tmp_path / "study.yaml", tmp_path / "job")
    assert load_study(tmp_path / "job" / packed).corpus.dataset == str(tmp_path / "job" / "study" / "stories")
    assert len(list((tmp_path / "job" / "study" / "stories").iterdir())) == 3


def test_a_name_that_is_no_folder_is_for_the_hub(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY.replace("dataset: stories", "dataset: some/name, config: en"))
    corpus = load_study(tmp_path / "study.yaml").corpus
    assert (corpus.dataset, corpus.is_local, corpus.title) == ("some/name", False, "some/name en, split train")


@pytest.mark.parametrize(
    ("corpus", "sentence"),
    [
        ({"name": "python-stdlib", "dataset": "a/b"}, "must have exactly one of `name`, `files` and `dataset`"),
        ({"files": "a.txt", "split": "train"}, "has `split`, which belongs to a `dataset`; leave it out"),
        ({"files": "a.txt", "limit_bytes": 10}, "has `limit_bytes`, which belongs to a `dataset`; leave it out"),
        ({"dataset": "a/b", "colum": "x"}, "corpus.colum is unknown; did you mean `column`"),
    ],
)
def test_a_corpus_that_says_too_much_is_refused(corpus: dict[str, object], sentence: str) -> None:
    values = {"name": "a", "corpus": corpus, "budget": {"parameters": 1000}, "space": {}, "proxy": {"tokens": 1}, "search": {"trials": 1}}
    with pytest.raises(SpecError, match=sentence):
        parse_study(values)
