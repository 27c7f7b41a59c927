"""Verbs that measure latencies, or fit what was measured."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from search_space.errors import SpecError
from trials.commands.shapes import read_shape
from trials.commands.talk import DONE, emit, say


def latency(options: argparse.Namespace) -> int:
    """Measure the latency of a shape on this machine."""
    from analysis.report.terminal import latency_text
    from trials.latency.process import LatencyProcess
    from trials.study.spec import parse_latency

    shape = read_shape(options.shape)
    asked = ("runtime", "precision", "prompt_tokens", "new_tokens", "context_positions", "threads", "repeats", "command", "format")
    spec = parse_latency({name: getattr(options, name) for name in asked}).beside(Path.cwd())
    process = LatencyProcess(spec)
    try:
        taken = process.measure(shape)
    finally:
        process.close()
    if options.json:
        emit({"shape": shape.as_dict(), "latency": asdict(taken)})
        return DONE
    print(latency_text(taken))
    if taken.disturbed:
        say("archfront: the measurement was disturbed by other work on this machine; repeat it when the machine is quiet")
    return DONE


def profile_device(options: argparse.Namespace) -> int:
    """Measure the shapes that a device's latencies are predicted from, or judge the fit of a published table."""
    if options.fit is not None:
        from analysis.latency.table_fit import fit_table

        chosen = [name.strip() for name in (options.features or "").split(",") if name.strip()]
        found = fit_table(Path(options.fit), options.column, options.shapes, options.seeds, chosen)
        if options.json:
            emit(found.as_dict())
        else:
            print(found)
        return DONE
    if options.study is None:
        raise SpecError("profile-device needs a study's YAML, whose shapes are measured, or --fit TABLE.csv; name one of them")
    from analysis.latency.device_report import table_facts
    from analysis.latency.device_table import read_table
    from analysis.latency.latency_model import LEAST_SHAPES
    from analysis.report.terminal import device_table_text
    from trials.latency.add_trials import add_trials
    from trials.latency.device_profile import choose_shapes, default_table, latency_spec, profile
    from trials.reporting.stored_study import read_study
    from trials.study.spec import load_study

    if options.shapes < LEAST_SHAPES:
        raise SpecError(f"--shapes must be at least {LEAST_SHAPES}, which a table is fitted to, found {options.shapes}; raise it")
    if options.trials is not None:
        read_study(Path(options.trials))  # before anything is measured
    study = load_study(options.study)
    spec = latency_spec(study.objectives.latency, options.runtime, options.precision)
    wanted = choose_shapes(study.search_space, spec, options.shapes, options.checks)
    path = Path(options.output) if options.output else default_table(study.search_space, spec)
    say(f"table    {path}")
    table = profile(path, spec, wanted, progress=lambda done, of, text: say(f"{done} of {of}: {text}"))
    if options.trials is not None:
        added, left_out = add_trials(path, Path(options.trials))
        say(f"trials   {added} added" + (f"; left out where they differ, such as {left_out}" if left_out else ""))
        table = read_table(path)
    if options.json:
        emit({"table": str(path), **table_facts(table)})
    else:
        print(device_table_text(table))
    return DONE
