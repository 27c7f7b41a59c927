"""A long training in one process on a node of a Ray cluster: what it keeps on its way comes into its folder on the driver's node."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.records.training import Training
from search_space.errors import WorkError
from trials.experiments.workplace import TrainingCall, TrainingsLost, Workplace
from trials.pretraining.curve_watch import CurveWatch, OnPoint
from trials.pretraining.kept_files import finished
from trials.pretraining.outlook import as_study, require_machine_for
from trials.pretraining.statement import RESULT, STATE, TRAINED_WEIGHTS, Statement

if TYPE_CHECKING:
    from trials.corpus.blocks import TokenBlocks

BROUGHT_HOME = (TRAINED_WEIGHTS, RESULT)
"""What must come home; a state or a curve that does not costs no more than itself."""


def pretrain_on_a_node(wanted: Statement, folder: Path, *, state_seconds: float, on_point: OnPoint, place: Workplace) -> Training:
    """Train on a node with room for it; where that is lost the training goes on from its last state, on another node where there is one.

    Raises WorkError where it is lost again and again without a newer state, and what `pretrain` raises.
    """
    from trials.cluster.state_keeper import keeping_states

    with keeping_states(folder) as keeper, CurveWatch(folder, on_point):
        call = TrainingCall(as_study(wanted), wanted.shape.vocab_size, (keeper, wanted.as_dict(), state_seconds))
        while finished(folder) is None:
            before = _stamp(folder / STATE)
            try:
                list(place.side_by_side(_train_there, [call], 1, lower="context_tokens of the recipe"))
            except TrainingsLost:
                if _stamp(folder / STATE) == before:
                    raise
            else:
                break
    training = finished(folder)
    assert training is not None  # else its node had raised
    (folder / STATE).unlink(missing_ok=True)
    return training


def _train_there(keeper: Any, values: Mapping[str, Any], state_seconds: float, blocks: TokenBlocks) -> None:
    """What the node does, in a folder that is gone afterwards."""
    from trials.cluster.state_keeper import fetch, send
    from trials.pretraining.pretrain import pretrain

    wanted = Statement.from_dict(values, "the training's statement")
    require_machine_for(wanted)

    def keep(file: Path) -> None:
        if not send(keeper, file.name, file) and file.name in BROUGHT_HOME:
            raise WorkError(
                f"{file.name} of {wanted.title} must come to the folder on the driver's node, found no room or no answer there; see to "
                "that, and run the same command again"
            )

    with tempfile.TemporaryDirectory(prefix="archfront-train-", ignore_cleanup_errors=True) as name:
        state = Path(name) / STATE
        if not fetch(keeper, STATE, state):
            raise WorkError(f"the state of {wanted.title} cannot be had from the driver's node; run the same command again")
        if not state.stat().st_size:
            state.unlink()
        pretrain(wanted, blocks, state.parent, state_seconds=state_seconds, on_point=lambda point, began: None, kept=keep)


def _stamp(file: Path) -> int | None:
    """Tells a state from the one before it; None where there is none."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return None
