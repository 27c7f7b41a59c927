"""A byte-level BPE in a GGUF file: tokens, merges, and the name by which llama.cpp knows how text is split into words.

llama.cpp has the expressions built in and takes no other; a tokenizer that splits in another way is refused. Ids are compared on
hundreds of strings when an export is verified.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf

from search_space.errors import SpecError
from trials.corpus.given_tokenizer import read_definition, read_tokenizer
from trials.formats.model import ChatTokens

LLAMA_3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN_2 = LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")
EXPRESSIONS = {LLAMA_3: "llama-bpe", QWEN_2: "qwen2"}
"""Names that llama.cpp has for tokenizers whose first step is an expression of their own."""


def add_tokenizer(writer: gguf.GGUFWriter, file: Path, vocab_size: int, chat: ChatTokens | None = None) -> None:
    """Add a tokenizer.json, padded to the vocabulary; no token is put before or after a text, as in training.

    Raises SpecError where llama.cpp would give other ids.
    """
    given, (_, definition) = read_tokenizer(file), read_definition(file)
    model = definition["model"]
    splitter = splitter_name(file, definition)
    names = [f"[PAD{place}]" for place in range(vocab_size)]
    kinds = [gguf.TokenType.UNUSED] * vocab_size
    for token, place in model["vocab"].items():
        names[place], kinds[place] = token, gguf.TokenType.NORMAL
    for added in definition["added_tokens"]:
        names[added["id"]] = added["content"]
        kinds[added["id"]] = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(splitter)
    writer.add_token_list(names)
    writer.add_token_types(kinds)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]])
    begin, end = (given.end_of_text, given.end_of_text) if chat is None else (chat.begin, chat.ends[0])
    writer.add_bos_token_id(begin)
    writer.add_eos_token_id(end)
    writer.add_pad_token_id(end)
    if chat is not None:
        writer.add_chat_template(chat.template)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)


def require_tokenizer(file: Path) -> None:
    """Raise SpecError where a GGUF file cannot hold a tokenizer."""
    splitter_name(read_tokenizer(file).file, read_definition(file)[1])


def add_no_tokenizer(writer: gguf.GGUFWriter, vocab_size: int) -> None:
    """Say that the file has ids alone."""
    writer.add_tokenizer_model("no_vocab")


def splitter_name(file: Path, definition: Mapping[str, Any]) -> str:
    """What llama.cpp calls the way in which a tokenizer splits text; raises SpecError where it has no such way."""
    name = _splitter_name(definition["pre_tokenizer"])
    if definition.get("normalizer"):
        raise _unfit(file, f"a normalizer ({definition['normalizer']['type']})")
    if name is None:
        raise _unfit(file, "another expression")
    if bool(definition["model"].get("ignore_merges")) != (name == "llama-bpe"):
        raise _unfit(file, f"ignore_merges {definition['model'].get('ignore_merges')} beside the expression of {name}")
    return name


def _splitter_name(splitter: Mapping[str, Any]) -> str | None:
    *before, last = splitter["pretokenizers"] if splitter["type"] == "Sequence" else [splitter]
    if not before and last.get("use_regex", True):
        return "gpt-2"
    if len(before) == 1:
        (step,) = before
        if step["type"] == "Digits" and step["individual_digits"] and last.get("use_regex", True):
            return "smollm"
        whole = step["type"] == "Split" and step["behavior"] == "Isolated" and not step["invert"]
        if whole and not last.get("use_regex", True):
            return EXPRESSIONS.get(step["pattern"].get("Regex", ""))
    return None


def _unfit(file: Path, found: str) -> SpecError:
    return SpecError(
        f"the tokenizer {file} must split text as GPT-2, SmolLM, Llama 3 or Qwen 2 do in a GGUF file, and change nothing before, since "
        f"llama.cpp has these built in, found {found}; export to hf, or study with another tokenizer"
    )
