"""Verbs that ask models: a task's questions, and prompts whose answers a judge compares."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from search_space.errors import SpecError
from trials.commands.arguments import add_json, counted, names, positive, seed
from trials.commands.paths import given
from trials.commands.talk import DONE, at_width, emit, output_width, say

if TYPE_CHECKING:
    from analysis.records.record import TrialRecord
    from analysis.statistics.arrays import Array
    from analysis.tasks.pairwise import Preference
    from trials.models.loaded_model import LoadedModel
    from trials.reporting.stored_study import StoredStudy
    from trials.tuning.comparison_by_judge import DrawnAnswers

USUAL_PICK = "recommended"
USUAL_PROMPTS = 100


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """What `evaluate` reads."""
    add = parser.add_argument
    text = "a study's directory, a Hugging Face folder or a GGUF file; each further one is held against the first on the same questions"
    add("models", type=given("MODEL"), metavar="MODEL", nargs="+", help=text)
    add_tasks(parser, is_required=True)
    harness = (
        "ask by lm-evaluation-harness: its tasks by its names, its data from the hub, its figures; needs archfront[evals] and a network"
    )
    add("--harness", action="store_true", help=harness)
    published = "print what MobileLLM's authors published below, with source and grade, marked as not measured here"
    add("--published", action="store_true", help=published)
    shots = "with --harness, examples before each question in place of the task's own number"
    add("--shots", type=counted(64, least=0), metavar="N", help=shots)
    add_which_trial(parser)
    add_json(parser, "print a JSON list with an object for each model")


def add_which_trial(parser: argparse.ArgumentParser) -> None:
    """Which trial of a study's directory is meant."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--trial", type=counted(10**9, least=0), metavar="N", help="of a study's directory, the trial of that number")
    pick = f"of a study's directory, a member of the front as for export (default {USUAL_PICK})"
    which.add_argument("--pick", metavar="WORD", help=pick)


def add_tasks(parser: argparse.ArgumentParser, *, is_required: bool) -> None:
    """The tasks whose questions are asked, and where they lie."""
    add = parser.add_argument
    tasks = "tasks with commas, such as piqa,blimp, each a file of that name in the folder of --data; NAME=FILE for any other file"
    add("--tasks", type=names, required=is_required, metavar="LIST", help=tasks)
    add("--data", type=given("--data"), metavar="FOLDER", help="where the tasks' files lie, .jsonl, .json or .parquet, named as the tasks")
    add("--limit", type=positive, metavar="N", help="ask the first N questions of each task")


def evaluate_models(options: argparse.Namespace) -> int:
    """Ask models the questions of tasks, and say how often the right answer was the likeliest, with intervals."""
    require_a_study(options)
    if options.harness:
        return _by_harness(options)
    if options.shots is not None:
        raise SpecError("--shots must go with --harness, which has the examples of its tasks, found it alone; leave it out")
    from trials.tasks.task_files import read_tasks

    tasks = read_tasks(options.tasks, None if options.data is None else Path(options.data), options.limit)
    require_models(options.models)
    from analysis.tasks.published import published_figures
    from analysis.tasks.task_result import paired_difference, rights, task_result
    from analysis.terminal.task_text import TASK_MEANING, published_text, tasks_text
    from analysis.text.words import plural
    from trials.models.scoring import scored

    first: dict[str, Array] = {}
    printed, width = [], output_width()
    for place, path in enumerate(options.models):
        model = model_at(Path(path), options)
        results, against = [], {}
        for task in tasks:
            say(f"archfront: {model.name}: {task.name}, {plural(len(task.questions), 'question')}")
            found = scored(model, task.questions)
            results.append(task_result(task.name, found))
            right = rights(found)
            if place == 0:
                first[task.name] = right
            else:
                against[task.name] = paired_difference(right, first[task.name])
        printed.append(
            {
                "model": model.name,
                "precision": model.precision,
                "context_tokens": model.context_tokens,
                "tasks": [asdict(each) | {"at_chance": each.at_chance} for each in results],
                "against_first": {name: asdict(apart) for name, apart in against.items()} or None,
            }
        )
        if not options.json:
            print(f"{tasks_text(model.name, results, against, str(options.models[0]), width)}\n", flush=True)
    if options.json:
        emit([*printed, *([{"published": asdict(published_figures())}] if options.published else [])])
    else:
        print(at_width(TASK_MEANING, width, indent=2))
        if options.published:
            print(f"\n{at_width(published_text(published_figures(), width), width, indent=2)}")
    return DONE


def add_judge_arguments(parser: argparse.ArgumentParser) -> None:
    """What `judge` reads."""
    add = parser.add_argument
    text = (
        "a study's directory, a Hugging Face folder or a GGUF file; each further one is held against the first; one alone judges the judge"
    )
    add("models", type=given("MODEL"), metavar="MODEL", nargs="+", help=text)
    add_which_trial(parser)
    data = "chats as JSON lines, as for tune; what stands before the last answer of each is the prompt"
    add("--data", type=given("--data"), required=True, metavar="FILE", help=data)
    add("--limit", type=positive, default=USUAL_PROMPTS, metavar="N", help="the first N chats (default %(default)s)")
    url = "an endpoint that takes chats as OpenAI's does, such as http://127.0.0.1:8000/v1; prompts and answers are sent there"
    add("--judge-url", required=True, metavar="URL", help=url)
    add("--judge-model", default="default", metavar="NAME", help="what the endpoint calls the judge (default: %(default)s)")
    add("--judge-key", metavar="NAME", help="variable of the environment with the key that the endpoint wants")
    add("--seed", type=seed, default=0, metavar="N", help="of the answers that are drawn (default %(default)s)")
    add_json(parser, "print a JSON list with an object for each comparison")


def judge_models(options: argparse.Namespace) -> int:
    """Have answers of models judged in pairs by an OpenAI-compatible endpoint, places swapped, and the judge by a model against itself."""
    from analysis.tasks.pairwise import preference
    from analysis.terminal.pairwise_text import preference_text
    from trials.tuning.chat import read_chats
    from trials.tuning.judge import Judge

    require_a_study(options)
    key = None
    if options.judge_key is not None and not (key := os.environ.get(options.judge_key)):
        raise SpecError(
            "--judge-key must name a variable of the environment that holds a key, found none of the name that is given; set it, and give "
            "its name, not the key"
        )
    judge = Judge(options.judge_url, options.judge_model, key)
    chats = read_chats(Path(options.data), options.limit)
    require_models(options.models)
    judge.require_reply()
    from trials.tuning.comparison_by_judge import drawn_answers, preferred
    from trials.tuning.judge import JudgeStoppedError

    first = model_at(Path(options.models[0]), options)
    ours, again = (drawn_answers(first, chats, options.seed + more) for more in (0, 1))
    rows: list[tuple[str, Preference]] = []

    def judged(name: str, some: DrawnAnswers, others: DrawnAnswers) -> None:
        try:
            rows.append((name, preferred(judge, some, others, _told)))
        except JudgeStoppedError as error:
            if (found := preference(error.found)) is not None:
                rows.append((f"{name}, as far as it was judged", found))
            raise

    try:
        judged(f"{first.name} against itself", ours, again)
        for path in options.models[1:]:
            other = model_at(Path(path), options)
            judged(f"{other.name} against {first.name}", drawn_answers(other, chats, options.seed), ours)
    finally:  # what was judged before something failed was paid for
        if rows and options.json:
            emit(
                [
                    {"comparison": name, **asdict(found), "is_even": found.is_even, "is_place_even": found.is_place_even}
                    for name, found in rows
                ]
            )
        elif rows:
            print(at_width(preference_text(rows, width := output_width()), width, indent=2))
    return DONE


def require_models(models: Sequence[str]) -> None:
    """Raise SpecError for a model's file that cannot be one, before torch, which takes seconds, is imported."""
    from trials.models.first_glance import require_whole

    for path in map(Path, models):
        if not is_study(path):
            require_whole(path)


def _told(number: int) -> None:
    if number % 25 == 0:
        say(f"archfront: {number} pairs judged")


def is_study(path: Path) -> bool:
    """Whether records of a study lie there."""
    from analysis.records.record import RECORDS

    return (path / RECORDS).is_file()


def require_a_study(options: argparse.Namespace) -> None:
    """Raise SpecError where a trial is named and no model is a study's."""
    flag = "--trial" if options.trial is not None else "--pick" if options.pick is not None else None
    if flag is not None and not any(is_study(Path(path)) for path in options.models):
        raise SpecError(f"{flag} must go with a study's directory, found {options.models[0]}, which has no records.jsonl; leave {flag} out")


def _by_harness(options: argparse.Namespace) -> int:
    """Print the harness' figures of its own tasks."""
    if options.published:
        raise SpecError("--published must stand without --harness, found both; leave one out")
    if options.data is not None:
        raise SpecError("--harness must stand without --data: its data sets come from the hub, found both; leave one out")
    if any("=" in name for name in options.tasks):
        raise SpecError("--harness must stand without files of --tasks, found NAME=FILE; leave one out")
    if find_spec("lm_eval") is None:
        raise SpecError("--harness must have lm-evaluation-harness, found none; pip install 'archfront[evals]', or name files with --data")
    from analysis.terminal.task_text import harness_text
    from trials.models.harness import harness_figures

    printed = []
    for path in options.models:
        model = model_at(Path(path), options)
        figures = harness_figures(model, options.tasks, options.shots, options.limit)
        printed.append({"model": model.name, "figures": [asdict(figure) for figure in figures]})
        if not options.json:
            print(f"{harness_text(model.name, figures, output_width())}\n", flush=True)
    if options.json:
        emit(printed)
    return DONE


def model_at(path: Path, options: argparse.Namespace) -> LoadedModel:
    """The model at a path, of a study's directory the trial that is asked for."""
    from trials.models.load_model import load_model

    if not is_study(path):
        return load_model(path)
    from trials.reporting.stored_study import read_study

    stored = read_study(path)
    return trial_model(stored, asked_trial(stored, options))


def asked_trial(stored: StoredStudy, options: argparse.Namespace) -> TrialRecord:
    """The trial that is asked for by number or word."""
    from trials.export.export_trial import pick

    return stored.record(options.trial) if options.trial is not None else pick(stored, options.pick or USUAL_PICK)


def trial_model(stored: StoredStudy, record: TrialRecord) -> LoadedModel:
    """A trial of a study as a model."""
    from trials.models.trained_model import load_trained
    from trials.study.directory import tokenizer_file, weights_file

    tokenizer = tokenizer_file(stored.directory, record.architecture.vocab_size)
    weights = weights_file(stored.directory, record.number)
    name = f"{stored.directory}, trial {record.number}"
    return load_trained(name, record.architecture, weights, tokenizer, stored.study.proxy.context_tokens)
