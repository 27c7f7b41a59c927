"""What a trial costs besides its training, and a study before its first: the whole path, with an evaluator that only answers.

    python -m benchmarks.overhead [--trials 200] [--workers 2] [--only PART ...]

Each part runs in a process of its own and prints one line of JSON:

- `ours` (sampler nsga2) and `front` (the default sampler): seconds of wall and of the driver's processor for each trial after the first
  ten, from propose and place to record and track; to the first record, and after the last one until MLflow has everything.
- `tune` and `tune-reused`: stock Ray Tune with a trainable that only reports, as it comes and with actors that are reused.
- `optuna`: a bare loop of ask and tell in one process.
- `ray` and `torch`: one `ray.init`, and one import of torch and lightning.
- `membership` and `growth`: what grows with the number of trials, up to 10,000 planted records, and in a study of ten times `--trials`
  (`benchmarks/growth.py`).
- `start`: `archfront run` of a tiny study, to its first trial, with the text cached; its share of the sum of the two before; how long it
  takes to the first training step, before which a trial's latency is taken; and memory of the driver and of a worker that no other
  process shares.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from analysis.records.record import read_records
from benchmarks import growth
from tests.support import fakes

ROOT = Path(__file__).resolve().parent.parent
WARM_UP = 10
"""Trials that the two workers' start still shows in."""
PATIENCE_SECONDS = 3600.0
STOCK_TRIALS = 12
"""Of stock Ray Tune, which takes a second or more for each."""
MEBIBYTE = 1 << 20
TINY: dict[str, Any] = {
    **fakes.VALUES,
    "budget": {"parameters": 1_000_000},
    "space": {"vocab_size": 512, "hidden_size": [128, 160, 192], "intermediate_size": {"solve": True, "ratio": [1, 6]}},
    "references": [],
    "search": {**fakes.VALUES["search"], "trials": 2, "reuse": False},
    "finals": {"fresh_seed": False},
}
"""Shapes of a million parameters, for the memory of a worker."""


def ours(sampler: str, trials: int, workers: int) -> dict[str, float]:
    """A study of the fakes."""
    from tests.support.noted import Noted
    from trials.driver.run_study import run_study
    from trials.progress.standing import RunStanding
    from trials.progress.watch import RunWatch

    study, text = fakes.small_study(search={"trials": trials, "sampler": sampler}, workers={"count": workers})
    came: list[tuple[float, float]] = []

    def note(standing: RunStanding) -> None:
        came.append((time.perf_counter(), time.process_time()))

    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        run_study(study, Path(directory) / "study", study_text=text, evaluate=fakes.plausible, watch=RunWatch(display=Noted(note)))
    ended, counted = time.perf_counter(), len(came) - WARM_UP
    (first_wall, first_cpu), (last_wall, last_cpu) = came[WARM_UP - 1], came[-1]
    return {
        "trials": len(came),
        "seconds_to_first_record": came[0][0] - begun,
        "wall_seconds_per_trial": (last_wall - first_wall) / counted,
        "driver_cpu_seconds_per_trial": (last_cpu - first_cpu) / counted,
        "seconds_after_last_record": ended - last_wall,
    }


def reporting() -> Any:
    """A trainable that reports a loss and does nothing else."""
    from ray import tune

    class Reporting(tune.Trainable):  # type: ignore[misc]
        def step(self) -> dict[str, Any]:
            return {"loss": self.config["x"], "done": True}

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            return True

    return Reporting


def stock_tune(workers: int, *, reused: bool) -> dict[str, float]:
    """Ray Tune with so many trials at a time."""
    import ray
    from ray import tune

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    count = STOCK_TRIALS if not reused else 200
    came: list[float] = []

    class Note(tune.Callback):  # type: ignore[misc]
        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            came.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as directory:
        tune.run(
            reporting(), config={"x": tune.uniform(0, 1)}, num_samples=count, reuse_actors=reused, verbose=0,
            storage_path=directory, callbacks=[Note()],
        )  # fmt: skip
    ray.shutdown()
    begin = WARM_UP if reused else workers
    return {"trials": count, "wall_seconds_per_trial": (came[-1] - came[begin - 1]) / (count - begin)}


def bare_optuna(trials: int) -> dict[str, float]:
    """Ask and tell, NSGA-II, six dimensions as the fakes' study has."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=optuna.samplers.NSGAIISampler(population_size=10, seed=0))
    begun = time.perf_counter()
    for _ in range(trials):
        trial = study.ask()
        places = [trial.suggest_int(f"d{number}", 0, 8) for number in range(6)]
        study.tell(trial, [float(sum(places)), float(-places[0])])
    return {"trials": trials, "wall_seconds_per_trial": (time.perf_counter() - begun) / trials}


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Seconds of one call."""
    begun = time.perf_counter()
    work()
    return {"seconds": time.perf_counter() - begun}


def ray_init() -> None:
    """As a study begins it, the import of Ray included."""
    import ray

    ray.init(address="local", include_dashboard=False, log_to_driver=False)


def torch_import() -> None:
    """What a worker imports."""
    import lightning  # noqa: F401
    import torch  # noqa: F401


def start() -> dict[str, Any]:
    """The tiny study twice: watched, and then, with its text, tokenizer and calibration cached, undisturbed."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "study.yaml").write_text(yaml.safe_dump(TINY), encoding="utf-8")
        _, memory = _run(Path(folder), "first", watched=True)
        said, _ = _run(Path(folder), "second", watched=False)
        first = read_records(Path(folder) / "second")[0]
    found = re.search(r"ready after (\d+\.\d) s: .*", said)
    if found is None:
        raise SystemExit(f"archfront run did not get ready: {said[-2000:]}")
    assert first.training is not None
    before = first.wall_seconds - first.training.wall_seconds
    return {"seconds": float(found[1]), "seconds_to_first_step": float(found[1]) + before, "said": found[0], "unshared_mib": memory}


def _run(folder: Path, name: str, *, watched: bool) -> tuple[str, dict[str, float]]:
    """What a run says on stderr, and, watched, the most memory that each kind of its processes had to itself."""
    command = [sys.executable, str(ROOT / "archfront.py"), "run", "study.yaml", "--directory", name]
    most: dict[str, float] = {}
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        told: list[str] = []
        assert process.stderr is not None
        listener = threading.Thread(target=told.extend, args=(process.stderr,), daemon=True)
        listener.start()
        while watched and process.poll() is None:
            for kind, pid in _processes(process.pid):
                most[kind] = max(most.get(kind, 0.0), _unshared_mib(pid))
            time.sleep(0.5)
        listener.join()
    return "".join(told), most


def _processes(driver: int) -> list[tuple[str, int]]:
    """The driver, its MLflow writer, and its workers on trials."""
    found, kinds = [("driver", driver)], {"Trainable": "worker", "trials.tracking.mlflow_writer": "MLflow's writer"}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().decode(errors="replace")
            kind = next((kind for word, kind in kinds.items() if word in line), None)
            if kind is not None and driver in _parents(int(folder.name)):
                found.append((kind, int(folder.name)))
        except (OSError, IndexError):  # it is gone
            continue
    return found


def _parents(pid: int) -> list[int]:
    """Its parent, that one's parent, and so on."""
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        found.append(pid)
    return found


def _unshared_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024 / MEBIBYTE


def main() -> None:
    """Run the parts one after the other, or one of them here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parts: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
        "ray": lambda _: timed(ray_init),
        "torch": lambda _: timed(torch_import),
        "start": lambda _: start(),
        "ours": lambda options: ours("nsga2", options.trials, options.workers),
        "front": lambda options: ours("front", options.trials, options.workers),
        "tune": lambda options: stock_tune(options.workers, reused=False),
        "tune-reused": lambda options: stock_tune(options.workers, reused=True),
        "optuna": lambda options: bare_optuna(options.trials),
        "membership": lambda _: growth.membership(),
        "growth": lambda options: growth.study(10 * options.trials, options.workers),
    }
    parser.add_argument("--only", choices=parts, nargs="+", default=list(parts))
    parser.add_argument("--here", choices=parts, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(parts[options.here](options)))
        return
    seconds: dict[str, float] = {}
    for part in options.only:
        found = _apart(part, options)
        if "seconds" in found:
            seconds[part] = found["seconds"]
        if part == "start" and {"ray", "torch", "start"} <= seconds.keys():
            found["share_of_ray_and_torch"] = found["seconds"] / (seconds["ray"] + seconds["torch"])
        print(json.dumps({"part": part, **_rounded(found)}), flush=True)


def _apart(part: str, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.overhead", "--here", part]
    command += ["--trials", str(options.trials), "--workers", str(options.workers)]
    load = os.getloadavg()[0]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1:], "load_average_before": load}
    return {**json.loads(done.stdout.splitlines()[-1]), "load_average_before": load}


def _rounded(found: dict[str, Any]) -> dict[str, Any]:
    rounded = partial(round, ndigits=4)
    return {
        name: _rounded(value) if isinstance(value, dict) else rounded(value) if isinstance(value, float) else value
        for name, value in found.items()
    }


if __name__ == "__main__":
    main()
