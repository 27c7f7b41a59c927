"""What the commands print: the front, what it may become, losses, laws and latencies as plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.fidelity.ablation import Difference
from analysis.fidelity.forecast import FrontForecast, forecast_sentences
from analysis.fidelity.promotion import Promotion, promotion_sentences
from analysis.fidelity.time_ratios import TimeRatio
from analysis.fronts.device_front import DeviceTransfer, device_cells, device_columns, transfer_rows, transfer_sentences
from analysis.fronts.doubts import selection_bias_sentences
from analysis.fronts.findings import findings
from analysis.fronts.front import Front
from analysis.fronts.last_word import last_word
from analysis.fronts.membership import Membership, estimate_membership, picks
from analysis.fronts.rows import front_rows
from analysis.latency.device_report import table_facts
from analysis.latency.device_table import DeviceTable
from analysis.laws.accuracy import accuracy_sentences
from analysis.laws.run_table import columns_sentences
from analysis.objectives.objective import Objective
from analysis.objectives.quality import ROUNDING_LOSS
from analysis.objectives.registry import find_objective
from analysis.records.latency import Latency
from analysis.records.record import FinalRecord, TrialRecord
from analysis.report.tables import rounding_cell
from analysis.text import words
from analysis.text.columns import aligned, markdown_cell

ON_THE_LEFT = ("trial", "shape", "")
"""Columns whose cells stand on the left."""


def front_text(
    records: Sequence[TrialRecord],
    finals: Mapping[int, FinalRecord],
    front: Front,
    membership: Membership | None = None,
    width: int | None = None,
) -> str:
    """The front as it is listed, with the references that it beats, then all findings in sentences.

    `membership` is the front's own, where it is known already; `width` that of a terminal.
    """
    membership = membership or estimate_membership(front)
    sentences = [*findings(records, finals, front, membership), *selection_bias_sentences(records, finals, front, membership)]
    return _in_width(front_lines(records, finals, front, membership, width), sentences, width)


def last_text(
    records: Sequence[TrialRecord],
    finals: Mapping[int, FinalRecord],
    front: Front,
    membership: Membership,
    width: int | None = None,
) -> str:
    """The front as it is listed, with the references that it beats, and at most three sentences; `width` is that of a terminal."""
    return _in_width(front_lines(records, finals, front, membership, width), last_word(records, front, membership), width)


def _in_width(table: Sequence[str], sentences: Sequence[str], width: int | None) -> str:
    wrapped = sentences if width is None else [line for sentence in sentences for line in textwrap.wrap(sentence, width)]
    return "\n".join([*table, "", *wrapped]).strip()


OUTSIDE_INTERVAL = (
    "* outside its credible interval, which is of the shape's true value, selection bias taken out, not of this one measurement"
)


def front_lines(
    records: Sequence[TrialRecord], finals: Mapping[int, FinalRecord], front: Front, membership: Membership, width: int | None = None
) -> list[str]:
    """The front's lines; none where it is empty. Where a terminal is narrower than all columns, those that matter least are left out."""
    chosen, best = picks(front, membership), front.best(0)
    objectives = [front.objectives[place] for place in front.problem.columns]
    seeds = [objective for objective in objectives if objective.noise == "seed"]
    others = [objective for objective in front.problem.shown if objective not in objectives]
    known = [objective for objective in objectives if objective not in seeds]
    transfer = [name for objective in seeds for name in (objective.words.short or objective.words.label, "credible, 90 %")]
    found = front_rows(records, finals, front, membership)
    rounds = any(row[ROUNDING_LOSS] is not None for row in found)
    columns = ("trial", "shape", "parameters", *(o.words.short or o.words.label for o in known), *transfer, "on front")
    columns = (*columns, *(objective.words.short or objective.words.label for objective in others))
    columns = (*columns, *([f"{find_objective(ROUNDING_LOSS).words.label}, 90 %"] if rounds else []), "")
    rows = [columns]
    for row in found:
        notes = [*([row["name"]] if row["name"] else []), *chosen.get(row["trial"], []), *([] if row["on_front"] else ["not on the front"])]
        notes += ["reused"] if row["reused_from"] else []
        notes += ["tie"] if best in row["ties"] else []
        rows.append(
            (
                f"#{row['trial']}",
                row["shape"],
                f"{row['parameters']:,}",
                *(_written(objective, row) for objective in known),
                *(cell for objective in seeds for cell in (_measured(objective, row), _credible(objective, row))),
                words.probability(row["front_probability"]),
                *(_written(objective, row) for objective in others),
                *([rounding_cell(row)] if rounds else []),
                ", ".join(notes),
            )
        )
    if len(rows) == 1:
        return []
    spared = ("parameters", *columns[-1 - len(others) - rounds : -1], "credible, 90 %")
    lines = _narrowed(rows, spared, width)
    note = [*(textwrap.wrap(OUTSIDE_INTERVAL, width) if width is not None else [OUTSIDE_INTERVAL])]
    return [*lines, *(note if any(_is_outside(objective, row) for row in found for objective in seeds) else [])]


def _narrowed(rows: Sequence[Sequence[str]], spared: Sequence[str], width: int | None) -> list[str]:
    """The table's lines without as many of the `spared` columns, by their headings, as it takes to keep to the width; then cut to it."""
    kept, going = list(range(len(rows[0]))), list(spared)
    while True:
        left = [place for place, column in enumerate(kept) if rows[0][column] in ON_THE_LEFT]
        lines = aligned([[row[column] for column in kept] for row in rows], left)
        if width is None or max(map(len, lines)) <= width:
            return lines
        if not going:
            return [line if len(line) <= width else f"{line[: width - 1]}…" for line in lines]
        gone = going.pop(0)
        kept = [column for column in kept if rows[0][column] != gone]


def _is_outside(objective: Objective, row: Mapping[str, Any]) -> bool:
    """Whether a shape's measured value lies outside its credible interval."""
    value, low, high = (row[name] for name in (objective.name, f"credible_{objective.name}_low", f"credible_{objective.name}_high"))
    return value is not None and low is not None and high is not None and not low <= value <= high


def _written(objective: Objective, row: Mapping[str, Any]) -> str:
    value = row[objective.name]
    return words.ABSENT if value is None else objective.words.write(value)


def _measured(objective: Objective, row: Mapping[str, Any]) -> str:
    return f"{_written(objective, row)}{'*' if _is_outside(objective, row) else ''}"


def _credible(objective: Objective, row: Mapping[str, Any]) -> str:
    low, high = (row[f"credible_{objective.name}_{end}"] for end in ("low", "high"))
    return words.ABSENT if low is None else objective.between_text(low, high)


def forecast_text(found: FrontForecast, records: Sequence[TrialRecord]) -> str:
    """What each shape may have after longer training, then the sentences."""
    labels = {record.number: record.architecture.label for record in records}
    lines = [("trial", "shape", "now", "forecast", "90 %", "on front then")]
    for p in found.forecasts:
        numbers = (f"{p.now:.3f}", f"{p.expected:.3f}", words.bits_range(p.low, p.high), f"{p.on_front:.0%}")
        lines.append((f"#{p.number}", labels[p.number], *numbers))
    return "\n".join([*aligned(lines, range(len(lines[0]))), "", *forecast_sentences(found, labels)])


def transfer_text(transfer: DeviceTransfer) -> str:
    """The front that a device's table predicts, then what is to be known of the prediction."""
    columns = device_columns(transfer)
    rows = [columns, *(device_cells(row, transfer) for row in transfer_rows(transfer)["front"])]
    left = [place for place, name in enumerate(columns) if name in ON_THE_LEFT]
    return "\n".join([*aligned(rows, left), "", *transfer_sentences(transfer)])


def promotion_text(found: Promotion) -> str:
    """Each promoted shape before and after, then what held."""
    known = [find_objective(name) for name in (found.shapes[0].known if found.shapes else ())]
    columns = ("trial", "shape", *(objective.words.label for objective in known))
    lines: list[tuple[str, ...]] = [(*columns, "before", "after", "forecast, 90 %", "front before", "front after")]
    for shape in found.shapes:
        seen, after = words.bits_range(shape.low, shape.high), words.bits_text(shape.after)
        marks = ("yes" if on else "no" for on in (shape.on_front_before, shape.on_front_after))
        others = (objective.words.write(shape.known[objective.name]) for objective in known)
        lines.append((f"#{shape.number}", shape.shape, *others, f"{shape.before:.3f}", after, seen, *marks))
    return "\n".join([*aligned(lines, range(len(lines[0]))), "", *promotion_sentences(found)])


ABLATION_COLUMNS = (
    "question",
    "arm against baseline",
    "published, points",
    "ours, bits per byte saved",
    "90 % interval",
    "seeds",
    "conclusion",
)


def ablation_table_text(answers: Sequence[tuple[str, Sequence[Difference]]]) -> str:
    """One Markdown table of every question's differences; a star marks published differences within the noise of their measure."""
    lines = [ABLATION_COLUMNS, ("---",) * len(ABLATION_COLUMNS)]
    for question, differences in answers:
        lines += [(question if not place else "", *_difference(difference)) for place, difference in enumerate(differences)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


TIME_COLUMNS = ("times", "arm against baseline", "published", "prefill", "a decoded token", "90 % interval", "file", "rounds")


def ablation_times_text(times: Sequence[TimeRatio]) -> str:
    """A Markdown table of how many times the baseline's time every arm takes in every workload."""
    lines = [TIME_COLUMNS, ("---",) * len(TIME_COLUMNS)]
    for found in times:
        published = ", ".join(f"{value:.2f} ({scale})" for scale, value in found.published.items())
        interval = "–" if found.interval is None else f"{found.interval[0]:.2f} to {found.interval[1]:.2f}"
        size = "–" if found.file_bytes is None else f"{found.file_bytes:.2f}"
        arms = f"{found.arm} against {found.baseline}"
        ratios = f"{found.prefill:.2f}", f"{found.decode:.2f}"
        lines.append((markdown_cell(found.workload), arms, published or "–", *ratios, interval, size, str(found.rounds)))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _difference(found: Difference) -> tuple[str, ...]:
    published = ", ".join(f"{value:+.1f} ({scale})" for scale, value in found.published.items())
    return (
        f"{found.arm} against {found.baseline}",
        f"{published}{' *' if found.published_is_noise else ''}" if published else "–",
        "–" if found.gain is None else f"{found.gain:+.4f}",
        "–" if found.interval is None else f"{found.interval[0]:+.4f} to {found.interval[1]:+.4f}",
        str(found.seeds),
        found.conclusion.value,
    )


def loss_rows(records: Sequence[TrialRecord]) -> list[dict[str, Any]]:
    """Every finished loss of the grid, cooldowns included, in the order of the trials; a training that did not finish has one of None."""
    return [row for record in sorted(records, key=lambda record: record.number) for row in _losses(record)]


def losses_text(records: Sequence[TrialRecord]) -> str:
    """A line for each training with its losses by tokens, and what did not finish, each with its reason."""
    lines = [("trial", "name", "shape", "parameters", "seed", "loss (nats per token) at tokens")]
    failed = []
    for record in sorted(records, key=lambda record: record.number):
        found = [row for row in _losses(record) if row["loss"] is not None]
        losses = "  ".join(f"{row['loss']:.4f} at {words.short(row['tokens'])}" for row in found)
        if not found:
            losses = f"{record.outcome}"
            failed.append(f"#{record.number} {record.outcome}: {record.reason}")
        shape = record.architecture.label
        lines.append((f"#{record.number}", record.name or "", shape, f"{record.costs.parameters:,}", f"{record.seed}", losses))
    return "\n".join([*aligned(lines, (1, 2, 5)), *failed])


def _losses(record: TrialRecord) -> list[dict[str, Any]]:
    known = {
        "trial": record.number,
        "name": record.name,
        "shape": record.architecture.label,
        "parameters": record.costs.parameters,
        "seed": record.seed,
    }
    training = record.training
    if not record.finished or training is None or training.validation is None:
        return [{**known, "tokens": None, "loss": None, "bits_per_byte": None}]
    last = training.validation
    losses = [
        *((cooldown.tokens, cooldown.loss, cooldown.bits_per_byte) for cooldown in training.cooldowns),
        (training.tokens, last.loss, last.bits_per_byte),
    ]
    return [{**known, "tokens": tokens, "loss": loss, "bits_per_byte": bits} for tokens, loss, bits in losses]


def fit_text(answer: Mapping[str, Any]) -> str:
    """The law with its intervals, its backtest, predictions, effects and notes; `answer` is that of `analysis.laws.fit_result`."""
    lines = [f"{answer['form']}: {answer['formula']}" if "formula" in answer else str(answer["form"])]
    lines += [_parameter(name, value, answer) for name, value in answer.get("parameters", {}).items()]
    if answer.get("allocation"):
        low, high = answer["allocation"]["interval"]
        lines.append(f"best N grows as FLOPs to the {answer['allocation']['exponent']:.3f} [{low:.3f}, {high:.3f}]")
    if answer.get("backtest"):
        lines.append(f"backtest: {answer['backtest']['headline']}")
    for prediction in answer.get("predictions", ()):
        lines.append("predicted: " + ", ".join(f"{name} {_short(value)}" for name, value in prediction.items() if value is not None))
    lines += [effect["sentence"] for effect in answer.get("effects", ())]
    if "accuracy" in answer:
        lines += accuracy_sentences(answer["accuracy"])
    return "\n".join([*lines, *columns_sentences(answer.get("columns", {})), *answer.get("notes", ())])


def _parameter(name: str, value: float, answer: Mapping[str, Any]) -> str:
    interval = answer.get("intervals", {}).get(name)
    range_text = f"[{interval[0]:.4g}, {interval[1]:.4g}]" if interval else ""
    reason = answer.get("unidentified", {}).get(name)
    return f"  {name:<6} {value:<12.6g} {range_text}{f'  not identified: {reason}' if reason else ''}".rstrip()


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    return "(" + ", ".join(f"{k} {_short(v)}" for k, v in value.items()) + ")" if isinstance(value, Mapping) else str(value)


def latency_text(taken: Latency) -> str:
    """A line for each time, and one that says how they were taken."""
    spreads = {"total": taken.total_ms, "prefill": taken.prefill_ms, "decode, a token": taken.decode_ms_per_token}
    spreads |= {f"at {at.cached_tokens:,}{', disturbed' if at.disturbed else ''}": at.decode_ms_per_token for at in taken.at_positions}
    lines = [f"{name:<16} {spread.median:10.3f} ms   p10 {spread.p10:.3f}   p90 {spread.p90:.3f}" for name, spread in spreads.items()]
    if taken.yardstick is not None:
        ratio = taken.yardstick.ratio
        lines.append(f"{'ratio':<16} {ratio.median:10.3f}      p10 {ratio.p10:.3f}   p90 {ratio.p90:.3f}, to {taken.yardstick.label}")
    for name, once in (("load", taken.load_ms), ("first prefill", taken.first_prefill_ms)):
        if once is not None:
            lines.append(f"{name:<16} {once:10.3f} ms   once")
    if taken.peak_memory_bytes is not None:
        lines.append(f"{'memory':<16} {taken.peak_memory_bytes / (1 << 20):10.1f} MiB  at most")
    if taken.bandwidth_share is not None:
        lines.append(f"{'decoding reads':<16} {taken.bandwidth_share:10.1%}      of the memory's bandwidth")
    tokens, runtime = f"{taken.prompt_tokens} + {taken.new_tokens} tokens", f"{taken.runtime} {taken.runtime_version}"
    lines.append(f"{tokens}, {taken.repeats} repeats, {runtime}, {taken.device}")
    return "\n".join(lines)


LEAST_NAMED_SHARE = 0.005
"""Share of the time below which a term is not named."""


def device_table_text(table: DeviceTable) -> str:
    """What a device's table was fitted to, how well it predicts, and what the time is made of."""
    found = table_facts(table)
    low, high = found["parameters"]
    checks = table.check_errors()
    lines = [
        f"device   {table.header}",
        f"shapes   {found['fitted']} fitted, {found['checks']} to check, {low:,} to {high:,} parameters"
        + (f"; {found['disturbed']} disturbed" if found["disturbed"] else ""),
        f"left out {table.left_out_errors}",
    ]
    lines += [f"checks   {checks}"] if checks is not None else []
    for phase in ("prefill", "decode"):
        shares = sorted(found[f"{phase}_shares"].items(), key=lambda each: -each[1])
        lines.append(f"{phase:<8} {', '.join(f'{name} {share:.0%}' for name, share in shares if share >= LEAST_NAMED_SHARE)}")
    return "\n".join(lines)
