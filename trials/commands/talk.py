"""What every verb says with: data to stdout, talk to stderr."""

from __future__ import annotations

import json
import sys
from typing import Any

DONE, STUDY_FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
"""What a verb ends with."""


def say(text: str) -> None:
    """Talk to the person, past the data."""
    print(text, file=sys.stderr, flush=True)


def emit(value: Any) -> None:
    """Print data."""
    print(json.dumps(value, indent=2))
