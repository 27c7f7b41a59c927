"""Files by name: which ones a pattern names, what lies at a path, where they are kept between studies, and locks of them."""

from __future__ import annotations

import fcntl
import fnmatch
import heapq
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from search_space.errors import SpecError, complaint_of, refused, shortened

A_FILE, A_FOLDER = "a file", "a directory"
KINDS = {stat.S_IFREG: A_FILE, stat.S_IFDIR: A_FOLDER, stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
KINDS |= {stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
"""What may lie in a file's place, by the bits of its mode."""
MOST_NAMES = 1 << 20
"""Names of files and folders that one pattern may lead through, a few seconds' worth: more are not what a person meant."""
EVERY_FOLDER = "**"
ITS_OWN = "lost+found"
"""A folder that a file system keeps for itself: nobody else may read it, and nothing of a person's lies there."""


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


def what_lies_at(path: Path) -> str:
    """What kind of thing a path is, in words."""
    try:
        return KINDS[stat.S_IFMT(path.stat().st_mode)]
    except OSError as error:
        return "a link that leads nowhere" if os.path.islink(path) else f"what cannot be looked at ({complaint_of(error)})"


def globbed(folder: Path, pattern: str, key: str) -> dict[str, Path]:
    """The files that a pattern names from the folder on, sorted by name, each under its real path: what has several names is there once.

    `**` goes through folders whose name begins with no dot, and through links to folders, but not to one that it came through. Of several
    names the one with the fewest links is taken, the first by the alphabet. What is there has no part in the pattern, whatever characters
    its name has. Raises SpecError, with `key` named the pattern, for a link that leads nowhere or a pipe that it names, for a folder on the
    way that may not be read, and beyond `MOST_NAMES`.
    """
    try:
        found = sorted((name, real) for real, name in _named(folder / pattern))
    except OSError as error:
        which = f"{key}: {error.filename}"
        raise refused(error, which, "be a folder that can be read", "see to it, or name what lies beside it") from None
    except OverflowError:
        raise SpecError(
            f"{key} must lead through at most {MOST_NAMES:,} names of files and folders, found more with {shortened(pattern)}; "
            "name the folders that are meant"
        ) from None
    files = {}
    for name, real in found:
        kind = what_lies_at(Path(name))
        if kind == A_FILE:
            files[real] = Path(name)
        elif kind != A_FOLDER:
            raise SpecError(f"{key}: {name} must be a file, found {kind}; mend it, or name what lies beside it")
    return files


def is_globbed(folder: Path, pattern: str) -> bool:
    """Whether a pattern names anything that may be read."""
    with suppress(OSError, OverflowError):
        return any(True for _ in _named(folder / pattern))
    return False


class _Place(NamedTuple):
    """Something on the way of a pattern; the least is looked at next."""

    links: int
    name: str
    real: str
    at: int
    """Which parts of the pattern may follow, as bits; the bit after the last where the pattern may end here."""
    is_folder: bool = True
    came_through: tuple[str, ...] = ()
    """Real paths of the folders from which links led here."""


def _named(whole: Path) -> Iterator[tuple[str, str]]:
    """Real paths and names that a pattern leads to, those with the fewest links first, in no other order.

    Raises what keeps a folder from being read once all others were gone through, and OverflowError beyond `MOST_NAMES`.
    """
    root = next(each for each in (whole, *whole.parents) if os.path.lexists(each) or each == each.parent)
    parts = whole.relative_to(root).parts
    end = 1 << len(parts)
    begun: dict[str, int] = {}
    ended, names = set(), 0
    refusal: OSError | None = None
    waiting = [_Place(0, str(root), _real(str(root), str(root)), _further(parts, 1), root.is_dir())]
    while waiting:
        place = heapq.heappop(waiting)
        if place.at & end and place.real not in ended:
            ended.add(place.real)
            yield place.real, place.name
        at = place.at & ~begun.get(place.real, end)
        if not at or not place.is_folder:
            continue
        begun[place.real] = begun.get(place.real, end) | at
        try:
            with os.scandir(place.name) as entries:
                there = list(islice(entries, MOST_NAMES - names + 1))
        except OSError as error:
            if not isinstance(error, FileNotFoundError) and os.path.basename(place.name) != ITS_OWN:
                refusal = refusal or error
            continue
        names += len(there)
        if names > MOST_NAMES:
            raise OverflowError
        for each in _below(place, parts, at, there):
            if each.is_folder or each.links > place.links:
                heapq.heappush(waiting, each)
            elif each.at & end and each.real not in ended:
                ended.add(each.real)
                yield each.real, each.name
    if refusal is not None:
        raise refusal


def _real(name: str, otherwise: str) -> str:
    """Where a name really lies; `otherwise` where that may not be asked."""
    with suppress(OSError):
        return os.path.realpath(name)
    return otherwise


@lru_cache(maxsize=1 << 12)
def _further(parts: tuple[str, ...], at: int) -> int:
    """The parts of a pattern that may follow, with those after a `**` that is no folder at all; bits as in `_Place`."""
    for place, part in enumerate(parts):
        if part == EVERY_FOLDER and at >> place & 1:
            at |= 2 << place
    return at


@lru_cache(maxsize=1 << 12)
def _fit(part: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(fnmatch.translate(part)).match


def _below(place: _Place, parts: tuple[str, ...], at: int, there: list[os.DirEntry[str]]) -> Iterator[_Place]:
    """What of a folder goes on with one of the parts of a pattern."""
    all_folders, fits = 0, []
    for number, part in enumerate(parts):
        if part == EVERY_FOLDER:
            all_folders |= at & 1 << number
        elif part == os.pardir and at >> number & 1:
            above = os.path.join(place.name, part)
            yield _Place(place.links, above, _real(above, above), _further(parts, 2 << number), came_through=place.came_through)
        elif at >> number & 1:
            fits.append((2 << number, _fit(part), part.startswith(".")))
    prefix = os.path.join(place.real, "")
    for entry in there:
        is_hidden = entry.name.startswith(".")
        onward = 0 if is_hidden else all_folders
        for following, fit, has_dot in fits:
            if (has_dot or not is_hidden) and fit(entry.name):
                onward |= following
        if not onward:
            continue
        real = prefix + entry.name
        if entry.is_symlink():
            real, through = _real(entry.path, real), (*place.came_through, place.real)
            if any(os.path.commonpath((real, each)) == real for each in through):
                onward &= ~all_folders
            yield _Place(place.links + 1, entry.path, real, _further(parts, onward), os.path.isdir(real), through)
        else:
            is_folder = entry.is_dir(follow_symlinks=False)
            yield _Place(place.links, entry.path, real, _further(parts, onward), is_folder, place.came_through)
