"""What a person may give as MLflow's address: checked before anything starts, and made absolute once."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from search_space.errors import SpecError, quoted, refused, require_reachable
from trials.machine.redaction import redacted
from trials.study.own_database import require_short

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
"""Schemes of what MLflow opens itself, with or without a driver (`postgresql+psycopg2`)."""
DATABRICKS, CATALOGUES = "databricks", ("databricks-uc", "uc")
"""Schemes of Databricks: the one that keeps runs, and those that keep models only."""
BARE_WORDS = (DATABRICKS, *CATALOGUES)
"""What MLflow takes as an address though it is a word alone."""
SQLITE_FILE = re.compile(r"(?P<scheme>sqlite(?:\+\w+)?):///(?P<path>[^?]*)(?P<query>\?.*)?", re.IGNORECASE | re.DOTALL)
SQLITE_BEGINNING = b"SQLite format 3\x00"
EXPERIMENT_VARIABLE = "MLFLOW_EXPERIMENT_NAME"
"""MLflow's own variable; read where the service has names of another form than a study's."""
LONGEST_TAG = 5000
"""Characters; MLflow refuses tags of more than 8,000 bytes."""
ADVICE = "give http://HOST:PORT or sqlite:///FILE.db, or leave it out for a database in the study's directory"


def is_database(uri: str) -> bool:
    """Whether MLflow opens it itself instead of asking a server."""
    return _scheme(uri) in DATABASES


def is_relative(uri: str) -> bool:
    """Whether it is a file whose place depends on the folder that a command is called in."""
    file = SQLITE_FILE.fullmatch(uri)
    return file is not None and not file["path"].startswith("/")


def settled_uri(uri: str) -> str:
    """The address in the one form that is kept: a relative file is made absolute.

    Raises SpecError for what MLflow cannot keep runs in: an address that is none, a scheme that is not known, a database in memory, a file
    that is no SQLite database, a Databricks workspace without a name of its form.
    """
    scheme = _scheme(uri)
    if scheme == "sqlite":
        return _settled_file(uri)
    if scheme in DATABASES:
        return uri
    if scheme in ("http", "https"):
        if not urlsplit(uri).hostname:
            raise SpecError(f"a tracking URI must name a host, found {quoted(redacted(uri))}; {ADVICE}")
        return uri
    if scheme == DATABRICKS:
        experiment_name(uri, "")
        return uri
    if scheme in CATALOGUES:
        raise SpecError(f"a tracking URI must keep runs, found {quoted(redacted(uri))}, which keeps models only; give {DATABRICKS}")
    raise SpecError(f"a tracking URI must name a server or a database, found {quoted(redacted(uri))}; {ADVICE}")


def experiment_name(uri: str | None, study_name: str) -> str:
    """What a study's experiment is called there: as the study, but in Databricks, where names are paths of a workspace (SpecError)."""
    if uri is None or _scheme(uri) != DATABRICKS:
        return study_name
    name = os.environ.get(EXPERIMENT_VARIABLE, "")
    if not name.startswith("/"):
        raise SpecError(
            f"an experiment in Databricks must be named by an absolute path of the workspace, found {quoted(name or study_name)}; "
            f"set {EXPERIMENT_VARIABLE}=/Users/YOUR-NAME/NAME"
        )
    return name


def _scheme(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018  read here, because it is checked as it is read
    except ValueError as error:
        if uri.partition(":")[0].partition("+")[0] in DATABASES:  # whose passwords may have what an address of the web may not
            return uri.partition(":")[0].partition("+")[0]
        raise SpecError(
            f"a tracking URI must be an address, found {quoted(redacted(uri))} ({redacted(str(error), uri)}); {ADVICE}"
        ) from None
    return uri if uri in BARE_WORDS else parts.scheme.partition("+")[0]


def _settled_file(uri: str) -> str:
    file = SQLITE_FILE.fullmatch(uri)
    if file is None and uri.partition("://")[2]:
        raise SpecError(f"a SQLite database must have three slashes before its path, found {quoted(redacted(uri))}; give sqlite:///FILE.db")
    path, query = (file["path"], file["query"] or "") if file else ("", "")
    if path in ("", "/") or ":memory:" in uri or "mode=memory" in query:
        raise SpecError(
            f"a tracking URI must keep runs in a file, found {quoted(redacted(uri))}, a database in memory that ends with its process; "
            "give sqlite:///FILE.db, or leave it out for a database in the study's directory"
        )
    if path.startswith("file:"):
        raise SpecError(f"a SQLite database must be named by its path, found {quoted(redacted(uri))}; give sqlite:///FILE.db")
    if not path.startswith("/"):
        folder = os.getcwd()
        if re.search("[?%]", folder):
            raise SpecError(f"a relative tracking URI must be given in a folder without ? and %, found {folder}; give an absolute one")
        path = os.path.normpath(f"{folder}/{path}")
    _require_database(Path(unquote(path)))
    return f"{file['scheme'].lower() if file else 'sqlite'}:///{path}{query}"


def _require_database(path: Path) -> None:
    """Raise SpecError where something else than a SQLite database, or nothing yet, lies there."""
    require_reachable(path, "a database's file")
    require_short(path, "name another with --tracking-uri")
    if not path.exists() or (path.is_file() and path.stat().st_size == 0):
        return
    beginning = b""
    try:
        if path.is_file():  # to open a pipe would wait for ever
            with path.open("rb") as file:
                beginning = file.read(len(SQLITE_BEGINNING))
    except OSError as error:
        raise refused(error, path, "be a database that can be read", "name another with --tracking-uri") from None
    if beginning != SQLITE_BEGINNING:
        raise SpecError(f"{path} must be a SQLite database, found something else; name another with --tracking-uri, or move it away")
