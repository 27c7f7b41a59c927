"""Verbs on jobs of a Ray cluster."""

from __future__ import annotations

import argparse
from pathlib import Path

from trials.commands.arguments import add_study, add_tracking, tags_of
from trials.commands.paths import Use, given
from trials.commands.talk import DONE


def add_submit_arguments(parser: argparse.ArgumentParser) -> None:
    """What `job_submit` reads."""
    add_study(parser)
    where = "where the records go, an absolute path on the cluster (default ~/archfront/NAME there)"
    parser.add_argument("--directory", type=given("--directory", Use.ELSEWHERE), metavar="DIR", help=where)
    add_tracking(parser)
    _add_address(parser)


def add_logs_arguments(parser: argparse.ArgumentParser) -> None:
    """What `job_logs` reads."""
    parser.add_argument("job", metavar="JOB", help="the id that submit printed")
    parser.add_argument("--follow", action="store_true", help="go on until the job ends")
    _add_address(parser)


def add_job_arguments(parser: argparse.ArgumentParser) -> None:
    """What `job_status` and `job_stop` read."""
    parser.add_argument("job", metavar="JOB", help="the id that submit printed")
    _add_address(parser)


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--address", required=True, metavar="URL", help="of the cluster's dashboard, such as http://127.0.0.1:8265")


def job_submit(options: argparse.Namespace) -> int:
    """Ship the code and a study to a cluster and print the job's id."""
    from trials.commands.gate import passed
    from trials.driver.shipment import as_shipped

    tags = tags_of(options)
    study, has_text = as_shipped(Path(options.study), options.directory)
    passed(study, has_text=has_text, trains_here=False)
    from trials.driver.jobs import submit

    print(
        submit(
            Path(options.study),
            options.address,
            directory=options.directory,
            tracking_uri=options.tracking_uri,
            experiment=options.experiment,
            tags=tags,
        )
    )
    return DONE


def job_status(options: argparse.Namespace) -> int:
    """Print how a job stands."""
    from trials.driver.jobs import status

    print(status(options.job, options.address))
    return DONE


def job_logs(options: argparse.Namespace) -> int:
    """Print what a job printed."""
    from trials.driver.jobs import logs

    for text in logs(options.job, options.address, follow=options.follow):
        print(text, end="", flush=True)
    return DONE


def job_stop(options: argparse.Namespace) -> int:
    """Stop a job; its records are kept."""
    from trials.driver.jobs import stop

    print(stop(options.job, options.address))
    return DONE
