"""The arrows of the house: archfront.py -> trials -> analysis -> search_space, and each heavy library in its rooms only."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ("search_space", "analysis", "trials", "archfront")
FILES = [*sorted(path.relative_to(ROOT) for floor in FLOORS[:3] for path in (ROOT / floor).rglob("*.py")), Path("archfront.py")]

ROOMS = {
    "ray": {
        f"trials/driver/{desk}.py" for desk in ("run_study", "jobs", "tune_adapters", "scheduler", "trial_actor", "workers", "ray_session")
    },
    "optuna": {f"trials/search/{desk}.py" for desk in ("proposer", "optuna_storage", "front_sampler", "optuna_axes")},
    "mlflow": {"trials/reporting/mlflow_runs.py"},
    "lightning": {"trials/training/lightning_loop.py"},
    "datasets": {"trials/corpus/dataset.py"},
    "pyarrow": {"trials/corpus/dataset.py", "trials/corpus/parquet.py"},
    "gguf": {"trials/formats/gguf_file.py", "trials/formats/gguf_tokenizer.py", "trials/export/gguf_reading.py"},
    "executorch": {"trials/latency/runtimes/executorch_runtime.py"},
    "openvino": {"trials/latency/runtimes/openvino_runtime.py"},
    "llama_cpp": {"trials/latency/runtimes/llama_cpp_runtime.py"},
    "plotly": {"analysis/report/figures.py", "analysis/report/law_figures.py"},
}
"""Where each library may be imported."""
BARE = {
    "search_space": set(sys.stdlib_module_names) | {"search_space"},
    "analysis": set(sys.stdlib_module_names) | {"search_space", "analysis", "numpy", "scipy", "plotly"},
}
"""All that a floor may import."""


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file, but for types."""
    found: set[str] = set()
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_lower_floor_never_names_a_higher_one(path: Path) -> None:
    floor = path.parts[0].removesuffix(".py")
    higher = set(FLOORS[FLOORS.index(floor) + 1 :])
    assert not higher & {name.split(".")[0] for name in imports(path)}, f"{path} imports from a floor above its own"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    used = {name.split(".")[0] for name in imports(path)}
    for library, rooms in ROOMS.items():
        assert library not in used or path.as_posix() in rooms, f"{path} imports {library}, which belongs in {' or '.join(sorted(rooms))}"
    allowed = BARE.get(path.parts[0])
    assert allowed is None or used <= allowed, f"{path} imports {', '.join(sorted(used - allowed))}, which {path.parts[0]} may not"


def test_help_loads_nothing_heavy() -> None:
    heavy = ("torch", "ray", "numpy", "pydantic", "yaml", "mlflow")
    code = f"import archfront, sys; archfront.parser(); print([name for name in {heavy} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_every_benchmark_stands_in_their_readme() -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert [path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py") if f"`{path.stem}`" not in text] == []
