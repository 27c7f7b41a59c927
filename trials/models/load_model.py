"""The door: whatever names a model, a folder of Hugging Face's, a GGUF file or a study's trial, becomes a `LoadedModel`."""

from __future__ import annotations

from pathlib import Path

from search_space.errors import SpecError, complaint_of, shortened
from trials.models.loaded_model import LoadedModel

GGUF_MAGIC = b"GGUF"


def load_model(path: Path) -> LoadedModel:
    """The model at a path; raises SpecError where there is none that archfront computes."""
    if path.is_dir() and (path / "config.json").is_file():
        from trials.models.hugging_face_folder import load_hugging_face

        return load_hugging_face(path)
    if path.is_file() and _begins_as_gguf(path):
        from trials.catalogue.formats import require_writer

        require_writer("gguf")
        from trials.models.gguf_model import load_gguf_model  # it imports gguf

        return load_gguf_model(path)
    raise SpecError(
        f"a model must be a Hugging Face folder (config.json, weights, tokenizer.json), a GGUF file or a study's directory, found "
        f"{'nothing' if not path.exists() else 'none of these'} at {shortened(path)}; name one"
    )


def _begins_as_gguf(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(GGUF_MAGIC)) == GGUF_MAGIC
    except OSError as error:
        raise SpecError(f"{path} must be a file that can be read, found: {complaint_of(error)}; name another") from None
