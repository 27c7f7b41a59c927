"""Where files are kept between studies, and locks that end with their process."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from search_space.errors import SpecError, refused, shortened


@contextmanager
def sole(file: Path) -> Iterator[None]:
    """Wait until no other process holds the lock file, then hold it; the kernel lets go of it when the process ends, however."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def require_url(url: str, what: str, cure: str) -> None:
    """Raise SpecError for a URL with an open bracket or a port that is no number; no password is repeated."""
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError as error:
        raise SpecError(f"{what} must be a URL, found one that cannot be read ({shortened(error)}); {cure}") from None


def cache_folder(cache: Path | None = None) -> Path:
    """Where blocks and calibrations lie: archfront's folder in $XDG_CACHE_HOME or ~/.cache, or another; SpecError where none can be."""
    cache = cache or _usual_caches() / "archfront"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused(error, f"the cache folder {cache}", "be writable", "set XDG_CACHE_HOME to one that is") from None
    if not os.access(cache, os.W_OK | os.X_OK):
        raise SpecError(f"the cache folder {cache} must be writable, found that it is not; set XDG_CACHE_HOME to one that is")
    return cache


def _usual_caches() -> Path:
    """The folder of this user's caches; a relative $XDG_CACHE_HOME counts as none, as its specification says: it is another everywhere."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(given):
        return Path(given)
    try:
        return Path.home() / ".cache"
    except RuntimeError:  # a user without a name, as in a container, whose HOME is not set
        raise SpecError("this user must have a home directory, found none; set HOME or XDG_CACHE_HOME to a folder that is") from None
