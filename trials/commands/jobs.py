"""Verbs on jobs of a Ray cluster."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.text.typed import typed
from trials.commands.arguments import add_json
from trials.commands.paths import Use, given
from trials.commands.standing import print_standing
from trials.commands.submit import add_cluster
from trials.commands.talk import DONE, emit, output_width, say

if TYPE_CHECKING:
    from trials.jobs.state import JobState


def add_list_arguments(parser: argparse.ArgumentParser) -> None:
    """What `job_list` reads."""
    add_cluster(parser)
    add_json(parser, "print a JSON list")


def add_job_status_arguments(parser: argparse.ArgumentParser) -> None:
    """What `job_status` reads."""
    add_job_arguments(parser)
    add_json(parser)


def add_fetch_arguments(parser: argparse.ArgumentParser) -> None:
    """What `job_fetch` reads."""
    parser.add_argument("job", metavar="JOB", help="the id that submit printed")
    where = "where the study's directory is to lie on this machine; the same one goes on"
    parser.add_argument("directory", type=given("DIR", Use.FOLDER), metavar="DIR", help=where)
    which = (
        "those of the front and of what is recommended or chosen, of all trials, or of none; of a training its own (default %(default)s)"
    )
    parser.add_argument("--weights", choices=("front", "all", "none"), default="front", help=which)
    add_cluster(parser)


def add_logs_arguments(parser: argparse.ArgumentParser) -> None:
    """What `job_logs` reads."""
    parser.add_argument("job", metavar="JOB", help="the id that submit printed")
    parser.add_argument("--follow", action="store_true", help="go on until the job ends")
    add_cluster(parser)


def add_job_arguments(parser: argparse.ArgumentParser) -> None:
    """What `job_stop` reads."""
    parser.add_argument("job", metavar="JOB", help="the id that submit printed")
    add_cluster(parser)


def job_list(options: argparse.Namespace) -> int:
    """List the jobs of studies that a cluster remembers, with who submitted each and how it stands."""
    from trials.jobs.state import jobs

    found, others = jobs(options.address)
    if options.json:
        emit([asdict(state) for state in found])
        return DONE
    from analysis.text.columns import wrapped_table
    from analysis.text.words import plural

    rows = [(state.job, state.owner, state.study, state.verb, state.status, _when(state.begun_at)) for state in found]
    heads = ("job", "owner", "study", "verb", "state", "begun")
    print(
        "\n".join(wrapped_table([heads, *rows], range(len(heads)), output_width())) if rows else f"{options.address} has no job of a study"
    )
    if others:
        say(f"{plural(others, 'job')} of other kinds: see `ray job list`")
    return DONE


def job_status(options: argparse.Namespace) -> int:
    """Say how a job stands: what its study has done and waits for, or how it ended."""
    from trials.jobs.standing_there import standing_there
    from trials.jobs.state import last_count, last_sentence, state_of

    state = state_of(options.job, options.address)
    there = standing_there(state, options.address) if state.status != "PENDING" and state.verb == "run" else None
    count = last_count(state.job, options.address) if state.verb != "run" else None
    sentence = last_sentence(state.job, options.address) if state.ended and state.code else None
    if options.json:
        emit({**asdict(state), "said": sentence, "count": count, "standing": there and there.standing and asdict(there.standing)})
        return DONE
    print(f"{_how(state)}{f': {sentence or state.message}' if state.code and state.ended else ''}")
    print(f"{state.verb} of {state.study} by {state.owner}, in {state.directory} on the cluster")
    if count is not None:
        print(count)
    if there is not None and there.standing is not None:
        print_standing(there.standing, there.said)
    elif there is not None:
        say(f"archfront: {there.said}")
    return DONE


def job_fetch(options: argparse.Namespace) -> int:
    """Bring the records, report and weights of a job's study home; the same command goes on where it was broken off."""
    from analysis.text.words import bytes_text, plural
    from trials.jobs.fetch import fetch_job

    directory = Path(options.directory)
    found = fetch_job(options.job, options.address, directory, options.weights, say)
    there = f"; {plural(found.there, 'file')} were there" if found.there else ""
    print(f"{plural(len(found.files), 'file')} came, {bytes_text(found.bytes)}{there}")
    say(_what_next(found.verb, directory))
    return DONE


def job_logs(options: argparse.Namespace) -> int:
    """Print what a job printed; with --follow until it ends, and then end with its exit code."""
    from trials.jobs.state import logs, state_of

    for text in logs(options.job, options.address, follow=options.follow):
        print(text, end="", flush=True)
    return state_of(options.job, options.address).code if options.follow else DONE


def job_stop(options: argparse.Namespace) -> int:
    """Stop a job; its records are kept."""
    from trials.jobs.state import stop

    print(stop(options.job, options.address))
    return DONE


def _what_next(verb: str, directory: Path) -> str:
    """What can be done here with what a job of that verb left."""
    if verb in ("ablate", "lr-check"):
        files = {"ablate": "FILE ...", "lr-check": "STUDY"}[verb]
        return f"table    archfront {verb} {files} --directory {typed(directory)}, with the job's options; it trains what is missing alone"
    if verb == "train":
        return f"model    archfront evaluate {typed(directory / 'model')} --tasks NAMES --data FOLDER"
    if verb == "profile-device":
        from trials.jobs.order import TABLE

        return f"table    name {typed(directory / TABLE)} in search.latency_table of a study"
    return f"report   archfront report {typed(directory)}\nexport   archfront export {typed(directory)} --pick recommended"


def _how(state: JobState) -> str:
    """`RUNNING for 12 min`, `FAILED with exit code 1 after 3 h`."""
    from analysis.text.words import duration

    code = f" with exit code {state.exit_code}" if state.exit_code is not None else ""
    if state.begun_at is None:
        return f"{state.status}{code}"
    until = state.ended_at if state.ended_at is not None else time.time()
    return f"{state.status}{code} {'after' if state.ended else 'for'} {duration(max(0.0, until - state.begun_at))}"


def _when(seconds: float | None) -> str:
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
