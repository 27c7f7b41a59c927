"""What every verb that trains or plans begins with: the study as its directory began with it, the gate, and the notices said at it.

It imports the gate when it is passed, after the study was read: a row that is refused waits for nothing that judges shapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.records.record import RECORDS
from trials.commands.talk import say

if TYPE_CHECKING:
    from trials.experiments.workplace import Workplace
    from trials.plans.first_trials import FirstTrials
    from trials.study.ablation_spec import AblationSpec
    from trials.study.spec import StudySpec


def passed(study: StudySpec, directory: Path | None = None, *, has_text: bool = True, trains_here: bool = True) -> FirstTrials:
    """What `check` returns of a study, after its notices were said; raises SpecError as that does."""
    from trials.plans.check_study import check
    from trials.plans.foretell import ExpectedTrials
    from trials.plans.notices import left_open_notices, study_notices, taken_over_notices

    first = check(study, directory, has_text=has_text, trains_here=trains_here)
    begins = directory is not None and not (directory / RECORDS).exists()
    taken = taken_over_notices(ExpectedTrials.at(study, first, directory)) if begins and has_text and trains_here else ()
    _tell([*left_open_notices(study), *study_notices(study, has_text=has_text), *taken])
    return first


def tell_of_no_study(directory: str | None) -> None:
    """Say where no study began in the directory that was named as a study's: what its file leaves open is then as it would be today."""
    from trials.study.load_study import BEGUN, STUDY

    if directory is not None and not any((Path(directory) / name).is_file() for name in (BEGUN, STUDY)):
        say(f"archfront: {directory} holds no study yet, so what the file leaves open is as a study would begin with it today")


def tell_of_directory(directory: Path) -> None:
    """Say what a run of that directory takes up again; raises SpecError where a file of it holds something else."""
    from trials.plans.notices import directory_notices

    _tell(directory_notices(directory))


def ablations_passed(ablations: Iterable[AblationSpec], scales: Sequence[str], *, has_text: bool = True, trains_here: bool = True) -> None:
    """Pass ablations at these scales through the gate, after their notices were said; raises SpecError where one cannot be run."""
    from trials.plans.check_study import check_ablation
    from trials.plans.notices import ablation_notices

    for ablation in ablations:
        check_ablation(ablation, scales, has_text=has_text, trains_here=trains_here)
        _tell(ablation_notices(ablation) if has_text else ())


@contextmanager
def workplace(study: StudySpec | None, address: str | None) -> Iterator[Workplace]:
    """Where trainings take place, of a study or of none, while inside: the cluster that --address or the environment names, else here."""
    from trials.cluster.ray_address import is_here

    if is_here(address):
        from trials.experiments.workplace import HERE

        yield HERE
        return
    from trials.driver.workplace_on_ray import on_ray

    with on_ray(study, address) as found:
        yield found


def _tell(notices: Iterable[str]) -> None:
    for said in notices:
        say(f"archfront: {said}")
