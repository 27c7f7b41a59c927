"""Arguments that several verbs take, and the kinds of number that one may be; nothing heavy is imported."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

from search_space.errors import SpecError, quoted
from search_space.sizes import written_number
from trials.commands.paths import Use, given
from trials.tracking.tracking_uri import LONGEST_TAG

LARGEST_PORT, MOST_TIMES, MOST_PRICE, LONGEST_CONTEXT, MOST_MS, MOST_SECONDS = 65_535, 1000, 1_000_000, 1 << 20, 1e9, 1e9
MOST_GRAMS = 10_000
"""Grams of carbon dioxide a kilowatt hour: several times what coal has."""
LONGEST_EXPERIMENT = 250
TAG_KEY = r"\w[\w./-]{0,249}"
RESERVED = ("mlflow.", "archfront.", "environment.")
"""Beginnings of the tags that MLflow and we write."""


def add_study(parser: argparse.ArgumentParser, text: str = "a study's YAML file") -> None:
    """The YAML file that says what is asked."""
    parser.add_argument("study", type=given("STUDY"), metavar="STUDY", help=text)


def add_study_directory(parser: argparse.ArgumentParser, use: Use = Use.FOLDER, default: str = "runs/NAME") -> None:
    """Where the study runs that is only read."""
    where = f"the directory that the study runs in: what it left open is what it began with there (default {default})"
    parser.add_argument("--study-directory", type=given("--study-directory", use), metavar="DIR", help=where)


def add_directory(parser: argparse.ArgumentParser, text: str = "a study's directory") -> None:
    """The directory of a study that has been run."""
    parser.add_argument("directory", type=given("DIR"), metavar="DIR", help=text)


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """Whether all that is known is said."""
    parser.add_argument("--verbose", action="store_true", help="say all that is known of the result, not a table and three sentences alone")


def add_shape(parser: argparse.ArgumentParser) -> None:
    """One shape, by name or as a file."""
    text = "a published shape such as mobilellm-125m, or an architecture's YAML or JSON file"
    parser.add_argument("shape", type=given("NAME|FILE"), metavar="NAME|FILE", help=text)


def add_address(
    parser: argparse.ArgumentParser, text: str = "a running Ray cluster, such as auto, that trains (default: this machine)"
) -> None:
    """Where a study's trainings run."""
    parser.add_argument("--address", metavar="ADDRESS", help=text)


def add_tracking(parser: argparse.ArgumentParser) -> None:
    """Where MLflow keeps a study's runs, and what it is told of them beside the study."""
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow's server or database (default: SQLite in the directory)")
    parser.add_argument("--experiment", type=experiment, metavar="NAME", help="MLflow's experiment (default: of the study's name)")
    tagged = "a tag of the study's run in MLflow, such as team=phones; may be given again"
    parser.add_argument("--tag", type=tag, action="append", default=[], metavar="KEY=VALUE", help=tagged)


def add_json(parser: argparse.ArgumentParser, text: str = "print one JSON object") -> None:
    """Print data for a program in place of text for a person."""
    parser.add_argument("--json", action="store_true", help=text)


def add_far(parser: argparse.ArgumentParser) -> None:
    """Whether a table's prediction is wanted however far outside of its shapes."""
    parser.add_argument("--far", action="store_true", help="predict latencies far outside of the table's shapes, too; they are marked")


def experiment(text: str) -> str:
    """An argument that names an experiment of MLflow's."""
    if not text.strip() or len(text) > LONGEST_EXPERIMENT or not text.isprintable():
        raise argparse.ArgumentTypeError(f"must be a name of at most {LONGEST_EXPERIMENT} letters, found {quoted(text)}; give another")
    return text.strip()


def tag(text: str) -> tuple[str, str]:
    """An argument that is a tag of MLflow's, as its key and its value."""
    key, _, value = (part.strip() for part in text.partition("="))
    if not re.fullmatch(TAG_KEY, key, re.ASCII) or not value or len(value) > LONGEST_TAG:
        raise argparse.ArgumentTypeError(
            f"must be KEY=VALUE, the key of letters, digits, dots, dashes, slashes and underscores, and the value of at most "
            f"{LONGEST_TAG:,} letters, found {quoted(text)}; write it so"
        )
    if (ours := next((prefix for prefix in RESERVED if key.startswith(prefix)), None)) is not None:
        raise argparse.ArgumentTypeError(
            f"must have a key that does not begin with {ours}, which is taken, found {quoted(key)}; choose another"
        )
    return key, value


def tags_of(options: argparse.Namespace) -> dict[str, str]:
    """All tags that were given, by their keys; SpecError where one is given twice."""
    keys = [key for key, _ in options.tag]
    if again := next((key for key in keys if keys.count(key) > 1), None):
        raise SpecError(f"a tag must be given once, found {again} again; leave out all but one")
    return dict(options.tag)


def counted(most: int, least: int = 1) -> Callable[[str], int]:
    """What reads an argument that counts something, `32k` and `1M` too, within bounds."""

    def read(text: str) -> int:
        number = written_number(text)
        if not isinstance(number, int):
            raise argparse.ArgumentTypeError(f"must be a whole number such as 64 or 32k, found {quoted(text)}; correct it")
        if number < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, found {number}")
        if number > most:
            raise argparse.ArgumentTypeError(f"must be at most {most:,}, found {quoted(number)}; lower it")
        return number

    return read


def names(text: str) -> list[str]:
    """An argument that lists names with commas between, each once."""
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"must be names with commas between, found {quoted(text)}, where one is empty; leave that out")
    if again := next((name for name in found if found.count(name) > 1), None):
        raise argparse.ArgumentTypeError(f"must have each name once, found {quoted(again)} again; leave it out")
    return found


def times(text: str) -> float:
    """An argument that says how many times longer; above 1 where a longer training judges."""
    number = written_number(text)
    if number is None or not 0 < number <= MOST_TIMES:
        raise argparse.ArgumentTypeError(f"must be a number above 0 and at most {MOST_TIMES:,}, found {quoted(text)}; correct it")
    return float(number)


def price(text: str) -> float:
    """An argument that is a price, in whatever currency."""
    number = written_number(text)
    if number is None or not 0 <= number <= MOST_PRICE:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to {MOST_PRICE:,}, such as 2.5, found {quoted(text)}; correct it")
    return float(number)


def grams_per_kwh(text: str) -> float:
    """An argument that says how much carbon dioxide a kilowatt hour stands for, in grams."""
    number = written_number(text)
    if number is None or not 0 <= number <= MOST_GRAMS:
        raise argparse.ArgumentTypeError(f"must be grams from 0 to {MOST_GRAMS:,}, such as 480, found {quoted(text)}; correct it")
    return float(number)


def above_zero_ms(text: str) -> float:
    """An argument that is a time in milliseconds, above 0; `2s` too."""
    number = written_number(text, "_ms")
    if number is None or not 0 < number <= MOST_MS:
        raise argparse.ArgumentTypeError(f"must be a number of milliseconds above 0, such as 40, found {quoted(text)}; correct it")
    return float(number)


def seconds_given(text: str) -> float:
    """An argument that is a time in seconds, above 0; `5min` too."""
    number = written_number(text, "_seconds")
    if number is None or not 0 < number <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, such as 60, found {quoted(text)}; correct it")
    return float(number)


positive = counted(10**13)
few = counted(1024)
seed = counted(2**32 - 1, least=0)
port = counted(LARGEST_PORT)
