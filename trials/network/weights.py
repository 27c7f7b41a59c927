"""Stored weights as one safetensors file: each once, however often it runs, under the name of its first place."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from search_space.architecture import Architecture
from search_space.errors import SpecError, complaint_of
from trials.network.decoder import Network

FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
"""What weights are kept in."""
RESTORE = "restore the file from a copy, or name another trial"


def save_weights(path: Path, network: Network) -> None:
    """Write the network's weights; a reader finds the old file or the whole new one, also after a crash."""
    weights = {name: parameter.detach().cpu().contiguous() for name, parameter in network.named_parameters()}
    write_safetensors(path, weights)


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str] | None = None) -> None:
    """Write tensors that share no memory to a file, with `facts` in its metadata, in one step as every reader sees it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.touch()
        mode = beside.stat().st_mode  # the umask's, where safetensors gives its files to their owner alone
        try:
            save_file(dict(tensors), beside, {"format": "pt", **(facts or {})})
        except SafetensorError as refused:
            raise _refusal(refused, path) from None
        beside.chmod(mode)
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _refusal(error: SafetensorError, path: Path) -> Exception:
    """What the system said, as every other file that cannot be written has it said; safetensors writes it into its sentence."""
    said = re.search(r"\(os error (\d+)\)", str(error))
    return error if said is None else OSError(int(said[1]), os.strerror(int(said[1])), str(path))


def load_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name; raises SpecError where it is missing or damaged."""
    try:
        weights: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as reason:
        found = complaint_of(reason) if isinstance(reason, OSError) else reason
        raise SpecError(f"{path} must be a readable safetensors file, found: {found}; train the trial again or name another file") from None
    return weights


def trained_weights(path: Path, architecture: Architecture) -> dict[str, Tensor]:
    """The tensors that `save_weights` wrote, by name.

    Raises SpecError where the file is unreadable, or holds the weights of another architecture or what is no finite number in floating
    point: no text comes out of such a model, and comparisons with it are void.
    """
    weights = load_weights(path)
    try:
        unroll(architecture, weights)
    except SpecError as reason:
        raise SpecError(f"{path}: {reason}") from None
    for name, tensor in weights.items():
        if tensor.dtype not in FLOATS:
            raise SpecError(f"{path} must hold weights in floating point, found {name} in {str(tensor.dtype)[6:]}; {RESTORE}")
        if not torch.isfinite(tensor).all():
            wrong = int((~torch.isfinite(tensor)).sum())
            raise SpecError(f"{path} must hold finite weights, found {wrong} of {tensor.numel()} in {name} that are not; {RESTORE}")
    return weights


def load_network(path: Path, architecture: Architecture) -> Network:
    """A network with the weights that `save_weights` wrote, in their precision, on the CPU; raises SpecError as `trained_weights` does."""
    with torch.device("meta"):
        network = Network(architecture)
    network.load_state_dict(unroll(architecture, trained_weights(path, architecture)), assign=True)
    return network


def unroll(architecture: Architecture, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every place of the executed network by name, with the stored weight that stands there; a repeated weight is one tensor.

    Raises SpecError where the stored weights are not those of this architecture.
    """
    with torch.device("meta"):
        network = Network(architecture)
    _require_weights(architecture, dict(network.named_parameters()), weights)
    stored = {parameter: name for name, parameter in network.named_parameters()}
    return {name: weights[stored[parameter]] for name, parameter in network.named_parameters(remove_duplicate=False)}


def _require_weights(architecture: Architecture, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    other = unlike_weight(*({name: tensor.shape for name, tensor in tensors.items()} for tensors in (expected, found)))
    if other is not None:
        name, wanted, given = other
        raise SpecError(f"{name} must be {wanted} in {architecture.label}, found {given}; these are the weights of another architecture")


def unlike_weight(expected: Mapping[str, Sequence[int]], found: Mapping[str, Sequence[int]]) -> tuple[str, str, str] | None:
    """The first weight by name that has another shape, is missing or is too many: its name, what it must be and what it is."""
    for name in sorted(expected.keys() | found.keys()):
        wanted, given = (str(list(shapes[name])) if name in shapes else "nothing" for shapes in (expected, found))
        if wanted != given:
            return name, wanted, given
    return None
