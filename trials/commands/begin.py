"""The verb that writes a person's first study."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from analysis.text.typed import typed
from search_space.errors import SpecError, quoted, refused, require_local
from trials.catalogue.runtimes import USUAL_RUNTIME
from trials.commands.arguments import counted, price
from trials.commands.paths import Use, given
from trials.commands.talk import DONE, say
from trials.machine.native_output import person
from trials.study.first_study import MOST_TRIALS, STATED_RUNTIMES, FirstStudy

Answer = TypeVar("Answer")
TRIED = (8, MOST_TRIALS)
"""Trials of two plans, from which the seconds of one more are told."""


def add_init_arguments(parser: argparse.ArgumentParser) -> None:
    """What `init` reads."""
    add = parser.add_argument
    add("--name", metavar="WORD", help="of the study and of its file (default: asked, or my-study)")
    add("--text", nargs="+", metavar="TEXT", help="your text: files or quoted globs (default: asked, or this Python's source text)")
    add("--parameters", type=counted(10**10, 20_000), metavar="N", help="the budget, such as 1M (default: asked, or 1M)")
    add("--device", choices=("cpu", "gpu"), help="what trains (default: asked, or cpu)")
    add("--runtime", choices=STATED_RUNTIMES, help="what measures the latency (default: asked, or the one that a study has)")
    add("--hours", type=price, metavar="HOURS", help="how long it may take, by a plan on this machine (default: asked, or 24 shapes)")
    add("--output", type=given("--output", Use.PAGE), metavar="PATH", help="the study's file (default NAME.yaml)")


def init(options: argparse.Namespace) -> int:
    """Write a commented study for your own text, budget, device and time; what no flag says is asked on a terminal."""
    asks = sys.stdin.isatty() and person().isatty()
    name = _answer(options.name, "name of the study", "my-study", _study_name, asks)
    try:
        _study_name(name)
    except argparse.ArgumentTypeError as error:  # of the flag: on a terminal it is asked for again
        raise SpecError(f"--name {error}") from None
    texts = _answer(options.text, "your text, files or globs (Enter: this Python's source text)", [], _paths, asks)
    for text in texts:
        require_local(text, "--text")
    output = Path(options.output or f"{name}.yaml")
    if output.exists():
        raise SpecError(f"{output} must not be there yet, found a file; remove it, or name another with --output")
    study = FirstStudy(
        name=name,
        files=tuple(_as_seen_from(output.absolute().parent, text) for text in texts),
        parameters=_answer(options.parameters, "parameters of every shape", 1_000_000, counted(10**10, 20_000), asks),
        gpus=int(_answer(options.device, "what trains, cpu or gpu", "cpu", _one_of("cpu", "gpu"), asks) == "gpu"),
        runtime=_answer(options.runtime, "what measures the latency", USUAL_RUNTIME, _one_of(*STATED_RUNTIMES), asks),
        hours=_answer(options.hours, "hours that it may take (Enter: 24 shapes, however long)", None, price, asks),
    )
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(study.text)
    except OSError as error:
        raise refused(error, output, "be a file that can be written", "name another with --output") from None
    try:
        _settle(study, output)
    except BaseException:
        output.unlink(missing_ok=True)
        raise
    print(output)
    say(f"next     archfront plan {typed(output)}")
    return DONE


def _settle(study: FirstStudy, output: Path) -> None:
    """See that the study in the file can be run, and give it as many trials as its hours, by this machine's pace, and its space hold."""
    from trials.plans.check_study import check
    from trials.plans.foretell import ExpectedTrials
    from trials.study.load_study import load_study

    first = check(load_study(output))
    made = study if study.hours is None else _within_hours(study, output)
    output.write_text(made.text, encoding="utf-8")
    expected = ExpectedTrials(load_study(output), first)
    if expected.trials < made.trials:
        output.write_text(replace(made, trials=expected.trials).text, encoding="utf-8")
    from analysis.text import words

    say(f"archfront: {words.trials_text(expected.trials, len(first.references), expected.replicates)}")


def _within_hours(study: FirstStudy, output: Path) -> FirstStudy:
    """The study with as many trials as its hours hold; where that cannot be told, or they hold too few, with a word on it."""
    from analysis.text import words
    from trials.plans.plan_study import plan_study  # torch, and where this machine's pace is not known, a few steps are timed
    from trials.plans.time_plan import BUSY_SHARE
    from trials.study.load_study import load_study

    plans = []
    for trials in TRIED:
        output.write_text(replace(study, trials=trials).text, encoding="utf-8")
        plans.append(plan_study(load_study(output)))
    few, more = plans
    if few.time.estimated_seconds is None or more.time.estimated_seconds is None:
        say("archfront: this machine cannot tell how long a trial takes on the device that trains, so the study has the usual trials")
        return study
    share = few.time.processor_share or 1.0  # of one moment for both: what else begins or ends meanwhile would count as time of trials
    fewest, most = few.time.estimated_seconds, more.time.estimated_seconds * (more.time.processor_share or 1.0) / share
    each = max(0.0, (most - fewest) / (more.trials - few.trials)) if more.trials > few.trials else 0.0
    made = study.within(each, fewest - few.trials * each)
    expected = fewest + (made.trials - few.trials) * each
    if study.hours is not None and expected > study.hours * 3600:
        cure = "fewer --parameters, or a shorter proxy.tokens in the file, take less; so does a machine that has nothing else to do"
        few_shapes = f"{words.plural(made.trials, 'shape')} are the fewest that make a front, and take about {words.duration(expected)}"
        if share < BUSY_SHARE:
            few_shapes += f" beside what else is at work here now, {words.duration(share * expected)} without it"
        say(f"archfront: {few_shapes}; {cure}")
    return made


def _answer(said: Answer | None, question: str, default: Answer, read: Callable[[str], Answer], asks: bool) -> Answer:
    """What a flag said, or else a person does; the default where nobody can be asked, or the answer is empty."""
    if said is not None:
        return said
    while asks:
        print(f"{question} [{default or ''}]: ", end="", file=person(), flush=True)
        line = sys.stdin.readline()
        if not line.strip():
            return default
        try:
            return read(line.strip())
        except argparse.ArgumentTypeError as error:
            say(f"it {error}")
    return default


def _study_name(text: str) -> str:
    from trials.study.section import plain_name

    try:
        return plain_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(words)}, found {quoted(text)}")
        return text

    return read


def _paths(text: str) -> list[str]:
    """Paths as a shell would take them: quoted where they have blanks, `~` for the home."""
    try:
        return [os.path.expanduser(path) for path in shlex.split(text)]
    except ValueError:
        raise argparse.ArgumentTypeError(f"must have quotes in pairs, found {quoted(text)}") from None


def _as_seen_from(folder: Path, text: str) -> str:
    """A path or glob of this working directory, relative to where the study's file lies if it lies below."""
    path = os.path.abspath(text)
    return os.path.relpath(path, folder) if Path(path).is_relative_to(folder) else path
