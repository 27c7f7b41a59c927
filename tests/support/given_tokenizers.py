"""Files of tokenizers that a person gives, with all that the library `tokenizers` may do to a text unasked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trials.corpus.tokenizer import END_OF_TEXT, train_tokenizer

VOCABULARY = 300
TEXTS = ["def front(points): return points\n" * 20, "Die Prüfung läuft; ça va. 日本語のテキスト"] * 20
TRUNCATION = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
PADDING = {
    "strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": END_OF_TEXT,
}  # fmt: skip
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True}
MARK, TEXT = {"SpecialToken": {"id": END_OF_TEXT, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
AROUND = ["the tokens that its template puts around a text"]


def template(*single: dict[str, Any]) -> dict[str, Any]:
    """A post-processor that puts these in the place of one text."""
    special = {END_OF_TEXT: {"id": END_OF_TEXT, "ids": [0], "tokens": [END_OF_TEXT]}}
    return {
        "type": "TemplateProcessing",
        "single": [*single],
        "pair": [TEXT, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": special,
    }


UNASKED_KINDS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({}, []),
    "offsets": ({"post_processor": BYTE_LEVEL}, []),
    "truncation": ({"truncation": TRUNCATION}, ["truncation"]),
    "padding": ({"padding": PADDING}, ["padding"]),
    "truncation and padding": ({"truncation": TRUNCATION, "padding": PADDING}, ["truncation", "padding"]),
    "a token before": ({"post_processor": template(MARK, TEXT)}, AROUND),
    "a token after": ({"post_processor": template(TEXT, MARK)}, AROUND),
    "offsets and a token before": ({"post_processor": {"type": "Sequence", "processors": [BYTE_LEVEL, template(MARK, TEXT)]}}, AROUND),
    "RoBERTa's": (
        {"post_processor": {"type": "RobertaProcessing", "sep": [END_OF_TEXT, 0], "cls": [END_OF_TEXT, 0], "trim_offsets": True,
                            "add_prefix_space": False}},
        AROUND,
    ),
    "BERT's": ({"post_processor": {"type": "BertProcessing", "sep": [END_OF_TEXT, 0], "cls": [END_OF_TEXT, 0]}}, AROUND),
    "all": (
        {"truncation": TRUNCATION, "padding": PADDING, "post_processor": template(MARK, TEXT, MARK)}, ["truncation", "padding", *AROUND],
    ),
}  # fmt: skip
"""Changes of a tokenizer.json, and what is said to be taken off."""


def trained_definition(folder: Path) -> dict[str, Any]:
    """A tokenizer.json of `VOCABULARY` tokens that does nothing unasked."""
    train_tokenizer(TEXTS, VOCABULARY, folder / "tokenizer.json")
    definition: dict[str, Any] = json.loads((folder / "tokenizer.json").read_text())
    return definition


def given_file(definition: dict[str, Any], folder: Path, **changes: Any) -> Path:
    """The definition with these changes as a file in the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps({**definition, **changes}))
    return folder / "tokenizer.json"
