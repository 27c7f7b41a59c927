"""A folder for what all processes of a user share among temporary files, which nobody else can have put in its place."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from search_space.errors import SpecError, refused


def own_folder(root: Path, name: str) -> Path:
    """The folder of that name of this user, made where there is none; raises SpecError where it is another's, or a link."""
    folder, cure = root / f"archfront-{os.getuid()}-{name}", "remove it, or point TMPDIR at a directory of your own"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise refused(error, folder, "be a folder of this user", cure) from None
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise SpecError(f"{folder} must be a folder of this user, found another's or a link; {cure}")
    return folder
