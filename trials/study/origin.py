"""Where the file of a study lay: relative names in it go from there, and whoever goes on from the study's directory finds them again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from analysis.records.files import write_whole
from analysis.records.json_text import read_json
from analysis.records.json_writer import json_of
from search_space.errors import SpecError, require_local
from trials.study.files import is_globbed

ORIGIN = "origin.json"
"""The file of a study's directory that says it."""
WHOLE_PATH, PATH_FROM_HERE = "folder", "from_here"
"""The folder's whole path, and its path from the directory: the first holds where the directory was moved, the second where both were, or
where both were copied and the first still leads to the original."""


def keep_origin(directory: Path, folder: Path) -> None:
    """Write down, in the directory of a study, the folder in which its file lies."""
    path, whole = directory / ORIGIN, folder.resolve()
    said = {WHOLE_PATH: str(whole), PATH_FROM_HERE: os.path.relpath(whole, directory.resolve())}
    content = f"{json_of(said, indent=2)}\n".encode()
    if not path.is_file() or path.read_bytes() != content:
        write_whole(path, content)


def folders_of(directory: Path) -> tuple[Path, ...]:
    """Folders in which relative names of a directory's study are looked for, one after another.

    They are those that it knows, itself, and the working directory, as of a directory that was begun by an earlier archfront.
    """
    return tuple(dict.fromkeys([*own_folders(directory), Path.cwd()]))


def own_folders(directory: Path) -> tuple[Path, ...]:
    """The folders that a directory knows, and itself: what may be a program's name, or the hub's, is looked for nowhere else."""
    try:
        kept = read_json(directory / ORIGIN, "the folder of a study's file", "run the study's file again")
    except SpecError:  # whoever finds nothing says where it was looked for
        kept = {}
    named = [kept.get(key) for key in (PATH_FROM_HERE, WHOLE_PATH)] if isinstance(kept, Mapping) else []
    there = [Path(os.path.normpath(directory.resolve() / name)) for name in named if isinstance(name, str) and "\0" not in name]
    return tuple(dict.fromkeys([*there, directory.resolve()]))


def beside(folders: Sequence[Path], name: str) -> Path:
    """What a name of a path or glob stands for: below the first of the folders where anything of it lies, else below the first of all."""
    if len(folders) == 1:
        return folders[0] / name
    return next((folder / name for folder in folders if _lies(folder, name)), folders[0] / name)


def file_beside(folders: Sequence[Path], part: str) -> str:
    """The whole path of a part of a command that is a file in one of the folders; any other part as it is."""
    return next((str(folder / part) for folder in folders if is_file(folder / part)), part)


def is_file(path: Path) -> bool:
    """Whether there is a file of that name; a part of a command may be no name at all."""
    with suppress(OSError):
        return path.is_file()
    return False


def require_beside(folders: Sequence[Path], key: str, names: Iterable[str]) -> None:
    """Raise SpecError, with where it was looked for, where nothing of a relative name of a stored study lies in one of the folders."""
    for name in names:
        require_local(name, key)
        if not Path(name).is_absolute() and not any(_lies(folder, name) for folder in folders):
            raise SpecError(
                f"{key} must name what lies beside the study's file, found no {name} in {', '.join(map(str, folders))}; put it into one "
                "of them, or run the study's file once more from where both lie now"
            )


def _lies(folder: Path, name: str) -> bool:
    return os.path.lexists(folder / name) or is_globbed(folder, name)
