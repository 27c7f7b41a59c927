"""The arrows of the house: imports point down its floors, no circle, no crowded folder, and each heavy library in its rooms only."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest

from tests.support.house import FLOORS, MOST_FILES, ROOT, circle, crowded, files, folder, graph, imported, upward

ROOMS = {
    "ray": {f"trials/cluster/{desk}.py" for desk in ("few_processes", "own_ray", "placement", "ray_address", "ray_session", "state_keeper")}
    | {
        f"trials/driver/{desk}.py"
        for desk in (
            "finals_on_ray",
            "latency_device",
            "preparation",
            "search_on_tune",
            "stopper",
            "trial_actor",
            "trial_news",
            "tune_adapters",
            "workers",
            "workplace_on_ray",
        )
    }
    | {f"trials/jobs/{desk}.py" for desk in ("asking", "client", "state")}
    | {"trials/pretraining/in_parallel.py"},
    "optuna": {
        f"trials/search/{desk}.py"
        for desk in (
            "front_sampler",
            "history",
            "optuna_axes",
            "optuna_records",
            "optuna_storage",
            "proposer",
            "samplers",
            "shape_table",
            "steady_generations",
            "told_trials",
            "user_sampler",
        )
    },
    "mlflow": {"trials/tracking/mlflow_store.py", "trials/formats/text_model.py"},
    "lightning": {"trials/training/lean_lightning.py"},
    "datasets": {"trials/corpus/dataset.py"},
    "pyarrow": {
        "analysis/tables/parquet_rows.py",
        "trials/corpus/arrow_rows.py",
        "trials/corpus/byte_stream.py",
        "trials/corpus/dataset.py",
    },
    "rensa": {"trials/corpus/near_copies.py"},
    "rich": {"trials/progress/view.py"},
    "gguf": {"trials/formats/gguf_file.py", "trials/formats/gguf_tokenizer.py", "trials/models/gguf_reading.py"},
    "executorch": {"trials/latency/runtimes/executorch_runtime.py"},
    "openvino": {"trials/latency/runtimes/openvino_runtime.py"},
    "jinja2": {"trials/tuning/chat_template.py"},
    "rouge_score": {"trials/tuning/answers.py"},
    "lm_eval": {"trials/models/harness.py"},
    "llama_cpp": {"trials/latency/runtimes/llama_cpp_runtime.py"},
    "plotly": {
        "analysis/report/figures.py",
        "analysis/report/importance_figure.py",
        "analysis/report/search_figures.py",
        "analysis/report/several.py",
        "analysis/law_report/law_figures.py",
    },
}
"""Where each library may be imported."""
BARE = {
    "search_space": set(sys.stdlib_module_names) | {"search_space"},
    "analysis": set(sys.stdlib_module_names) | {"search_space", "analysis", "numpy", "scipy", "plotly", "pyarrow"},
}
"""All that a floor may import."""

SHARED = {
    **dict.fromkeys(("load", "prepare", "version"), "what each runtime has"),
    "main": "the beginning of a process of its own",
    "describe": "a verb, and what it prints",
    "logger": "where a file says what goes on",
}
"""Names that several files define, and why each means one thing all the same."""
LEANING = re.compile(
    r"(Of|As|Likewise|Also|And|But|Or|The same|Its|Their|They|It|Those|That|These|This|With|Without|By|In|On|At|Beside|Under|Between|Whose"
    r"|None|To|For|So that)\b"
)
"""Words at the beginning of a docstring that needs the line before it to be read."""


def test_imports_point_down_the_floors() -> None:
    assert upward(graph()) == []


def test_no_circle_of_files() -> None:
    assert circle(graph()) is None


def test_no_folder_is_crowded() -> None:
    assert crowded(files()) == []


def test_every_folder_has_its_floor() -> None:
    assert {folder(file) for file in files()} == {name for floor in FLOORS for name in floor}, "tests/support/house.py: FLOORS"


def test_what_breaks_the_house_is_named() -> None:
    """An import upward, one beside, a circle and a folder that is too full are each found, with their names."""
    up = {"analysis/fronts/rows.py": ["trials/study/spec.py"], "trials/study/spec.py": []}
    assert upward(up) == ["analysis/fronts/rows.py imports trials/study/spec.py, and trials/study does not stand below analysis/fronts"]
    assert upward({"trials/driver/agenda.py": ["trials/export/card.py"]}) != []
    assert upward({"trials/study/spec.py": ["analysis/fronts/rows.py", "trials/study/files.py"]}) == []
    assert circle({"a.py": ["b.py"], "b.py": ["c.py"], "c.py": ["a.py"]}) in {
        "a.py -> b.py -> c.py -> a.py", "b.py -> c.py -> a.py -> b.py", "c.py -> a.py -> b.py -> c.py",
    }  # fmt: skip
    full = [f"trials/study/file_{number}.py" for number in range(MOST_FILES + 1)]
    assert crowded([*full[1:], "trials/study/__init__.py"]) == []
    assert crowded(full) == ["trials/study has 21 files; 20 are the most"]


@pytest.mark.parametrize("path", files())
def test_libraries_stay_in_their_rooms(path: str) -> None:
    used = {name.split(".")[0] for name in imported(path)}
    for library, rooms in ROOMS.items():
        assert library not in used or path in rooms, f"{path} imports {library}, which belongs in {' or '.join(sorted(rooms))}"
    allowed = BARE.get(path.split("/")[0])
    assert allowed is None or used <= allowed, f"{path} imports {', '.join(sorted(used - allowed))}, which {path.split('/')[0]} may not"


def test_help_loads_nothing_heavy() -> None:
    heavy = ("torch", "ray", "numpy", "pydantic", "yaml", "mlflow")
    code = f"import archfront, sys; archfront.parser(); print([name for name in {heavy} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_every_benchmark_stands_in_their_readme() -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert [path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py") if f"`{path.stem}`" not in text] == []


@pytest.mark.parametrize("path", files())
def test_a_sentence_on_what_must_hold_has_a_cure(path: str) -> None:
    """The second half of a `SpecError`, after a semicolon; one that quotes another error has that error's."""
    without = []
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "SpecError" and node.args:
            text = ast.unparse(node.args[0])
            if " must " in text and not re.search(r"; |cure|\{error\}", text):
                without.append(text)
    assert without == []


def defined(node: ast.stmt) -> list[str]:
    """Names that a statement at the top of a file defines: a class, a function, constants, names of types."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]


def test_a_public_name_is_defined_once() -> None:
    places: dict[str, list[str]] = {}
    for path in files():
        for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
            for name in defined(node):
                if not name.startswith("_"):
                    places.setdefault(name, []).append(path)
    several = {name: found for name, found in places.items() if len(found) > 1}
    assert {name: found for name, found in several.items() if name not in SHARED} == {}, "one name, one meaning: rename one of each"
    assert set(SHARED) <= set(several), "a name that is defined once needs no exception"


@pytest.mark.parametrize("path", files())
def test_docstrings_are_read_without_the_line_before(path: str) -> None:
    texts = [
        node.value.value.strip()
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    assert [text.splitlines()[0] for text in texts if LEANING.match(text)] == []
