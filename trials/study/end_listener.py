"""Who hears how a study ended: a URL, as it is or in a variable of the environment, or a command with its arguments."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from search_space.errors import SpecError, quoted

URL = re.compile(r"https?://.+")
OTHER_URL = re.compile(r"[a-z][a-z0-9+.-]*://.*", re.IGNORECASE)
FROM_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")


def is_url(listener: Sequence[str]) -> bool:
    """Whether it is an address, or the name of a variable that has one, and no command."""
    return len(listener) == 1 and bool(URL.fullmatch(listener[0]) or FROM_VARIABLE.fullmatch(listener[0]))


def require_form(listener: Sequence[str]) -> None:
    """Raise ValueError for an address that nobody can be told at, or that has a password which every copy of the study would have."""
    first = listener[0]
    if not first.strip() or any("\0" in part for part in listener):
        raise ValueError(f"must be a URL or a command with its arguments, found {quoted(first)}; name one")
    if OTHER_URL.fullmatch(first) and not (URL.fullmatch(first) and len(listener) == 1):
        raise ValueError(f"must be one http:// or https:// URL, or a command with its arguments, found {quoted(first)}; name one")
    if URL.fullmatch(first):
        try:
            parts = urlsplit(first)
            has_host, has_password = bool(parts.hostname) and (parts.port or True), parts.password or parts.username
        except ValueError:
            has_host, has_password = False, None
        if not has_host or re.search(r"\s", first):
            raise ValueError("must be a URL with a host, found one that cannot be read; correct it")
        if has_password:
            raise ValueError("must have no password, for copies of the study have it too; put the URL into a variable and name $NAME")


def require_there(listener: Sequence[str], environment: Mapping[str, str] = os.environ) -> None:
    """Raise SpecError where the driver's machine has no such command, or no such variable with a URL."""
    variable = FROM_VARIABLE.fullmatch(listener[0]) if is_url(listener) else None
    if variable and not URL.fullmatch(environment.get(variable[1], "")):
        found = "none of that name" if variable[1] not in environment else "something else"
        raise SpecError(f"on_end: the variable {variable[1]} must hold an http:// or https:// URL, found {found}; set it")
    if not is_url(listener) and shutil.which(listener[0]) is None:
        raise SpecError(f"on_end must name a command that is on the driver's machine, found no {quoted(listener[0])}; correct it")


def url_of(listener: Sequence[str], environment: Mapping[str, str] = os.environ) -> str | None:
    """The address that is to be told; None for a command."""
    if not is_url(listener):
        return None
    variable = FROM_VARIABLE.fullmatch(listener[0])
    return environment.get(variable[1], "") if variable else listener[0]
