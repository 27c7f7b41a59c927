"""The two errors that a person is told of in one sentence, and how such a sentence quotes what was found."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LONGEST_QUOTE = 80
"""Characters of a found value that a sentence repeats."""
FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says where a disk is full: the input was right, and the work failed."""
NO_PATH = "a character that no path has"
PATH_CURES = {
    errno.ENAMETOOLONG: "shorten it",
    errno.ELOOP: "mend the links, or name another",
    errno.EACCES: "check its permissions, or name another",
}
"""What to do about a path that the system does not follow; to name another where nothing else helps."""

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
"""What an address begins with (RFC 3986)."""

LONGEST_LIST = 500
"""Characters of all the names that would have been right: those of a person's table may be any."""


class SpecError(ValueError):
    """The input is wrong; the message is one sentence: what must hold, what was found, the cure."""


class WorkError(RuntimeError):
    """The input is right and the work failed all the same; the message is one sentence: what happened, and what to do."""


def quoted(value: object) -> str:
    """A found value as Python writes it, on one line and cut to `LONGEST_QUOTE` characters; `nothing` for a null or a missing cell."""
    if value is None:
        return "nothing"
    try:
        return shortened(repr(value))
    except (ValueError, RecursionError):  # Python does not write whole numbers of thousands of digits
        return f"a {type(value).__name__} too long to be written"


def shortened(text: object, most: int = LONGEST_QUOTE) -> str:
    """A found text without quotes, on one line and cut to so many characters."""
    line = " ".join(str(text)[: 2 * most].split())
    return line if len(line) <= most else f"{line[: most - 3]}..."


VALUE_KINDS = {dict: "a mapping", list: "a list", tuple: "a list", str: "text", bool: "a truth value", int: "a number", float: "a number"}
"""What values of YAML and JSON are, in words."""


def value_kind(value: object) -> str:
    """What kind of value was found, in words: `a list`, `nothing`."""
    return "nothing" if value is None else VALUE_KINDS.get(type(value), f"a {type(value).__name__}")


def said_by(error: Exception) -> str:
    """The first line of what a library's exception says, without its full stop; its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def shortened_path(path: object, most: int = LONGEST_QUOTE) -> str:
    """A path without quotes, on one line and cut in its middle: its end says which file it is."""
    line, head = " ".join(str(path).split()), most // 4
    return line if len(line) <= most else f"{line[:head]}...{line[head + 3 - most :]}"


def unknown_key(path: str, key: object, known: Iterable[str]) -> SpecError:
    """An error for a key that does not exist, naming the likeliest one that does."""
    names = list(known)
    close = difflib.get_close_matches(shortened(key), names, n=1, cutoff=0.5)
    cure = f"did you mean `{close[0]}`?" if close else f"known are {shortened(', '.join(map(shortened, names)), LONGEST_LIST)}"
    return SpecError(f"{shortened(path)} is unknown; {cure}")


def complaint_of(error: OSError) -> str:
    """What the system says of what it refuses; where a library raised the error and gave it no such words, the library's own."""
    return error.strerror or (os.strerror(error.errno) if error.errno else shortened(error)) or type(error).__name__


def refused(error: OSError, path: object, must: str, cure: str) -> SpecError | WorkError:
    """The error for what the system refuses at a path: a wrong input, or the end of the work where its disk is full."""
    if error.errno in FULL:
        return WorkError(f"{path} cannot be written ({complaint_of(error)}); make room, and run the same command again")
    return SpecError(f"{shortened_path(path, 2 * LONGEST_QUOTE)} must {must}, found: {complaint_of(error)}; {cure}")


def require_local(path: str, what: str) -> None:
    """Raise SpecError, with `what` named the path, for the address of a store: as a path it would be a folder of the scheme's name.

    Nothing behind the scheme is shown, for it may have a password.
    """
    if found := SCHEME.match(path):
        raise SpecError(
            f"{what} must be a path of a file system, found an address that begins with {found[0]}, and no such store is read or written; "
            "name where it is mounted, or copy what is in it to a disk"
        )


def require_reachable(path: str | Path, what: str) -> None:
    """Raise SpecError, with `what` named the path, where the system cannot say whether anything lies there.

    It is too long, has a NUL, its links lead in a circle, nobody may look, or a file stands where a folder would be; or its bytes are no
    UTF-8, so that no page and no database can name it.
    """
    whole = str(path)
    with suppress(OSError):  # the working directory was removed
        whole = os.path.abspath(path)
    if whole != whole.encode(errors="replace").decode():
        raise SpecError(f"{what} must be a path in UTF-8, found {shortened_path(repr(whole))}; rename it, or name another")
    try:
        os.stat(path)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        found = complaint_of(error) if isinstance(error, OSError) else NO_PATH
        cure = PATH_CURES.get(error.errno or 0, "name another") if isinstance(error, OSError) else "leave it out"
        raise SpecError(f"{what} must be a path that can be followed, found {shortened_path(repr(whole))}: {found}; {cure}") from None
