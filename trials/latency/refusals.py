"""Which shapes a runtime cannot hold, asked without importing it: before a study starts, and where the runtime is on another machine."""

from __future__ import annotations

from collections.abc import Iterable

from search_space.architecture import Architecture
from search_space.errors import SpecError
from trials.catalogue.formats import require_writer
from trials.catalogue.runtimes import COMMAND
from trials.latency.runtimes import require_runtime
from trials.study.latency_spec import LatencySpec


def refusal_of(shape: Architecture, spec: LatencySpec) -> str | None:
    """Why a workload's runtime, or what executes the files that a command is given, cannot hold a shape; None where it can."""
    return spec.row.refusal(shape, spec.precision)


def require_libraries(spec: LatencySpec) -> None:
    """Raise SpecError where the machine that measures lacks what a workload needs: its runtime, or what writes a command's files."""
    require_runtime(spec.runtime)
    if spec.runtime == COMMAND:
        require_writer(spec.model_format)


def require_measurable(spec: LatencySpec, references: Iterable[tuple[str, Architecture]], shapes: Iterable[Architecture]) -> None:
    """Raise SpecError where a reference of a study cannot be timed as it wants, or none of these shapes of its space can."""
    for name, shape in references:
        if (reason := refusal_of(shape, spec)) is not None:
            raise SpecError(
                f"latency: the reference {name} cannot be timed in {spec.runtime}, where {reason}; drop it from references, or name another"
            )
    reasons = [refusal_of(shape, spec) for shape in shapes]
    if reasons and all(reason is not None for reason in reasons):
        raise SpecError(
            f"latency: no shape of the space can be timed in {spec.runtime}, such as: {reasons[0]}; change the space or the runtime"
        )
