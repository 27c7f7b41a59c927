"""What does the work of each verb of `trials.commands.arguments`: loads, calls and prints. Heavy imports stand inside the verbs."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from trials.commands import devices, jobs, laws, longer, shapes, studies

Verb = Callable[[argparse.Namespace], int]
VERBS: dict[str, Verb] = {
    "plan": studies.plan,
    "describe": shapes.describe,
    "sample": shapes.sample,
    "run": studies.run,
    "ablate": studies.ablate,
    "report": studies.report,
    "export": studies.export,
    "latency": devices.latency,
    "profile-device": devices.profile_device,
    "lr-check": longer.lr_check,
    "validate": longer.validate,
    "promote": longer.promote,
    "fit": laws.fit,
    "ui": studies.ui,
    "job submit": jobs.job_submit,
    "job status": jobs.job_status,
    "job logs": jobs.job_logs,
    "job stop": jobs.job_stop,
}
"""By the name on the command line; each returns an exit code."""
