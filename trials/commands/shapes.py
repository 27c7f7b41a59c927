"""Verbs on single shapes and on the shapes of a space."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.records.json_writer import json_of
from trials.commands.arguments import add_far, add_json, add_shape, add_study, positive, seed
from trials.commands.paths import given
from trials.commands.talk import DONE, emit, say

if TYPE_CHECKING:
    from search_space.architecture import Architecture

DESCRIBED_CONTEXT_TOKENS = 2048


def add_describe_arguments(parser: argparse.ArgumentParser) -> None:
    """What `describe` reads."""
    add_shape(parser)
    parser.add_argument(
        "--context-tokens",
        type=positive,
        default=DESCRIBED_CONTEXT_TOKENS,
        metavar="N",
        help="length at which FLOPs and cache are counted (default %(default)s)",
    )
    text = "predict the latency, too: a file of profile-device or its name"
    parser.add_argument("--device", type=given("--device"), metavar="TABLE", help=text)
    add_far(parser)
    add_json(parser)


def describe(options: argparse.Namespace) -> int:
    """Print a shape's parameters, FLOPs, bytes and possible exports."""
    from search_space import describe
    from trials.catalogue.formats import described_exports

    shape = counted_shape(options.shape)
    facts = {"name": options.shape, **describe.describe(shape, options.context_tokens), "exports": described_exports(shape)}
    if options.device is not None:
        from analysis.latency.device_report import predicted_facts
        from trials.latency.device_tables import find_table

        facts["predicted_latency"] = predicted_facts(find_table(options.device), shape, far=options.far)
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


def add_sample_arguments(parser: argparse.ArgumentParser) -> None:
    """What `sample` reads."""
    add_study(parser)
    parser.add_argument("-n", "--count", type=positive, default=10, metavar="N", help="how many (default %(default)s)")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="which ones (default %(default)s)")
    add_json(parser, "print one JSON object a line: architecture and parameters")


def sample(options: argparse.Namespace) -> int:
    """Print distinct shapes of a study's space."""
    from search_space.cost import parameters
    from trials.study.load_study import load_begun

    study, _, _ = load_begun(Path(options.study), None)
    space = study.search_space
    space.require_feasible()
    shapes = space.sample(options.count, options.seed)
    for shape in shapes:
        spent = parameters(shape)
        print(json_of({"architecture": shape.as_dict(), "parameters": spent}) if options.json else f"{spent:>14,}  {shape.label}")
    if len(shapes) < options.count:
        say(f"archfront: the space has {len(shapes):,} distinct shapes that spend the budget, fewer than the {options.count:,} asked for")
    return DONE


def shape_named(name: str) -> Architecture:
    """A family's name, or a YAML or JSON file with a shape that is built; what is passed over of it is said."""
    from search_space import describe

    if not describe.is_file_name(name):
        return describe.named_shape(name)
    from trials.trial.shape_file import read_shape

    shape, said = read_shape(Path(name))
    if said is not None:
        say(f"archfront: {said}")
    return shape


def counted_shape(name: str) -> Architecture:
    """A shape that is counted and not built: parts that no block here has are said where they change no count."""
    from analysis.text.words import joined
    from search_space import describe

    if not describe.is_file_name(name):
        return describe.named_shape(name)
    from trials.trial.shape_file import read_shape_file

    found = read_shape_file(Path(name))
    if found.parts:
        say(f"archfront: {name} is counted and cannot be built: no block here has {joined(list(found.parts))}")
    return found.shape


def _readable(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
