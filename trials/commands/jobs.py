"""Verbs on jobs of a Ray cluster."""

from __future__ import annotations

import argparse
from pathlib import Path

from trials.commands.talk import DONE


def job_submit(options: argparse.Namespace) -> int:
    """Ship the code and a study to a Ray cluster and print the job's id."""
    from trials.driver.jobs import submit
    from trials.study.spec import load_study

    load_study(options.study)
    print(submit(Path(options.study), options.address, directory=options.directory, tracking_uri=options.tracking_uri))
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
