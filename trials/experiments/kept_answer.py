"""Answers that took long are kept in an ablation's directory beside what was asked, and measured again only where that changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from analysis.records.files import write_whole
from analysis.records.json_text import parse_json, read_json
from analysis.records.json_writer import json_of


def kept_answer(file: Path, what: str, asked: Any, measure: Callable[[], Any]) -> Any:
    """The file's answer to what is asked, else that of `measure`, which is kept there; both as JSON has them.

    `what` names the file's content where it cannot be read, a SpecError.
    """
    asked = parse_json(json_of(asked))
    stored = read_json(file, what, "delete it to have them measured again") if file.is_file() else {}
    if stored.get("asked") != asked:
        stored = parse_json(json_of({"asked": asked, "found": measure()}))
        write_whole(file, f"{json_of(stored, indent=2)}\n".encode())
    return stored["found"]
