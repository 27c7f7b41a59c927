"""What every format must do: its row is whole, and what its writer makes of a shape is that model, or refused with the cure.

A new row of `trials.catalogue.formats.FORMATS` is tested here without a line more; what was forgotten is named.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from analysis.records.record import append
from search_space.architecture import Architecture
from search_space.cost import BITS_PER_WEIGHT
from search_space.errors import SpecError, WorkError
from search_space.sharing import Sharing
from tests.support.needs import library_of
from tests.support.sample_gguf import padded_tokenizer, weights_of
from tests.support.sample_study import sample_records
from tests.trials.latency.runtimes.test_runtimes import SENTENCE
from tests.trials.latency.runtimes.test_runtimes import SHAPES as OF_EVERY_KIND
from trials.catalogue.formats import FORMATS, MODEL_FORMATS, Format
from trials.catalogue.runtimes import COMMAND, RUNTIMES
from trials.export.check import Check, Original
from trials.export.export_trial import export_trial
from trials.export.verification import verify
from trials.export.write import write_formats
from trials.formats.model import Model, fresh_model
from trials.reporting.stored_study import read_study
from trials.study.directory import tokenizer_file, weights_file

ROOT = Path(__file__).resolve().parents[3]
PLAIN = Architecture(
    vocab_size=320, hidden_size=64, num_unique_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16, intermediate_size=96
)
SLIDING = replace(PLAIN, layer_types=("sliding_attention", "full_attention"), sliding_window=5)
SHAPES = {
    "plain": PLAIN,
    "untied, odd widths": replace(PLAIN, tie_word_embeddings=False, hidden_size=37, intermediate_size=51, head_dim=22),
    "ungated": replace(PLAIN, mlp="gelu"),
    "shared and sliding": replace(SLIDING, sharing=Sharing("immediate", 2)),
}


def of(names: Iterable[str]) -> list[Any]:
    """Each of the formats; skipped where its library is not installed."""
    return [pytest.param(name, marks=library_of(name, FORMATS[name])) for name in names]


def in_each_precision() -> list[Any]:
    """Every format in each precision that its exports may have."""
    return [
        pytest.param(name, precision, marks=library_of(name, row)) for name, row in FORMATS.items() for precision in row.export_precisions
    ]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return padded_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.mark.parametrize("name", FORMATS)
def test_a_row_says_all_that_is_asked_of_it(name: str) -> None:
    row, files = FORMATS[name], [other.file for other in FORMATS.values()]
    documented = (ROOT / "docs" / "exports.md").read_text(encoding="utf-8")
    wrong = {
        "summary: say what the format is": not row.summary,
        "usage: say how the file is loaded, by its name": not row.usage or row.file not in row.usage,
        "file: another format's has this name": files.count(row.file) > 1,
        "precisions: not among those that a cost is known for": not set(row.precisions) <= set(BITS_PER_WEIGHT),
        "export_precisions: not among those that the writer can make": not set(row.export_precisions) <= set(row.precisions),
        "precision_help: say what is chosen where there is a choice, and only there": bool(row.precision_help)
        != (len(row.export_precisions) > 1),
        "runtime: there is none of this name": row.runtime not in {None, *RUNTIMES} - {COMMAND},
        "library and install: one without the other": bool(row.library) != bool(row.install),
        "docs/exports.md: its table has no line for it": f"\n| `{name}` |" not in documented,
    }
    assert [what for what, is_so in wrong.items() if is_so] == []


@pytest.mark.parametrize("name", of(FORMATS))
def test_a_row_s_functions_are_there_and_take_what_they_are_given(name: str) -> None:
    row = FORMATS[name]
    assert list(inspect.signature(resolve_name(row.check)).parameters) in (["name", "path", "original"], ["name", "directory", "original"])
    needed = [it.name for it in inspect.signature(resolve_name(row.writer)).parameters.values() if it.default is inspect.Parameter.empty]
    assert needed in (["path", "model"], ["directory", "model"])
    assert row.tokenizer_check is None or callable(resolve_name(row.tokenizer_check))


@pytest.mark.parametrize("name", MODEL_FORMATS)
def test_the_runtime_of_a_format_takes_what_the_format_holds(name: str) -> None:
    row, runtime = FORMATS[name], RUNTIMES[MODEL_FORMATS[name]]
    assert set(row.precisions) <= set(runtime.precisions)
    for shape in OF_EVERY_KIND.values():
        for precision in row.precisions:
            assert (row.refusal(shape, precision) is None) == (runtime.refusal(shape, precision) is None)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "precision"), in_each_precision())
def test_what_is_written_is_the_model_or_refused_with_the_cure(
    name: str, precision: str, shape: str, tmp_path: Path, tokenizer: Path
) -> None:
    architecture, output = SHAPES[shape], tmp_path / "export"
    weights = weights_of(architecture, tmp_path)
    reason = FORMATS[name].refusal(architecture, precision)
    if reason is not None:
        assert re.fullmatch(SENTENCE, reason)
        with pytest.raises(SpecError, match=f"^the format {name} cannot hold this shape, though .+ can: {re.escape(reason)}$"):
            write_formats([name], output, architecture, weights, tokenizer, 64, {name: precision})
        assert not output.exists()
        return
    write_formats([name], output, architecture, weights, tokenizer, 64, {name: precision})
    assert (output / FORMATS[name].file).exists()
    (check,) = verify([name], output, architecture, weights, tokenizer)
    assert (check.format, check.passed) == (name, True)
    assert check.precision in (None, precision)


@pytest.mark.parametrize("name", of(FORMATS))
def test_what_was_written_of_another_model_fails(name: str, tmp_path: Path, tokenizer: Path) -> None:
    other = replace(PLAIN, intermediate_size=128)
    write_formats([name], tmp_path / "export", other, weights_of(other, tmp_path), tokenizer, 64)
    with pytest.raises(WorkError, match=f"must equal the trained model and does not: {name}[ ,].*; do not use it"):
        verify([name], tmp_path / "export", PLAIN, weights_of(PLAIN, tmp_path), tokenizer)


@pytest.mark.parametrize("name", of(MODEL_FORMATS))
def test_a_command_gets_a_file_in_every_precision(name: str, tmp_path: Path) -> None:
    row = FORMATS[name]
    for precision in row.precisions:
        resolve_name(row.writer)(tmp_path / f"{precision} {row.file}", fresh_model(PLAIN, precision))
    sizes = [sum(file.stat().st_size for file in tmp_path.glob(f"{precision} *")) for precision in sorted(row.precisions, key=_bits)]
    assert sizes == sorted(sizes)
    assert sizes[0] > 0


def _bits(precision: str) -> int:
    return BITS_PER_WEIGHT[precision]


def write_label(path: Path, model: Model) -> None:
    path.write_text(model.architecture.label)


def check_label(name: str, path: Path, original: Original) -> Check:
    return Check(format=name, loaded_by="this test", passed=path.read_text() == original.architecture.label)


def test_one_row_is_a_format(tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = "tests.trials.formats.test_formats"
    row = Format(
        summary="a label", usage="`label.txt` is read.", file="label.txt", writer=f"{here}:write_label", check=f"{here}:check_label"
    )
    monkeypatch.setitem(FORMATS, "label", row)
    (tmp_path / "study.yaml").write_bytes((ROOT / "studies" / "quickstart.yaml").read_bytes())
    for record in sample_records(3):
        append(tmp_path, replace(record, architecture=PLAIN))
    for file in (weights_file(tmp_path, 0), tokenizer_file(tmp_path, PLAIN.vocab_size)):
        file.parent.mkdir(exist_ok=True)
    weights_of(PLAIN, tmp_path).rename(weights_file(tmp_path, 0))
    tokenizer_file(tmp_path, PLAIN.vocab_size).write_bytes(tokenizer.read_bytes())
    stored, output = read_study(tmp_path), tmp_path / "export"
    files = export_trial(stored, stored.record(0), ["label"], output).files
    assert [file.name for file in files] == ["README.md", "archfront.sha256", "label.txt", "verification.json"]
    assert "`label.txt` is read." in (output / "README.md").read_text()
    assert "- label, loaded by this test: reads back equal\n" in (output / "README.md").read_text()
    assert [check["format"] for check in json.loads((output / "verification.json").read_text())] == ["label"]


NAMES = {*FORMATS, *RUNTIMES} - {"yaml", "torch", COMMAND}
"""Of formats and runtimes; the others are words of the house, too."""
OWN = re.compile(r"trials/(catalogue|formats|models|latency/runtimes)/|trials/rounding/table\.py|trials/export/\w+_(check|reading)\.py")


@pytest.mark.parametrize("folder", ["trials", "analysis", "search_space", "docs"])
def test_nothing_outside_its_row_and_its_own_files_names_a_format_or_a_runtime(folder: str) -> None:
    for path in sorted((ROOT / folder).rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        if OWN.match(place) or place in (
            "docs/measure_adb.py",
            "docs/measure_onnx.py",
            "search_space/fields.py",
            "analysis/records/training.py",
        ):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)} & NAMES
        assert not named, f"{place} names {', '.join(sorted(named))}; what is special about it belongs in its row of trials/catalogue"
