"""What a matrix takes in a file: codes of a few bits, scales, and where weights are left out a mask."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Storage:
    """What a matrix takes in a file."""

    bits: int
    """Bits of each weight's code."""
    block: int | None = None
    """Weights of a row that share a scale; None for the whole row."""
    scale_bytes: int = 0

    def matrix_bytes(self, rows: int, columns: int, left_out: float = 0.0) -> int:
        """Bytes of a matrix [rows, columns]; where a share is left out, of the others and of a bit a weight that says which they are."""
        blocks = -(-columns // (self.block or columns))
        held = rows * (columns if self.block is None else blocks * self.block)
        codes = held if not left_out else rows * columns - pruned_weights(rows * columns, left_out)
        mask = -(-rows * columns // 8) if left_out else 0
        return -(-codes * self.bits // 8) + rows * blocks * self.scale_bytes + mask


def pruned_weights(weights: int, share: float) -> int:
    """How many of so many weights a share is."""
    return int(weights * share)
