"""A chat as one text: the template that an export carries, and which letters of the text are answers.

Roles are words, not tokens of their own: a token that no training has seen would stand before every prompt. An answer ends with the
token that ends a text, which training has seen at the end of each document, so that a tuned model stops there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from search_space.errors import SpecError, said_by, shortened
from trials.tuning.chat import Chat

CHAT_TEMPLATE = (
    "{%- if tools %}{{- 'tools:\\n' }}{{- tools | tojson }}{{- '\\n' }}{%- endif %}"
    "{%- for message in messages %}"
    "{%- if message['content'] is string %}{%- set text = message['content'] | trim %}"
    "{%- elif message['content'] %}{%- set text = message['content'] | map(attribute='text') | join | trim %}"
    "{%- else %}{%- set text = '' %}{%- endif %}"
    "{{- message['role'] + ':\\n' + text }}"
    "{%- for call in message['tool_calls'] or [] %}"
    "{%- if text or not loop.first %}{{- '\\n' }}{%- endif %}"
    "{{- 'call: ' + call['function']['name'] + ' ' }}"
    "{%- if call['function']['arguments'] is string %}{{- call['function']['arguments'] }}"
    "{%- else %}{{- call['function']['arguments'] | tojson }}{%- endif %}"
    "{%- endfor %}"
    "{%- if message['role'] == 'assistant' %}{{- eos_token }}{%- endif %}"
    "{{- '\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- 'assistant:\\n' }}{%- endif %}"
)
"""Template of a model that brings none, in the Jinja that transformers and llama.cpp know."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A chat as text."""

    text: str
    answers: tuple[tuple[int, int], ...]
    """First letter and end of each answer to learn from, what ends it included."""


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """A template with the names that it may put into a text."""

    template: str
    bos_token: str
    eos_token: str

    def text(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = (), *, is_asked: bool = False) -> str:
        """What transformers' `apply_chat_template` makes of messages, with the beginning of an answer where one `is_asked` for.

        Raises SpecError for messages that the template refuses.
        """
        try:
            return _compiled(self.template).render(
                messages=[dict(each) for each in messages],
                tools=[dict(each) for each in tools] or None,
                documents=None,
                add_generation_prompt=is_asked,
                bos_token=self.bos_token,
                eos_token=self.eos_token,
            )
        except (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError) as error:
            raise SpecError(
                f"the model's chat template must take these messages, found: {shortened(said_by(error))}; correct them, or take "
                "chat_template out of the model's folder, and a template of archfront's is used"
            ) from None

    def prompt(self, chat: Chat, place: int) -> str:
        """What stands before the answer at a place of a chat."""
        return self.text([each.as_dict() for each in chat.messages[:place]], chat.tools, is_asked=True)

    def rendered(self, chat: Chat) -> Rendered:
        """A chat with the places of its answers; raises SpecError where a template does not write answers one after another."""
        messages = [each.as_dict() for each in chat.messages]
        try:
            whole, spans = self.text(messages, chat.tools), []
            for place in chat.answers():
                before = self.prompt(chat, place)
                after = self.text(messages[: place + 1], chat.tools)
                if not after.startswith(before) or not whole.startswith(after.rstrip()):
                    raise SpecError(
                        "the model's chat template must write each answer behind its prompt, found one that writes a chat otherwise once "
                        "it goes on; take chat_template out of the model's folder, and a template of archfront's is used"
                    )
                spans.append((len(before), len(after.rstrip())))
        except SpecError as error:
            raise SpecError(f"{chat.where}: {error}") from None
        return Rendered(whole, tuple(spans))


class _Generation(Extension):
    """`{% generation %}`, with which templates mark answers for transformers; what stands inside is written as it is."""

    tags = {"generation"}  # noqa: RUF012  as jinja2 has it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("written"), [], [], body).set_lineno(line)

    def written(self, caller: Callable[[], str]) -> str:
        """What stands inside."""
        return caller()


@lru_cache
def _compiled(template: str) -> Template:
    """The template in a sandbox, with what transformers gives one."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation])
    environment.filters["tojson"] = _as_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = _now
    try:
        return environment.from_string(template)
    except (TemplateError, ValueError, RecursionError, MemoryError, SyntaxError) as error:
        raise SpecError(
            f"the model's chat template must be Jinja as transformers has it, found: {shortened(said_by(error))}; take chat_template out "
            "of the model's folder, and a template of archfront's is used"
        ) from None


def _as_json(value: object, **options: Any) -> str:
    """JSON that keeps letters as they are, as transformers' filter of that name writes it."""
    return json.dumps(value, ensure_ascii=False, **options)


def _now(form: str) -> str:
    """The time of day and date in a form of strftime, as templates with a date ask for it."""
    return datetime.now().strftime(form)


def _refuse(message: str) -> None:
    raise TemplateError(message)
