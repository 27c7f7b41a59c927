"""FlatBuffers by ExecuTorch's schemas, made by the compiler that its wheel brings: its own Python takes seconds to import."""

from __future__ import annotations

import importlib.util
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.records.json_writer import json_of
from search_space.errors import WorkError
from trials.catalogue.formats import require_writer

PROGRAM, DELEGATE = "schema/program.fbs", "backends/xnnpack/serialization/schema.fbs"
"""Schemas of a program and of XNNPACK's graph, in the library's folder."""
COMPILER = "data/bin/flatc"


def flatbuffers(schema: str, documents: Sequence[Any]) -> list[bytes]:
    """Each document, in FlatBuffers' JSON, as bytes.

    Raises SpecError where the library is not installed, WorkError where its compiler does not take a document.
    """
    require_writer("executorch")
    spec = importlib.util.find_spec("executorch")
    assert spec is not None
    assert spec.submodule_search_locations
    library = Path(next(iter(spec.submodule_search_locations)))
    with tempfile.TemporaryDirectory(prefix="archfront-flatbuffer-") as folder:
        names = [f"{place}.json" for place in range(len(documents))]
        for name, document in zip(names, documents, strict=True):
            Path(folder, name).write_text(json_of(document), encoding="utf-8")
        done = subprocess.run([library / COMPILER, "--binary", library / schema, *names], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            said = " ".join((done.stdout + done.stderr).split())
            raise WorkError(
                f"ExecuTorch's {schema} must hold what archfront writes, found: {said}; install the version that archfront asks for"
            )
        made = [file for file in Path(folder).iterdir() if file.suffix != ".json"]  # the schema says which suffix
        return [file.read_bytes() for file in sorted(made, key=lambda file: int(file.stem))]


def union(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    """A field that is one of several kinds of table."""
    return {f"{name}_type": kind, name: fields}
