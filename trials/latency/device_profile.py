"""`archfront profile-device`: measures a few dozen shapes of a space once, so that every other one's latency is known."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from analysis.latency.cost_terms import Stack, Workload, columns, outline
from analysis.latency.device_table import DeviceTable, Role, Row, append_row, is_begun, read_table
from analysis.latency.latency_model import LEAST_SHAPES
from analysis.records.latency import Latency
from search_space.architecture import Architecture
from search_space.budget import Budget
from search_space.cost import parameters
from search_space.errors import SpecError
from search_space.space import SearchSpace
from trials.catalogue.runtimes import COMMAND, RUNTIMES
from trials.latency.device_tables import adding_to, device_folder, differs
from trials.latency.measurer import Measurer
from trials.latency.process import LatencyError, LatencyProcess
from trials.machine.processors import device_name
from trials.study.latency_spec import LatencySpec, parse_latency

FITTED_SIZES = {1.0: 0.6, 2.0: 0.15, 0.5: 0.15, 0.25: 0.1}
"""Share of the fitted shapes by their size over the study's: where a cache ends between the study's size and twice that, only shapes
beyond can tell."""
CHECKED_SIZES = {1.0: 0.7, 2.0: 0.3}
"""Share of the shapes that judge the fit, by their size over the study's."""
LOOKED, POOL = 20_000, 400
"""Points of the space that are looked at for shapes of a size, and shapes among which are chosen."""
PROFILE_CANDIDATES = 16
"""Candidates of which the one farthest from all chosen is chosen (Mitchell's best candidate, 1991)."""
AGAIN_AT_MOST = 0.3
"""Share of the shapes that is measured again where it was disturbed."""
MOST_FAILURES = 5
"""Failures in a row after which something else is wrong than a shape."""
DISTURBED = ", disturbed by other work"
MeasureShape = Callable[[Architecture], Latency]
ReportMeasurement = Callable[[int, int, str], None]
"""Told of each measurement: which of how many, and what came of it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A shape that is to be measured."""

    architecture: Architecture
    role: Role


def default_table(space: SearchSpace, spec: LatencySpec, name: Callable[[], str] | None = None) -> Path:
    """Where the table of the device that has such a `name` (default: of this machine), for such a workload and size, lies.

    Raises SpecError where the space has no shape, or a command measures, which says only later on which device.
    """
    if spec.runtime == COMMAND:
        raise SpecError(f"a table must be named where the runtime is {COMMAND}, which alone knows its device; name its file with --output")
    largest = max(parameters(shape) for shape in _own(space, 0))
    device = re.sub(
        r"[^a-z0-9]+", "-", re.sub(r"\(.*?\)", "", name() if name else device_name(RUNTIMES[spec.runtime].device)).lower()
    ).strip("-")
    size = f"{largest / 1e6:.1f}m" if largest >= 1e6 else f"{largest / 1e3:.0f}k"
    how = f"{spec.runtime}-{spec.precision}-{spec.threads}t-{spec.prompt_tokens}-{spec.new_tokens}"
    return device_folder() / f"{device}-{how}-{size}.jsonl"


def latency_spec(spec: LatencySpec, runtime: str | None = None, precision: str | None = None) -> LatencySpec:
    """A study's workload, in another runtime or precision where they are named; nothing is timed beside it."""
    values = {**spec.model_dump(), "context_positions": None, "precision": precision or spec.precision}
    if runtime is not None and runtime != spec.runtime:
        values |= {"runtime": runtime, "command": None, "format": None}
    return parse_latency(values)


def require_fit(shapes: int) -> None:
    """Raise SpecError where so few shapes tell no others' times."""
    if shapes < LEAST_SHAPES:
        raise SpecError(f"--shapes must be at least {LEAST_SHAPES}, which a table is fitted to, found {shapes}; raise it")


def choose_shapes(space: SearchSpace, spec: LatencySpec, shapes: int, checks: int, seed: int = 0) -> list[Wanted]:
    """Shapes to fit, spread over what tells shapes apart at each size, and shapes to check, drawn evenly; fit ones first.

    The same arguments give the same shapes. Raises SpecError where the space has no shape.
    """
    own = _own(space, seed)
    workload = Workload(spec.prompt_tokens, spec.new_tokens, spec.precision)
    random = np.random.default_rng(seed)
    pools = {size: own if size == 1.0 else _shapes(space, size, seed) for size in FITTED_SIZES}
    fitted = [
        shape for size, count in _counts(FITTED_SIZES, pools, shapes).items() for shape in _spread(pools[size], workload, count, random)
    ]
    fitted = list(dict.fromkeys(fitted))
    taken = set(fitted)
    rest = {size: [shape for shape in pools[size] if shape not in taken] for size in CHECKED_SIZES}
    checked = [shape for size, count in _counts(CHECKED_SIZES, rest, checks).items() for shape in _drawn(rest[size], count, random)]
    return [
        *(Wanted(shape, "fit") for shape in _drawn(fitted, len(fitted), random)),
        *(Wanted(shape, "check") for shape in _drawn(checked, len(checked), random)),
    ]


def profile(
    path: Path,
    spec: LatencySpec,
    wanted: Iterable[Wanted],
    *,
    measure: MeasureShape | None = None,
    start: Callable[[LatencySpec, list[Latency]], Measurer] = LatencyProcess,
    progress: ReportMeasurement = lambda done, of, text: None,
) -> DeviceTable:
    """Measure what the table lacks, one line each, and return it; the same call continues after any interruption.

    Shapes whose measurement was disturbed are measured once more after the others, unless many were: then the machine is not quiet. A
    shape that cannot be measured is left out.
    `start` says who measures, unless `measure` does. Waits until no other process adds to the table. Raises SpecError where the file is of
    another device or workload, LatencyError where shape after shape fails.
    """
    wanted = list(wanted)
    with adding_to(path):
        if is_begun(path) and (other := differs(read_table(path).header, spec)) is not None:
            raise _otherwise(path, other)
        process = start(spec, [row.latency for row in _known(path)]) if measure is None else None
        ask = process.measure if process is not None else measure
        assert ask is not None
        try:
            known = _latencies(path)
            _measure_all(path, [shape for shape in wanted if shape.architecture not in known], ask, progress)
            disturbed = _disturbed(path)
            again = [shape for shape in wanted if shape.architecture in disturbed]
            if len(again) <= AGAIN_AT_MOST * len(wanted):
                _measure_all(path, again, ask, progress)
        finally:
            if process is not None:
                process.close()
        return read_table(path)


def _measure_all(path: Path, wanted: list[Wanted], measure: MeasureShape, progress: ReportMeasurement) -> None:
    failed = 0
    for done, shape in enumerate(wanted, start=1):
        try:
            latency = measure(shape.architecture)
        except (SpecError, LatencyError) as error:
            failed += 1
            progress(done, len(wanted), f"{shape.architecture.label} is left out: {error}")
            if failed == MOST_FAILURES:
                raise
            continue
        failed = 0
        _require_same(path, latency)
        append_row(path, Row(architecture=shape.architecture, role=shape.role, latency=latency))
        progress(done, len(wanted), f"{shape.architecture.label} {latency.total_ms.median:.2f} ms{DISTURBED if latency.disturbed else ''}")


def _latencies(path: Path) -> dict[Architecture, Latency]:
    return {row.architecture: row.latency for row in _known(path)}


def _disturbed(path: Path) -> set[Architecture]:
    return {shape for shape, latency in _latencies(path).items() if latency.disturbed}


def _known(path: Path) -> tuple[Row, ...]:
    return read_table(path).rows if is_begun(path) else ()


def _require_same(path: Path, latency: Latency) -> None:
    if is_begun(path) and (other := read_table(path).header.differs(latency)) is not None:
        raise _otherwise(path, other)


def _otherwise(path: Path, other: str) -> SpecError:
    return SpecError(f"{path} was measured otherwise: {other}; name another file with --output")


def _own(space: SearchSpace, seed: int) -> list[Architecture]:
    """Shapes of the space's own budget; SpecError where there is none."""
    space.require_feasible()
    found = _shapes(space, 1.0, seed)
    if not found:
        raise SpecError(f"a space must have a shape among {LOOKED:,} of its points to be profiled, found none; narrow its dimensions")
    return found


def _shapes(space: SearchSpace, size: float, seed: int) -> list[Architecture]:
    """Distinct shapes of the space at so many times its budget; none where its dimensions do not reach there."""
    limits = tuple(replace(limit, value=limit.value * size) for limit in space.budget.limits)
    found: dict[Architecture, None] = {}
    for _, shape in islice(replace(space, budget=Budget(limits)).walk(seed), LOOKED):
        if isinstance(shape, Architecture):
            found[shape] = None
            if len(found) == POOL:
                break
    return list(found)


def _counts(shares: dict[float, float], pools: dict[float, list[Architecture]], total: int) -> dict[float, int]:
    """How many of each size; what a size does not have comes from the study's own."""
    counts = {size: min(len(pools[size]), round(share * total)) for size, share in shares.items() if size != 1.0}
    return {1.0: min(len(pools[1.0]), total - sum(counts.values())), **counts}


def _spread(pool: list[Architecture], workload: Workload, count: int, random: np.random.Generator) -> list[Architecture]:
    """Shapes, so many, that lie far apart in the logarithms of their outlines."""
    if not count:
        return []
    logs = np.log(columns([outline(Stack.of(shape), workload) for shape in pool])[1])
    places = (logs - logs.mean(axis=0)) / np.maximum(logs.std(axis=0), 1e-9)
    gaps = np.full(len(pool), np.inf)
    chosen: list[int] = []
    for _ in range(count):
        free = np.flatnonzero(gaps > 0)
        if not len(free):  # what is left differs from what is chosen in no number
            break
        candidates = random.choice(free, size=min(PROFILE_CANDIDATES, len(free)), replace=False)
        chosen.append(int(candidates[np.argmax(gaps[candidates])]))
        gaps = np.minimum(gaps, ((places - places[chosen[-1]]) ** 2).sum(axis=1))
        gaps[chosen] = 0.0
    return [pool[place] for place in chosen]


def _drawn(pool: list[Architecture], count: int, random: np.random.Generator) -> list[Architecture]:
    return [pool[place] for place in random.permutation(len(pool))[:count]]
