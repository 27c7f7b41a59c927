"""Named validation sets: text of its own beside the corpus, as ids under the corpus' tokenizer, with where its documents begin."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np

from analysis.records.files import write_whole
from search_space.errors import SpecError
from trials.corpus.blocks import Ids, Places, id_type, split_file, unit_file
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


def encode_validations(spec: CorpusSpec, tokenizer_file: Path, vocab_size: int, folder: Path) -> tuple[dict[str, Ids], dict[str, Places]]:
    """Each set's ids, every piece followed by the end of text, and where its documents begin, [documents].

    Both are mapped or read from the folder, and made where the set's files are new or have changed. Raises SpecError where it has no text.
    """
    encoder: Encoder | None = None
    kind = id_type(vocab_size)
    sets: dict[str, Ids] = {}
    begin: dict[str, Places] = {}
    for name, documents in find_validations(spec).items():
        target, starts = _files(documents, folder)
        with sole(target.with_suffix(".lock")):
            if not (target.is_file() and starts.is_file()):
                encoder = encoder or load_encoder(tokenizer_file, vocab_size)
                draft = target.with_suffix(".part")
                found = _encode(documents, encoder, draft, kind)
                if not found:
                    raise SpecError(f"corpus.validation.{name} must have text, found none in {documents.summary}; name other files")
                write_whole(starts, _file_of(np.array(found, np.int64)))
                draft.replace(target)
        sets[name] = np.asarray(np.memmap(target, kind, mode="r"))
        begin[name] = np.load(starts)
    return sets, begin


def known_validations(spec: CorpusSpec, vocab_size: int, folder: Path) -> dict[str, Ids] | None:
    """The ids of each set that lie in the folder for files that have not changed; None where a set's do not."""
    found = {name: _files(documents, folder)[0] for name, documents in find_validations(spec).items()}
    if not all(target.is_file() for target in found.values()):
        return None
    return {name: np.asarray(np.memmap(target, id_type(vocab_size), mode="r")) for name, target in found.items()}


def _files(documents: Documents, folder: Path) -> tuple[Path, Path]:
    """Where a set's ids lie, and where its documents begin."""
    stem = f"validation-{fingerprint(documents)[:32]}"
    return folder / split_file(stem), folder / unit_file(stem)


def _encode(documents: Documents, encoder: Encoder, draft: Path, kind: type[np.uint16] | type[np.uint32]) -> list[int]:
    """Write the ids of every piece; the places where documents that have text begin."""
    place, begin = 0, []
    with draft.open("wb") as file:
        for document in documents.documents():
            before = place
            for text in document:
                ids = encoder.encode([text]).astype(kind)
                file.write(ids.tobytes())
                place += len(ids)
            if place > before:
                begin.append(before)
    return begin


def _file_of(array: Places) -> bytes:
    """A file of numpy's with the array."""
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()
