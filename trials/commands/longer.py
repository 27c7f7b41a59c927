"""Verbs that train further: to judge what a study said, or a winner for real."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from search_space.errors import SpecError
from trials.commands.arguments import (
    add_address,
    add_directory,
    add_json,
    add_study,
    add_study_directory,
    counted,
    few,
    positive,
    price,
    seconds_given,
    seed,
    times,
)
from trials.commands.paths import Use, given
from trials.commands.talk import DONE, at_width, emit, output_width, say

if TYPE_CHECKING:
    from analysis.fidelity.rank_validity import LongRun
    from trials.pretraining.recipes import TrainingRecipe
    from trials.pretraining.subject import Subject

RUN_BEFORE = "the YAML file of a study that has been run"


def add_lr_check_arguments(parser: argparse.ArgumentParser) -> None:
    """What `lr_check` reads."""
    add_study(parser)
    where = "where the trainings are kept; the same command continues (default: beside the study's directory, such as runs/NAME-lr-check)"
    parser.add_argument("--directory", type=given("--directory", Use.FOLDER), metavar="DIR", help=where)
    add_study_directory(parser)
    add_rate_arguments(parser)
    add_address(parser)
    add_json(parser)


def add_rate_arguments(parser: argparse.ArgumentParser) -> None:
    """What says which shapes are trained at which rates."""
    add = parser.add_argument
    add("--shapes", type=few, default=6, metavar="N", help="from deep-thin to wide-shallow (default %(default)s)")
    add(
        "--rates",
        type=counted(99),
        default=5,
        metavar="N",
        help="factors of 2 around the study's rates, an odd number (default %(default)s)",
    )
    add("--tokens", type=positive, metavar="N", help="training tokens in place of the study's")


def lr_check(options: argparse.Namespace) -> int:
    """Train a spread of shapes at several learning rates and say whether the study's suits them all."""
    from trials.cluster.ray_address import is_here
    from trials.commands.gate import passed, tell_of_no_study, workplace
    from trials.study.load_study import load_begun

    tell_of_no_study(options.study_directory)
    study, begun_in, _ = load_begun(Path(options.study), options.study_directory)
    passed(study, trains_here=is_here(options.address))
    from analysis.fidelity.lr_transfer import check_directory, rate_table
    from trials.experiments.lr_check import run_rate_check

    directory = Path(options.directory) if options.directory else check_directory(begun_in)
    with workplace(study, options.address) as place:
        found = run_rate_check(
            study,
            directory,
            shapes=options.shapes,
            rates=options.rates,
            tokens=options.tokens,
            workplace=place,
            progress=lambda count, total, run: say(f"{count} of {total}: {run.title}"),
        )
    if options.json:
        emit(found.as_dict())
    else:
        print(at_width(rate_table(found, width := output_width()), width, indent=0))
    _track_beside(begun_in)
    return DONE


def add_validate_arguments(parser: argparse.ArgumentParser) -> None:
    """What `validate` reads."""
    add_study(parser, RUN_BEFORE)
    where = "the study's directory; the same command continues (default runs/NAME)"
    parser.add_argument("--directory", type=given("--directory", Use.FOLDER), metavar="DIR", help=where)
    add_ranking_arguments(parser)
    add_address(parser)
    add_json(parser)


def add_ranking_arguments(parser: argparse.ArgumentParser) -> None:
    """What says how many shapes are trained how much longer."""
    add = parser.add_argument
    add("--shapes", type=few, default=12, metavar="N", help="from the best to the worst loss (default %(default)s)")
    add("--times", type=times, default=4.0, metavar="X", help="how many times longer (default %(default)g)")


def validate(options: argparse.Namespace) -> int:
    """Train shapes of a study longer and say whether its short trainings rank them alike; what failed is tried again."""
    from trials.cluster.ray_address import is_here
    from trials.commands.gate import passed, workplace
    from trials.study.load_study import load_begun

    study, directory, text = load_begun(Path(options.study), options.directory)
    passed(study, directory, trains_here=is_here(options.address))
    from analysis.fidelity.rank_validity import validity_sentences
    from trials.experiments.validate import run_validation
    from trials.reporting.stored_study import read_study, report_study

    with workplace(study, options.address) as place:
        found = run_validation(
            study,
            directory,
            study_text=text,
            shapes=options.shapes,
            times=options.times,
            origin=Path(options.study).resolve().parent,
            workplace=place,
            progress=_say_run,
        )
    if options.json:
        emit(asdict(found))
    else:
        print(at_width("\n".join(validity_sentences(found)), output_width(), indent=0))
    say(f"\nreport   {report_study(read_study(directory))}")
    _track_beside(directory)
    return DONE


def add_promote_arguments(parser: argparse.ArgumentParser) -> None:
    """What `promote` reads."""
    add_directory(parser, "the directory of a study that has been run; the same command continues")
    add_promotion_arguments(parser)
    named = "the study's YAML, where it lies elsewhere by now than when it was run (default DIR/study.yaml)"
    parser.add_argument("--study", type=given("--study"), metavar="FILE", help=named)
    add_address(parser)
    add_json(parser)


def add_promotion_arguments(parser: argparse.ArgumentParser) -> None:
    """What says which members of a front are trained how much longer."""
    add = parser.add_argument
    add("--times", type=times, default=2.0, metavar="X", help="how many times longer, at most 8 (default %(default)g)")
    add("--top", type=positive, metavar="N", help="those most likely on the front alone (default: its members and near-ties)")
    telling = "so many shapes, with those trained so before, each the one that then says most about the front there for its FLOPs"
    add("--most-telling", type=positive, metavar="N", help=telling)


def promote(options: argparse.Namespace) -> int:
    """Train the shapes of a front longer and say whether their order held."""
    from trials.cluster.ray_address import is_here
    from trials.commands.gate import passed, workplace
    from trials.study.load_study import STUDY, load_begun, load_stored

    directory, origin = Path(options.directory), None
    if options.study is None:
        study, text = load_stored(directory), (directory / STUDY).read_text(encoding="utf-8")
    else:
        study, _, text = load_begun(Path(options.study), options.directory)
        origin = Path(options.study).resolve().parent
    passed(study, directory, trains_here=is_here(options.address))
    from analysis.terminal.experiment_text import promotion_text
    from trials.experiments.promote import run_promotion

    with workplace(study, options.address) as place:
        asked = {"times": options.times, "top": options.top, "most_telling": options.most_telling, "origin": origin}
        found = run_promotion(study, directory, study_text=text, **asked, workplace=place, progress=_say_run)
    if options.json:
        emit(asdict(found))
    else:
        print(at_width(promotion_text(found, width := output_width()), width, indent=0))
    if options.most_telling and len(found.shapes) < options.most_telling:
        say(f"{options.most_telling} were asked for and {len(found.shapes)} are trained: no other would change the front there much")
    _track_beside(directory)
    return DONE


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """What `train` reads."""
    add = parser.add_argument
    what = "a study's directory, or a configuration: a folder of `export --parameters`, a config.json or an architecture's file"
    add("subject", type=given("DIR|CONFIG"), metavar="DIR|CONFIG", help=what)
    add_training_arguments(parser)
    cluster = "a running Ray cluster that trains; with --devices its nodes must see the folder (default: this machine)"
    add_address(parser, cluster)
    add(
        "--output",
        type=given("--output", Use.FOLDER),
        metavar="FOLDER",
        help="where to; the same command continues (default runs/NAME-train)",
    )
    add("--price-per-hour", type=price, metavar="PRICE", help="price of an hour of this machine, for what it costs")
    add("--plan", action="store_true", help="say what it will take, and end")
    add_json(parser)


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """What says what is trained, and how, wherever that is."""
    add = parser.add_argument
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--trial", type=counted(10**9, least=0), metavar="N", help="of a study's directory, the trial of that number")
    which.add_argument("--pick", metavar="WORD", help="of a study's directory, a member of the front as for export (default recommended)")
    recipe = "mobilellm-120k, mobilellm-480k, or a file (default: the study's own; of a configuration, the default of its size)"
    add("--recipe", type=given("--recipe"), metavar="NAME|FILE", help=recipe)
    add("--tokens", type=positive, metavar="N", help="training tokens in place of the recipe's; of a study's own recipe they must be given")
    text = "the text: files, python-stdlib, or a study's YAML (default: the study's own)"
    add("--data", type=given("--data"), nargs="+", metavar="FILE", help=text)
    named = (
        "with --data, a tokenizer.json, a folder with one, or a name on the hub (default: the study's; of a configuration one is learned)"
    )
    add("--tokenizer", metavar="NAME", help=named)
    parts = "processes that each take a part of every batch, by Ray Train; on GPUs one each (default %(default)s)"
    add("--devices", type=few, default=1, metavar="N", help=parts)
    add("--seed", type=seed, metavar="N", help="of weights and order of the text (default: one that chose nothing in the study)")
    add("--threads", type=few, metavar="N", help="threads of the processor (default: all of them)")
    add(
        "--state-seconds",
        type=seconds_given,
        default=60.0,
        metavar="S",
        help="between two states that it can go on from (default %(default)g)",
    )
    tracked = "MLflow's server or database for a run with live curves (default: the study's, where it is tracked; else none)"
    add("--tracking-uri", metavar="URI", help=tracked)
    add("--license", metavar="NAME", help="what the model's card states for the Hugging Face hub (default: unknown)")


def train_winner(options: argparse.Namespace) -> int:
    """Train a winner, or a configuration, for real: resumable, with weights and tokenizer kept as a model that transformers loads."""
    subject, recipe, uri = training_asked(options)
    proxy = recipe.of(subject.shape, options.tokens).plain()
    from trials.cluster.ray_address import is_here
    from trials.commands.gate import workplace
    from trials.corpus.prepare import require_corpus
    from trials.training.conditions import own_sequences

    own_sequences(proxy.batch_sequences, (0, options.devices))
    require_corpus(subject.corpus, [subject.shape.vocab_size])
    from trials.pretraining.outlook import outlook_lines
    from trials.pretraining.whole import foreseen_of, train_whole, wanted_of

    folder = Path(options.output or Path("runs", f"{subject.stem}-train"))
    with workplace(None, options.address) as place:
        wanted = wanted_of(subject, recipe, proxy, folder, options.seed, options.threads, options.devices, place)
        foreseen = foreseen_of(subject, wanted, folder)
        lines = list(outlook_lines(wanted, options.price_per_hour, trains_here=is_here(options.address)))
        lines.append(f"foreseen    {foreseen if isinstance(foreseen, str) else foreseen.sentence}")
        if options.plan:
            emit({"statement": wanted.as_dict(), "lines": lines}) if options.json else print(at_width("\n".join(lines), output_width()))
            return DONE
        say("\n".join(lines))
        settings = {"state_seconds": options.state_seconds, "license_name": options.license, "tracking_uri": uri}
        done = train_whole(subject, wanted, folder, foreseen, say=say, address=options.address, place=place, **settings)
    if done.verified:
        say(done.verified)
    if options.json:
        emit(done.as_dict())
    else:
        print(at_width(done.text, output_width()))
    return DONE


def training_asked(options: argparse.Namespace) -> tuple[Subject, TrainingRecipe, str | None]:
    """What is to be trained, by which recipe, and the address of tracking; SpecError for what can be refused before torch is imported."""
    from trials.pretraining.recipes import recipe_by_size, recipe_of_study
    from trials.pretraining.subject import require_leavable, subject_of

    asked, uri = stated_training(options)
    subject = subject_of(Path(options.subject), options.trial, options.pick, options.data, options.tokenizer)
    require_leavable(subject)
    if subject.notice is not None:
        say(f"archfront: {subject.notice}")
    if asked is not None:
        return subject, asked, uri
    if subject.stored is None:
        return subject, recipe_by_size(subject.shape), uri
    require_length(options)
    return subject, recipe_of_study(subject.stored.study.name, subject.stored.study.proxy), uri


def stated_training(options: argparse.Namespace) -> tuple[TrainingRecipe | None, str | None]:
    """The recipe and the address of tracking that a command states, None for what it leaves open; its licence is one that the hub knows."""
    if options.license is not None:
        from trials.export.front_matter import require_license

        require_license(options.license)
    from trials.pretraining.recipes import recipe_named
    from trials.tracking.tracking_uri import settled_uri

    if options.tokenizer is not None and not options.data:
        raise SpecError("--tokenizer must go with --data, found it alone: a study's text has its study's; leave it out")
    uri = None if options.tracking_uri is None else settled_uri(options.tracking_uri)
    return (None if options.recipe is None else recipe_named(options.recipe)), uri


def require_length(options: argparse.Namespace) -> None:
    """Raise SpecError where a trial is to follow its study's own recipe, and nobody says for how long."""
    if options.tokens is None and options.recipe is None:
        raise SpecError("--tokens must say how long the study's own recipe is followed, found neither it nor --recipe; give one")


def _track_beside(directory: Path) -> None:
    """Have MLflow show, beside a study that is tracked, what was just found."""
    from trials.tracking.mlflow_location import PLACE

    if not (directory / PLACE).is_file():
        return
    from analysis.report.study_page import REPORT
    from trials.reporting.stored_study import read_study
    from trials.tracking.mlflow_tracker import Tracker

    stored = read_study(directory)
    Tracker(directory, stored.study, stored.text).bring_up_to_date(stored.records, stored.finals, directory / REPORT)


def _say_run(count: int, total: int, run: LongRun) -> None:
    say(f"{count} of {total}: #{run.number} {run.reason or f'{run.bits_per_byte:.3f} bits per byte'}")
