"""Published tables: CSV in, errors out."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archfront
from analysis.latency.cost_terms import Stack
from analysis.latency.decoder_rows import stack_of
from analysis.latency.feature_table import read_features
from analysis.latency.table_fit import fit_table, predict_rows
from search_space.architecture import SIZES
from search_space.describe import named_shape
from search_space.errors import SpecError
from tests.support.planted_device import planted_latency, planted_space


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def planted_rows() -> list[dict[str, Any]]:
    shapes = [shape for size in (500_000, 1_000_000, 2_000_000, 4_000_000) for shape in planted_space(size).sample(40, 3)]
    names = [name for name in SIZES if name != "num_unique_layers"] + ["num_hidden_layers", "num_unique_layers", "mlp"]
    return [
        {
            **{name: getattr(shape, name) for name in names},
            "sharing": shape.sharing.strategy,
            "latency_ms": planted_latency(shape).total_ms.median,
            "energy": 1.0,
        }
        for shape in shapes
    ]


def listed_rows(count: int = 200) -> list[dict[str, Any]]:
    """A device that takes a time for each head and each width, in a table with lists."""
    draw = random.Random(0)
    rows = []
    for _ in range(count):
        depth, width = draw.choice((4, 6, 8)), draw.choice((64, 128, 256))
        heads, ratios = ([draw.choice(values) for _ in range(depth)] for values in ((2, 4, 8), (2, 3, 4)))
        ms = (1 + depth + 0.1 * sum(heads) + 1e-5 * width**2 * sum(ratios)) * (1 + draw.gauss(0, 0.01))
        rows.append({"embed_dim": width, "n_layer": depth, "n_head": "-".join(map(str, heads)), "mlp_ratio": str(ratios), "ms_on_a": ms})
    return rows


def fitted(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert archfront.main(["profile-device", "--fit", str(path), "--json", *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_table_in_hugging_faces_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = fitted(write(tmp_path / "table.csv", planted_rows()), capsys, "--seeds", "3")
    unseen = found["not_in_the_fit"]["mean"]
    assert (found["rows"], found["fitted"], found["seeds"], unseen["shapes"]) == (160, 40, 3, 120)
    assert unseen["median_error"] <= 0.04
    assert unseen["spearman"] >= 0.98
    assert unseen["coverage"] >= 0.8
    assert "not used: energy; --features takes some of them in" in found["notes"]
    assert found["above_half_of_the_largest"]["mean"]["median_error"] <= 0.06


def test_lists_hold_a_value_for_each_block(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = fitted(write(tmp_path / "table.csv", listed_rows()), capsys, "--column", "ms_on_a")
    unseen = found["not_in_the_fit"]["mean"]
    assert unseen["median_error"] <= 0.02
    assert unseen["spearman"] >= 0.98
    assert any(note.startswith("assumed: num_key_value_heads = num_attention_heads") for note in found["notes"])


def test_any_columns_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = random.Random(1)
    rows = []
    for _ in range(150):
        blocks, wide, kind, flag = draw.randint(1, 12), draw.choice((32, 64, 96)), draw.choice("abc"), draw.random() < 0.5
        ms = (0.5 + 0.3 * blocks + 0.01 * wide + 0.4 * "abc".index(kind) + 0.2 * flag) * (1 + draw.gauss(0, 0.01))
        rows.append({"blocks": blocks, "wide": wide, "kind": kind, "flag": flag, "perplexity": ms, "latency_ms": ms})
    path = write(tmp_path / "table.csv", rows)
    found = fitted(path, capsys)
    assert found["features"] == ["blocks", "wide", "kind", "flag"]
    assert found["not_in_the_fit"]["mean"]["median_error"] <= 0.03
    assert found["above_half_of_the_largest"] is None
    assert fitted(path, capsys, "--features", "blocks")["features"] == ["blocks"]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("sign", ["-", "\N{MINUS SIGN}"])
def test_decimal_commas_are_read_wherever_no_comma_parts_cells(separator: str, sign: str, tmp_path: Path) -> None:
    rows = [("0,352", f"{sign}0,25", "a"), ("1,5", "2", "b "), ("2,25", "12,125", " a"), ("4", f"{sign}3", "b")]
    (tmp_path / "a.txt").write_text("\n".join(map(separator.join, [("latency_ms", "x", "kind"), *rows])), encoding="utf-8")
    found = read_features(tmp_path / "a.txt")
    assert found.times == pytest.approx([0.352, 1.5, 2.25, 4])
    assert found.terms[:, 1:] == pytest.approx(np.array([[0, 0.25, 0], [2, 0, 1], [12.125, 0, 0], [0, 3, 1]]))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_commas_part_a_list_where_times_have_points(separator: str, tmp_path: Path) -> None:
    rows = [("0.352", '"4,8"', "a"), ("1.5", '"8,8"', "b"), ("2.25", '"12,4"', "a")]
    (tmp_path / "a.txt").write_text("\n".join(map(separator.join, [("latency_ms", "heads", "kind"), *rows])))
    assert read_features(tmp_path / "a.txt").terms[:, 1].tolist() == [12, 16, 16]


def test_the_text_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "table.csv", listed_rows(60))
    assert archfront.main(["profile-device", "--fit", str(path), "--column", "ms_on_a", "--shapes", "30", "--seeds", "2"]) == 0
    printed = capsys.readouterr().out
    assert "60 rows, 30 of them in each of 2 fits of ms_on_a" in printed
    assert "rank correlation" in printed
    assert "within their 90 % intervals" in printed


def test_the_workload_may_differ_from_row_to_row(tmp_path: Path) -> None:
    rows = [
        {"hidden_size": 64, "num_hidden_layers": 2, "prompt_tokens": prompt, "new_tokens": 8, "latency_ms": 1.0 + prompt}
        for prompt in (16, 32)
    ]
    features = read_features(write(tmp_path / "table.csv", rows))
    assert (features.terms[1] > features.terms[0]).any()


def test_a_published_shape_is_read_as_itself() -> None:
    shape = named_shape("mobilellm-ls-125m")
    row = {name: str(value) for name, value in shape.as_dict().items() if isinstance(value, str | int)}
    assert stack_of({**row, "sharing": "immediate"}) == Stack.of(shape)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"latency_ms": "fast"}, "must have milliseconds above 0 in latency_ms, found 'fast'"),
        ({"latency_ms": "-1"}, "must have milliseconds above 0"),
        *(
            ({name: cell}, r"table\.csv:3 must hold a decoder in numbers above 0, sizes and counts in whole ones, found")
            for name, cells in {
                "num_attention_heads": ("1-2", "0", "inf", "nan-1-1-1", "1.5"),
                "hidden_size": ("wide", "0", "-64", "inf", "nan", "1e300", "64.5"),
                "num_hidden_layers": ("0", "inf", "0.5", "12.7"),
                "vocab_size": ("-1",),
                "num_unique_layers": ("0", "0.5", "9"),
                "sliding_window": ("-8", "inf", "8.5"),
                "prompt_tokens": ("0", "", "nan"),
            }.items()
            for cell in cells
        ),
    ],
)
def test_wrong_cells_are_told(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    row: dict[str, Any] = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2, "latency_ms": 1.0}
    row |= {name: 8 if name == "prompt_tokens" else "" for name in change if name not in row}
    with pytest.raises(SpecError, match=said):
        read_features(write(tmp_path / "table.csv", [row, {**row, **change}]))


def test_too_few_rows_are_told_with_those_that_are_left_out(tmp_path: Path) -> None:
    row = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2, "latency_ms": 1.0}
    path = write(tmp_path / "table.csv", [row] * 14 + [{**row, "latency_ms": ""}] * 3)
    said = r"found 1 rows in .* and --shapes 40; 3 rows without latency_ms .*; rows that repeat another .* 13 left out"
    with pytest.raises(SpecError, match=said):
        fit_table(read_features(path), path, "latency_ms", 40, 1)


def test_wrong_tables_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "table.csv", [{"a": number + 1, "latency_ms": 2} for number in range(9)])
    for arguments, said in (
        (["--fit", "nowhere.csv"], "nowhere.csv is not a file"),
        (["--fit", str(path), "--column", "latency"], "did you mean `latency_ms`"),
        (["--fit", str(path)], "a fit needs at least 8 rows and others to judge it, found 9 rows"),
        ([], "profile-device needs a study's YAML"),
    ):
        assert archfront.main(["profile-device", *arguments]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cell", "gated"),
    [
        ("swiglu", True),
        ("SiLU", True),
        ("gated-gelu", True),
        ("ungated", False),
        ("non-gated", False),
        ("not gated", False),
        ("relu", False),
    ],
)
def test_an_mlp_is_gated_where_it_says_so(cell: str, gated: bool) -> None:
    row = {"hidden_size": "64", "num_hidden_layers": "2", "mlp": cell}
    assert [layer.gated for layer in stack_of(row).layers] == [gated] * 2


def test_a_prompt_alone_is_read_alone(tmp_path: Path) -> None:
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 256}
    rows = [{**shape, "prompt_tokens": prompt, "latency_ms": 1.0 + prompt} for prompt in (16, 32)]
    features = read_features(write(tmp_path / "table.csv", rows))
    assert features.used[-1] == "prompt_tokens"
    assert features.terms[1].sum() > features.terms[0].sum()
    assert any("new_tokens = 0" in note for note in features.notes)
    assert not any("not used" in note for note in features.notes)


def test_what_enters_nothing_is_said_not_to_be_used(tmp_path: Path) -> None:
    rows = [
        {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 64 + n, "mlp_ratio": 2, "sharing": "none", "name": f"n{n}"}
        for n in range(14)
    ]
    timed = [{**row, "layer_types": "full_attention", "latency_ms": 1.0} for row in rows]
    features = read_features(write(tmp_path / "table.csv", timed), chosen=["name"])
    assert features.used == ("hidden_size", "num_hidden_layers", "intermediate_size")
    assert features.notes[-1].startswith("not used: mlp_ratio, sharing, name, layer_types;")
    plain = read_features(write(tmp_path / "plain.csv", [{"a": n + 1, "name": f"net {n}", "latency_ms": 1.0} for n in range(14)]))
    assert plain.used == ("a",)
    assert plain.notes[-1] == "not used: name"


def test_columns_without_a_name_are_no_features(tmp_path: Path) -> None:
    rows = [{"": n, "Unnamed: 0": n, "a": n + 1, "latency_ms": 1.0 + n} for n in range(3)]
    assert read_features(write(tmp_path / "table.csv", rows)).used == ("a",)


def test_times_that_are_all_alike_leave_valid_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = fitted(write(tmp_path / "table.csv", [{"a": n + 1, "latency_ms": 2.0} for n in range(30)]), capsys, "--seeds", "2")
    assert found["not_in_the_fit"]["mean"]["spearman"] is None


def test_lines_are_counted_as_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text('a,latency_ms\n\n1,2\n"two\nlines",2\n3,fast\n', encoding="utf-8")
    with pytest.raises(SpecError, match=r"table\.csv:6 must have milliseconds above 0"):
        read_features(path)
    path.write_text("a,latency_ms\n1,2\n3,4,5\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"table\.csv:3 must have a cell for each of the 2 column names, found more"):
        read_features(path)


def test_rows_without_a_time_are_left_out(tmp_path: Path) -> None:
    rows = [{"a": number + 1, "latency_ms": number or ""} for number in range(20)]
    features = read_features(write(tmp_path / "table.csv", rows))
    assert len(features) == 19
    assert np.isfinite(features.outlines).all()
    assert features.notes[0] == "1 rows without latency_ms are left out"


def three_widths(half_rate_width: float, products: float, seed: int = 0) -> list[dict[str, Any]]:
    """A device that multiplies at half of its rate at some width, in a table of three widths; `products` is their share at width 512."""
    draw = random.Random(seed)
    rows = []
    for _ in range(240):
        depth, width = draw.choice((10, 11, 12)), draw.choice((256, 512, 1024))
        heads, ratios = ([draw.choice(values) for _ in range(depth)] for values in ((4, 8, 12), (2, 3, 4)))
        work = sum(4 + 2 * ratio for ratio in ratios) * width * (width + half_rate_width)
        ms = 2 + depth + 0.1 * sum(heads) + products * 20 * work / (120 * 512 * (512 + half_rate_width))
        rows.append(
            {
                "embed_dim": width,
                "n_layer": depth,
                "n_head": "-".join(map(str, heads)),
                "mlp_ratio": "-".join(map(str, ratios)),
                "latency_ms": ms * (1 + draw.gauss(0, 0.01)),
            }
        )
    return rows


@pytest.mark.parametrize("half_rate_width", [0, 256, 768, 2048])
@pytest.mark.parametrize("products", [0.3, 1.0, 3.0])
def test_larger_shapes_are_told_from_two_widths_with_intervals_that_hold_them(
    half_rate_width: float, products: float, tmp_path: Path
) -> None:
    features = read_features(write(tmp_path / "table.csv", three_widths(half_rate_width, products)))
    assert features.widths is not None
    small, large = np.flatnonzero(features.widths < 1024), np.flatnonzero(features.widths == 1024)
    logs = np.log(features.times)
    means, deviations = predict_rows(features, small[:40], large)
    held = np.abs(means - logs[large]) <= 1.645 * deviations
    assert held.mean() >= 0.85
    means, deviations = predict_rows(features, small[:40], small[40:])
    assert np.median(np.abs(means - logs[small[40:]])) <= 0.02
    assert np.median(deviations) <= 0.03
