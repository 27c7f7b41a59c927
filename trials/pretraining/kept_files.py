"""What a long training's folder keeps of its way and its end, read again: damaged files are one sentence. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from analysis.records.checked import FieldError, from_json
from analysis.records.json_text import read_json
from analysis.records.training import CurvePoint, Training
from search_space.errors import SpecError, value_kind
from trials.corpus.blocks import TokenBlocks
from trials.pretraining.prediction import LossPrediction
from trials.pretraining.statement import FORESEEN, RESULT, STATEMENT_CURE, TRAINED_WEIGHTS

_Part = TypeVar("_Part")


def finished(folder: Path) -> Training | None:
    """What a training that is over came to; None where it is not over."""
    path = folder / RESULT
    if not path.is_file() or not (folder / TRAINED_WEIGHTS).is_file():
        return None
    return _checked(Training, read_json(path, "a training's result", STATEMENT_CURE), path)


def require_text_of(folder: Path, training: Training, blocks: TokenBlocks) -> None:
    """Raise SpecError where a training that is over read another text than these blocks: by their names alone files may look alike."""
    there, now = training.corpus_sha256, blocks.corpus_sha256
    if there is not None and there != now:
        raise SpecError(
            f"{folder} must hold a training of this text, found one of another text (SHA-256 {there[:12]}, and {now[:12]} here); name "
            "another folder with --output, or repeat the command that began it"
        )


def kept_curve(path: Path) -> list[CurvePoint]:
    """The curve so far; empty where there is no file."""
    if not path.is_file():
        return []
    points = read_json(path, "a training's curve", STATEMENT_CURE)
    if not isinstance(points, list):
        raise SpecError(f"{path} must be a list of points, found {value_kind(points)}; {STATEMENT_CURE}")
    return [_checked(CurvePoint, point, path, f"[{at}]") for at, point in enumerate(points)]


def kept_forecast(folder: Path) -> LossPrediction | str:
    """What was foreseen before the first step, or why nothing was, in words."""
    path = folder / FORESEEN
    kept = read_json(path, "what was foreseen", STATEMENT_CURE)
    return kept if isinstance(kept, str) else _checked(LossPrediction, kept, path)


def _checked(cls: type[_Part], values: Any, path: Path, name: str = "") -> _Part:
    try:
        return from_json(cls, values, name)
    except FieldError as error:
        raise SpecError(f"{path} must be as `archfront train` wrote it, but {error}; {STATEMENT_CURE}") from None
