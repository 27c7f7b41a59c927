"""A given tokenizer without what changes a text's ids unasked, and whether texts come back from their ids as they were.

Documents are encoded whole and without tokens around them, and an export must give those ids where a user calls its tokenizer with no
options at all: so truncation, padding and templates that put tokens around a text are taken off wherever the file is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trials.corpus.given_tokenizer import read_definition
from trials.corpus.tokenizer import load_exported

UNASKED = ("truncation", "padding")
ADDS_NOTHING = "ByteLevel"
"""Kind of post-processor that moves offsets alone."""
TEXTS_BY_KIND = {
    "a leading space": " def f(x):",
    "spaces, tabs and line ends": "a  b\t\tc \r\n\n  d ",
    "accents that stand alone": "cafe\u0301 A\u030a",
    "characters of compatibility": "\ufb01 \u212b \u2460 \uff21 \u00bd",
    "capitals": "Straße ÉCOLE İstanbul",
    "scripts": "Ελληνικά русский עברית العربية हिन्दी ไทย 日本語 中文 한국어",
    "emoji": "👩‍👩‍👧 🇨🇭 ✌🏽",
    "control characters": "a\x07b\x00c\u200bd\ufeff",
    "digits": "1234567890 1,000.50",
    "quotes": "it's I'LL \"x\" `y` don't",
}
"""Short texts by what they have."""


def without_unasked(definition: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What a tokenizer.json says without what is unasked, and what that was in words, none where it had nothing of the kind."""
    found = {**definition}
    taken = [key for key in UNASKED if found.get(key) is not None]
    found |= dict.fromkeys(taken)
    processor = found.get("post_processor")
    if processor is not None:
        steps = processor.get("processors", []) if processor["type"] == "Sequence" else [processor]
        kept = [step for step in steps if step["type"] == ADDS_NOTHING]
        if len(kept) < len(steps):
            found["post_processor"] = kept[0] if kept else None
            taken.append("the tokens that its template puts around a text")
    return found, taken


def unasked(file: Path) -> list[str]:
    """What is taken off of a tokenizer.json, in words; raises SpecError where it cannot be used."""
    return without_unasked(read_definition(file)[1])[1]


def changed_texts(file: Path) -> Iterator[str]:
    """Kinds of text among `TEXTS_BY_KIND` that do not come back from their ids; raises SpecError where the tokenizer cannot be used."""
    tokenizer = load_exported(file)
    for name, text in TEXTS_BY_KIND.items():
        if tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) != text:
            yield name
