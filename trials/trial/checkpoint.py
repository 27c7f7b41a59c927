"""A training that is under way, as one safetensors file: tensors, and all else as JSON in its metadata; nothing in it is ever run.

A file that was cut short, changed, or made by another trial, recipe or text counts as not there: the trial then starts anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from analysis.records.json_text import parse_json
from analysis.records.json_writer import json_of
from analysis.records.latency import Latency, latency_from_dict
from analysis.records.record import Kind, TrialRecord
from trials.corpus.blocks import TokenBlocks
from trials.network.weights import write_safetensors
from trials.study.spec import ProxySpec
from trials.training.conditions import Conditions
from trials.trial.task import TrialTask

INTERVAL_SECONDS = 60.0
"""Seconds of training between two checkpoints, beside those at rungs."""
SHARE_OF_TIME = 0.02
"""Share of the time that states may take beside the looks: those of a large shape are gigabytes."""
STATE_MEANING = 1
"""Raised by whoever changes what a state holds: no checkpoint of before is taken up from then on."""
KEYED_KINDS = {Kind.GRID: "rung"}
"""Kinds that keys have by the name which they had at first, so that a key never changes."""
STATE_KEY, TRAINING_KEY, LATENCY_KEY, LOOKS_KEY, DIGEST_KEY = "state", "key", "latency", "looks", "sha256"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a checkpoint holds."""

    state: dict[str, Any]
    """State as `ProxyRun.state` gave it."""
    latency: Latency | None
    """Taken before the training began; it is not taken again. None where the device was away."""
    looks: tuple[TrialRecord, ...] = ()
    """The records at looks that were passed without a latency, and so without a judgement."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The place of one trial's checkpoint."""

    path: Path
    key: str
    """Key of all that decides the training, see `checkpoint_key`."""

    def write(self, state: Mapping[str, Any], latency: Latency | None, looks: Sequence[TrialRecord] = ()) -> bool:
        """Put the state in place of an earlier one; a disk that is full or closed costs the checkpoint, never the trial.

        Returns whether it was written.
        """
        tensors: dict[str, Tensor] = {}
        facts = {
            STATE_KEY: json.dumps(_packed(state, "", tensors)),
            TRAINING_KEY: self.key,
            LATENCY_KEY: json.dumps(None if latency is None else dataclasses.asdict(latency)),
            LOOKS_KEY: json_of([look.as_dict() for look in looks]),
        }
        try:
            self.path.parent.mkdir(exist_ok=True)
            write_safetensors(self.path, tensors, {**facts, DIGEST_KEY: _digest(facts, tensors)})
        except (OSError, SafetensorError):
            return False
        return True

    def read(self) -> Kept | None:
        """What was written last; None where there is none that is whole and of this very training."""
        try:
            with safe_open(self.path, "pt") as file:
                facts = dict(file.metadata() or {})
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
            digest = facts.pop(DIGEST_KEY)
            facts.pop("format")
            if facts[TRAINING_KEY] != self.key or digest != _digest(facts, tensors):
                return None
            looks = tuple(map(TrialRecord.from_dict, parse_json(facts.get(LOOKS_KEY, "[]"))))  # of before has none
            return Kept(_unpacked(parse_json(facts[STATE_KEY]), tensors), latency_from_dict(parse_json(facts[LATENCY_KEY])), looks)
        except (OSError, SafetensorError, ValueError, TypeError, KeyError):
            return None


def checkpoint_key(task: TrialTask, proxy: ProxySpec, blocks: TokenBlocks, conditions: Conditions) -> str:
    """A key that two trainings share only where one may go on from the other's state."""
    facts = {
        "task": task.as_dict() | {"kind": KEYED_KINDS.get(task.kind, str(task.kind))},
        "recipe": proxy.as_keyed(),
        "corpus_sha256": blocks.corpus_sha256,
        "threads": conditions.threads,
        "device": conditions.device.partition(":")[0],
        "torch": torch.__version__,
        "meaning": STATE_MEANING,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _digest(facts: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(dict(facts), sort_keys=True).encode())
    for name in sorted(tensors):
        values = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {list(values.shape)} ".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _packed(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    """JSON of a state, its tensors put aside under their places."""
    if isinstance(value, Tensor):
        tensors[place] = value.detach().cpu().clone().contiguous()
        return {"tensor": place}
    if isinstance(value, Mapping):  # as pairs, because a key may be a number
        return {"pairs": [[key, _packed(inner, f"{place}/{key}", tensors)] for key, inner in value.items()]}
    if isinstance(value, list | tuple):
        name = "tuple" if isinstance(value, tuple) else "list"
        return {name: [_packed(inner, f"{place}/{at}", tensors) for at, inner in enumerate(value)]}
    return value


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((name, inner),) = value.items()
    if name == "tensor":
        return tensors[inner]
    if name == "pairs":
        return {key: _unpacked(each, tensors) for key, each in inner}
    found = [_unpacked(each, tensors) for each in inner]
    return tuple(found) if name == "tuple" else found
