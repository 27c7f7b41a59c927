"""archfront's study with `train` in place of a training; a user has the YAML alone, for `archfront run`."""

import math
import sys
from pathlib import Path

import yaml

from analysis.records.record import Outcome, TrialRecord
from benchmarks.peers.task import point_of, train
from tests.support.fakes import answer
from trials.driver.run_study import run_study
from trials.study.load_study import parse_study
from trials.trial.task import TrialTask

STUDY = Path(__file__).with_name("archfront_study.yaml")


def evaluate(task: TrialTask) -> TrialRecord:
    """As a training ends: with a loss, or as diverged."""
    loss, _ = train(point_of(task.architecture))
    if math.isnan(loss):
        return answer(task, outcome=Outcome.DIVERGED, reason="the training loss was nan", training=None)
    return answer(task)


def search(directory: str, trials: int) -> None:
    """The study with so many trials, or what is left of it."""
    text = STUDY.read_text(encoding="utf-8").replace("trials: 12", f"trials: {trials}")
    run_study(parse_study(yaml.safe_load(text)), Path(directory) / "search", study_text=text, evaluate=evaluate)


if __name__ == "__main__":
    search(sys.argv[1], int(sys.argv[2]))
