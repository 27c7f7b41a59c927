"""The plain architecture as YAML: what `Architecture.from_dict` reads, and a study may name as a reference."""

from __future__ import annotations

from pathlib import Path

from search_space.architecture import Architecture
from trials.export.check import Check, Original
from trials.formats.model import Model
from trials.study.yaml_file import read_yaml
from trials.trial.shape_file import shape_text


def write_architecture_yaml(path: Path, model: Model) -> None:
    """Write every field of the shape by its Hugging Face name, in the order of `search_space.architecture.KEYS`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(shape_text(model.architecture), encoding="utf-8")


def check_architecture_yaml(name: str, path: Path, original: Original) -> Check:
    """The check of a file that was just written."""
    found = Architecture.from_dict(read_yaml(path, "export it again", "export it again"))
    return Check(format=name, loaded_by="archfront", passed=found == original.architecture)
