"""The one way in which YAML is read: a file of a person's becomes values of YAML's plain types, or one sentence with the line."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from analysis.records.json_text import MOST_DIGITS, parse_json, read_limited
from search_space.errors import SpecError, quoted, refused, require_reachable, shortened

LARGEST_YAML_BYTES = 64 << 10
"""Bytes of a YAML file, which takes a second to read; the longest ready study has a twentieth of them."""
LARGEST_JSON_BYTES = 1 << 20
"""Bytes of a JSON file that stands in its place, such as a published model's."""
MOST_LEVELS = 32
"""Mappings and lists within each other."""
MOST_VALUES = 20_000
"""Values of a file once every alias is written out."""
LONGEST_PROBLEM = 160
"""Characters of what PyYAML says, which repeats tags and names of the file."""
NO_TEXT = re.compile("[\\x00\\ud800-\\udfff]")
"""What a text may spell, and no file's name and no UTF-8 has: NUL, and half a surrogate pair."""
TAG = "tag:yaml.org,2002:"
PLAIN = {
    "null": "null",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "seq": "a list",
    "map": "a mapping",
}
"""Kinds of values that a study, an architecture or an ablation may have, in words; dates, bytes and sets are none."""
TEXT_HERE = (f"{TAG}timestamp", f"{TAG}value")
"""What PyYAML reads as something else where nobody asks it to: `2024-01-31`, and a lone `=`."""


class _Loader(yaml.SafeLoader):
    """PyYAML without dates, with every key once, and with bounds: what it cannot read is a `MarkedYAMLError`, whatever it is."""

    yaml_constructors = {  # noqa: RUF012  as PyYAML has it
        tag: make for tag, make in yaml.SafeLoader.yaml_constructors.items() if tag is None or tag.removeprefix(TAG) in PLAIN
    }
    yaml_implicit_resolvers = {  # noqa: RUF012  as PyYAML has it
        letter: [(tag, pattern) for tag, pattern in found if tag not in TEXT_HERE]
        for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._count = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth, self._count = self._depth + 1, self._count + 1
        if self._depth > MOST_LEVELS:
            raise _wrong(f"more than {MOST_LEVELS} levels within each other", self.peek_event())  # type: ignore[no-untyped-call]
        if self._count > MOST_VALUES:
            raise _wrong(f"more than {MOST_VALUES:,} values", self.peek_event())  # type: ignore[no-untyped-call]
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _count_values(node, {})
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except (ValueError, KeyError, IndexError, TypeError, OverflowError):
            raise _wrong(f"{quoted(node.value)}, which is not {PLAIN[node.tag.removeprefix(TAG)]}", node) from None
        if isinstance(value, int) and abs(value) >= 10**MOST_DIGITS:
            raise _wrong(f"a number of more than {MOST_DIGITS} digits", node)
        if isinstance(value, str) and NO_TEXT.search(value):  # which only an escape can spell
            raise _wrong(f"{quoted(value)}, a character that no path and no encoding has", node)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            name = (key.tag, str(key.value))
            if name in seen and key.tag != f"{TAG}merge":
                raise _wrong(f"`{shortened(key.value)}` stands there twice", key)
            seen.add(name)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, missing: str, wrong: str) -> Any:
    """The values in a file of YAML, or of JSON where its name ends in `.json`.

    Raises SpecError where it is not a file, with `missing` as the cure, or not YAML or JSON, with `wrong` as the cure.
    """
    require_reachable(path, "a file's name")
    if not path.is_file():
        raise SpecError(f"{path} is not a file; {missing}")
    kind = "JSON" if path.suffix == ".json" else "YAML"
    try:
        return parse_json(read_limited(path, LARGEST_JSON_BYTES)) if kind == "JSON" else parse_yaml(read_limited(path, LARGEST_YAML_BYTES))
    except OSError as error:
        raise refused(error, path, "be readable", "check its permissions") from None
    except ValueError as error:
        raise SpecError(f"{path} cannot be read as {kind} ({error}); {wrong}") from None


def parse_yaml(content: bytes | str) -> Any:
    """The values of one YAML document; raises ValueError, with the line, for what is none or passes a bound."""
    data = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    if len(data) > LARGEST_YAML_BYTES:
        raise ValueError(f"more than {LARGEST_YAML_BYTES:,} bytes")
    try:
        loader = _Loader(data.decode("utf-8-sig"))
        return loader.get_single_data()
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8") from None
    except yaml.reader.ReaderError as error:
        line = data.decode("utf-8-sig").count("\n", 0, error.position) + 1
        raise ValueError(f"line {line}: a character that YAML does not have, U+{error.character:04X}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = "" if mark is None else f"line {mark.line + 1}: "
        raise ValueError(f"{place}{shortened(error.problem or error.context, LONGEST_PROBLEM)}") from None


def _wrong(said: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(None, None, said, at.start_mark)


def _count_values(node: yaml.Node, counted: dict[int, int]) -> int:
    """Values of a node with every alias written out; raises where they are too many, or a node is within itself."""
    known = counted.get(id(node))
    if known is None:
        counted[id(node)] = 0  # until its parts are counted, which is how a node within itself is met
        parts = [] if isinstance(node, yaml.ScalarNode) else node.value
        inner = [part for pair in parts for part in pair] if isinstance(node, yaml.MappingNode) else parts
        known = counted[id(node)] = 1 + sum(_count_values(part, counted) for part in inner)
        if known > MOST_VALUES:
            raise _wrong(f"more than {MOST_VALUES:,} values once aliases are written out", node)
    elif not known:
        raise _wrong("an alias of what it stands in", node)
    return known
