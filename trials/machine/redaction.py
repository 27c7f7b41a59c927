"""No password in what is said: other libraries write addresses into their errors as they were given them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote

from analysis.records.json_writer import json_of

HIDDEN = "***"
SHORTEST_SECRET = 4
"""Characters of a secret that is hidden wherever it stands; a shorter one stands in every other word, and is hidden in addresses."""
SECRET_NAME = r"[\w-]*(?:passwords?|passwd|passphrase|pwd|token|secret|credentials?|api[_-]?key|access[_-]?key|signature)|sig|odbc_connect"
USERINFO = re.compile(r"(\bhttps?://[^\s/@:?#]*:)([^\s/?#]*)(?=@)", re.IGNORECASE)
"""A password as RFC 3986 has it; in a database's address SQLAlchemy takes slashes and question marks in a password, too."""
DATABASE_USERINFO = re.compile(r"(\b(?!https?:)[a-z][a-z0-9+.-]*://[^\s/@:?#]*:)(\S*)(?=@)", re.IGNORECASE)
STATED_SECRET = re.compile(rf"(\b(?:{SECRET_NAME})=)(\"[^\"]*\"|'[^']*'|[^\s&;,'\"]+)", re.IGNORECASE)
HEADER = re.compile(r"(\b(?:Basic|Bearer) )([\w.~+/=-]{8,})")
DRIVER_SECRET = re.compile(r"\bPWD=([^;]*)", re.IGNORECASE)
"""A password in the connection string of an ODBC driver, which `odbc_connect` has."""
PATTERNS = (USERINFO, DATABASE_USERINFO, STATED_SECRET, HEADER)
"""Expressions with two groups: what stands before a secret, and the secret."""
CARRIED_VARIABLE = "ARCHFRONT_CARRIED"
"""Set for a job: names, with commas, of the variables that its submitter's environment lent it, secrets but for places and plain values."""
OF_ENVIRONMENT = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "DATABRICKS_TOKEN", "DATABRICKS_CLIENT_SECRET")
"""Variables in which MLflow looks for a secret."""
NAMES_A_PLACE = re.compile(r".*(?:USER|USERNAME|URI|URL)", re.IGNORECASE)
"""Names of variables that say who or where, which stands in much that is said; of an address the password alone is a secret."""
NAMES_A_SECRET = re.compile(r".*(?:PASS|PWD|TOKEN|SECRET|KEY|CREDENTIAL|AUTH|SIGNATURE|COOKIE).*", re.IGNORECASE)
PLAIN_VALUE = re.compile(r"[A-Za-z][a-z]{0,7}|[A-Z]{1,8}|\d{1,5}")
"""What any text may have and is no secret of a variable whose name does not say so: `debug`, `1000`."""
NO_SECRET = re.compile(r"true|false|none|null", re.IGNORECASE)
"""What is none whatever the name says, as of `TOKENIZERS_PARALLELISM`."""


def redacted(text: str, address: str = "") -> str:
    """A text without secrets: those in any address in it, those of `address` however they are written, and those of the environment."""
    return _without([*_of_address(address), *_of_environment()], text)


def without_password(address: str) -> str:
    """An address to be kept: without its own secrets, whatever the environment has."""
    return _without(_of_address(address), address)


def _without(secrets: Iterable[str], text: str) -> str:
    for secret in sorted(_forms(secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for pattern in PATTERNS:
        text = pattern.sub(rf"\g<1>{HIDDEN}", text)
    return text


def _of_address(address: str) -> list[str]:
    found = [match[2].strip("\"'") for pattern in PATTERNS for match in pattern.finditer(address)]
    return [*found, *(match[1].strip("{}") for string in found for match in DRIVER_SECRET.finditer(unquote(string)))]


def _of_environment() -> Iterator[str]:
    """Secrets of variables, whole and each line of several."""
    for name in (*OF_ENVIRONMENT, *os.environ.get(CARRIED_VARIABLE, "").split(",")):
        value = os.environ.get(name, "")
        if NAMES_A_PLACE.fullmatch(name):
            yield from _of_address(value)
        else:
            lines = dict.fromkeys((value, value.strip(), *map(str.strip, value.splitlines())))
            plain = NO_SECRET if NAMES_A_SECRET.fullmatch(name) else PLAIN_VALUE
            yield from (line for line in lines if not plain.fullmatch(line))


def _forms(secrets: Iterable[str]) -> Iterator[str]:
    """Secrets as they are, and as addresses, Python and JSON quote them."""
    for secret in secrets:
        plain = unquote(secret)
        quotings = (
            *(quote(plain, safe, errors="surrogateescape") for safe in ("/", "")),
            *(text[1:-1] for each in {secret, plain} for text in _literals(each)),
        )
        for form in {secret, plain, *quotings}:
            if len(form) >= SHORTEST_SECRET and form != HIDDEN:
                yield form


def _literals(text: str) -> tuple[str, str, str]:
    return repr(text), json_of(text), json_of(text, as_ascii=False)
