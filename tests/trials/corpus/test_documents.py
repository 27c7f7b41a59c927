"""Every format of a corpus file: how documents are written into it, that the same ones are read, and what is said where they cannot be."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import feather, ipc, parquet

from search_space.errors import SpecError
from trials.corpus.byte_stream import COMPRESSIONS
from trials.corpus.documents import COMPRESSIBLE, READERS, find_documents
from trials.corpus.first_look import look_at, without_text_notice
from trials.corpus.splits import take_inventory
from trials.study.corpus_spec import CorpusSpec

TEXTS = ['one "line", with; marks\n', "zwölf\r\nBoxkämpfer\r\n", "いろは\n", "x" * 200_000]
ABSENT = [None, "", " \t\r\n", "\u3000\u00a0"]
"""What is no text in any format that has rows."""
Texts = Sequence[str | None]


def _separated(separator: str) -> Callable[[Texts], bytes]:
    def write(texts: Texts) -> bytes:
        file = io.StringIO(newline="")
        rows = csv.writer(file, delimiter=separator)
        rows.writerows([("id", "text"), *((number, text) for number, text in enumerate(texts))])
        return file.getvalue().encode()

    return write


def _json_lines(texts: Texts) -> bytes:
    return "".join(json.dumps({"text": text, "id": 1}) + "\n" for text in texts).encode()


def _table(texts: Texts, kind: Any = None) -> pyarrow.Table:
    column = pyarrow.array(texts, pyarrow.string())
    if kind == "dictionary":
        column = column.dictionary_encode()
    elif kind is not None:
        column = column.cast(kind)
    return pyarrow.table({"id": range(len(texts)), "text": column})


def _parquet(texts: Texts, kind: Any = None) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(_table(texts, kind), sink)
    return sink.getvalue()


def _stream(texts: Texts, kind: Any = None) -> bytes:
    sink = io.BytesIO()
    table = _table(texts, kind)
    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return sink.getvalue()


def _feather(texts: Texts, kind: Any = None) -> bytes:
    sink = io.BytesIO()
    feather.write_feather(_table(texts, kind), sink)
    return sink.getvalue()


WRITERS: dict[str, Callable[[Texts], bytes]] = {
    ".txt": lambda texts: "".join(text or "" for text in texts).encode(),
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_lines,
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".parquet": _parquet,
    ".arrow": _stream,
    ".feather": _feather,
}
"""How a person's program writes these documents into a file with this suffix."""
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": lambda data: pyarrow.compress(data, codec="zstd", asbytes=True),
}
ENDINGS = [*READERS, *(f"{suffix}{packed}" for suffix in sorted(COMPRESSIBLE) for packed in COMPRESSIONS)]


def written(ending: str, texts: Texts) -> bytes:
    """The documents as a file with that ending holds them."""
    suffix, packed = (ending, "") if ending in READERS else (f".{ending.split('.')[1]}", f".{ending.split('.')[2]}")
    assert suffix in WRITERS, f"write here how documents come into a {suffix} file, so that its reader is tested"
    data = WRITERS[suffix](texts)
    return COMPRESSORS[packed](data) if packed else data


def pieces_of(file: Path, column: str = "text") -> list[str]:
    """The file's pieces, those of a long document put together."""
    documents = find_documents(CorpusSpec(files=(str(file),), column=column)).documents()
    return [text for text in ("".join(document) for document in documents) if text]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_format_gives_the_documents_that_were_written(ending: str, tmp_path: Path) -> None:
    for name in (f"texts{ending}", f"TEXTS{ending.upper()}"):
        (tmp_path / name).write_bytes(written(ending, TEXTS))
        assert pieces_of(tmp_path / name) == (["".join(TEXTS)] if ending.startswith(".txt") else TEXTS)


@pytest.mark.parametrize("ending", [ending for ending in ENDINGS if not ending.startswith(".txt")])
def test_rows_without_text_are_left_out_and_counted_in_every_format(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"texts{ending}"
    file.write_bytes(written(ending, [text for pair in zip(TEXTS, ABSENT, strict=True) for text in pair]))
    documents = find_documents(CorpusSpec(files=(str(file),)))
    assert pieces_of(file) == TEXTS
    inventory, look = take_inventory(documents, tmp_path), look_at(documents)
    assert (inventory.documents, inventory.without_text) == (look.documents, look.without_text) == (8, 4)
    assert without_text_notice(8, 4) == "4 of 8 documents of the corpus have no text (null, empty or white space) and are left out"


def test_a_file_without_text_is_a_document_without_text(tmp_path: Path) -> None:
    for name, text in (("a", "text"), ("b", ""), ("c", " \n" * 9000)):
        (tmp_path / f"{name}.txt").write_text(text)
    look = look_at(find_documents(CorpusSpec(files=(f"{tmp_path}/*.txt",))))
    assert (look.documents, look.without_text, look.is_whole) == (3, 2, True)


KINDS = [
    pyarrow.large_string(), pyarrow.string_view(), pyarrow.binary(), pyarrow.large_binary(), pyarrow.binary_view(), "dictionary",
    pyarrow.dictionary(pyarrow.int8(), pyarrow.large_binary()),
]  # fmt: skip


@pytest.mark.parametrize("write", [_parquet, _stream, _feather])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_kind_of_column_that_holds_utf8_is_read(kind: Any, write: Callable[[Texts, Any], bytes], tmp_path: Path) -> None:
    file = tmp_path / ("a.parquet" if write is _parquet else "a.arrow")
    file.write_bytes(write([*TEXTS, None, *TEXTS], kind))
    assert pieces_of(file) == [*TEXTS, *TEXTS]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_text_that_looks_like_another_kind_is_text(name: str, tmp_path: Path) -> None:
    for text in ("PAR1 is a word\n", "<html> is one too\n", "BZh\n", "PK\n", "SQLite format 3\n", "x" * 8000 + "\0" + "\n"):
        (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
        assert "".join(pieces_of(tmp_path / name)) == text


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".zst"])
def test_files_of_several_members_are_read_whole(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"a.txt{ending}"
    file.write_bytes(COMPRESSORS[ending](b"one, ") + COMPRESSORS[ending](b"two"))
    assert pieces_of(file) == ["one, two"]


SPELLINGS: dict[str, tuple[str, bytes, list[str]]] = {
    "a mark of the byte order": ("a.txt", b"\xef\xbb\xbftext", ["text"]),
    "a mark in JSON lines": ("a.jsonl", b'\xef\xbb\xbf{"text": "a"}\r\n\r\n{"text": "b"}\r\n', ["a", "b"]),
    "a mark in CSV": ("a.csv", b'\xef\xbb\xbftext\r\n"a\r\nb"\r\n', ["a\r\nb"]),
    "quoted line ends and quotes": ("a.csv", b'id,text\n1,"a ""b""\nc, d"\n2,e\n', ['a "b"\nc, d', "e"]),
    "semicolons": ("a.csv", b"id;text\n1;a, b\n", ["a, b"]),
    "bars": ("a.csv", b"id|text\n1|a, b\n", ["a, b"]),
    "tabs in .csv": ("a.csv", b"id\ttext\n1\ta, b\n", ["a, b"]),
    "one column": ("a.csv", b"text\na b\n\nc\n", ["a b", "c"]),
    "no line end at the end": ("a.csv", b"text\na", ["a"]),
    "CRLF stays in text": ("a.txt", b"a\r\nb", ["a\r\nb"]),
    "an empty compressed file": ("a.txt.gz", b"", []),
    "what separates cells, said first": ("a.csv", b'sep=;\r\nid;text\r\n1;"a; b"\r\n', ["a; b"]),
    "what separates cells, unlike any other file's": ("a.csv", b"sep=:\nid:text\n1:a, b\n", ["a, b"]),
    "what separates cells, where another mark parts names too": ("a.csv", b"sep=|\nid,text|text|n\na,b|c|1\n", ["c"]),
    "no numbers under other keys": ("a.jsonl", b'{"text": "a", "score": NaN, "of": [-Infinity, {"text": null}]}\n', ["a"]),
    "nothing but names": ("a.csv", b"text\n", []),
}


@pytest.mark.parametrize("kind", SPELLINGS)
def test_what_programs_write_is_read(kind: str, tmp_path: Path) -> None:
    name, data, texts = SPELLINGS[kind]
    (tmp_path / name).write_bytes(data)
    assert pieces_of(tmp_path / name) == texts


@pytest.mark.parametrize("place", [0, 100, 4095, 4096, 5000])
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl", "a.txt.gz", "a.parquet"])
def test_a_stray_nul_is_a_byte_of_its_text_wherever_it_stands(name: str, place: int, tmp_path: Path) -> None:
    words = "words and more. " * 400
    text = f"{words[:place]}\0{words[place:]}"
    written = {"csv": f"text\n{text}\n", "jsonl": json.dumps({"text": text})}.get(name[2:], text).encode()
    data = _parquet([text]) if name == "a.parquet" else gzip.compress(written) if name.endswith("gz") else written
    (tmp_path / name).write_bytes(data)
    assert "".join(pieces_of(tmp_path / name)) == text


def _nested() -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pyarrow.table({"text": [{"body": "a"}], "meta": ["b"]}), sink)
    return sink.getvalue()


def _twice() -> bytes:
    sink = io.BytesIO()
    table = pyarrow.table([pyarrow.array(["a"]), pyarrow.array(["b"])], names=["text", "text"])
    with ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _of_bytes(data: bytes) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pyarrow.table({"text": [b"fine", data]}), sink)
    return sink.getvalue()


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "Latin-1 text": ("a.txt", b"fine\nfi\xe9ne\n", "a.txt, line 2 must be UTF-8, found byte 0xe9; convert"),
    "Latin-1 in JSON lines": ("a.jsonl", b'{"text": "\xe9"}', "line 1 must be UTF-8, found byte 0xe9; convert"),
    "Latin-1 in CSV": ("a.csv", b"text\nfine\n\xe9t\xe9\n", "line 3 must be UTF-8, found byte 0xe9; convert"),
    "Latin-1 in bytes of Parquet": ("a.parquet", _of_bytes(b"\xe9"), "row 2 must be UTF-8, found byte 0xe9; convert"),
    "Latin-1 compressed": ("a.txt.gz", gzip.compress(b"fine\nfi\xe9ne\n"), "a.txt.gz, line 2 must be UTF-8, found byte 0xe9"),
    "UTF-16": ("a.txt", "text".encode("utf-16"), "must be text in UTF-8, found UTF-16; convert"),
    **{
        f"{name} in {encoding}": (
            name,
            data := write(TEXTS[:2]).decode().encode(encoding),
            f"must be text in UTF-8, found {found.format(nuls=data.count(0), size=len(data))}",
        )
        for encoding, found in (("utf-16", "UTF-16; convert"), ("utf-16-le", "{nuls} of its first {size} b"), ("utf-32", "UTF-32; c"))
        for name, write in (("a.csv", _separated(",")), ("a.tsv", _separated("\t")), ("a.jsonl", _json_lines))
    },
    **{
        f"{what} called {name}": (name, data, f"must be text in UTF-8, found {found}")
        for what, data, found in (
            ("gzip", gzip.compress(b"text" * 99), "a gzip file; end its name in .gz"),
            ("bzip2", bz2.compress(b"text" * 99), "a bzip2 file; end its name in .bz2"),
            ("Parquet", _parquet(TEXTS), "a Parquet file; end its name in .parquet"),
            ("a picture", b"\x89PNG\r\n\x1a\n" + bytes(99), "99 of its first 107 bytes 0x00, as binary files and UTF-16 have them; c"),
        )
        for name in ("a.txt", "a.jsonl", "a.csv")
    },
    "a picture in gzip": ("a.txt.gz", gzip.compress(bytes(9)), "must be text in UTF-8, found 9 of its first 9 bytes 0x00"),
    "Cyrillic in UTF-16 without a mark": ("a.txt", ("съешь же ещё этих булок\n" * 99).encode("utf-16-le"), " bytes 0x00, as binary"),
    "NULs beyond a stray one": ("a.txt", b"text\0" * 9, "found 9 of its first 45 bytes 0x00, as binary files"),
    "a row too short after a stated separator": ("a.csv", b"sep=;\nid;text\n1;a\n2\n", "a.csv, line 4 must have a cell for each of the 2"),
    "an open quote after a stated separator": ("a.csv", b'sep=;\ntext;id\n"a\nb\n', "line 4 must end a row of separated values"),
    "a column that the stated separator does not part": ("a.csv", b"sep=;\ntext,id\na,b\n", "in its first line, found text,id; name"),
    "JSON over several lines": ("a.json", b'{\n"text": "a"\n}', "line 1 must be one JSON object, found one over several lines; write each"),
    "carriage returns alone": ("a.csv", b"text,id\ra,1\rb,2\r", "must end its lines in a line feed, found carriage returns alone; convert"),
    "an array in one line": ("a.json", b'[{"text": "a"}]', "line 1 must be a JSON object with `text`, found a list; write"),
    "an array over several lines": ("a.json", b'[\n {"text": "a"}\n]', "found a list; write"),
    "no object": ("a.jsonl", b"3\n", "line 1 must be a JSON object with `text`, found a number; write"),
    "a key that is not there": ("a.jsonl", b'{"body": "a"}', "must have a string `text`, found keys body; put"),
    "a list of texts": ("a.jsonl", b'{"text": ["a"]}', "must have a string `text`, found a list; put"),
    "a key twice": ("a.jsonl", b'{"text": "a", "text": "b"}', "must be one JSON object, found `text` stands there twice"),
    "a nested column": ("a.parquet", _nested(), "must have text in its column `text`, found struct<body: string>; name another"),
    "a column of rows twice": ("a.arrow", _twice(), "must have a column `text`, found it several times; name"),
    "a column twice": ("a.csv", b"text,text\na,b\n", "must have a column `text` once, found it as columns 1 and 2; rename"),
    "no such column": ("a.csv", b"id,body\n1,a\n", "must have a column `text` in its first line, found id, body; name one"),
    "no line of names": ("a.csv", b"a long text\nanother\n", "in its first line, found a long text; name one of them"),
    "nothing at all": ("a.csv", b"\n", "must have a column `text` in its first line, found none; name"),
    "a comma without quotes": ("a.csv", b"id,text\n1,a, b\n", "must have a cell for each of the 2 names of the first line, found 3; put"),
    "too few cells": ("a.csv", b"id,text\n1\n", "line 2 must have a cell for each of the 2 names of the first line, found 1"),
    "an open quote": ("a.csv", b'text\n"a\nb\n', "line 3 must end a row of separated values, found: unexpected end of data; put"),
    "a backslash before a quote": ("a.csv", b'text\n"a \\" b"\n', "line 2 must end a row of separated values, found: ',' expected"),
    "a compressed Parquet file": ("a.parquet.gz", b"", "must end in .txt, .jsonl"),
    "a compression alone": ("a.gz", b"", "must end in .txt, .jsonl"),
    "another compression": ("a.txt.xz", b"", "found '.txt.xz'; convert it or leave it out"),
    "another compression in upper case": ("a.JSONL.LZ4", b"", "found '.JSONL.LZ4'; convert it or leave it out"),
    "an archive": ("a.tar.gz", b"", "those of text also in .gz, .bz2 or .zst after that, found '.tar.gz'; convert"),
    "gzip that is none": ("a.txt.gz", b"plain text", "must be a whole gzip file, found: Not a gzipped file (b'pl'); fetch"),
    "bzip2 that is none": ("a.txt.bz2", b"plain text", "must be a whole bzip2 file, found: Invalid data stream; fetch"),
    "Zstandard that is none": ("a.txt.zst", b"plain text", "must be a whole Zstandard file, found: ZSTD decompress failed: Unknown frame"),
    "Arrow that is none": ("a.arrow", b"plain text", "must be a whole Arrow file, found: "),
    "an empty Arrow file": ("a.arrow", b"", "must be a whole Arrow file, found: "),
    "Parquet that is none": ("a.parquet", b"\x00\x01", "must be a whole Parquet file, found: "),
}  # fmt: skip
"""File, content and a part of the sentence."""


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_one_sentence_with_its_place_and_cure(kind: str, tmp_path: Path) -> None:
    name, data, said = REFUSED[kind]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SpecError) as refused:
        pieces_of(tmp_path / name)
    sentence = str(refused.value)
    assert said in sentence
    assert sentence.startswith(f"corpus file {tmp_path / name}")
    assert "; " in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("ending", [ending for ending in ENDINGS if ending not in COMPRESSIBLE])
def test_a_file_that_is_cut_or_damaged_is_one_sentence(ending: str, tmp_path: Path) -> None:
    data, file = written(ending, [f"{number} words of a text\n" for number in range(3000)]), tmp_path / f"texts{ending}"
    for cut in (len(data) - 9, len(data) // 2, 5, 2):
        file.write_bytes(data[:cut])
        with pytest.raises(SpecError, match=r"^corpus file .* must be a whole .* file, found: .*; (write|fetch)"):
            pieces_of(file)
    if not ending.endswith(".zst"):  # without checksums, which the program zstd writes, changed bytes are other bytes
        file.write_bytes(b"\xff\xfe" + data[2:-2] + b"\xff\xfe")
        with pytest.raises(SpecError, match=r"^corpus file .* must be a whole .* file, found: .*; (write|fetch)"):
            pieces_of(file)


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet", ".arrow", ".jsonl.zst"])
def test_a_row_beyond_what_is_held_is_one_sentence(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for reader in ("byte_stream", "separated_rows", "arrow_rows"):
        monkeypatch.setattr(f"trials.corpus.{reader}.LONGEST_ROW_BYTES", 1 << 20)
    (tmp_path / f"a{ending}").write_bytes(written(ending, ["one", " ".join(str(number) for number in range(200_000)), "two"]))
    with pytest.raises(
        SpecError, match=r"a\.[a-z.]*, (row|line) \d must have at most 1 MiB, found more; cut the document, or put it into a .txt"
    ):
        pieces_of(tmp_path / f"a{ending}")


def test_another_suffix_is_refused_with_those_that_are_read(tmp_path: Path) -> None:
    (tmp_path / "texts.doc").write_text("text")
    with pytest.raises(SpecError, match="must end in") as refused:
        find_documents(CorpusSpec(files=(str(tmp_path / "texts.doc"),)))
    assert all(suffix in str(refused.value) for suffix in (*READERS, *COMPRESSIONS))


def test_long_cells_are_read_in_two_threads_and_the_limit_of_others_stays(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    (tmp_path / "a.csv").write_bytes(_separated(",")(["x" * 300_000] * 20))
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(pieces_of(tmp_path / "a.csv")))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [20, 20]
    assert csv.field_size_limit() == before


READ = """
import sys, resource
from trials.corpus.documents import find_documents
from trials.study.corpus_spec import CorpusSpec
import pyarrow, pyarrow.parquet, pyarrow.ipc
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
before, read = peak(), 0
try:
    for piece in find_documents(CorpusSpec(files=(sys.argv[1],))).pieces():
        read += len(piece)
except ValueError as error:
    print(error, file=sys.stderr)
print(peak() - before, read >> 20)
"""


def _bombs() -> dict[str, tuple[str, Callable[[], bytes]]]:
    """Files of less than some hundred kilobytes that come to a gigabyte."""

    def zeros(packed: str) -> bytes:
        frame = COMPRESSORS[packed](b" " * (64 << 20))
        return frame * 16

    def repeated() -> bytes:
        sink = io.BytesIO()
        word = pyarrow.array(["some words " * 40_000])
        column = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 2500, pyarrow.int32()), word)
        parquet.write_table(pyarrow.table({"text": column}), sink)
        return sink.getvalue()

    return {
        "gzip": ("a.txt.gz", lambda: zeros(".gz")),
        "Zstandard": ("a.txt.zst", lambda: zeros(".zst")),
        "a line without an end": ("a.jsonl.zst", lambda: zeros(".zst")),
        "a text in every row of Parquet": ("a.parquet", repeated),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", _bombs())
def test_what_grows_when_it_is_read_takes_bounded_memory(kind: str, tmp_path: Path) -> None:
    name, make = _bombs()[kind]
    (tmp_path / name).write_bytes(make())
    assert (tmp_path / name).stat().st_size < 2 << 20
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path / name)],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    grown_mebibytes, _ = map(int, done.stdout.split())
    assert grown_mebibytes < 200
    assert ("at most 200 times" in done.stderr) is (kind != "a text in every row of Parquet")
