"""A Hugging Face export loaded by transformers, where that is installed, and held against the trained network and its tokenizer."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from trials.catalogue.hugging_face_config import OWN_MODULE
from trials.export.check import Check, Original, judged, strings_of_many_scripts

PROMPT, WRITTEN_TOKENS = "def ", 4


def check_hugging_face(name: str, directory: Path, original: Original) -> Check:
    """The check of a folder that was just written, called as its users call it: with no option but the prompt."""
    if importlib.util.find_spec("transformers") is None:
        return Check(format=name, loaded_by="transformers is not installed; pip install transformers, and export again", passed=None)
    import transformers

    with _quiet(transformers.utils.logging), torch.no_grad():
        has_own_class = (directory / f"{OWN_MODULE}.py").is_file()
        model = transformers.AutoModelForCausalLM.from_pretrained(
            directory, dtype=torch.float32, local_files_only=True, trust_remote_code=has_own_class
        )
        found = model(original.tokens).logits[0]
        loaded = transformers.AutoTokenizer.from_pretrained(directory, local_files_only=True)
        theirs = [loaded(text)["input_ids"] for text in strings_of_many_scripts()]
        as_called = _generates_by_its_logits(model, loaded)
    check = judged(name, f"transformers {transformers.__version__}", original.logits, found, original.equal_strings(theirs))
    return check if as_called else replace(check, passed=False, failure="`generate` gives other tokens than the logits say")


def _generates_by_its_logits(model: Any, tokenizer: Any) -> bool:
    """Whether a user's own call, tokenizer and `generate` with their defaults, goes on with the most probable token each time."""
    prompt = tokenizer(PROMPT, return_tensors="pt")
    given = prompt["input_ids"].shape[1]
    written = model.generate(**prompt, max_new_tokens=WRITTEN_TOKENS, do_sample=False)
    likeliest = model(written).logits[0, given - 1 : -1].argmax(-1)
    return bool(torch.equal(written[0, given:], likeliest))


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
