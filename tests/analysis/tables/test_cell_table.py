"""A table is the same in whatever file it stands, and what is wrong with a file is one sentence."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from analysis.tables import cell_table
from analysis.tables.cell_table import MAGIC_KINDS, read_cells
from search_space.errors import SpecError

NAMES = ("N (M)", "D, in B", "eval/loss", "note")
ROWS = [("1.5", "0.1", "6.67", "first, of two"), ("2", "0.3", "", 'a "word"; and more'), ("40", "1e-2", "4.1", "last")]


def separated(mark: str, compressed: bool = False) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        with gzip.open(path, "wt", newline="") if compressed else path.open("w", newline="") as file:
            csv.writer(file, delimiter=mark).writerows([NAMES, *ROWS])

    return write


def json_lines(path: Path) -> None:
    text = "\n".join(json.dumps(dict(zip(NAMES, row, strict=True))) for row in ROWS)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def json_list(path: Path) -> None:
    text = json.dumps([dict(zip(NAMES, row, strict=True)) for row in ROWS], indent=1)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def as_parquet(path: Path) -> None:
    parquet.write_table(pyarrow.table([list(cells) for cells in zip(*ROWS, strict=True)], names=list(NAMES)), path)


WRITERS: dict[str, Callable[[Path], object]] = {
    "runs.csv": separated(","),
    "semicolons.csv": separated(";"),
    "tabs.tsv": separated("\t"),
    "tabs.txt": separated("\t"),
    "runs.csv.gz": separated(",", compressed=True),
    "RUNS.CSV.GZ": separated(";", compressed=True),
    "runs.jsonl": json_lines,
    "runs.ndjson": json_lines,
    "runs.jsonl.gz": json_lines,
    "runs.json": json_list,
    "runs.json.gz": json_list,
    "lines.json": json_lines,
    "lines.json.gz": json_lines,
    "runs.parquet": as_parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_table_is_the_same_in_every_file(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    table = read_cells(tmp_path / name)
    assert table.names == NAMES
    assert [tuple(row) for row in zip(*table.columns, strict=True)] == ROWS
    first = 1 if name.endswith((".parquet", "json", "json.gz", "jsonl", "ndjson", "jsonl.gz")) else 2
    assert table.lines == (first, first + 1, first + 2)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_a_table_is_the_same_however_it_is_written_out(encoding: str, mark: str, line_end: str, quoting: int, tmp_path: Path) -> None:
    written = io.StringIO()
    rows = [("", *NAMES, ""), *((place, *row, "") for place, row in enumerate(ROWS)), ("",) * (len(NAMES) + 2)]
    csv.writer(written, delimiter=mark, lineterminator=line_end, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    text = ("\ufeff" if encoding == "utf-16-be" else "") + written.getvalue() + line_end
    for name, content in {"a.csv": text.encode(encoding), "a.txt.gz": gzip.compress(text.encode(encoding))}.items():
        (tmp_path / name).write_bytes(content)
        table = read_cells(tmp_path / name)
        assert (table.names, table.lines) == (NAMES, (2, 3, 4))
        assert [tuple(row) for row in zip(*table.columns, strict=True)] == ROWS


LINES: dict[str, Callable[[Sequence[str]], str]] = {
    "both bars": lambda cells: f"| {' | '.join(cells)} |",
    "no padding": lambda cells: f"|{'|'.join(cells)}|",
    "wide": lambda cells: f"  |\t{'  |   '.join(cells)}|  ",
    "no leading bar": lambda cells: f"{' | '.join(cells)} |",
    "no last bar": lambda cells: f"| {' | '.join(cells)}",
    "no outer bar": lambda cells: " | ".join(cells),
}
"""Ways in which a line of Markdown may have its bars."""


@pytest.mark.parametrize(("names", "row"), [*itertools.product(LINES, repeat=2)])
def test_a_table_of_markdown_is_read(names: str, row: str, tmp_path: Path) -> None:
    rows = [("1.5", "-", "small"), ("2", "4.1", "small"), ("3", "", "a b"), ("", "1", "c")]
    lines = [LINES[names](("N", "loss", "size")), LINES[row]((":--", "-----:", "---")), *map(LINES[row], rows)]
    (tmp_path / "a.md").write_text("\n".join(lines) + "\n")
    table = read_cells(tmp_path / "a.md")
    assert (table.names, table.lines) == (("N", "loss", "size"), (3, 4, 5, 6))
    shown = [tuple(cells) for cells in zip(*table.columns, strict=True)]
    begins_with_bar = row not in ("no leading bar", "no outer bar")
    assert shown == [*rows[:3], rows[3] if begins_with_bar else ("1", "c", None)], "an empty first cell needs its bar, as in any Markdown"


@pytest.mark.parametrize("row", LINES)
def test_without_a_rule_a_row_without_its_bar_is_refused_with_its_line(row: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join([LINES["both bars"](("N", "loss")), "| 1 | 2 |", LINES[row](("3", "4"))]))
    if "no leading" not in row and "no outer" not in row:
        assert [list(cells) for cells in read_cells(tmp_path / "a.txt").columns] == [["1", "3"], ["2", "4"]]
        return
    for text in ((tmp_path / "a.txt").read_text(), f"| N | loss |\n\n{LINES[row](('3', '4'))}\n| 1 | 2 |\n"):
        (tmp_path / "a.txt").write_text(text)
        with pytest.raises(SpecError, match=r"a.txt:3 must have its bars where .*, found '3' in front of the first; put bars at both ends"):
            read_cells(tmp_path / "a.txt")


def test_an_index_in_front_of_the_first_bar_is_a_column_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("|N|loss\n0|1|2\n1|3|\n")
    table = read_cells(tmp_path / "a.csv")
    assert (table.names, [list(cells) for cells in table.columns]) == (("N", "loss"), [["1", "3"], ["2", ""]])
    (tmp_path / "a.csv").write_text("|N|loss\n0|1|2\n|3|4\n")
    with pytest.raises(SpecError, match=r"a.csv:3 must have its bars where .*, found one at the beginning, unlike those above; put"):
        read_cells(tmp_path / "a.csv")


def test_values_of_json_and_parquet_are_texts_as_a_csv_has_them(tmp_path: Path) -> None:
    rows = [{"n": 1_000_000, "x": 0.1, "ok": True, "eval": {"loss": {"c4": 3.5}}, "heads": [4, 8]}, {"n": None, "later": "x"}]
    (tmp_path / "a.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
    parquet.write_table(
        pyarrow.table({"n": [1_000_000, None], "x": [0.1, None], "kind": pyarrow.array(["a", "a"]).dictionary_encode()}),
        tmp_path / "a.parquet",
    )
    table = read_cells(tmp_path / "a.jsonl")
    assert table.names == ("n", "x", "ok", "eval/loss/c4", "heads", "later")
    assert list(zip(*table.columns, strict=True)) == [
        ("1000000", "0.1", "True", "3.5", "[4, 8]", None),
        (None, None, None, None, None, "x"),
    ]
    assert table.lines == (1, 3)
    assert [list(cells) for cells in read_cells(tmp_path / "a.parquet").columns] == [["1000000", None], ["0.1", None], ["a", "a"]]


def test_columns_without_a_name_are_left_out_and_blank_lines_counted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('\n\n,Unnamed: 1,n,,x\n0,1,2,,3\n\n4,5,"two\nlines",7,8\n')
    table = read_cells(tmp_path / "a.csv")
    assert table.names == ("n", "x")
    assert table.lines == (4, 7)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_line_that_says_what_separates_cells_is_no_row(mark: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"sep={mark}\r\nn{mark}x\r\n1{mark}2\r\n")
    table = read_cells(tmp_path / "a.csv")
    assert (table.names, table.lines, [list(cells) for cells in table.columns]) == (("n", "x"), (3,), [["1"], ["2"]])


WRONG = {
    "nothing.csv": (b"", "must begin with a line of column names, found nothing"),
    "blank.csv": (b"\n\n", "must begin with a line of column names, found nothing"),
    "two.csv": (b"N,loss,D, loss\n", "must have each column once, found `loss` as columns 2 and 4; rename or remove one"),
    "more.csv": (b"a,b\n1,2\n1,2,3\n", r"more.csv:3 must have a cell for each of the 2 column names, found more"),
    "white.csv": (b"\n \n  \n", "must begin with a line of column names, found nothing"),
    "numbers.csv": (b"1e6,2.5,-3\n4,5,6\n", "must begin with a line of column names, found numbers alone; add one"),
    "comment.csv": (b"# of March\na,b\n1,2\n", "must begin with names of columns and have commas, .* between them, found '# of March'"),
    "blanks.csv": (
        b"a b\n1 2\n",
        "must begin with names of columns and have commas, semicolons, tabs or bars between them, found 'a b'; w",
    ),
    "bytes.csv": (b"\xff\xff\x00", "must be text in UTF-8, found the byte 0xff in line 1; save it as UTF-8"),
    "cut16.csv": (b"\xff\xfe\x00", "must be text in UTF-8, found UTF-16 that is cut or damaged; save it as UTF-8"),
    "cut32.csv.gz": (gzip.compress("a,b\n1,2\n".encode("utf-32")[:-2]), "must be text in UTF-8, found UTF-32 that is cut or damaged"),
    "unmarked16.csv": ("a,b\n1,2\n".encode("utf-16-le"), "must be text in UTF-8, found the byte 0x00 in line 1; save it as UTF-8"),
    "nul.csv": (b"a,b\n1,2\n1,\0\n", "must be text in UTF-8, found the byte 0x00 in line 3; save it as UTF-8"),
    "cutlines.json": (b'{"a": 1}\n{"a": \n', r"cutlines.json:2 must be one JSON object, found column \d+: Expecting value"),
    "late.csv": (b"a,b\n" + b"1,2\r\n" * 9000 + b"1,\xe9\n" + b"1,2\n" * 9000, "found the byte 0xe9 in line 9002; save"),
    "late.csv.gz": (gzip.compress(b"a,b\r" * 9000 + b"1,\xe9\n" + b"1,2\n"), "found the byte 0xe9 in line 9001; save"),
    **{
        f"{place}.csv": (mark + b"\xff\xff" * 9, f"must be a table as text, found {re.escape(kind)}; {re.escape(cure)}$")
        for place, (mark, kind, cure) in enumerate(MAGIC_KINDS)
    },
    "book.xlsx": (b"PK\x03\x04\xff\xff", "found a workbook or another zip archive; export the table as CSV"),
    "rows.jsonl": (b"PAR1", "found a Parquet file; end its name in .parquet"),
    "open.csv": (b'a,b\n1,"x\n2,y\n', r"open.csv:3 must end a row of separated values, found: unexpected end of data; close quotes"),
    "inside.csv": (
        b'a,b\n1,"x"y"\n2,y\n',
        r"inside.csv:2 must have a separator after a quote that closes a cell, found other text; write a quote inside a cell as two",
    ),
    "cut.csv.gz": (gzip.compress(b"a\n1\n" * 1000)[:40], "must be a whole gzip file, found a damaged one"),
    "not.csv.gz": (b"a,b\n1,2\n", "must be a whole gzip file"),
    "list.jsonl": (b"[1, 2]\n", "list.jsonl:1 must be one JSON object, found a list"),
    "cut.jsonl": (b'{"a": 1}\n{"a": \n', r"cut.jsonl:2 must be one JSON object, found column \d+: Expecting value"),
    "twice.jsonl": (b'{"a": 1, "a": 2}\n', "twice.jsonl:1 must be one JSON object, found column 10: `a` stands there twice"),
    "deep.jsonl": (b'{"a": ' + b"[" * 100_000, "deep.jsonl:1 must be one JSON object, found brackets within brackets without end"),
    "nested.jsonl": (
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        "nested.jsonl:1 must be one JSON object, found brackets within brackets without end",
    ),
    "digits.jsonl": (b'{"a": ' + b"1" * 5000 + b"}", "digits.jsonl:1 must be one JSON object, found column 7: a number of 5,000 digits"),
    "object.json": (b'{"N": [1, 2]}', "object.json must be a list of objects, one a run or shape, found a mapping; save it so"),
    "mixed.json": (b'[{"N": 1}, 2]', "mixed.json must be a list of objects, one a run or shape, found something else; save it so"),
    "empty.json": (b"[]", "must begin with a line of column names, found nothing"),
    "cut.json": (b'[{"N": 1}', r"cut.json must be JSON, found no such text \(line 1, column 10: .*\); correct it"),
    "deep.json": (b"[" * 100_000, "deep.json must be JSON, found no such text"),
    "not.parquet": (b"PAR1 no", "must be a whole Parquet file, found: "),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_is_no_table_is_one_sentence(name: str, tmp_path: Path) -> None:
    content, said = WRONG[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SpecError, match=said) as refused:
        read_cells(tmp_path / name)
    assert "\n" not in str(refused.value)
    assert str(tmp_path / name) in str(refused.value)
    assert len(str(refused.value)) < len(str(tmp_path)) + 300


@pytest.mark.parametrize("ending", ["csv", "tsv", "csv.gz", "jsonl", "parquet"])
def test_a_long_cell_is_a_cell_in_every_format(ending: str, tmp_path: Path) -> None:
    before, long, path = csv.field_size_limit(), "words and words " * 20_000, tmp_path / f"a.{ending}"
    if ending == "parquet":
        parquet.write_table(pyarrow.table({"n": ["1", "2"], "note": [long, "short"]}), path)
    elif ending == "jsonl":
        path.write_text(f'{{"n": 1, "note": "{long}"}}\n{{"n": 2, "note": "short"}}\n')
    else:
        text = f"n,note\n1,{long}\n2,short\n".replace(",", "\t" if ending == "tsv" else ",").encode()
        path.write_bytes(gzip.compress(text) if ending.endswith("gz") else text)
    table = read_cells(path)
    assert list(table["n"]) == ["1", "2"]
    assert list(table["note"]) == [long, "short"]
    assert csv.field_size_limit() == before


def test_a_table_is_bounded_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1," * (80 << 20)))
    with pytest.raises(SpecError, match="must have at most 4,000,000 cells and 32 MiB of text, found more"):
        read_cells(tmp_path / "bomb.csv.gz")
    monkeypatch.setattr(cell_table, "MOST_CELLS", 100)
    (tmp_path / "wide.jsonl").write_text("\n".join(f'{{"{number}": 1}}' for number in range(50)))
    separated(",")(tmp_path / "runs.csv")
    with pytest.raises(SpecError, match="at most 100 cells"):
        read_cells(tmp_path / "wide.jsonl")
    assert len(read_cells(tmp_path / "runs.csv")) == len(ROWS)
