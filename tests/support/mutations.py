"""Files as they come out of editors, disks and other people's programs: seeded mutations of structure, numbers, text, lines and bytes.

A mutation takes a file's content and a source of randomness, and gives other content; the same seed gives the same bytes. Those of values
know YAML and JSON, and change one value, key or item of a tree; the others know nothing of what they change.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import yaml

Tree = Any
Place = tuple[Any, Any]
"""A mapping or a list, and a key or an index of it."""
Mutation = Callable[[bytes, random.Random], bytes]

NUMBERS: tuple[Any, ...] = (
    0, 1, -1, 2, 3, 7, 255, 257, 65_537, 10**6, 10**9, 2**31, 2**63, -(2**63), 10**15, 10**18, 10**30, 10**299, 10**400,
    0.5, -0.5, 1.0, 1.5, 1e-9, 1e-30, 1e-300, 5e-324, 1e15, 1e30, 1e308, -1e308, float("nan"), float("inf"), float("-inf"), True, False,
)  # fmt: skip
UNITS = ("1M", "2.5GB", "32k", "30s", "1e6", "1_000", "1,000", "0x10", "1e308", "1e999", "-1k", "3 apples", "50%", "nan", "inf", ".5", "1e")
TEXTS = (
    "", " ", "~", "null", "true", "none", "auto", "*", "&", "!", "=", "<<", "a\0b", "a\nb", "a\tb", "\u202e", "名前", "é" * 90, "🙂",
    "\ud800",
    "x" * 300, "y" * 9_000, "{}", "[]", "%s%n", "{0}", "2024-13-45", "'", '"', "\\", "../..", "deep-thin", "mobilellm-125m", "parameters",
)  # fmt: skip
PATHS = ("/", ".", "..", "/dev/null", "/dev/zero", "nowhere/*.txt", "*", "**/*", "~", "file:///x", "http://[", "s3://b/k", "/proc/self/mem")
MOST_PLACES = 20_000
DEEP = 40
"""Brackets around a value; readers have a bound below it."""


def values_in(tree: Tree) -> Iterator[Place]:
    """Every value below the root, with what holds it."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        yield tree, key
        yield from values_in(value)


def _other_type(value: Any, rng: random.Random) -> Any:
    return rng.choice([None, True, 0, 1.5, "text", [], {}, [value], {"value": value}, str(value), [value, value]])


def _other_number(value: Any, rng: random.Random) -> Any:
    changed = [value * 1000, -value, value + 1, value / 3] if isinstance(value, int | float) and abs(value) < 10**300 else []
    return rng.choice([*NUMBERS, *UNITS, *changed])


def _other_text(value: Any, rng: random.Random) -> Any:
    return rng.choice([*TEXTS, *PATHS, *((value + value, value[:-1], value.upper(), f" {value} ") if isinstance(value, str) else ())])


def _nested(value: Any, rng: random.Random) -> Any:
    for _ in range(rng.choice([1, 2, DEEP, DEEP * 30])):
        value = [value] if rng.random() < 0.7 else {"a": value}
    return value


VALUES: Mapping[str, Callable[[Any, random.Random], Any]] = {
    "type": _other_type,
    "number": _other_number,
    "text": _other_text,
    "nesting": _nested,
}
"""Changes of one value."""


def _misspelled(name: str, rng: random.Random) -> str:
    place = rng.randrange(len(name)) if name else 0
    return rng.choice([name[:place] + name[place + 1 :], name[:place] + "x" + name[place:], name.upper(), name + " ", name * 40, ""])


def changed_tree(tree: Tree, rng: random.Random) -> tuple[str, Tree]:
    """A tree with one value, key or item changed, and what was done; the tree itself stays."""
    tree = copy.deepcopy(tree)
    places = list(islice(values_in(tree), MOST_PLACES))  # aliases of aliases have more than anybody can list
    if not places:
        return "type", _other_type(tree, rng)
    holder, key = rng.choice(places)
    what = rng.choice([*VALUES, "number", "type", "missing", "misspelled", "moved", "more"])
    if what in VALUES:
        holder[key] = VALUES[what](holder[key], rng)
    elif what == "moved":
        other, place = rng.choice(places)
        holder[key] = copy.deepcopy(other[place])
    elif what == "more" and isinstance(holder, list):
        holder[key:key] = [copy.deepcopy(holder[key])] * rng.choice([1, 1, 70, 3_000])
    elif what == "misspelled" and isinstance(holder, dict) and isinstance(key, str):
        holder[_misspelled(key, rng)] = holder.pop(key)
    elif isinstance(holder, dict) and what == "more":
        holder[rng.choice(TEXTS)] = copy.deepcopy(holder[key])
    else:
        what = "missing"
        del holder[key]
    return what, tree


def _yaml(tree: Tree) -> bytes:
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=10**9).encode(errors="surrogatepass")


def _json(tree: Tree) -> bytes:
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")


def _of_tree(read: Callable[[bytes], Tree], write: Callable[[Tree], bytes]) -> Mutation:
    def mutate(content: bytes, rng: random.Random) -> bytes:
        try:
            return write(changed_tree(read(content), rng)[1])
        except (ValueError, RecursionError, yaml.YAMLError):  # what a mutation before this one has left is no tree
            return bytes_flipped(content, rng)

    return mutate


yaml_value = _of_tree(yaml.safe_load, _yaml)
json_value = _of_tree(json.loads, _json)


def json_line_value(content: bytes, rng: random.Random) -> bytes:
    """One line's object changed."""
    lines = content.splitlines()
    place = rng.randrange(len(lines)) if lines else 0
    return b"\n".join([*lines[:place], json_value(lines[place], rng), *lines[place + 1 :], b""]) if lines else content


def cell_changed(content: bytes, rng: random.Random) -> bytes:
    """One cell of a table of separated values changed."""
    lines = content.splitlines() or [b""]
    place = rng.choice([0, rng.randrange(len(lines))])
    cells = lines[place].split(b",")
    cells[rng.randrange(len(cells))] = str(rng.choice([*NUMBERS[:-8], *UNITS, *TEXTS, '"', "a,b"])).encode(errors="surrogatepass")
    return b"\n".join([*lines[:place], b",".join(cells), *lines[place + 1 :], b""])


def column_changed(content: bytes, rng: random.Random) -> bytes:
    """Every cell of one column changed alike: left out, doubled, or multiplied."""
    rows = [line.split(b",") for line in content.splitlines()]
    place = rng.randrange(max(map(len, rows), default=1))
    how = rng.choice(["missing", "doubled", "other", "scaled"])
    factor = rng.choice([0, -1, 1e-12, 1e12, 1e300])
    for number, row in enumerate(rows):
        if place >= len(row):
            continue
        if how == "missing":
            del row[place]
        elif how == "doubled":
            row.append(row[place])
        elif number and how == "other":
            row[place] = row[rng.randrange(len(row))]
        elif number:
            try:
                row[place] = repr(float(row[place]) * factor).encode()
            except ValueError:
                row[place] = b""
    return b"\n".join([b",".join(row) for row in rows] + [b""])


def line_doubled(content: bytes, rng: random.Random) -> bytes:
    """One line stands there again, at once or elsewhere."""
    lines = content.splitlines(keepends=True) or [b""]
    place = rng.randrange(len(lines))
    again = rng.choice([place, rng.randrange(len(lines) + 1)])
    return b"".join([*lines[:again], lines[place], *lines[again:]])


def lines_swapped(content: bytes, rng: random.Random) -> bytes:
    """Two lines in each other's place."""
    lines = content.splitlines(keepends=True) or [b""]
    one, two = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[two] = lines[two], lines[one]
    return b"".join(lines)


def line_removed(content: bytes, rng: random.Random) -> bytes:
    """One line is not there."""
    lines = content.splitlines(keepends=True) or [b""]
    del lines[rng.randrange(len(lines))]
    return b"".join(lines)


def line_indented(content: bytes, rng: random.Random) -> bytes:
    """One line further to the right, by spaces or a tab."""
    lines = content.splitlines(keepends=True) or [b""]
    place = rng.randrange(len(lines))
    lines[place] = rng.choice([b" ", b"  ", b"\t", b"- "]) + lines[place]
    return b"".join(lines)


def alias_added(content: bytes, rng: random.Random) -> bytes:
    """A value of YAML named, and that name where another value was; or aliases of aliases."""
    lines = content.splitlines() or [b""]
    if rng.random() < 0.2:
        steps = [b"zz0: &zz0 [1, 2]", *(b"zz%d: &zz%d [%s]" % (n, n, b", ".join([b"*zz%d" % (n - 1)] * 12)) for n in range(1, 8))]
        return b"\n".join([*lines, *steps, b""])
    one, two = rng.randrange(len(lines)), rng.randrange(len(lines))
    for place, mark in ((one, b" &a"), (two, rng.choice([b" *a", b" *b", b" &a", b" !!int", b" !!python/name:os.system", b" <<: *a"]))):
        key, colon, value = lines[place].partition(b":")
        lines[place] = key + colon + mark + (value if mark != b" *a" else b"")
    return b"\n".join([*lines, b""])


def cut(content: bytes, rng: random.Random) -> bytes:
    """The end is missing, as after a crash; sometimes the beginning."""
    place = rng.randrange(len(content) + 1)
    return content[:place] if rng.random() < 0.8 else content[place:]


def bytes_flipped(content: bytes, rng: random.Random) -> bytes:
    """Some bytes are others."""
    changed = bytearray(content or b" ")
    for _ in range(rng.choice([1, 1, 3, 40])):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def bytes_inserted(content: bytes, rng: random.Random) -> bytes:
    """Bytes that were not there: marks of YAML and JSON, control characters, what is no UTF-8, much of one."""
    place = rng.randrange(len(content) + 1)
    marks = [
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\r",
        b"\n",
        b"\t",
        b'"',
        b"'",
        b"{",
        b"[" * 2_000,
        b"}",
        b",",
        b":",
        b"#",
        b"- ",
        b"\xf0\x9f\x99\x82",
    ]
    return content[:place] + rng.choice([*marks, b"9" * 5_000, bytes(rng.randrange(256) for _ in range(20))]) + content[place:]


OF_BYTES: Mapping[str, Mutation] = {"cut": cut, "flipped": bytes_flipped, "inserted": bytes_inserted}
OF_LINES: Mapping[str, Mutation] = {
    "line doubled": line_doubled,
    "lines swapped": lines_swapped,
    "line removed": line_removed,
    "line indented": line_indented,
}
OF_FORMAT: Mapping[str, tuple[tuple[str, Mutation], ...]] = {
    "yaml": (("value", yaml_value), ("value", yaml_value), ("alias", alias_added)),
    "json": (("value", json_value),),
    "jsonl": (("value", json_line_value),),
    "csv": (("cell", cell_changed), ("column", column_changed)),
    "bytes": (),
}
"""What knows a format; half of all mutations."""


def mutated(content: bytes, form: str, rng: random.Random) -> tuple[str, bytes]:
    """Other content, by one to three mutations, and what they are called."""
    done = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        known = OF_FORMAT[form]
        if known and rng.random() < 0.7:
            name, mutate = rng.choice(known)
        else:
            name, mutate = rng.choice([*OF_BYTES.items(), *OF_LINES.items()])
        content = mutate(content, rng)
        done.append(name)
    return ", ".join(done), content
