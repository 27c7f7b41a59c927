"""Synthetic dialogues in which an assistant calls tools: who asks, which call that is, what the tool says, and what is answered.

Made from a seed, without a network. Some askers leave out what a call needs and are asked back, and some ask twice. What a tool says is
drawn too, so that an answer must take it from there. They teach the form of a task and show whether a tuning works; what a product's
users say only their own data has.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.records.json_writer import json_of
from trials.tuning.chat import Chat, Message

SYNTHETIC = "synthetic:api"
"""What stands for these dialogues where a file of chats is asked for."""
USUAL_CHATS = 1000
"""How many are made where no number is said."""

_NAMES = ("Ada", "Boris", "Chen", "Dilara", "Emeka", "Fatima", "Grace", "Hiro", "Ines", "Jonas", "Kavya", "Lars", "Mona", "Nikos", "Olga")
_CITIES = ("Accra", "Berlin", "Cairo", "Delhi", "Helsinki", "Kyoto", "Lima", "Milan", "Oslo", "Quito", "Riga", "Seoul", "Tunis", "Zurich")
_SONGS = ("Blue Lamp", "Cold River", "Dust and Gold", "First Snow", "Glass Houses", "Long Way Down", "Paper Moon", "Slow Train")
_ITEMS = ("apples", "batteries", "coffee", "eggs", "lemons", "milk", "paper", "rice", "soap", "tea", "yeast")
_ROOMS = ("attic", "bedroom", "garage", "hall", "kitchen", "office", "study")
_THINGS = ("call the bank", "feed the cat", "pay the rent", "post the letter", "water the plants", "book a table", "charge the bike")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_TEXTS = ("I am late", "the meeting is over", "see you soon", "the keys are at home", "call me back", "dinner is ready")
_SKIES = ("clear", "cloudy", "foggy", "rainy", "snowy", "windy")

_SLOTS: Mapping[str, Callable[[random.Random], Any]] = {
    "city": lambda chance: chance.choice(_CITIES),
    "contact": lambda chance: chance.choice(_NAMES),
    "song": lambda chance: chance.choice(_SONGS),
    "item": lambda chance: chance.choice(_ITEMS),
    "room": lambda chance: chance.choice(_ROOMS),
    "task": lambda chance: chance.choice(_THINGS),
    "day": lambda chance: chance.choice(_DAYS),
    "text": lambda chance: chance.choice(_TEXTS),
    "time": lambda chance: f"{chance.randint(0, 23):02d}:{chance.choice((0, 15, 30, 45)):02d}",
    "minutes": lambda chance: chance.randint(2, 90),
    "count": lambda chance: chance.randint(2, 12),
    "degrees": lambda chance: chance.randint(16, 26),
}


@dataclass(frozen=True, slots=True)
class _Tool:
    """A tool that may be called; texts have its arguments and what it says in braces."""

    name: str
    arguments: tuple[str, ...]
    asked: tuple[str, ...]
    """What somebody says who wants it."""
    vague: str
    """What somebody says who leaves out the last argument."""
    asks_back: str
    says: Callable[[random.Random], dict[str, Any]]
    """What it answers beside `status`."""
    told: tuple[str, ...]
    """What the assistant makes of that."""


_TOOLS = (
    _Tool(
        "get_weather", ("day", "city"), ("What will the weather be in {city} on {day}?", "Weather for {city}, {day} please."),
        "What will the weather be on {day}?", "For which city?",
        lambda chance: {"sky": chance.choice(_SKIES), "high": chance.randint(-9, 38)},
        ("On {day} it will be {sky} in {city}, with up to {high} degrees.",),
    ),
    _Tool(
        "send_message", ("text", "contact"), ("Tell {contact} that {text}.", "Send {contact} a message: {text}."),
        "Send a message: {text}.", "Who shall get it?", lambda chance: {"number": chance.randint(100, 999)},
        ("Your message to {contact} is sent, number {number}.",),
    ),
    _Tool(
        "set_timer", ("minutes",), ("Set a timer for {minutes} minutes.", "Wake me in {minutes} minutes."), "Set a timer.",
        "For how many minutes?", lambda chance: {"ends": _SLOTS["time"](chance)}, ("The timer runs {minutes} minutes, until {ends}.",),
    ),
    _Tool(
        "add_reminder", ("task", "day", "time"), ("Remind me on {day} at {time} to {task}.", "On {day} at {time} I have to {task}."),
        "Remind me on {day} to {task}.", "At what time?", lambda chance: {"open": chance.randint(1, 9)},
        ("I will remind you on {day} at {time} to {task}; {open} reminders are open.",),
    ),
    _Tool(
        "play_song", ("song", "room"), ("Play {song} in the {room}.", "I want to hear {song} in the {room}."), "Play {song}.",
        "In which room?", lambda chance: {"by": chance.choice(_NAMES)}, ("{song} by {by} is playing in the {room}.",),
    ),
    _Tool(
        "set_heating", ("room", "degrees"), ("Heat the {room} to {degrees} degrees.", "Make it {degrees} degrees in the {room}."),
        "Heat the {room}.", "To how many degrees?", lambda chance: {"now": chance.randint(10, 15)},
        ("The {room} has {now} degrees now and will have {degrees}.",),
    ),
    _Tool(
        "add_to_list", ("count", "item"), ("Put {count} {item} on my list.", "I need {count} {item}."), "Put {count} more on my list.",
        "Of what?", lambda chance: {"entries": chance.randint(2, 20)}, ("{count} {item} are on your list, which has {entries} entries.",),
    ),
    _Tool(
        "find_train", ("time", "city"), ("Find a train to {city} after {time}.", "When does a train leave for {city} after {time}?"),
        "Find a train after {time}.", "To which city?", lambda chance: {"leaves": _SLOTS["time"](chance), "track": chance.randint(1, 12)},
        ("The next train to {city} leaves at {leaves} from track {track}.",),
    ),
)  # fmt: skip
ASKED_BACK, ASKED_TWICE = 0.25, 0.3
"""Shares of the dialogues in which an argument is left out at first, and in which something else is asked after the first answer."""


def synthetic_chats(count: int, seed: int) -> list[Chat]:
    """So many dialogues, always the same ones for a seed."""
    chance = random.Random(seed)
    found = []
    for number in range(1, count + 1):
        messages = _asked_and_answered(chance)
        if chance.random() < ASKED_TWICE:
            messages += _asked_and_answered(chance)
        found.append(Chat(tuple(messages), (), f"{SYNTHETIC}, dialogue {number}"))
    return found


def asked_texts(chat: Chat) -> set[str]:
    """What users of a dialogue ask for, each request by its first words; what they add where they are asked back is none."""
    backs = {tool.asks_back for tool in _TOOLS}
    befores = ("", *(message.content for message in chat.messages))
    return {
        message.content for before, message in zip(befores, chat.messages, strict=False) if message.role == "user" and before not in backs
    }


def parted_chats(chats: Sequence[Chat], wanted: int, seed: int) -> tuple[list[Chat], list[Chat]]:
    """Dialogues to learn from and `wanted` to judge by, no request of which is asked, in the same words, in one to learn from.

    Dialogues that ask for something of both kinds are in neither.
    """
    asked = [asked_texts(chat) for chat in chats]
    texts = sorted(set().union(*asked))
    random.Random(seed).shuffle(texts)
    kept: set[str] = set()
    for text in texts:
        if sum(each <= kept for each in asked) >= wanted:
            break
        kept.add(text)
    held_out = [chat for chat, each in zip(chats, asked, strict=True) if each <= kept]
    return [chat for chat, each in zip(chats, asked, strict=True) if not each & kept], held_out[:wanted]


def _asked_and_answered(chance: random.Random) -> list[Message]:
    tool = chance.choice(_TOOLS)
    wanted = {name: _SLOTS[name](chance) for name in tool.arguments}
    if chance.random() < ASKED_BACK:
        asked = [
            Message("user", tool.vague.format(**wanted)),
            Message("assistant", tool.asks_back),
            Message("user", str(wanted[tool.arguments[-1]])),
        ]
    else:
        asked = [Message("user", chance.choice(tool.asked).format(**wanted))]
    said = tool.says(chance)
    call = {"type": "function", "function": {"name": tool.name, "arguments": json_of(wanted)}}
    return [
        *asked,
        Message("assistant", "", ({"id": f"call_{tool.name}", **call},)),
        Message("tool", json_of(said)),
        Message("assistant", chance.choice(tool.told).format(**wanted, **said)),
    ]
