"""The plain architecture as YAML: what `Architecture.from_dict` reads, and a study may name as a reference."""

from __future__ import annotations

from pathlib import Path

import yaml

from search_space.architecture import Architecture


def export_architecture_yaml(path: Path, architecture: Architecture) -> None:
    """Write every field by its Hugging Face name, in the order of `search_space.architecture.KEYS`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(architecture.as_dict(), sort_keys=False, default_flow_style=None, width=120)
    path.write_text(f"# {architecture.label}\n{text}", encoding="utf-8")
