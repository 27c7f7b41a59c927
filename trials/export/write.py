"""Several formats of one trial into one directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name

from search_space.architecture import Architecture
from search_space.errors import SpecError, refused
from trials.catalogue.formats import FORMATS, require_writer, supported_exports
from trials.corpus.tokenizer import load_exported
from trials.export.verification import VERIFICATION, library_of
from trials.formats.model import ChatTokens, Model
from trials.network.weights import trained_weights
from trials.reporting.model_card import CARD


def write_formats(
    formats: Sequence[str],
    output: Path,
    architecture: Architecture,
    weights: Path,
    tokenizer: Path,
    context_tokens: int,
    precisions: Mapping[str, str] = {},
    keeps_sharing: bool = False,
    chat: ChatTokens | None = None,
) -> None:
    """Write each format; what an earlier export there was found to be is removed first, so that it vouches for no other files.

    `precisions` are those of the formats' weights where they are not the usual ones, `keeps_sharing` and `chat` as `Model` has them.
    Raises SpecError, before anything is written, where one cannot hold the shape or the tokenizer, its library is missing, or the weights
    are damaged.
    """
    require_formats(formats, architecture, tokenizer, precisions)
    rows = {name: row for name, row in FORMATS.items() if name in formats}
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused(error, output, "be a directory that can be written", "name another with --output") from None
    stored = trained_weights(weights, architecture)
    for voucher in (VERIFICATION, CARD):
        (output / voucher).unlink(missing_ok=True)
    for name, row in rows.items():
        precision = precisions.get(name, row.export_precisions[0])
        with library_of(name, "written"):
            resolve_name(row.writer)(
                output / row.file, Model(architecture, stored, precision, context_tokens, tokenizer, keeps_sharing, chat)
            )


def require_formats(formats: Sequence[str], architecture: Architecture, tokenizer: Path, precisions: Mapping[str, str] = {}) -> None:
    """Raise SpecError where one of the formats cannot hold the shape or the tokenizer, or its library is missing."""
    possible = supported_exports(architecture, precisions)
    for name in formats:
        if possible[name] is not None:
            others = ", ".join(other for other, reason in possible.items() if reason is None)
            raise SpecError(f"the format {name} cannot hold this shape, though {others} can: {possible[name]}")
    for name in formats:
        require_writer(name)
    require_tokenizer_fits(formats, tokenizer)


def require_tokenizer_fits(formats: Sequence[str], tokenizer: Path) -> None:
    """Raise SpecError where the tokenizer is damaged and one of the formats holds it, or one cannot hold it."""
    if any(FORMATS[name].holds_chat for name in formats):
        load_exported(tokenizer)
    for name in formats:
        if (check := FORMATS[name].tokenizer_check) is not None:
            resolve_name(check)(tokenizer)
