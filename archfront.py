"""The front door: finds the verb, and turns what goes wrong into a sentence and an exit code."""

from __future__ import annotations

import signal
import sys

if (
    sys.platform == "linux"
    and (__name__ == "__main__" or sys.argv[0].rpartition("/")[2] == "archfront")
    and "--multiprocessing-fork" not in sys.orig_argv  # what a pool spawns imports the program again, and hears signals as any process
):
    # first of all: what asks this program to end waits from here on until `supervised` hears it, and ends with a sentence and no frames
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})

import argparse
import os
from collections.abc import Sequence
from contextlib import suppress
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

if "trials" not in sys.modules:  # ours are beside this file, whatever has their names where somebody works, as an `analysis` of their own
    for package in ("search_space", "analysis", "trials"):
        spec = PathFinder.find_spec(package, [os.path.dirname(os.path.abspath(__file__))])
        if spec is not None and spec.loader is not None:
            sys.modules[package] = module_from_spec(spec)
            spec.loader.exec_module(sys.modules[package])

from search_space.errors import SpecError, WorkError
from trials.commands.paths import require_usable, system_refusal
from trials.commands.talk import DONE, STUDY_FAILED, WRONG_INPUT, hush_libraries, say, spell_out
from trials.commands.verbs import VERBS, Verb, parser
from trials.machine.supervision import INTERRUPTED, supervised
from trials.progress.end_news import EndNews


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns 0 done, 1 the study failed, 2 the input is wrong, 128 and a signal's number where one interrupted.

    Without `arguments` this is the program: the verb runs in a process of its own, and this one sees to its end.
    """
    if arguments is None:
        spell_out()
    try:
        try:
            options = parser().parse_args(arguments)
        finally:  # where --help ends
            print(end="", flush=True)
    except SpecError as error:
        say(f"archfront: {error}")
        return WRONG_INPUT
    except OSError as error:
        return _refused(error, argparse.Namespace(), arguments is None)
    verb = VERBS[options.verb]
    news = EndNews(options.study, options.directory, say) if verb.is_a_study else None
    stopping = news.begin if news is not None else lambda code: None
    if arguments is None and sys.platform == "linux":
        code = supervised(lambda: _run(verb, options, is_program=True), verb.interrupted, verb.vanished, stopping)
    else:
        try:
            code = _run(verb, options)
        except KeyboardInterrupt:
            say(verb.interrupted(signal.SIGINT))
            code = INTERRUPTED + signal.SIGINT
    if news is not None:
        news.finish(code)
    return code


def _run(verb: Verb, options: argparse.Namespace, is_program: bool = False) -> int:
    if is_program:
        hush_libraries()
    try:
        require_usable(options)
        code = verb.run(options)
        print(end="", flush=True)  # where the disk of what is printed is full, it says so only here
        return code
    except SpecError as error:
        say(f"archfront: {error}")
        return WRONG_INPUT
    except WorkError as error:
        say(f"archfront: {error}")
        return STUDY_FAILED
    except OSError as error:
        return _refused(error, options, is_program)


def _refused(error: OSError, options: argparse.Namespace, is_program: bool) -> int:
    """Say what the system refuses, and return the code to end with; what it does not know a file of is a fault of ours, and raised."""
    told = system_refusal(error, options)
    is_gone = isinstance(error, BrokenPipeError)  # the reader of our output went away, as `head` does
    if told is None and not is_gone:
        raise error
    if is_gone or (is_program and error.filename is None):  # what could not be printed is not tried again at the end
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if is_gone:
        return DONE
    say(f"archfront: {told}")
    return WRONG_INPUT if isinstance(told, SpecError) else STUDY_FAILED


if __name__ == "__main__":
    sys.exit(main())
