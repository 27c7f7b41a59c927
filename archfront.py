"""The front door: each verb loads, calls and prints. Data goes to stdout, talk to stderr."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_space.errors import SpecError

if TYPE_CHECKING:
    from search_space.architecture import Architecture

DONE, STUDY_FAILED, WRONG_INPUT = 0, 1, 2
DEFAULT_CONTEXT_TOKENS = 2048


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns 0 done, 1 the study failed, 2 the input is wrong, 130 interrupted."""
    options = parser().parse_args(arguments)
    verb: Callable[[argparse.Namespace], int] = options.verb
    try:
        return verb(options)
    except SpecError as error:
        say(f"archfront: {error}")
        return WRONG_INPUT
    except KeyboardInterrupt:
        say("archfront: interrupted; what was recorded is kept, and the same command continues")
        return 130
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def say(text: str) -> None:
    """Talk to the person, past the data."""
    print(text, file=sys.stderr, flush=True)


def emit(value: Any) -> None:
    """Print data."""
    print(json.dumps(value, indent=2))


def describe(options: argparse.Namespace) -> int:
    """Print the closed forms of a shape and the exports that it can have."""
    from search_space import describe as sheet
    from trials.export import supported_exports

    shape = read_shape(options.shape)
    facts = {"name": options.shape, **sheet.describe(shape, options.context_tokens), "exports": supported_exports(shape)}
    if options.json:
        emit(facts)
        return DONE
    for name, value in facts.items():
        if isinstance(value, dict):
            print(name)
            for key, inner in value.items():
                print(f"  {key:<24} {_readable('possible' if name == 'exports' and inner is None else inner)}")
        else:
            print(f"{name:<26} {_readable(value)}")
    return DONE


def sample(options: argparse.Namespace) -> int:
    """Print distinct shapes of a study's space, one a line."""
    from search_space.cost import parameters
    from trials.study import load_study

    space = load_study(options.study).search_space
    space.require_feasible()
    shapes = space.sample(options.count, options.seed)
    for shape in shapes:
        spent = parameters(shape)
        print(json.dumps({"architecture": shape.as_dict(), "parameters": spent}) if options.json else f"{spent:>14,}  {shape.label}")
    if len(shapes) < options.count:
        say(f"archfront: the space has {len(shapes):,} distinct shapes that spend the budget, fewer than the {options.count:,} asked for")
    return DONE


def plan(options: argparse.Namespace) -> int:
    """Print what a study will cost; trains nothing."""
    from trials.plan import plan_study
    from trials.study import load_study

    made = plan_study(load_study(options.study))
    if options.json:
        emit(made.as_dict())
    else:
        print(made)
    return DONE


def read_shape(name: str) -> Architecture:
    """A family's name, or a YAML or JSON file with an architecture."""
    from search_space import describe as sheet
    from search_space.architecture import Architecture

    if not sheet.is_file_name(name):
        return sheet.named_shape(name)
    import yaml

    try:
        values = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(f"{name} is not a file; name a file that is, or a family such as mobilellm-125m") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SpecError(f"{name} cannot be read as YAML or JSON ({type(error).__name__}); name an architecture's file") from None
    try:
        return Architecture.from_dict(values.get("architecture", values) if isinstance(values, dict) else values)
    except SpecError as error:
        raise SpecError(f"{name}: {error}") from None


def _readable(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def parser() -> argparse.ArgumentParser:
    """Every verb with its options; imports nothing heavy."""
    top = argparse.ArgumentParser(prog="archfront", description="Find the shapes of small language models that are best for accuracy and latency.")
    verbs = top.add_subparsers(title="verbs", metavar="VERB", required=True)

    def verb(name: str, function: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        made.set_defaults(verb=function)
        return made

    def json_option(made: argparse.ArgumentParser, text: str) -> None:
        made.add_argument("--json", action="store_true", help=text)

    made = verb("plan", plan, "say what a study will cost, training nothing")
    made.add_argument("study", metavar="STUDY", help="a study's YAML file")
    json_option(made, "print one JSON object")

    made = verb("describe", describe, "print a shape's parameters, FLOPs, bytes and possible exports")
    made.add_argument("shape", metavar="NAME|FILE", help="a published shape such as mobilellm-125m, or an architecture's YAML or JSON file")
    made.add_argument("--context-tokens", type=positive, default=DEFAULT_CONTEXT_TOKENS, metavar="N", help="length at which FLOPs and cache are counted (default %(default)s)")
    json_option(made, "print one JSON object")

    made = verb("sample", sample, "print distinct shapes of a study's space")
    made.add_argument("study", metavar="STUDY", help="a study's YAML file")
    made.add_argument("-n", "--count", type=positive, default=10, metavar="N", help="how many (default %(default)s)")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="which ones (default %(default)s)")
    json_option(made, "print one JSON object a line: architecture and parameters")
    return top


def positive(text: str) -> int:
    """An argument that counts something."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, found {number}")
    return number


if __name__ == "__main__":
    sys.exit(main())
