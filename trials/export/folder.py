"""The folder of an export: which of its files an export wrote, and how new ones come into it, all of them or none."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from analysis.records.files import write_whole
from analysis.text.words import joined
from search_space.errors import SpecError, WorkError, complaint_of, refused

SUMS = "archfront.sha256"
"""Digest and name of every file that exports wrote into a folder, as `sha256sum -c` reads them; a person's list has another name."""
NAMED_FILES = 3
"""Files that a refusal names; of more it says how many there are."""


OWN_CURE = "name another folder with --output, or replace files of the same names with --force"


def require_own(folder: Path, force: bool = False, cure: str = OWN_CURE) -> None:
    """Raise SpecError where a folder holds anything else than what exports wrote there, as they wrote it; nothing is looked at by force."""
    if folder.exists() and not folder.is_dir():
        raise SpecError(f"{folder} must be a directory, found a file; name another with --output")
    others = [] if force or not folder.exists() else _others(folder)
    if others:
        named = [*others[:NAMED_FILES], *([f"{len(others) - NAMED_FILES} more"] if len(others) > NAMED_FILES else [])]
        raise SpecError(f"{folder} must hold nothing but what `archfront export` wrote there, found {joined(named)}; {cure}")


def is_whole(folder: Path) -> bool:
    """Whether all that an export wrote into a folder is still there, changed by its owner or not."""
    names = _listing(folder)
    return bool(names) and all(_is_plain(folder / name) for name in names)


def require_creatable(folder: Path) -> None:
    """Raise SpecError where files cannot be written into a folder, or a folder cannot be made there; it leaves nothing."""
    probe = folder / f".export.{os.getpid()}.part"
    made: list[Path] = []
    try:
        made = [path for path in (probe, *probe.parents) if not path.exists()]
        probe.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused(error, folder, "be a directory that can be written", "name another with --output") from None
    finally:
        for path in made:
            with suppress(OSError):
                path.rmdir()


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """An empty folder whose files come to lie in `folder` when the block ends well, replacing those of the same names.

    Whatever ends the block otherwise, `folder` is as it was. Raises SpecError where it cannot be written into, WorkError where the system
    refuses a file, as a full disk does.
    """
    stage, was_there = folder / f".export.{os.getpid()}.part", folder.exists()
    try:
        stage.mkdir(parents=True)
    except OSError as error:
        raise refused(error, folder, "be a directory that can be written", "name another with --output") from None
    try:
        _clear_away(folder)
        yield stage
        names = _listed(stage, folder)
    except OSError as error:
        raise WorkError(
            f"{folder} is as it was, because a file of the export cannot be written ({complaint_of(error)}); "
            "see to room and permissions, and run the same command again"
        ) from None
    else:
        _move(names, stage, folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if not was_there and not any(folder.iterdir()):
            folder.rmdir()


def _listed(stage: Path, folder: Path) -> list[str]:
    """Names of what lies in the stage, now with the list of all that exports wrote; whatever could stop them on their way is done here."""
    written = {path.name: _digest(path) for path in sorted(stage.iterdir())}
    taken = [name for name in (SUMS, *written) if (folder / name).is_dir()]
    if taken:
        raise SpecError(f"{folder} must have no folder {joined(taken)} where the export writes a file; name another with --output")
    sums = _sums(folder) | written
    write_whole(stage / SUMS, "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode())
    return [SUMS, *written]


def _move(names: Sequence[str], stage: Path, folder: Path) -> None:
    """Takes no room on the disk, and so comes to its end but where a file belongs to somebody else."""
    for name in names:
        try:
            os.replace(stage / name, folder / name)
        except OSError as error:
            raise WorkError(
                f"{folder} holds a part of the export only, because {name} cannot be replaced there ({complaint_of(error)}); "
                "do not use it, and name another folder with --output"
            ) from None


def _others(folder: Path) -> list[str]:
    """Names in a folder of what no export left there: what is not listed, is no plain file, or has other bytes by now."""
    sums = _sums(folder)
    return [
        path.name
        for path in sorted(folder.iterdir())
        if path.name != SUMS and not _is_stage(path) and (not _is_plain(path) or sums.get(path.name) != _digest(path))
    ]


def _sums(folder: Path) -> dict[str, str]:
    """Digests by name, of the files that are still there; none where the list is no list of ours."""
    return {name: digest for name, digest in _listing(folder).items() if (folder / name).exists()}


def _listing(folder: Path) -> dict[str, str]:
    """Digests by name, as the list of a folder has them."""
    path = folder / SUMS
    if not _is_plain(path):
        return {}
    lines = [line.split("  ", 1) for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    return {line[1]: line[0] for line in lines if len(line) == 2}


def _digest(path: Path) -> str:
    """The SHA-256 of a file, which is on the disk then: a full one may say so only here."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _is_stage(path: Path) -> bool:
    """Whether it is the stage of an export: of one that goes on beside this one, or of one that was killed."""
    return re.fullmatch(r"\.export\.\d+\.part", path.name) is not None and path.is_dir()


def _clear_away(folder: Path) -> None:
    """Remove what exports that were killed left."""
    for path in folder.iterdir():
        if _is_stage(path) and not _is_running(int(path.name.split(".")[2])):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        pass
    return True
