"""Keys and values of a running text, as the decoder keeps them."""

from __future__ import annotations

import torch
from torch import Tensor

from search_space.architecture import Architecture


class Cache:
    """Keys and values of a running text, allocated once, with a slot for every executed block: a shared block has several.

    A sliding block keeps its window only, so the tensors are exactly `search_space.cost.kv_cache_bytes` of `max_tokens`.
    """

    def __init__(
        self,
        architecture: Architecture,
        batch: int,
        max_tokens: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.max_tokens = max_tokens
        self.length = 0
        self.position: Tensor | None = None
        """Where the next single token goes, int64 [1] on the device, in the place of `length`: with it the network's calls are the same
        at every position, so that a GPU can replay them. All of the memory is read then, and what was not written is masked."""
        heads, width = architecture.num_key_value_heads, architecture.head_dim
        self.slots = [Slot((batch, heads, min(window or max_tokens, max_tokens), width), dtype, device) for window in windows(architecture)]

    def reset(self) -> None:
        """Forget the text and keep the memory."""
        self.length = 0

    def require_room(self, tokens: int) -> None:
        """Raise ValueError where so many more tokens do not fit."""
        if self.length + tokens > self.max_tokens:
            raise ValueError(f"the cache holds {self.max_tokens} tokens, found {self.length} and {tokens} more; allocate a larger one")


class Slot:
    """Keys and values of one executed block, [batch, num_key_value_heads, capacity, head_dim]; position p lies at p % capacity."""

    def __init__(self, shape: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device | str) -> None:
        self.keys = torch.zeros(shape, dtype=dtype, device=device)  # what is masked must still be a number
        self.values = torch.zeros(shape, dtype=dtype, device=device)

    def extend(self, keys: Tensor, values: Tensor, start: int | Tensor) -> tuple[Tensor, Tensor]:
        """Add keys and values [batch, heads, tokens, head_dim] from position `start`; return all that the new queries may see.

        They come in the order of their positions, the new ones last. Only where a single token turns the ring over do they come
        as they lie: its query sees all of them, and attention without a mask does not ask for an order. A `start` on the device, int64
        [1], gives the whole memory.
        """
        return _extend(self.keys, keys, start), _extend(self.values, values, start)


def _extend(memory: Tensor, new: Tensor, start: int | Tensor) -> Tensor:
    capacity, tokens = memory.shape[2], new.shape[2]
    if isinstance(start, Tensor):
        return memory.index_copy_(2, start % capacity, new)
    end = start + tokens
    if end <= capacity:
        memory[:, :, start:end] = new
        return memory[:, :, :end]
    if tokens == 1:
        memory[:, :, start % capacity] = new[:, :, 0]
        return memory
    old = memory[:, :, :start] if start < capacity else memory.roll(-(start % capacity), 2)
    seen = torch.cat((old, new), 2)
    memory.copy_(seen[:, :, -capacity:].roll(end % capacity, 2))
    return seen


def windows(a: Architecture) -> list[int | None]:
    """The window of each executed block, None where it sees everything before it."""
    return [a.sliding_window if kind == "sliding_attention" else None for kind in a.layer_types]
