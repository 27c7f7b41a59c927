"""Every verb of the command line, and the parser that knows them; nothing heavy is imported."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Callable
from dataclasses import dataclass

from trials.commands import decisions, devices, jobs, laws, longer, results, shapes, studies, terms


@dataclass(frozen=True, slots=True)
class Verb:
    """What does the work of one word on the command line."""

    run: Callable[[argparse.Namespace], int]
    """Loads, calls, prints and returns an exit code; its docstring is the verb's help. Heavy imports stand inside it."""
    add_arguments: Callable[[argparse.ArgumentParser], None]
    """Tells a parser what `run` reads."""
    goes_on: bool = False
    """Whether the same command goes on where it was interrupted."""

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


VERBS = {
    "plan": Verb(studies.plan, studies.add_plan_arguments),
    "describe": Verb(shapes.describe, shapes.add_describe_arguments),
    "sample": Verb(shapes.sample, shapes.add_sample_arguments),
    "run": Verb(studies.run, studies.add_run_arguments, goes_on=True),
    "ablate": Verb(studies.ablate, studies.add_ablate_arguments, goes_on=True),
    "report": Verb(results.report, results.add_report_arguments),
    "choose": Verb(decisions.choose_trial, decisions.add_choose_arguments),
    "export": Verb(results.export, results.add_export_arguments),
    "latency": Verb(devices.latency, devices.add_latency_arguments),
    "profile-device": Verb(devices.profile_device, devices.add_profile_device_arguments, goes_on=True),
    "lr-check": Verb(longer.lr_check, longer.add_lr_check_arguments, goes_on=True),
    "validate": Verb(longer.validate, longer.add_validate_arguments, goes_on=True),
    "promote": Verb(longer.promote, longer.add_promote_arguments, goes_on=True),
    "fit": Verb(laws.fit, laws.add_fit_arguments),
    "explain": Verb(terms.explain, terms.add_explain_arguments),
    "ui": Verb(results.ui, results.add_ui_arguments),
    "job submit": Verb(jobs.job_submit, jobs.add_submit_arguments),
    "job status": Verb(jobs.job_status, jobs.add_job_arguments),
    "job logs": Verb(jobs.job_logs, jobs.add_logs_arguments),
    "job stop": Verb(jobs.job_stop, jobs.add_job_arguments),
}
"""The verbs by the words on the command line, in the order of `archfront --help`."""
GROUPS = {"job": "Run studies on a Ray cluster."}
"""What the verbs under a first word have in common."""


def parser() -> argparse.ArgumentParser:
    """Every verb with its arguments; `options.verb` is its key in `VERBS`."""
    top = argparse.ArgumentParser(
        prog="archfront", description="Find the shapes of small language models that are best for accuracy and latency."
    )
    under = {"": top.add_subparsers(title="verbs", metavar="VERB", required=True)}

    def add(name: str, sentence: str) -> argparse.ArgumentParser:
        group, _, word = name.rpartition(" ")
        if group not in under:
            under[group] = add(group, GROUPS[group]).add_subparsers(title="verbs", metavar="VERB", required=True)
        return under[group].add_parser(word, help=f"{sentence[:1].lower()}{sentence[1:].removesuffix('.')}", description=sentence)

    for name, verb in VERBS.items():
        made = add(name, verb.sentence)
        made.set_defaults(verb=name)
        verb.add_arguments(made)
    return top
