"""Named validation sets: text of its own beside the corpus, as ids under the corpus' tokenizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from search_space.errors import SpecError
from trials.corpus.blocks import Ids, id_type
from trials.corpus.documents import Documents, find_documents
from trials.corpus.splits import fingerprint
from trials.corpus.tokenizer import Encoder, load_encoder
from trials.study.corpus_spec import CorpusSpec
from trials.study.files import sole


def find_validations(spec: CorpusSpec) -> dict[str, Documents]:
    """Each set's files, not read; raises SpecError where there are none."""
    return {
        name: find_documents(CorpusSpec(files=files, column=spec.column), f"corpus.validation.{name}")
        for name, files in spec.validation.items()
    }


def encode_validations(spec: CorpusSpec, tokenizer_file: Path, vocab_size: int, folder: Path) -> dict[str, Ids]:
    """Each set's ids, every piece followed by the end of text, mapped from the folder; encoded where its files are new or have changed.

    Raises SpecError where a set has no text.
    """
    encoder: Encoder | None = None
    kind = id_type(vocab_size)
    sets: dict[str, Ids] = {}
    for name, documents in find_validations(spec).items():
        target = folder / f"validation-{fingerprint(documents)[:32]}.bin"
        with sole(target.with_suffix(".lock")):
            if not target.is_file():
                encoder = encoder or load_encoder(tokenizer_file, vocab_size)
                draft = target.with_suffix(".part")
                with draft.open("wb") as file:
                    for text in documents.pieces():
                        file.write(encoder.encode([text]).astype(kind).tobytes())
                if not draft.stat().st_size:
                    raise SpecError(f"corpus.validation.{name} must have text, found none in {documents.summary}; name other files")
                draft.replace(target)
        sets[name] = np.asarray(np.memmap(target, kind, mode="r"))
    return sets
