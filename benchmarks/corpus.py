"""How fast text becomes token blocks, per core and in how much memory: ``python -m benchmarks.corpus TEXT --megabytes 300``.

TEXT is a file or a folder of files that a corpus may have, read again and again under other names until there is enough of it.
Prints one JSON object. `prepare_corpus` is timed once from nothing: hashing, learning the merges, encoding. The encoding is then timed
alone, reading, hashing and writing included, the best of three. The megabytes per second and core are those of processor time, which
other work on the machine disturbs less than the wall's. `tokenizers`, the encoder that the ids are compared with, is timed once on the
first pieces in one thread.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import tempfile
import time
from itertools import islice
from pathlib import Path

from trials.corpus.documents import READERS, Documents, find_documents, suffix_of
from trials.corpus.encoding import encode_splits
from trials.corpus.prepare import prepare_corpus
from trials.corpus.splits import Inventory, read_pieces, take_inventory
from trials.corpus.tokenizer import Encoder, load_encoder
from trials.study.corpus_spec import CorpusSpec

RUNS = 3
COMPARED_PIECES = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--vocab-size", type=int, default=8192)
    parser.add_argument("--megabytes", type=float, default=0, help="least text, by reading the same again; once where absent")
    parser.add_argument("--tokenizer", help="a tokenizer.json in place of a trained one")
    arguments = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = "1"  # read by tokenizers when it first works
    with tempfile.TemporaryDirectory() as folder:
        files = repeated(arguments.text, arguments.megabytes * 1e6, Path(folder) / "text")
        spec = CorpusSpec(files=tuple(map(str, files)), tokenizer=arguments.tokenizer)
        print(json.dumps(measure(spec, arguments.vocab_size, Path(folder)), indent=2))


def repeated(text: Path, least_bytes: float, folder: Path) -> list[Path]:
    """The files under as many names as it takes."""
    files = [text] if text.is_file() else sorted(path for path in text.rglob("*") if suffix_of(path) in READERS)
    if not files:
        raise SystemExit(f"{text} must be or hold files that end in {', '.join(READERS)}, found none")
    copies = max(1, math.ceil(least_bytes / sum(file.stat().st_size for file in files)))
    folder.mkdir()
    names = [folder / f"{copy}-{number}{''.join(file.suffixes)}" for copy in range(copies) for number, file in enumerate(files)]
    for name, file in zip(names, files * copies, strict=True):
        name.symlink_to(file.resolve())
    return names


def measure(spec: CorpusSpec, vocab_size: int, folder: Path) -> dict[str, float]:
    documents = find_documents(spec)
    wall, processor = time.perf_counter(), time.process_time()
    blocks = prepare_corpus(spec, vocab_size, folder / "cache")
    whole_wall, whole_processor = time.perf_counter() - wall, time.process_time() - processor
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert blocks.tokenizer_file is not None
    encoder = load_encoder(blocks.tokenizer_file, vocab_size)

    inventory = take_inventory(documents, folder / "cache")
    walls, processors = zip(*(encoding_seconds(documents, inventory, encoder, folder / str(run)) for run in range(RUNS)), strict=True)

    pieces = [piece.text for piece in islice(read_pieces(documents), COMPARED_PIECES)]
    slow = time.process_time()
    exported = [encoder.exported.encode(text, add_special_tokens=False).ids for text in pieces]
    slow = time.process_time() - slow
    equal = sum(encoder.encode([text])[:-1].tolist() == ids for text, ids in zip(pieces, exported, strict=True))
    megabytes = int(sum(blocks.bytes_per_token[ids].sum(dtype=int) for ids in (blocks.train, blocks.validation, blocks.test))) / 1e6
    compared = sum(len(text.encode()) for text in pieces) / 1e6
    return {
        "vocab_size": vocab_size,
        "megabytes": round(megabytes, 1),
        "megabytes_per_core_second": round(megabytes / min(processors), 1),
        "megabytes_per_second": round(megabytes / min(walls), 1),
        "prepare_megabytes_per_core_second": round(megabytes / whole_processor, 1),
        "prepare_megabytes_per_second": round(megabytes / whole_wall, 1),
        "prepare_peak_mebibytes": round(peak_bytes / 2**20),
        "tokenizers_megabytes_per_core_second": round(compared / slow, 1),
        "pieces_compared": len(pieces),
        "pieces_with_equal_ids": equal,
    }


def encoding_seconds(documents: Documents, inventory: Inventory, encoder: Encoder, folder: Path) -> tuple[float, float]:
    """Seconds of the wall's clock and of the processor."""
    folder.mkdir()
    wall, processor = time.perf_counter(), time.process_time()
    encode_splits(documents, inventory, encoder, folder)
    return time.perf_counter() - wall, time.process_time() - processor


if __name__ == "__main__":
    main()
