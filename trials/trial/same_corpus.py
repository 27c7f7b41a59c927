"""A study goes on with the text that it began with."""

from __future__ import annotations

from collections.abc import Iterable

from analysis.records.record import TrialRecord
from search_space.errors import SpecError
from trials.corpus.blocks import TokenBlocks


def require_same_text(blocks: TokenBlocks, records: Iterable[TrialRecord]) -> None:
    """Raise SpecError where a record's training had another corpus than these blocks."""
    for record in records:
        hashed = record.training.corpus_sha256 if record.training else None
        if hashed not in (None, blocks.corpus_sha256):
            raise SpecError(
                f"the corpus must be the text that {record.title} was trained on (SHA-256 {hashed[:12]}), found another one "
                f"({blocks.corpus_sha256[:12]}); restore the text, or name another directory"
            )
