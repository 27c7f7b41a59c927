"""One question of a task: what may follow what, and which of it is right."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """A text of which the second part is scored after the first."""

    context: str
    """What stands before; nothing where every token is scored, from what begins a text on."""
    continuation: str
    """What is scored, with the space in front of it where there is one."""

    @property
    def answer_bytes(self) -> int:
        """Length of the continuation in UTF-8 without the space around it."""
        return len(self.continuation.strip().encode())


@dataclass(frozen=True, slots=True)
class Question:
    """A question with one right answer."""

    options: tuple[Option, ...]
    """What may be chosen; one alone where the answer must be the likeliest of all texts, token by token (LAMBADA)."""
    answer: int
    """Index of the right option."""
    group: str = ""
    """A part of the task that is told by itself, such as a phenomenon of BLiMP's; nothing where there are none."""
