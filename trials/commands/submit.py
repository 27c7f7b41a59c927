"""Verbs that send a study to a Ray cluster, to be worked on there: every verb that trains or measures, as a job."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search_space.errors import SpecError
from trials.commands.arguments import add_study, add_study_directory, add_tracking, tags_of
from trials.commands.devices import add_profile_arguments
from trials.commands.longer import (
    RUN_BEFORE,
    add_promotion_arguments,
    add_ranking_arguments,
    add_rate_arguments,
    add_training_arguments,
    require_length,
    stated_training,
    training_asked,
)
from trials.commands.paths import Use, given
from trials.commands.studies import add_ablations
from trials.commands.talk import DONE

if TYPE_CHECKING:
    from trials.study.spec import StudySpec

ADDRESS = "of the cluster's dashboard, such as http://127.0.0.1:8265"
ABLATIONS = "ablations"
TRAINING_WORDS = (
    "trial", "pick", "recipe", "tokens", "tokenizer", "devices", "seed", "threads", "state_seconds", "tracking_uri", "license",
)  # fmt: skip
"""What `train` is told that is one word; beside them its subject and its text."""
STUDY_THERE = "~/archfront/NAME there, an absolute path on the cluster"


def add_run_job_arguments(parser: argparse.ArgumentParser) -> None:
    """What `submit_run` reads."""
    add_study(parser)
    _add_directory(parser, "where the records go, an absolute path on the cluster (default ~/archfront/NAME there)")
    add_tracking(parser)
    _add_job(parser)


def submit_run(options: argparse.Namespace) -> int:
    """Have a cluster run a study, or continue it: ships the code and what the study names, and prints the job's id."""
    tags = tags_of(options)
    name = _passed(options.study, options.directory).name
    words = [*_words(options, "tracking_uri", "experiment"), *(word for key, value in tags.items() for word in ("--tag", f"{key}={value}"))]
    return _submit(options, "run", name, [options.study], options.directory or f"~/archfront/{name}", words)


def add_validate_job_arguments(parser: argparse.ArgumentParser) -> None:
    """What `submit_validate` reads."""
    add_study(parser, RUN_BEFORE)
    _add_directory(parser, "the study's directory, an absolute path on the cluster (default ~/archfront/NAME there)")
    add_ranking_arguments(parser)
    _add_job(parser)


def submit_validate(options: argparse.Namespace) -> int:
    """Have a cluster train shapes of a study longer, as `validate` does, and print the job's id."""
    from trials.experiments.asked import require_ranking

    require_ranking(options.shapes, options.times)
    name = _passed(options.study, options.directory).name
    directory = options.directory or f"~/archfront/{name}"
    return _submit(options, "validate", name, [options.study], directory, _words(options, "shapes", "times"))


def add_promote_job_arguments(parser: argparse.ArgumentParser) -> None:
    """What `submit_promote` reads."""
    add_study(parser, RUN_BEFORE)
    _add_directory(parser, "the study's directory, an absolute path on the cluster (default ~/archfront/NAME there)")
    add_promotion_arguments(parser)
    _add_job(parser)


def submit_promote(options: argparse.Namespace) -> int:
    """Have a cluster train the shapes of a study's front longer, as `promote` does, and print the job's id."""
    from trials.experiments.asked import require_promotion

    study = _passed(options.study, options.directory)
    require_promotion(study, options.times)
    name = study.name
    directory = options.directory or f"~/archfront/{name}"
    return _submit(options, "promote", name, [options.study], directory, _words(options, "times", "top", "most_telling"))


def add_lr_check_job_arguments(parser: argparse.ArgumentParser) -> None:
    """What `submit_lr_check` reads."""
    add_study(parser)
    where = (
        "where the trainings are kept, an absolute path on the cluster (default: beside the study's directory, ~/archfront/NAME-lr-check)"
    )
    _add_directory(parser, where)
    add_study_directory(parser, Use.ELSEWHERE, STUDY_THERE)
    add_rate_arguments(parser)
    _add_job(parser)


def submit_lr_check(options: argparse.Namespace) -> int:
    """Have a cluster train a spread of shapes at several learning rates, as `lr-check` does, and print the job's id."""
    from trials.experiments.asked import require_rates

    study = _passed(options.study, options.study_directory)
    require_rates(study, options.rates)
    read = options.study_directory or f"~/archfront/{study.name}"
    directory = options.directory or f"{read.rstrip('/')}-lr-check"
    words = _words(options, "shapes", "rates", "tokens")
    return _submit(options, "lr-check", study.name, [options.study], directory, words, read)


def add_ablate_job_arguments(parser: argparse.ArgumentParser) -> None:
    """What `submit_ablate` reads."""
    add_ablations(parser)
    _add_directory(parser, f"where records go, an absolute path on the cluster (default ~/archfront/NAME there, of several {ABLATIONS})")
    _add_job(parser)


def submit_ablate(options: argparse.Namespace) -> int:
    """Have a cluster train the arms of ablations, as `ablate` does, and print the job's id."""
    from trials.commands.gate import ablations_passed
    from trials.jobs.shipment import ablation_as_shipped

    found = [ablation_as_shipped(Path(file)) for file in options.file]
    for ablation, has_text in found:
        ablations_passed([ablation], [options.scale], has_text=has_text, trains_here=False)
    name = found[0][0].name if len(found) == 1 else ABLATIONS
    directory = options.directory or f"~/archfront/{name}"
    return _submit(options, "ablate", name, options.file, directory, _words(options, "scale", "workers"))


def add_profile_device_job_arguments(parser: argparse.ArgumentParser) -> None:
    """What `submit_profile_device` reads."""
    add_study(parser, "a study's YAML file: its space, sizes and workload")
    _add_directory(parser, "where the table latency.jsonl goes, an absolute path on the cluster (default ~/archfront/NAME-device there)")
    add_study_directory(parser, Use.ELSEWHERE, STUDY_THERE)
    add_profile_arguments(parser)
    _add_job(parser)


def submit_profile_device(options: argparse.Namespace) -> int:
    """Have a cluster's latency device measured, as `profile-device` does, and print the job's id."""
    from trials.latency.device_profile import latency_spec, require_fit

    require_fit(options.shapes)
    study = _passed(options.study, options.study_directory)
    latency_spec(study.latency, options.runtime, options.precision)
    study.search_space.require_feasible()
    name = study.name
    read, directory = options.study_directory or f"~/archfront/{name}", options.directory or f"~/archfront/{name}-device"
    words = _words(options, "runtime", "precision", "shapes", "checks")
    return _submit(options, "profile-device", name, [options.study], directory, words, read)


def add_train_job_arguments(parser: argparse.ArgumentParser) -> None:
    """What `submit_train` reads."""
    what = "the YAML file of a study that ran on the cluster, a study's directory of this machine, or a configuration as for train"
    parser.add_argument("subject", type=given("STUDY|DIR|CONFIG"), metavar="STUDY|DIR|CONFIG", help=what)
    where = "where the training is kept, an absolute path on the cluster (default ~/archfront/NAME-train there, with the trial or word)"
    _add_directory(parser, where)
    add_study_directory(parser, Use.ELSEWHERE, STUDY_THERE)
    add_training_arguments(parser)
    _add_job(parser)


def submit_train(options: argparse.Namespace) -> int:
    """Have a cluster train a winner, or a configuration, for real, as `train` does, and print the job's id."""
    from trials.jobs import training_shipment as shipment
    from trials.jobs.shipment import one_of_each

    path, read, files = Path(options.subject), None, dict[str, Path]()
    if is_study := shipment.is_study_file(path):
        stated_training(options)
        require_length(options)
        name = _passed(options.subject, options.study_directory).name
        stem = f"{name}-{options.pick or 'recommended'}" if options.trial is None else f"{name}-{options.trial:04d}"
        read, told = options.study_directory or f"~/archfront/{name}", []
    else:
        if options.study_directory is not None:
            raise SpecError(f"--study-directory must go with a study's YAML file, found {path}; leave it out")
        subject, recipe, _ = training_asked(options)
        recipe.of(subject.shape, options.tokens)
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", subject.stem).strip("-._") or "configuration"
        name = stem if subject.stored is None else subject.stored.study.name
        if subject.stored is not None and not options.data:
            shipment.require_no_relative_text(subject.stored.study.corpus, name)
        word, files = shipment.study_there(path) if subject.file is None else shipment.configuration_there(subject.file)
        told = [word]
    if options.data or not is_study:
        data, texts = shipment.text_there(options.data or (), options.tokenizer)
        files = one_of_each(files, texts)
    else:
        data = [path.name]
    if options.recipe is not None:
        options.recipe, file = shipment.recipe_there(options.recipe)
        files = one_of_each(files, file)
    words = [*told, *(["--data", *data] if data else []), *_words(options, *TRAINING_WORDS)]
    directory = options.directory or f"~/archfront/{stem}-train"
    return _submit(options, "train", name, [options.subject] if is_study else [], directory, words, read, files)


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Which cluster is asked."""
    parser.add_argument("--address", required=True, metavar="URL", help=ADDRESS)


def _add_directory(parser: argparse.ArgumentParser, where: str) -> None:
    parser.add_argument("--directory", type=given("--directory", Use.ELSEWHERE), metavar="DIR", help=where)


def _add_job(parser: argparse.ArgumentParser) -> None:
    carry = "a variable of this environment that the job's driver gets too, sealed on its way; may be given again"
    parser.add_argument("--env", action="append", default=[], metavar="NAME", help=carry)
    add_cluster(parser)


def _passed(file: str, directory: str | None) -> StudySpec:
    """A study that has passed the gate as its job will read it."""
    from trials.commands.gate import passed
    from trials.jobs.shipment import as_shipped

    study, has_text = as_shipped(Path(file), directory)
    passed(study, has_text=has_text, trains_here=False)
    return study


def _words(options: argparse.Namespace, *names: str) -> list[str]:
    """Options as a person types them, those that were not given left out."""
    found = {name: getattr(options, name) for name in names}
    return [word for name, value in found.items() if value is not None for word in (f"--{name.replace('_', '-')}", str(value))]


def _submit(
    options: argparse.Namespace,
    verb: str,
    name: str,
    files: Sequence[str],
    directory: str,
    words: Sequence[str],
    study_directory: str | None = None,
    beside: Mapping[str, Path] = {},
) -> int:
    from trials.jobs.carrying import carried
    from trials.jobs.order import Order

    order = Order(
        verb=verb,
        study=name,
        files=tuple(map(Path, files)),
        directory=directory,
        study_directory=study_directory,
        beside=beside,
        words=tuple(words),
    )
    order.require_lasting()
    variables = carried(options.env)
    from trials.jobs.submit import submit

    print(submit(order, options.address, variables=variables))
    return DONE
