"""Arguments that several verbs take, and the kinds of number that one may be; nothing heavy is imported."""

from __future__ import annotations

import argparse

LARGEST_PORT = 65_535


def add_study(parser: argparse.ArgumentParser, text: str = "a study's YAML file") -> None:
    """The YAML file that says what is asked."""
    parser.add_argument("study", metavar="STUDY", help=text)


def add_directory(parser: argparse.ArgumentParser, text: str = "a study's directory") -> None:
    """The directory of a study that has been run."""
    parser.add_argument("directory", metavar="DIR", help=text)


def add_shape(parser: argparse.ArgumentParser) -> None:
    """One shape, by name or as a file."""
    text = "a published shape such as mobilellm-125m, or an architecture's YAML or JSON file"
    parser.add_argument("shape", metavar="NAME|FILE", help=text)


def add_tracking_uri(parser: argparse.ArgumentParser) -> None:
    """Where MLflow keeps a study's runs."""
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow's server or database (default: SQLite in the directory)")


def add_json(parser: argparse.ArgumentParser, text: str = "print one JSON object") -> None:
    """Print data for a program in place of text for a person."""
    parser.add_argument("--json", action="store_true", help=text)


def positive(text: str) -> int:
    """An argument that counts something."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, found {number}")
    return number


def port(text: str) -> int:
    """An argument that is a TCP port."""
    number = positive(text)
    if number > LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"must be at most {LARGEST_PORT}, found {number}")
    return number
