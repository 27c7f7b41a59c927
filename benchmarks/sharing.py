"""What sharing blocks costs and saves on a device, as MobileLLM's authors measured it (arXiv 2402.14905, table 8).

    python -m benchmarks.sharing [--runtimes onnxruntime torch] [--precisions float32 int8 int4] [--rounds 3] [--threads 1]

MobileLLM's 125M shape with 30 blocks, with its 30 blocks each run twice in a row, and with 60 blocks of their own, in turn, `rounds` times;
each measurement is paired with a yardstick of its own runtime and precision. Prints medians: load and first prefill once, as they
were; prefill and decoding as ratios to the 30 blocks; bytes of the files and in memory. `floor` is what decoding would take if the
time were that of reading the weights of every executed block and the cache, from memory each time.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from statistics import median

from analysis.records.latency import Latency
from search_space.architecture import Architecture
from search_space.errors import SpecError
from search_space.families import family
from trials.catalogue.runtimes import COMMAND, RUNTIMES
from trials.latency.process import LatencyProcess
from trials.study.latency_spec import parse_latency

PLAIN = family("mobilellm-125m")
SHAPES: dict[str, Architecture] = {
    "30 blocks": PLAIN,
    "30 blocks twice": family("mobilellm-ls-125m"),
    "60 blocks": replace(PLAIN, num_unique_layers=60, layer_types=("full_attention",)),
}


def main() -> None:
    """Print a table for each runtime and precision that runs here."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    runtimes = [name for name in RUNTIMES if name != COMMAND]
    parser.add_argument(
        "--runtimes", nargs="+", choices=runtimes, default=["onnxruntime", "torch"], metavar="NAME", help="of those installed"
    )
    parser.add_argument("--precisions", nargs="+", default=["float32", "int8", "int4"], metavar="NAME", help="(default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="(default %(default)s)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="(default %(default)s)")
    options = parser.parse_args()
    for runtime in options.runtimes:
        for precision in options.precisions:
            if precision in RUNTIMES[runtime].precisions:
                measure(runtime, precision, options.rounds, options.threads)


def measure(runtime: str, precision: str, rounds: int, threads: int) -> None:
    """Print the table of one runtime."""
    process = LatencyProcess(parse_latency({"runtime": runtime, "precision": precision, "threads": threads}))
    taken: dict[str, list[Latency]] = {name: [] for name in SHAPES}
    try:
        for _ in range(rounds):
            for name, shape in SHAPES.items():
                taken[name].append(process.measure(shape))
    except SpecError as error:
        print(f"\n{runtime} {precision}: {error}", flush=True)
        return
    finally:
        process.close()
    first = taken["30 blocks"]
    print(f"\n{runtime} {first[0].runtime_version}, {precision}, {threads} threads, {first[0].device}\n")
    print("| | load ms | first prefill ms | prefill | decode | decode ms | floor | of the bandwidth | files MB | memory MiB | disturbed |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, several in taken.items():
        prefill = median(one.prefill_ms.median / base.prefill_ms.median for one, base in zip(several, first, strict=True))
        decode = median(one.decode_ms_per_token.median / base.decode_ms_per_token.median for one, base in zip(several, first, strict=True))
        memory = several[0].peak_memory_bytes
        print(
            f"| {name} | {median(one.load_ms or 0 for one in several):.0f} | {median(one.first_prefill_ms or 0 for one in several):.0f} "
            f"| {prefill:.2f} | {decode:.2f} | {median(one.decode_ms_per_token.median for one in several):.1f} "
            f"| {(several[0].decode_bytes_per_token or 0) / (first[0].decode_bytes_per_token or 1):.2f} "
            f"| {median(one.bandwidth_share or 0 for one in several):.0%} | {(several[0].file_bytes or 0) / 1e6:.0f} "
            f"| {'–' if memory is None else f'{memory / (1 << 20):.0f}'} | {sum(one.disturbed for one in several)} of {len(several)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
