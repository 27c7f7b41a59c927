"""No password in what is said: other libraries write addresses into their errors as they were given them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

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
"""Set for a job: names, with commas, of the variables that its submitter's environment lent it, each of which is a secret."""
OF_ENVIRONMENT = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "DATABRICKS_TOKEN", "DATABRICKS_CLIENT_SECRET")
"""Variables in which MLflow looks for a secret."""


def redacted(text: str, address: str = "") -> str:
    """A text without secrets: those in any address in it, those of `address` however they are written, and those of the environment."""
    for secret in sorted(_known(address), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for pattern in PATTERNS:
        text = pattern.sub(rf"\g<1>{HIDDEN}", text)
    return text


def _known(address: str) -> Iterator[str]:
    """Secrets of an address and of the environment, as they are, and as an address quotes them."""
    found = [match[2].strip("\"'") for pattern in PATTERNS for match in pattern.finditer(address)]
    found += [match[1].strip("{}") for string in found for match in DRIVER_SECRET.finditer(unquote(string))]
    found += [os.environ.get(name, "") for name in (*OF_ENVIRONMENT, *os.environ.get(CARRIED_VARIABLE, "").split(","))]
    for secret in found:
        plain = unquote(secret)
        for form in {secret, plain, quote(plain), quote(plain, safe=""), repr(plain)[1:-1]}:
            if len(form) >= SHORTEST_SECRET and form != HIDDEN:
                yield form
