"""A table of runs is read under the field's own headings, and each of its columns is checked as a whole."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import archfront
from analysis.laws.options import Columns
from analysis.laws.run_table import read_runs
from analysis.tables.headings import SPREADS
from search_space.errors import SpecError

ROOT = Path(__file__).resolve().parents[3]
Cell = str | float
SIZES, TOKENS = (1e6, 3e6, 1e7, 3e7, 1e8), (1e8, 3e8, 1e9, 3e9)
ROWS = [(n, d, round(1.7 + 400 / n**0.34 + 1200 / d**0.36, 5)) for n in SIZES for d in TOKENS]
"""Parameters, tokens and loss of 20 runs on a planted law."""


def write(path: Path, names: str, rows: list[tuple[Cell, ...]], separator: str = ",") -> Path:
    cells = [[f'"{cell}"' if isinstance(cell, str) and separator in cell else str(cell) for cell in row] for row in rows]
    path.write_text("\n".join([names, *(separator.join(row) for row in cells)]) + "\n", encoding="utf-8")
    return path


def columns_of(path: Path, columns: Columns | None = None) -> dict[str, str]:
    runs = read_runs(path, columns or Columns())
    for name, expected in zip(("params", "tokens"), np.array(ROWS).T[:2], strict=True):
        assert runs.variables[name] == pytest.approx(expected)
    assert runs.losses == pytest.approx([loss for *_, loss in ROWS])
    return dict(runs.columns)


HEADINGS = {
    "params": (
        "N",
        "n",
        "params",
        "Params",
        "#params",
        "num_params",
        "n_parameters",
        "numParams",
        "Model Size",
        "params.N",
        "model_params",
    ),
    "tokens": ("D", "d", "tokens", "Tokens Seen", "n_tokens", "train_tokens", "config/tokens", "num_input_tokens_seen", "trainTokens"),
    "loss": (
        "loss",
        "L",
        "Loss",
        "eval/loss",
        "val_loss",
        "Validation Loss",
        "final_val_loss",
        "metrics.eval_loss",
        "train/loss",
        "c4_loss",
    ),
}


@pytest.mark.parametrize(("meaning", "name"), [(meaning, name) for meaning, names in HEADINGS.items() for name in names])
def test_the_fields_own_headings_need_no_flag(meaning: str, name: str, tmp_path: Path) -> None:
    names = {"params": "N", "tokens": "D", "loss": "loss"} | {meaning: name}
    assert columns_of(write(tmp_path / "runs.csv", ",".join(names.values()), list(ROWS))) == names


SPELLINGS: dict[str, tuple[str, str, Callable[[float, float, float], tuple[Cell, ...]]]] = {
    "units in headings": ("N (M);D (B);loss", ";", lambda n, d, loss: (n / 1e6, d / 1e9, loss)),
    "units in words": ("params_M;tokens in billions;loss [nats]", ";", lambda n, d, loss: (n / 1e6, d / 1e9, loss)),
    "powers in headings": ("N (1e6);D [10^9];loss", ";", lambda n, d, loss: (n / 1e6, d / 1e9, loss)),
    "units in cells": ("N,D,loss", ",", lambda n, d, loss: (f"{n / 1e6:g}M", f"{d / 1e9:g} B tokens", f"{loss} nats")),
    "thousands": ("N,D,loss", ",", lambda n, d, loss: (f"{n:,.0f}", f"{d:,.0f}", loss)),
    "blanks between thousands": ("N,D,loss", ",", lambda n, d, loss: (f"{n:,.0f}".replace(",", " "), f"{d:.0f}", loss)),
    "decimal commas": ("N;D;loss", ";", lambda n, d, loss: (f"{n:,.0f}".replace(",", "."), f"{d:.0f}", f"{loss:.5f}".replace(".", ","))),
    "tabs and powers": ("N\tD\tloss", "\t", lambda n, d, loss: (f"{n:e}", f"{d / 1e9:g}x10^9", loss)),
}


@pytest.mark.parametrize("kind", SPELLINGS)
def test_numbers_and_units_are_read_as_they_are_written(kind: str, tmp_path: Path) -> None:
    names, separator, spelled = SPELLINGS[kind]
    path = write(tmp_path / "runs.csv", names, [spelled(*row) for row in ROWS], separator)
    assert list(columns_of(path).values()) == names.split(separator)


@pytest.mark.parametrize(("names", "missing"), [("C,D,loss", "params"), ("N,compute,loss", "tokens")])
def test_the_third_of_compute_parameters_and_tokens_follows_from_two(names: str, missing: str, tmp_path: Path) -> None:
    rows: list[tuple[Cell, ...]] = [(6 * n * d, d, loss) if missing == "params" else (n, 6 * n * d, loss) for n, d, loss in ROWS]
    path = write(tmp_path / "runs.csv", names, rows)
    assert columns_of(path)[missing].startswith("C / (6 ")
    assert f"the table has no {missing}: they are FLOPs / (6 x " in " ".join(read_runs(path, Columns()).notes)


def test_compute_is_taken_where_it_can_be_that_of_the_training(tmp_path: Path) -> None:
    days = write(tmp_path / "days.csv", "N,D,C (PF-days),loss", [(n, d, 6.6 * n * d / 8.64e19, loss) for n, d, loss in ROWS])
    runs = read_runs(days, Columns())
    assert runs.variables["flops"] == pytest.approx(1.1 * 6 * runs.variables["params"] * runs.variables["tokens"])
    assert runs.columns["flops"] == "C (PF-days)"
    named = read_runs(days, Columns(params="N", tokens="D"))
    assert named.variables["flops"] == pytest.approx(6 * named.variables["params"] * named.variables["tokens"])
    forward = write(tmp_path / "forward.csv", "N,D,flops,loss", [(n, d, 2 * n, loss) for n, d, loss in ROWS])
    assert "`flops` is left aside" in " ".join(read_runs(forward, Columns()).notes)
    with pytest.raises(SpecError, match=r"flops must be training FLOPs, about 6 N D, found .* times that"):
        read_runs(forward, Columns(flops="flops"))


def test_runs_that_did_not_finish_are_left_out(tmp_path: Path) -> None:
    states = {3: "crashed", 4: "running", 9: "crashed"}
    rows: list[tuple[Cell, ...]] = [
        (f"run{i}", states.get(i, "finished"), n, d, "" if i == 4 else loss) for i, (n, d, loss) in enumerate(ROWS)
    ]
    runs = read_runs(write(tmp_path / "wandb.csv", "Name,State,params,tokens,eval/loss", rows), Columns())
    assert len(runs) == 17
    assert runs.notes == ("runs that did not finish are left out by `State`: 2 crashed, 1 running",)


@pytest.mark.parametrize("again", [lambda n, d, loss: (n, d, loss), lambda n, d, loss: (f"{n / 1e6:g}M", f"{d:,.0f}", f" {loss} ")])
def test_equal_rows_count_once(again: Callable[[float, float, float], tuple[Cell, ...]], tmp_path: Path) -> None:
    rows: list[tuple[Cell, ...]] = [(number, *row) for number, row in enumerate([*ROWS, *(again(*row) for row in ROWS)])]
    path = write(tmp_path / "runs.csv", ",N,D,loss", rows)
    columns_of(path)
    note, *units = read_runs(path, Columns()).notes
    assert units in ([], ["cells of `N` are in M"])
    assert note.startswith("rows that repeat another count once: 20 left out (lines 22, 23, ")
    seeds = write(tmp_path / "seeds.csv", "N,D,loss,seed", [(*row, seed) for seed in (1, 2) for row in ROWS])
    assert len(read_runs(seeds, Columns())) == 40


def test_perplexities_are_taken_where_they_are_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "runs.csv", "N,D,val_ppl", [(n, d, float(np.exp(loss))) for n, d, loss in ROWS])
    for flags in ([], ["--loss", "val_ppl"]):
        assert archfront.main(["fit", str(path), *flags]) == 2
        assert "found perplexities in `val_ppl`; add --perplexity, which takes them" in capsys.readouterr().err
    for columns in (Columns(perplexity=True), Columns(perplexity=True, loss="val_ppl")):
        assert columns_of(path, columns)["loss"] == "val_ppl"
    with pytest.raises(SpecError, match=r"runs.csv:2: loss must be a perplexity above 1, found 0.5"):
        read_runs(write(tmp_path / "runs.csv", "N,D,loss", [(1e6, 1e8, 0.5)]), Columns(loss="loss", perplexity=True))


def changed(place: int, column: int, value: Cell) -> list[tuple[Cell, ...]]:
    """The good rows but for one cell."""
    rows: list[list[Cell]] = [list(row) for row in ROWS]
    rows[place][column] = value
    return [tuple(row) for row in rows]


WRONG: dict[str, tuple[str, list[tuple[Cell, ...]], str]] = {
    "two of one name": ("N,D,loss,loss", [(*row, 1) for row in ROWS], "found `loss` as columns 3 and 4"),
    "two of one meaning": ("N,D,val_loss,eval_loss", [(*row, 1) for row in ROWS], r"`val_loss` \(column 3\) and `eval_loss` \(column 4\)"),
    "perplexities called loss": ("N,D,loss", [(n, d, float(np.exp(loss))) for n, d, loss in ROWS], "add --perplexity where these are"),
    "a loss above any vocabulary's": ("N,D,loss", changed(3, 2, 66.7), r"found 66.7 \(line 5\); correct the cell"),
    "a loss above this vocabulary's": ("N,D,loss,vocab_size", [(*row, 50) for row in changed(3, 2, 9.1)], r"ln\(50\) = 3.9, found"),
    "rises": ("N,D,loss", [(n, d, 10 - loss) for n, d, loss in ROWS], "must fall with size, found it lower in 0 of 130 pairs"),
    "stands still": ("N,D,loss", [(n, d, 3 + 1e-9 * n / 1e6) for n, d, _ in ROWS], "must fall as networks grow, found 3 to 3"),
    "tokens in billions": ("N,D,loss", [(n, d / 1e9, loss) for n, d, loss in ROWS], "no run has 1e-07 tokens per parameter"),
    "parameters in millions": ("N,D,loss", [(n / 1e6, d, loss) for n, d, loss in ROWS], r"no run has 1e\+08 tokens per parameter"),
    "both without units": ("N,D,loss", [(n / 1e6, d / 1e9, loss) for n, d, loss in ROWS], "N must hold params, 1,000 or more of them"),
    "one cell in billions": ("N,D,loss", changed(7, 1, 3), r"no run has 1e-06 tokens per parameter, .* \(line 9\); correct the cell"),
    "bytes": ("N,D (GB),loss", list(ROWS), r"D \(GB\) must hold tokens, found the unit GB"),
    "an unknown unit": ("N,D,loss", changed(1, 2, "6.2 apples"), r"runs.csv:3: loss must be a number, in nats.* found '6.2 apples'"),
    "percent": ("N,D,loss", changed(1, 2, "6.2 %"), r"runs.csv:3: loss must be a number, in nats.* found '6.2 %'"),
    "two units": ("N,D,loss", [*changed(1, 2, "6.2 bits")[:2], *changed(2, 2, "6.1 nats")[2:]], "found bits on line 3 and nats on line 4"),
    "no finished run": ("State,N,D,loss", [("failed", *row) for row in ROWS], "at least one run, found 20 rows; .* by `State`: 20 failed"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_a_column_that_cannot_be_what_it_is_taken_for_is_one_sentence(kind: str, tmp_path: Path) -> None:
    names, rows, said = WRONG[kind]
    with pytest.raises(SpecError, match=said) as refused:
        read_runs(write(tmp_path / "runs.csv", names, rows), Columns())
    assert "; " in str(refused.value)
    assert "\n" not in str(refused.value)


TWICE = {
    "params": ("N", "Params", "n.1", "num_params", "config/params", "N (M)"),
    "tokens": ("D", "TOKENS", "tokens.2", "n_tokens", "D (B)"),
    "loss": ("Loss", "loss.1", "val_loss", "eval/loss", "loss (nats)", "metrics.loss"),
}
"""Names that mean the same."""


@pytest.mark.parametrize(
    ("meaning", "first", "second"),
    [(meaning, *both) for meaning, names in TWICE.items() for both in itertools.permutations(names, 2)],
)
def test_two_columns_of_one_meaning_are_refused_until_one_is_named(meaning: str, first: str, second: str, tmp_path: Path) -> None:
    names = {"params": "N", "tokens": "D", "loss": "loss"} | {meaning: first}
    path = write(tmp_path / "runs.csv", f"{','.join(names.values())},{second}", [(*row, 1) for row in ROWS])
    with pytest.raises(SpecError, match=rf"must have one column of {meaning}, found .* and .*; name one with --{meaning}$"):
        read_runs(path, Columns())
    if "(" not in first:
        assert columns_of(path, replace(Columns(), **{meaning: first})) == names  # type: ignore[arg-type]


@pytest.mark.parametrize(("usual", "again"), [("params", "Params"), ("tokens", "tokens.1"), ("loss", "Loss"), ("loss", "loss (nats)")])
def test_a_usual_name_that_stands_there_twice_is_refused_until_it_is_named(usual: str, again: str, tmp_path: Path) -> None:
    path = write(tmp_path / "runs.csv", f"params,tokens,loss,{again}", [(*row, 1) for row in ROWS])
    said = rf"must have each column once, found `{usual}` \(column \d\) and .*; rename or remove one, or name one with --{usual}$"
    with pytest.raises(SpecError, match=said):
        read_runs(path, Columns())
    assert columns_of(path, replace(Columns(), **{usual: usual}))[usual] == usual  # type: ignore[arg-type]


BESIDE = ("std", "sd", "min", "max", "std. err.", "variance", "seed 2", "smoothed", "over 3 seeds")
"""What stands in brackets where a column is something about another one."""


@pytest.mark.parametrize("words", BESIDE)
@pytest.mark.parametrize(
    ("meaning", "name"), [(meaning, name) for meaning, names in HEADINGS.items() for name in (*names[:3], names[-2], meaning)]
)
def test_a_column_about_another_one_is_not_taken_for_it(meaning: str, name: str, words: str, tmp_path: Path) -> None:
    names = {"params": "N", "tokens": "D", "loss": "loss"} | {meaning: name}
    for about in (f"{name} ({words})", f"{name} [{words}]"):
        path = write(tmp_path / "runs.csv", ",".join([about, *names.values()]), [(1, *row) for row in ROWS])
        assert columns_of(path) == names
        assert columns_of(path, replace(Columns(), **{meaning: name.upper()})) == names if words in SPREADS else True  # type: ignore[arg-type]


def test_a_spread_alone_is_no_loss(tmp_path: Path) -> None:
    path = write(tmp_path / "runs.csv", "N,D,loss (std)", list(ROWS))
    with pytest.raises(SpecError, match=r"column loss is unknown.*name the column with --loss"):
        read_runs(path, Columns())
    assert columns_of(path, Columns(loss="loss (std)"))["loss"] == "loss (std)"


PADDED = {"\t": ("{}", " {} "), "|": ("{}", " {} ", "  {}"), ",": ("{}", " {}"), ";": ("{}", "{} ")}


@pytest.mark.parametrize("separator", PADDED)
def test_padding_parts_no_groups(separator: str, tmp_path: Path) -> None:
    rows: list[tuple[Cell, ...]] = [
        (*row, PADDED[separator][place % len(PADDED[separator])].format("small")) for place, row in enumerate(ROWS)
    ]
    path = write(tmp_path / "runs.csv", separator.join(("N", "D", "loss", "run")), rows, separator)
    assert len(set(read_runs(path, Columns(group="run")).groups.tolist())) == len(SIZES)


def test_outliers_are_named_with_their_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = changed(6, 2, 9.0)
    path = write(tmp_path / "runs.csv", "N,D,loss", rows)
    assert archfront.main(["fit", str(path), "--refits", "200", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["columns"] == {"params": "N", "tokens": "D", "loss": "loss"}
    assert any(note.startswith("outliers, up to ") and note.endswith(": line 8") for note in answer["notes"])
    assert archfront.main(["fit", str(path), "--refits", "200", "--html", str(tmp_path / "page.html")]) == 0
    assert "columns: `N` as params, `D` as tokens, `loss` as loss" in capsys.readouterr().out
    assert "as tokens" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_table_is_refused_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    path = write(tmp_path / "runs.csv", "N,D,loss,loss", [(*row, 1) for row in ROWS])
    code = (
        "import archfront, sys\n"
        f"for verb in (['fit'], ['profile-device', '--fit']): assert archfront.main([*verb, {str(path)!r}]) == 2\n"
        "print([name for name in ('scipy', 'torch', 'pydantic', 'plotly', 'pyarrow') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"
    assert printed.stderr.count("found `loss` as columns 3 and 4") == 2


def test_an_unknown_column_of_exclusions_is_said(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"column bad is unknown.*--exclude"):
        read_runs(write(tmp_path / "runs.csv", "N,D,loss", list(ROWS)), Columns(exclude="bad"))


WIDTHS, DEPTHS, TIMES = (np.array([least + place % count for place in range(len(ROWS))]) for least, count in ((1, 4), (2, 3), (1, 2)))


def shapes(*last: NDArray[np.int64]) -> list[tuple[Cell, ...]]:
    """The rows with width and stored blocks, and other columns behind."""
    return [(*row, *map(int, more)) for row, more in zip(ROWS, np.array([64 * WIDTHS, DEPTHS, *last]).T, strict=True)]


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        ("width,depth,executed", {"width": "width", "depth": "depth", "executed_depth": "executed"}),
        ("hidden_size,num_unique_layers,num_hidden_layers", {"depth": "num_unique_layers", "executed_depth": "num_hidden_layers"}),
        ("d_model,Blocks Stored,Blocks Executed", {"depth": "Blocks Stored", "executed_depth": "Blocks Executed"}),
        ("n_embd,n_layer,unrolled_layers", {"width": "n_embd", "depth": "n_layer", "executed_depth": "unrolled_layers"}),
    ],
)
def test_a_shape_s_columns_are_found_by_their_headings(names: str, columns: dict[str, str], tmp_path: Path) -> None:
    runs = read_runs(write(tmp_path / "runs.csv", f"params,tokens,loss,{names}", shapes(DEPTHS * TIMES)), Columns(of_shape=True))
    assert columns.items() <= runs.columns.items()
    for name, expected in (("width", 64 * WIDTHS), ("depth", DEPTHS), ("repeats", TIMES)):
        assert runs.variables[name] == pytest.approx(expected)
    assert "width" not in read_runs(tmp_path / "runs.csv", Columns()).variables


def test_repeats_may_be_a_column_and_are_one_where_nothing_tells_them(tmp_path: Path) -> None:
    told = read_runs(write(tmp_path / "told.csv", "params,tokens,loss,width,layers,repeats", shapes(TIMES)), Columns(of_shape=True))
    assert told.variables["repeats"] == pytest.approx(TIMES)
    alone = write(tmp_path / "alone.csv", "params,tokens,loss,hidden_size,num_hidden_layers", shapes())
    silent = read_runs(alone, Columns(of_shape=True))
    assert silent.columns["depth"] == "num_hidden_layers"
    assert set(silent.variables["repeats"]) == {1.0}
    assert any("each is taken to be executed once" in note for note in silent.notes)


def test_two_columns_that_may_be_the_depth_are_refused_with_the_option(tmp_path: Path) -> None:
    path = write(tmp_path / "runs.csv", "params,tokens,loss,width,depth,layers", shapes(DEPTHS * TIMES))
    with pytest.raises(SpecError, match=r"must have one column of depth, found `depth` .* and `layers` .*; name one with --depth"):
        read_runs(path, Columns(of_shape=True))
    assert read_runs(path, Columns(of_shape=True, depth="layers")).columns["depth"] == "layers"
