"""Files by name: which ones a pattern names, what lies at a path, where they are kept between studies, and locks of them."""

from __future__ import annotations

import errno
import fcntl
import fnmatch
import heapq
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from search_space.errors import SpecError, complaint_of, refused, shortened

A_FILE, A_FOLDER = "a file", "a directory"
KINDS = {stat.S_IFREG: A_FILE, stat.S_IFDIR: A_FOLDER, stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
KINDS |= {stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
"""What may lie in a file's place, by the bits of its mode."""
MOST_NAMES = 1 << 20
"""Names of files and folders that may fit one pattern, a few seconds' worth and half a GiB (484 bytes each): more are not what a person
meant. Names that do not fit are passed over, however many."""
EVERY_FOLDER = "**"
WILDCARD = re.compile(r"[*?\[]")
NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
"""What is said of a name that no entry of a folder has."""
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

    `**` goes through folders whose name begins with no dot, and through links to folders, wherever they lead, each folder once. Of several
    names the one with the fewest links is taken, the first by the alphabet. What is there has no part in the pattern, whatever characters
    its name has. Folders are listed where a part of the pattern has wildcards, and asked for a name where it has none. Raises SpecError,
    with `key` named the pattern, for a link that leads nowhere or a pipe that it names, for a folder on the way that may not be read, and
    beyond `MOST_NAMES`.
    """
    try:
        found = sorted((name, real) for real, name in _named(folder / pattern))
    except OSError as error:
        which = f"{key}: {error.filename}"
        raise refused(error, which, "be a folder that can be read", "see to it, or name what lies beside it") from None
    except _TooManyError as error:
        said = f"{key} must lead through at most {MOST_NAMES:,} names of files and folders, found more with {shortened(pattern)}"
        if error.one_folder is None:
            raise SpecError(f"{said}; name the folders that are meant") from None
        raise SpecError(f"{said}, most of them in {error.one_folder}; put its texts into fewer files, as .jsonl with one a line") from None
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
    with suppress(OSError, _TooManyError):
        return any(True for _ in _named(folder / pattern))
    return False


class _TooManyError(Exception):
    """More names than a pattern may lead through; where most of them are in one folder, that one."""

    def __init__(self, one_folder: str | None) -> None:
        super().__init__(one_folder)
        self.one_folder = one_folder


class _Entry:
    """One name of a folder that is asked for, and not listed; as `os.DirEntry`, raising OSError where it is not there."""

    def __init__(self, folder: str, name: str) -> None:
        self.name, self.path = name, os.path.join(folder, name)
        self._mode = os.lstat(self.path).st_mode

    def is_symlink(self) -> bool:
        return stat.S_ISLNK(self._mode)

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        return stat.S_ISDIR(os.stat(self.path).st_mode if follow_symlinks else self._mode)


class _Place(NamedTuple):
    """Something on the way of a pattern; the least is looked at next."""

    links: int
    name: str
    real: str
    at: int
    """Which parts of the pattern may follow, as bits; the bit after the last where the pattern may end here."""
    is_folder: bool = True


def _named(whole: Path) -> Iterator[tuple[str, str]]:
    """Real paths and names that a pattern leads to, those with the fewest links first, in no other order.

    Raises what keeps a folder from being read once all others were gone through, and _TooManyError beyond `MOST_NAMES`. The walk ends, for
    each real folder is gone through once for each part of the pattern.
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
        before = names
        try:
            for each in _below(place, parts, at):
                names += 1
                if names > MOST_NAMES:
                    raise _TooManyError(place.name if names - before > MOST_NAMES / 2 else None)
                if each.is_folder or each.links > place.links:
                    heapq.heappush(waiting, each)
                elif each.at & end and each.real not in ended:
                    ended.add(each.real)
                    yield each.real, each.name
        except OSError as error:
            if not isinstance(error, FileNotFoundError) and os.path.basename(place.name) != ITS_OWN:
                refusal = refusal or error
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


def _there(folder: str, wanted: Sequence[str] | None) -> Iterator[_Entry | os.DirEntry[str]]:
    """What is in a folder, all of it or what is wanted of it; raises OSError where that may not be seen."""
    if wanted is None:
        with os.scandir(folder) as entries:
            yield from entries
        return
    for name in wanted:
        try:
            yield _Entry(folder, name)
        except ValueError:  # a NUL, which no name has
            continue
        except OSError as error:
            if error.errno not in NOT_THERE:
                error.filename = folder
                raise


def _below(place: _Place, parts: tuple[str, ...], at: int) -> Iterator[_Place]:
    """What of a folder goes on with one of the parts of a pattern; raises OSError where that may not be seen."""
    all_folders, fits, wanted = 0, [], list[str]()
    for number, part in enumerate(parts):
        if part == EVERY_FOLDER:
            all_folders |= at & 1 << number
        elif part == os.pardir and at >> number & 1:
            above = os.path.join(place.name, part)
            yield _Place(place.links, above, _real(above, above), _further(parts, 2 << number))
        elif at >> number & 1:
            wanted.append(part)
            fits.append((2 << number, _fit(part), part.startswith(".")))
    has_wildcards = all_folders or any(map(WILDCARD.search, wanted))
    prefix = "" if place.real == place.name else os.path.join(place.real, "")
    for entry in _there(place.name, None if has_wildcards else wanted):
        is_hidden = entry.name.startswith(".")
        onward = 0 if is_hidden else all_folders
        for following, fit, has_dot in fits:
            if (has_dot or not is_hidden) and fit(entry.name):
                onward |= following
        if not onward:
            continue
        real, links, further = prefix + entry.name if prefix else entry.path, place.links, _further(parts, onward)
        if entry.is_symlink():
            real, links = _real(entry.path, real), links + 1
            is_folder = os.path.isdir(real)
        else:
            is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder or further >> len(parts):
            yield _Place(links, entry.path, real, further, is_folder)
