"""What every verb says with: data to stdout, talk to stderr."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Any

from analysis.records.json_writer import json_of
from trials.machine.native_output import own_descriptor

DONE, STUDY_FAILED, WRONG_INPUT = 0, 1, 2
"""What a verb ends with."""
OUR_LOGGERS = ("search_space", "analysis", "trials")
"""Ours; whoever else logs or warns does not talk to the person."""


def say(text: str) -> None:
    """Talk to the person, past the data."""
    print(text, file=sys.stderr, flush=True)


def emit(value: Any) -> None:
    """Print data."""
    print(json_of(value, indent=2))


def hush_libraries() -> None:
    """Let this process and those that it starts show warnings of ours alone, each as a sentence."""
    own_descriptor()
    ours = logging.StreamHandler()
    ours.setFormatter(logging.Formatter("archfront: %(message)s"))
    for name in OUR_LOGGERS:
        logging.getLogger(name).addHandler(ours)
    logging.lastResort = logging.NullHandler()  # else it shows what has no handler
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        os.environ["PYTHONWARNINGS"] = "ignore"
