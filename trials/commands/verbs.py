"""Every verb of the command line, and the parser that knows them; nothing heavy is imported."""

from __future__ import annotations

import argparse
import re
import signal
import textwrap
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

from search_space.errors import unknown_key
from trials.commands import (
    begin,
    compare,
    devices,
    evaluate,
    jobs,
    laws,
    longer,
    results,
    shapes,
    standing,
    studies,
    submit,
    terms,
    tune,
    winners,
)
from trials.commands.talk import DONE


@dataclass(frozen=True, slots=True)
class Verb:
    """What does the work of one word on the command line."""

    run: Callable[[argparse.Namespace], int]
    """Loads, calls, prints and returns an exit code; its docstring is the verb's help. Heavy imports stand inside it."""
    add_arguments: Callable[[argparse.ArgumentParser], None]
    """Tells a parser what `run` reads."""
    example: str = ""
    """What follows the verb in an example that its help shows."""
    goes_on: bool = False
    """Whether the same command goes on where it was interrupted."""
    is_a_study: bool = False
    """Whether it runs a study, whose end somebody may want to hear of."""

    @property
    def sentence(self) -> str:
        """What the verb does, for its own help."""
        return " ".join((self.run.__doc__ or "").split())

    def interrupted(self, number: int) -> str:
        """The sentence after a signal: what came, what is left, and how to go on."""
        return f"archfront: interrupted by {signal.Signals(number).name}; {self._next}"

    def vanished(self, what: str) -> str:
        """The sentence where the work ended before it was done; `what` ended, and how, such as "its process was ended by SIGKILL"."""
        return f"archfront: {what}; {self._next}"

    @property
    def _next(self) -> str:
        return "what was recorded is kept, and the same command continues" if self.goes_on else "run the same command again"


def add_completion_arguments(parser: argparse.ArgumentParser) -> None:
    """What `completion` reads."""
    parser.add_argument("shell", choices=("bash", "zsh"), help="the shell that is to complete verbs, options and files")


def completion(options: argparse.Namespace) -> int:
    """Print what completes archfront's verbs and options in a shell."""
    import shtab

    print(shtab.complete(parser(), options.shell))
    return DONE


CLUSTER = "--address http://127.0.0.1:8265"
VERBS = {
    "init": Verb(begin.init, begin.add_init_arguments, "--name mine --text texts/*.txt --parameters 1M --hours 2"),
    "plan": Verb(studies.plan, studies.add_plan_arguments, "studies/quickstart.yaml"),
    "describe": Verb(shapes.describe, shapes.add_describe_arguments, "mobilellm-125m"),
    "sample": Verb(shapes.sample, shapes.add_sample_arguments, "studies/quickstart.yaml -n 5"),
    "run": Verb(studies.run, studies.add_run_arguments, "studies/quickstart.yaml", goes_on=True, is_a_study=True),
    "status": Verb(standing.study_status, standing.add_status_arguments, "runs/quickstart --follow"),
    "ablate": Verb(studies.ablate, studies.add_ablate_arguments, "studies/mobilellm/mlp.yaml", goes_on=True),
    "report": Verb(results.report, results.add_report_arguments, "runs/quickstart --verbose"),
    "choose": Verb(winners.choose_trial, winners.add_choose_arguments, "runs/quickstart 7 --because 'fast enough'"),
    "export": Verb(winners.export, winners.add_export_arguments, "runs/quickstart --pick knee --format hf,gguf"),
    "latency": Verb(devices.latency, devices.add_latency_arguments, "mobilellm-125m --precision int8"),
    "profile-device": Verb(devices.profile_device, devices.add_profile_device_arguments, "studies/quickstart.yaml", goes_on=True),
    "lr-check": Verb(longer.lr_check, longer.add_lr_check_arguments, "studies/quickstart.yaml", goes_on=True),
    "validate": Verb(longer.validate, longer.add_validate_arguments, "studies/quickstart.yaml --times 4", goes_on=True),
    "promote": Verb(longer.promote, longer.add_promote_arguments, "runs/quickstart --times 2", goes_on=True),
    "train": Verb(longer.train_winner, longer.add_train_arguments, "runs/quickstart --pick knee --tokens 100M", goes_on=True),
    "fit": Verb(laws.fit, laws.add_fit_arguments, "runs.csv --params N --tokens D --loss loss"),
    "explain": Verb(terms.explain, terms.add_explain_arguments, "study.proxy.tokens"),
    "evaluate": Verb(evaluate.evaluate_models, evaluate.add_evaluate_arguments, "runs/quickstart --data tasks --tasks blimp,piqa"),
    "compare": Verb(compare.compare_models, compare.add_compare_arguments, "runs/quickstart --ways float16,w8a8,int4,prune50+int8"),
    "tune": Verb(tune.tune, tune.add_tune_arguments, "runs/quickstart --data chats.jsonl --output chat-model"),
    "judge": Verb(
        evaluate.judge_models,
        evaluate.add_judge_arguments,
        "chat-model other-model --data chats.jsonl --judge-url http://127.0.0.1:8000/v1",
    ),
    "ui": Verb(results.ui, results.add_ui_arguments, "runs/quickstart"),
    "track": Verb(standing.track, standing.add_track_arguments, "runs/quickstart --optuna sqlite:///quickstart.db"),
    "completion": Verb(completion, add_completion_arguments, "bash > archfront.bash"),
    "job submit run": Verb(submit.submit_run, submit.add_run_job_arguments, f"studies/quickstart.yaml {CLUSTER}"),
    "job submit validate": Verb(submit.submit_validate, submit.add_validate_job_arguments, f"studies/quickstart.yaml --times 4 {CLUSTER}"),
    "job submit promote": Verb(submit.submit_promote, submit.add_promote_job_arguments, f"studies/quickstart.yaml --times 2 {CLUSTER}"),
    "job submit lr-check": Verb(submit.submit_lr_check, submit.add_lr_check_job_arguments, f"studies/quickstart.yaml {CLUSTER}"),
    "job submit ablate": Verb(submit.submit_ablate, submit.add_ablate_job_arguments, f"studies/mobilellm/mlp.yaml {CLUSTER}"),
    "job submit profile-device": Verb(
        submit.submit_profile_device, submit.add_profile_device_job_arguments, f"studies/quickstart.yaml {CLUSTER}"
    ),
    "job submit train": Verb(
        submit.submit_train, submit.add_train_job_arguments, f"studies/quickstart.yaml --pick knee --tokens 100M {CLUSTER}"
    ),
    "job list": Verb(jobs.job_list, jobs.add_list_arguments, f"{CLUSTER}"),
    "job status": Verb(jobs.job_status, jobs.add_job_status_arguments, f"quickstart-1a2b3c4d {CLUSTER}"),
    "job logs": Verb(jobs.job_logs, jobs.add_logs_arguments, f"quickstart-1a2b3c4d --follow {CLUSTER}"),
    "job fetch": Verb(jobs.job_fetch, jobs.add_fetch_arguments, f"quickstart-1a2b3c4d runs/quickstart {CLUSTER}", goes_on=True),
    "job stop": Verb(jobs.job_stop, jobs.add_job_arguments, f"quickstart-1a2b3c4d {CLUSTER}"),
}
"""The verbs by the words on the command line, in the order of `archfront --help`."""
GROUPS = {"job": "Run studies on a Ray cluster.", "job submit": "Have a cluster run a study, or train further for one."}
"""What the verbs under a first word, or two, have in common."""
USUAL_VERB = {"job submit": "run"}
"""The verb of a group that is meant where a YAML file stands in its place."""
PURPOSES = {
    "Before a study": ("init", "plan", "sample", "describe", "latency", "profile-device", "lr-check"),
    "A study": ("run", "status", "job"),
    "What it found": ("report", "ui", "track", "choose", "export", "train", "evaluate", "compare", "tune", "judge"),
    "How far it holds": ("promote", "validate", "ablate", "fit"),
    "Words and shells": ("explain", "completion"),
}
"""The verbs, or their first words, by what a person wants; the order of `archfront --help`."""
WRONG_VERB = re.compile(r"argument VERB: invalid choice: '(.*?)' \(choose from (.*)\)", re.DOTALL)


class VerbParser(argparse.ArgumentParser):
    """A parser that names the likeliest verb where one is mistyped."""

    whole: str | None = None
    """All that `--help` prints; None for what argparse makes of the arguments."""
    usual: str | None = None
    """The verb under this word that is meant where a YAML file stands in its place."""
    verbs: Collection[str] = ()
    """The verbs under this word, where a usual one may be meant."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """What argparse makes of the arguments, with the usual verb where they name none."""
        if self.usual is not None and args and _has_no_verb(args, self.verbs):
            args = [self.usual, *args]
        return super().parse_known_args(args, namespace)

    def format_help(self) -> str:
        """What `--help` prints."""
        return super().format_help() if self.whole is None else self.whole

    def error(self, message: str) -> NoReturn:
        """End with 2 and a sentence."""
        if found := WRONG_VERB.fullmatch(message):
            raise unknown_key(f"the verb {found[1]}", found[1], re.findall(r"[\w-]+", found[2]))
        super().error(message)


class _Version(argparse.Action):
    """Print the version; what knows it is imported only then."""

    def __call__(self, parser: argparse.ArgumentParser, *others: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("archfront")
        except PackageNotFoundError:  # it runs where it lies, as in a Ray job
            found = "of a working directory, which is not installed"
        print(f"archfront {found}")
        parser.exit()


@cache
def parser() -> argparse.ArgumentParser:
    """Every verb with its arguments; `options.verb` is its key in `VERBS`."""
    top = VerbParser(prog="archfront")
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and end")
    under: dict[str, Any] = {"": top.add_subparsers(prog="archfront", metavar="VERB", required=True)}
    top.whole = purposes()

    def add(name: str, sentence: str) -> VerbParser:
        group, _, word = name.rpartition(" ")
        if group not in under:
            over = add(group, GROUPS[group])
            over.usual = USUAL_VERB.get(group)
            under[group] = over.add_subparsers(title="verbs", metavar="VERB", required=True)
            over.verbs = under[group].choices  # those that are added later too
        made: VerbParser = under[group].add_parser(
            word,
            help=_short(sentence),
            description=sentence,
            epilog=f"example: archfront {name} {VERBS[name].example}" if name in VERBS else None,
        )
        return made

    for name, verb in VERBS.items():
        made = add(name, verb.sentence)
        made.set_defaults(verb=name)
        verb.add_arguments(made)
    return top


def _has_no_verb(args: Sequence[str], verbs: Collection[str]) -> bool:
    """Whether a YAML file stands in a verb's place, behind options or not."""
    if args[0].startswith("-") and any(word in verbs for word in args):
        return False
    return any(word.endswith((".yaml", ".yml")) for word in (args if args[0].startswith("-") else args[:1]))


def purposes() -> str:
    """What `archfront --help` prints: the verbs by what a person wants, each with what it does."""
    said = {**GROUPS, **{name: verb.sentence for name, verb in VERBS.items()}}
    lines = [
        "usage: archfront VERB ...",
        "",
        "Find the shapes of small language models that are best for accuracy and latency.",
        "",
    ]
    for purpose, names in PURPOSES.items():
        lines += [f"{purpose}:"]
        for name in names:
            lines += textwrap.wrap(_short(said[name]), 76, initial_indent=f"  {name:<15} ", subsequent_indent=" " * 18)
        lines += [""]
    return "\n".join([*lines, "archfront VERB --help shows a verb's arguments and an example.", ""])


def _short(sentence: str) -> str:
    return f"{sentence[:1].lower()}{sentence[1:].removesuffix('.')}"
