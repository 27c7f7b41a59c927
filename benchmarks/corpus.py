"""How fast a text file becomes token blocks, per core and in how much memory: ``python -m benchmarks.corpus FILE --vocab-size 8192``.

Prints one JSON object. The encoding is timed as `prepare` does it, reading, hashing and writing included; the megabytes per second
and core are those of processor time, which other work on the machine disturbs less than the wall's, and the best of three runs.
`tokenizers`, the encoder that the ids are compared with, is timed once on the first pieces in one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from itertools import islice
from pathlib import Path

from trials.text.documents import Documents, find_documents
from trials.text.encoding import encode_splits
from trials.text.spec import CorpusSpec
from trials.text.splits import Inventory, read_pieces, take_inventory
from trials.text.tokenizer import Encoder, load_encoder, train_tokenizer

RUNS = 3
COMPARED_PIECES = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--vocab-size", type=int, default=8192)
    arguments = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = "1"  # read by tokenizers when it first works
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(arguments.file, arguments.vocab_size, Path(folder)), indent=2))


def measure(file: Path, vocab_size: int, folder: Path) -> dict[str, float]:
    documents = find_documents(CorpusSpec(files=(str(file),)))
    inventory = take_inventory(documents, folder)
    pieces = [piece.text for piece in islice(read_pieces(documents), COMPARED_PIECES)]
    train_tokenizer(documents.pieces(), vocab_size, folder / "tokenizer.json")
    encoder = load_encoder(folder / "tokenizer.json")

    walls, processors = zip(*(encoding_seconds(documents, inventory, encoder, folder / str(run)) for run in range(RUNS)), strict=True)
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    slow = time.process_time()
    exported = [encoder.exported.encode(text, add_special_tokens=False).ids for text in pieces]
    slow = time.process_time() - slow
    equal = sum(encoder.encode([text])[:-1].tolist() == ids for text, ids in zip(pieces, exported, strict=True))
    megabytes, compared = file.stat().st_size / 1e6, sum(len(text.encode()) for text in pieces) / 1e6
    return {
        "vocab_size": vocab_size,
        "megabytes": round(megabytes, 1),
        "megabytes_per_core_second": round(megabytes / min(processors), 1),
        "megabytes_per_second": round(megabytes / min(walls), 1),
        "tokenizers_megabytes_per_core_second": round(compared / slow, 1),
        "peak_mebibytes": round(peak_bytes / 2**20),
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
