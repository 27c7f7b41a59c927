"""Whether a plan is true: five kinds of studies, planned and run one after the other, planned and taken beside each other by stage.

    python -m benchmarks.plans [--folder DIR] [--only KIND ...] [--once] [--report]

First each is planned as on a machine that has trained nothing (an empty cache) and run, which fills a table; then each is planned by that
table and run once more with another seed, about 20 minutes in all. With `--once` the second plans are compared with the first runs. A
folder keeps plans and runs: what is there is not done again, and `--report` prints what it has.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from analysis.records.stages import STAGES

ROOT = Path(__file__).resolve().parent.parent
RATE = {"learning_rate": 0.02, "muon_learning_rate": 0.02}
PROXY = {"context_tokens": 32, "batch_sequences": 16, "evaluation_tokens": 32_768, "precision": "float32", "compile": False}
SEARCH: dict[str, Any] = {
    "corpus": {"name": "python-stdlib"},
    "budget": {"parameters": 250_000, "tolerance": 0.01},
    "space": {
        "vocab_size": 512,
        "num_unique_layers": {"from": 1, "to": 6},
        "hidden_size": {"from": 32, "to": 128, "step": 8},
        "head_dim": [16, 32],
        "num_attention_heads": {"ratio_of_hidden": [0.5, 1.0], "from": 2},
        "num_key_value_heads": [1, 2, 4],
        "intermediate_size": {"solve": True, "multiple_of": 4, "ratio": [1, 6]},
        "mlp": "swiglu",
        "sharing": ["none", *({"strategy": each, "repeats": 2} for each in ("immediate", "repeat_all_over", "reverse"))],
        "tie_word_embeddings": True,
    },
    "latency": {"runtime": "onnxruntime", "prompt_tokens": 64, "new_tokens": 64},
    "objectives": ["bits_per_byte", "total_ms"],
    "workers": {"count": 2, "threads": 1},
    "finals": {"fresh_seed": False, "learning_rate_bracket": False},
    "references": ["deep-thin", "wide-shallow"],
}
GRID = {
    "budgets": {"parameters": [50_000, 90_000, 160_000, 280_000]},
    "shapes": {"balanced": {"like": "deep-thin", "aspect_ratio": 24}},
    "tokens": [50_000, 100_000, 200_000],
    "form": "chinchilla",
}
KINDS: dict[str, dict[str, Any]] = {
    "search": {**SEARCH, "proxy": {**PROXY, **RATE, "tokens": 170_000, "evaluations": 2}, "search": {"trials": 12, "replicates": 0}},
    "adamw-random": {
        **SEARCH,
        "proxy": {**PROXY, "tokens": 100_000, "optimizer": "adamw", "learning_rate": 0.01, "evaluations": 2},
        "search": {"trials": 8, "sampler": "random", "replicates": 0.3},
        "workers": {"count": 1, "threads": 1},
        "finals": {"fresh_seed": True, "learning_rate_bracket": False},
    },
    "ladder": {
        "corpus": SEARCH["corpus"],
        "scaling": GRID,
        "space": {"vocab_size": 512, "head_dim": 16, "intermediate_size": {"solve": True, "multiple_of": 4}},
        "proxy": {**PROXY, **RATE, "evaluations": 1},
        "search": {},
        "workers": SEARCH["workers"],
    },
    "early-stopping": {
        **SEARCH,
        "proxy": {**PROXY, **RATE, "tokens": 120_000, "evaluations": 4},
        "search": {"trials": 16, "early_stopping": "front", "replicates": 0},
    },
    "three-objectives": {
        **SEARCH,
        "objectives": ["bits_per_byte", "total_ms", "kv_cache_bytes"],
        "proxy": {**PROXY, **RATE, "tokens": 120_000, "evaluations": 2},
        "search": {"trials": 12, "replicates": 0.3},
        "finals": {"fresh_seed": True, "learning_rate_bracket": False},
    },
}
PASSES = ("without", "with")
"""The table of this machine's paces."""
SMALL_SECONDS = 1.0
"""Stages below it, planned and taken, are left out."""


def archfront(*arguments: str, cache: Path) -> tuple[str, float]:
    """What the program prints, and its seconds on the clock of the wall; raises where it fails."""
    begun = time.monotonic()
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(
        [sys.executable, "-m", "archfront", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"archfront {' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout, time.monotonic() - begun


def measured(kind: str, which: str, folder: Path, *, runs: bool) -> None:
    """Plan one kind and run it, where the folder has neither."""
    path, seed = folder / f"{kind}-{which}.json", PASSES.index(which)
    study, cache = folder / f"{kind}-{which}.yaml", folder / "cache"
    if path.exists():
        return
    values = {"name": f"plans-{kind}", **KINDS[kind], "search": {**KINDS[kind]["search"], "seed": seed, "reuse": False}}
    study.write_text(yaml.safe_dump(values, sort_keys=False))
    with tempfile.TemporaryDirectory() as bare:
        told, seconds = archfront("plan", str(study), "--json", cache=Path(bare) if which == "without" else cache)
    directory = folder / f"{kind}-{which if runs else PASSES[0]}"
    if runs:
        shutil.rmtree(directory, ignore_errors=True)
        archfront("run", str(study), "--directory", str(directory), cache=cache)
    plan, taken = json.loads(told), json.loads((directory / "taken.json").read_text())
    kept = json.loads((directory / "plan.json").read_text()) if (directory / "plan.json").exists() else None
    found = {
        "plan_seconds": seconds, "planned": plan["stage_seconds"], "planned_share": plan["processor_share"], "basis": plan["basis"],
        "taken": taken["seconds"], "taken_share": taken["processor_share"], "kept_share": kept and kept["processor_share"],
        "kept_seconds": kept and sum(kept["seconds"].values()), "load": os.getloadavg(),
    }  # fmt: skip
    path.write_text(json.dumps(found, indent=1) + "\n")


def ratio(planned: float, taken: float) -> str:
    """How much more was planned than taken."""
    return f"{planned:.1f} / {taken:.1f} = {planned / taken:.2f}" if taken else f"{planned:.1f} / {taken:.1f}"


def report(found: Mapping[str, Mapping[str, Any]]) -> str:
    """A table of one pass: a row a stage, a column a study, planned / taken = their ratio in seconds."""
    rows = []
    for name, title in STAGES.items():
        both = [(each["planned"].get(name, 0.0), each["taken"].get(name, 0.0)) for each in found.values()]
        if max(max(pair) for pair in both) >= SMALL_SECONDS:
            rows.append([title, *(ratio(*pair) if max(pair) >= SMALL_SECONDS else "" for pair in both)])
    rows.append(["**all**", *(ratio(sum(each["planned"].values()), sum(each["taken"].values())) for each in found.values())])
    rows.append(["seconds of `plan`", *(f"{each['plan_seconds']:.1f}" for each in found.values())])
    rows.append(["kept by `run`", *("" if each["kept_seconds"] is None else f"{each['kept_seconds']:.0f}" for each in found.values())])
    shares = [[each[f"{name}_share"] for name in ("planned", "kept", "taken")] for each in found.values()]
    rows.append(["processor share", *(" / ".join("-" if share is None else f"{share:.2f}" for share in those) for those in shares)])
    return "\n".join("| " + " | ".join(row) + " |" for row in [["", *found], ["---"] * (1 + len(found)), *rows])


def main() -> None:
    """Measure what is missing, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where plans and runs lie (default: one of its own, which goes)")
    parser.add_argument("--only", nargs="+", choices=[*KINDS], default=[*KINDS], metavar="KIND")
    parser.add_argument("--once", action="store_true", help="compare the plans by the table with the first runs")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        folder = (options.folder or Path(own)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for which in PASSES:
            for kind in options.only:
                if not options.report:
                    measured(kind, which, folder, runs=which == PASSES[0] or not options.once)
            kept = {kind: folder / f"{kind}-{which}.json" for kind in options.only}
            found = {kind: json.loads(path.read_text()) for kind, path in kept.items() if path.exists()}
            if found:
                print(f"\n{which} a table of this machine, seconds planned / taken\n\n{report(found)}", flush=True)


if __name__ == "__main__":
    main()
