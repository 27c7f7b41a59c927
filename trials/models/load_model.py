"""The door: whatever names a model, a folder of Hugging Face's, a GGUF file or a study's trial, becomes a `LoadedModel`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trials.models.first_glance import model_kind

if TYPE_CHECKING:
    from trials.models.loaded_model import LoadedModel


def load_model(path: Path) -> LoadedModel:
    """The model at a path; raises SpecError where there is none that archfront computes."""
    if model_kind(path) == "folder":
        from trials.models.hugging_face_folder import load_hugging_face

        return load_hugging_face(path)
    from trials.catalogue.formats import require_writer

    require_writer("gguf")
    from trials.models.gguf_model import load_gguf_model  # it imports gguf

    return load_gguf_model(path)
