"""No secret of an address is left in what other libraries say of it: a table of schemes, of ways to write a secret, and of what is said."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable
from itertools import product
from urllib.parse import quote

import pytest

from analysis.records.record import Kind, Outcome
from tests.support import fakes
from tests.support.needs import rest_is_more
from trials.driver.attempts import explain_loss
from trials.machine.redaction import CARRIED_VARIABLE, HIDDEN, redacted, without_password
from trials.training.failures import Diverged, OutOfMemory, TimedOut
from trials.trial.references import references
from trials.trial.task import Start, TrialTask, count_costs, outcome_of, record_of

SCHEMES = ("http", "https", "postgresql", "postgresql+psycopg2", "mysql+pymysql", "mssql+pyodbc", "databricks")
SECRETS = ("hunter2", "p@ss:word", "a/b?c#d", "ünï code", "100%sure", "'quoted'", '"double"', "x" * 300, "*+.^$[]()\\", "T0k3n==")
PLACES: dict[str, Callable[[str, str], str]] = {
    "password": lambda scheme, secret: f"{scheme}://me:{quote(secret, safe='')}@host:5000/db",
    "password without a user": lambda scheme, secret: f"{scheme}://:{quote(secret, safe='')}@host/db",
    "query": lambda scheme, secret: f"{scheme}://host/db?sslmode=require&password={quote(secret, safe='')}&a=b",
    "token": lambda scheme, secret: f"{scheme}://host/db?access_token={quote(secret, safe='')}",
    "driver's string": lambda scheme, secret: f"{scheme}://?odbc_connect={quote(f'DRIVER=x;UID=me;PWD={secret}', safe='')}",
}
SAID: dict[str, Callable[[str, str], str]] = {
    "the address": lambda address, secret: f"cannot connect to {address}",
    "the address in quotes": lambda address, secret: f"Could not parse SQLAlchemy URL from string '{address}'",
    "the address twice": lambda address, secret: f"{address} is not {address}.",
    "the secret": lambda address, secret: f'FATAL: password "{secret}" is wrong',
    "the secret as Python writes it": lambda address, secret: f"got {secret!r} for it",
    "the secret as an address has it": lambda address, secret: f"failed at {quote(secret, safe='')}@host",
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("said", SAID)
def test_a_secret_of_the_address_is_in_nothing_that_is_said(scheme: str, place: str, said: str) -> None:
    for secret in SECRETS:
        address = PLACES[place](scheme, secret)
        found = redacted(SAID[said](address, secret), address)
        assert secret not in found, (address, found)
        assert quote(secret, safe="") not in found, (address, found)
        assert HIDDEN in found


@pytest.mark.parametrize("place", rest_is_more(PLACES, "password", "driver's string"))
def test_drawn_secrets_are_hidden_too(place: str) -> None:
    draw = random.Random(place)
    for _ in range(300):
        letters = string.printable.strip().translate(str.maketrans("", "", ";{}")) + " éß→"  # which end a secret in a driver's string
        secret = "x" + "".join(draw.choices(letters, k=draw.randint(4, 40))) + "x"
        for scheme, said in product(SCHEMES, SAID.values()):
            address = PLACES[place](scheme, secret)
            assert secret not in redacted(said(address, secret), address), (address, secret)


@pytest.mark.parametrize("secret", ["p@ss", "a/b", "a?b", "a#b", "a:b"])
@pytest.mark.parametrize("scheme", ["postgresql", "mysql+pymysql", "mssql+pyodbc"])
def test_what_sqlalchemy_takes_unquoted_is_hidden_too(scheme: str, secret: str) -> None:
    address = f"{scheme}://me:{secret}@host/db"
    assert redacted(address) == f"{scheme}://me:{HIDDEN}@host/db"


def test_secrets_of_the_environment_and_of_headers_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "dapi0123456789")
    assert redacted("401 for dapi0123456789") == f"401 for {HIDDEN}"
    assert redacted("{'Authorization': 'Basic bWU6aHVudGVyMg=='}") == "{'Authorization': 'Basic ***'}"


CARRIED = {
    "a user": ("MLFLOW_TRACKING_USERNAME", "archfront", False),
    "an account": ("DB_USER", "archfront", False),
    "an address": ("MLFLOW_TRACKING_URI", "archfront", False),
    "a level": ("LOG_LEVEL", "debug", False),
    "a switch": ("USE_CACHE", "true", False),
    "a switch with a secret's name": ("TOKENIZERS_PARALLELISM", "true", False),
    "a number": ("TIMEOUT", "1000", False),
    "a word that is a password": ("MY_PASSWORD", "debug", True),
    "a key": ("SERVICE_KEY", "abcd", True),
    "what may be a secret": ("OTHER", "a1b2c3d4", True),
    "a long word": ("OTHER", "archfronts", True),
}


@pytest.mark.parametrize("kind", CARRIED)
def test_of_what_is_carried_names_and_plain_words_stay(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, value, is_secret = CARRIED[kind]
    monkeypatch.setenv(name, value)
    monkeypatch.setenv(CARRIED_VARIABLE, f"ABSENT,{name}")
    text = f"archfront: http://{value}:5000 does not answer"
    assert (value in redacted(text).removeprefix("archfront: ")) is not is_secret
    assert without_password(f"http://{value}:5000") == f"http://{value}:5000"


def test_of_an_address_that_is_carried_the_password_alone_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_URL", "postgresql://me:hunter2@host/db")
    monkeypatch.setenv(CARRIED_VARIABLE, "DB_URL")
    assert redacted("hunter2 is no password for me at host") == f"{HIDDEN} is no password for me at host"


@pytest.mark.parametrize(
    "value", ["first line\nsecond line\r\n  third", 'a "quoted" one', "back\\slash", "t\tab", "ünï code", "by\udcfftes"]
)
def test_each_line_of_what_is_carried_is_hidden_however_it_is_written(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_KEY", value)
    monkeypatch.setenv(CARRIED_VARIABLE, "SERVICE_KEY")
    for part in (value, *map(str.strip, value.splitlines())):
        for written in (
            part,
            repr(part)[1:-1],
            json.dumps(part)[1:-1],
            json.dumps(part, ensure_ascii=False)[1:-1],
            quote(part, "", errors="surrogateescape"),
        ):
            assert redacted(f"<{written}>") == f"<{HIDDEN}>"


@pytest.mark.parametrize(
    "text",
    [
        "http://host:5000/path?tokens=5",
        "the study's proxy.tokens = 20000, max_tokens: 5, tokenizer=gpt",
        "http://host/people/me@example.org",
        "http://me@host:5000",
        "[Errno 111] Connection refused: HTTPConnectionPool(host='127.0.0.1', port=5000)",
        "sqlite:////runs/a b/mlflow.db",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


RAISED: dict[str, Callable[[str], Exception]] = {
    "a library's own": RuntimeError,
    "a connection": ConnectionError,
    "a file": lambda said: FileNotFoundError(2, "No such file", said),
    "a key": KeyError,
    "a loss": Diverged,
    "memory": OutOfMemory,
    "Python's memory": MemoryError,
    "a deadline": TimedOut,
    "several lines": lambda said: ValueError(f"it is so:\n  {said}\nand so on"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", RAISED)
def test_no_record_of_a_trial_has_a_secret_of_what_was_raised_in_it(kind: str, place: str) -> None:
    study, _ = fakes.small_study()
    (_, shape), *_ = references(study.references, study.search_space)
    task = TrialTask(number=0, kind=Kind.SAMPLED, architecture=shape, seed=0)
    costs = count_costs(shape, study.latency, study.proxy)
    for scheme, secret, said in product(SCHEMES, SECRETS, list(SAID)[:3]):
        address = PLACES[place](scheme, secret)
        error = RAISED[kind](SAID[said](address, secret))
        explained = explain_loss(f"Traceback (most recent call last):\n{error}", 1.0, 100.0)
        assert explained is not None
        reasons = [outcome_of(error)[1], explained[1]]
        for reason in reasons:
            kept = record_of(task, Outcome.FAILED, reason, costs, Start.now()).reason
            assert kept is not None
            assert secret not in kept
            assert quote(secret, safe="") not in kept
        assert quote(secret, safe="") not in reasons[0]
