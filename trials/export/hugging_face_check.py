"""A Hugging Face export loaded by transformers, where that is installed, and held against the trained network and its tokenizer."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from trials.export.check import Check, Original, judged, strings_of_many_scripts


def check_hugging_face(name: str, directory: Path, original: Original) -> Check:
    """The check of a folder that was just written."""
    if importlib.util.find_spec("transformers") is None:
        return Check(format=name, loaded_by="transformers is not installed; pip install transformers, and export again", passed=None)
    import transformers

    with _quiet(transformers.utils.logging), torch.no_grad():
        model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, local_files_only=True)
        found = model(original.tokens).logits[0]
        loaded = transformers.AutoTokenizer.from_pretrained(directory, local_files_only=True)
        theirs = [loaded.encode(text, add_special_tokens=False) for text in strings_of_many_scripts()]
    return judged(name, f"transformers {transformers.__version__}", original.logits, found, original.equal_strings(theirs))


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Keep transformers' progress bars and remarks off the terminal: what a user should know stands in the check."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()
