"""A team's decision as tags of its study's runs in MLflow, where the study is tracked."""

from __future__ import annotations

import logging
from contextlib import suppress

from analysis.records.choice import Choice
from trials.reporting.stored_study import StoredStudy
from trials.study.sole_writer import WritersMeetError, sole_writer
from trials.tracking.mlflow_location import PLACE, location_of

logger = logging.getLogger(__name__)


def tag_choice(stored: StoredStudy, choice: Choice) -> None:
    """Tag the run of the study and that of the trial, whose model is `chosen`; one warning where MLflow does not answer.

    Where a study's writer is at work, it registers the model as it ends.
    """
    if not (stored.directory / PLACE).exists():
        return
    from trials.tracking.mlflow_runs import StudyRuns  # MLflow takes seconds to import

    directory = stored.directory.absolute()
    try:
        runs = StudyRuns(directory, stored.study, stored.text, location_of(directory, None))
        runs.write_choice(choice)
        with suppress(WritersMeetError), sole_writer(directory):
            runs.register_chosen(stored.record(choice.trial))
    except Exception as error:
        logger.warning("MLflow could not be told what was chosen (%s); it is kept in %s all the same", error, stored.directory)
