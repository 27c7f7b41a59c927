"""The table of what a machine took, and the law of a step that is fitted to its rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from search_space import cost
from tests.support.fakes import small_study
from tests.support.planted_pace import FLOPS_PER_SECOND, planted_row, planted_seconds_per_token
from trials.plans.known_paces import known_paces, near_in_size, of_rows, ready_paces
from trials.plans.pace_model import StepLaw, covers, optimizer_flops, step_flops
from trials.plans.pace_table import (
    MOST_ROWS,
    LatencyPace,
    Origin,
    OverheadPace,
    TrainingPace,
    keep_rows,
    kept_rows,
    machine_of,
    training_file,
)
from trials.plans.stage_estimate import USUAL_IMPORT_SECONDS

STUDY, _ = small_study()
SHAPES = STUDY.search_space.sample(60)


def latency_row(seconds: float, origin: Origin, *, parameters: int = 1, is_first: bool = False) -> LatencyPace:
    """A row of a latency."""
    return LatencyPace(label="", parameters=parameters, seconds=seconds, origin=origin, is_first=is_first)


@pytest.mark.parametrize("count", [2, 3, 12])
def test_a_law_foretells_the_shapes_that_it_has_not_seen(count: int) -> None:
    law = StepLaw.of([planted_row(shape, STUDY.proxy) for shape in SHAPES[:count]])
    for shape in SHAPES:
        assert law.seconds_per_token(shape, STUDY.proxy) == pytest.approx(planted_seconds_per_token(shape, STUDY.proxy), rel=0.02)
    tokens, context = 4096, STUDY.proxy.context_tokens
    assert law.evaluation_seconds(SHAPES[0], tokens, context) == pytest.approx(cost.decode_flops(SHAPES[0], context) * tokens / 2e10)


def test_a_single_row_is_enough_for_its_kind() -> None:
    law = StepLaw.of([planted_row(SHAPES[0], STUDY.proxy)])
    assert law.seconds_per_token(SHAPES[0], STUDY.proxy) == pytest.approx(planted_seconds_per_token(SHAPES[0], STUDY.proxy))
    assert min(law.prices) >= 0


def test_whole_trainings_count_where_there_are_any() -> None:
    timed = [planted_row(shape, STUDY.proxy) for shape in SHAPES[:3]]
    ran = [planted_row(shape, STUDY.proxy, "run", times=2.0) for shape in SHAPES[3:12]]
    law = StepLaw.of([*timed, *ran])
    assert (law.rows, law.are_of_studies) == (9, True)
    assert law.seconds_per_token(SHAPES[0], STUDY.proxy) == pytest.approx(2 * planted_seconds_per_token(SHAPES[0], STUDY.proxy), rel=0.02)


def test_rows_do_not_speak_of_shapes_far_from_them() -> None:
    rows = [planted_row(shape, STUDY.proxy) for shape in SHAPES[:5]]
    large = small_study(budget={"parameters": 3_000_000}, space={"hidden_size": {"from": 96, "to": 256, "step": 32}})[0]
    assert covers(rows, SHAPES, STUDY.proxy)
    assert not covers(rows, large.search_space.sample(3), STUDY.proxy)
    assert not covers([], SHAPES, STUDY.proxy)


def test_a_table_is_of_its_recipe_and_machine_and_keeps_the_newest() -> None:
    file = training_file(STUDY, "a machine")
    keep_rows(file, [planted_row(SHAPES[0], STUDY.proxy)])
    assert [row.label for row in kept_rows(file, TrainingPace)] == [SHAPES[0].label]
    others = [
        small_study(proxy={"batch_sequences": 8})[0], small_study(proxy={"optimizer": "adamw"})[0], small_study(workers={"count": 1})[0],
        small_study(proxy={"precision": "bfloat16"})[0],
    ]  # fmt: skip
    assert all(not kept_rows(training_file(other, "a machine"), TrainingPace) for other in others)
    assert not kept_rows(training_file(STUDY, "another machine"), TrainingPace)
    keep_rows(file, [planted_row(SHAPES[1], STUDY.proxy)] * MOST_ROWS)
    assert {row.label for row in kept_rows(file, TrainingPace)} == {SHAPES[1].label}
    assert len(kept_rows(file, TrainingPace)) == MOST_ROWS


@pytest.mark.parametrize("content", ["", "{}", "[1", '{"schema": 1, "rows": [{"label": 3}]}', '{"schema": 99, "rows": []}'])
def test_a_damaged_table_counts_as_none(content: str) -> None:
    file = training_file(STUDY, "a machine")
    file.path.parent.mkdir(parents=True, exist_ok=True)
    file.path.write_text(content)
    assert kept_rows(file, TrainingPace) == []
    keep_rows(file, [planted_row(SHAPES[0], STUDY.proxy)])
    assert len(kept_rows(file, TrainingPace)) == 1


def test_a_folder_that_cannot_be_written_costs_the_table_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("trials.plans.pace_table.paces_folder", lambda: tmp_path / "file" / "below")
    keep_rows(training_file(STUDY, "a machine"), [planted_row(SHAPES[0], STUDY.proxy)])
    found = ready_paces(STUDY, SHAPES, times_latency=False)
    assert found is not None, "what was timed counts, though it is kept nowhere"
    assert found.basis == "3 shapes timed here"
    assert known_paces(STUDY, SHAPES) is None


def test_what_the_table_lacks_is_timed_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert known_paces(STUDY, SHAPES) is None
    found = ready_paces(STUDY, SHAPES)
    assert found is not None
    assert found.basis == "3 shapes timed here"
    monkeypatch.setattr("trials.plans.known_paces.measured_paces", lambda *_: pytest.fail("timed again"))
    monkeypatch.setattr("trials.plans.known_paces.measured_latency", lambda *_: pytest.fail("timed again"))
    assert ready_paces(STUDY, SHAPES) == found
    assert len(kept_rows(training_file(STUDY, machine_of(STUDY)), TrainingPace)) == 3


def test_a_study_for_a_gpu_is_not_timed_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.plans.known_paces.has_gpu", lambda: False)
    monkeypatch.setattr("trials.plans.known_paces.measured_paces", lambda *_: pytest.fail("timed"))
    assert ready_paces(small_study(workers={"gpus": 1})[0], SHAPES) is None


def test_runs_and_processes_say_what_a_start_takes() -> None:
    row = planted_row(SHAPES[0], STUDY.proxy)
    slow = of_rows([row], overheads=[OverheadPace(seconds={"imports": 2 * USUAL_IMPORT_SECONDS}, origin="timed")]).overhead
    usual = of_rows([row]).overhead
    assert {name: slow[name] / usual[name] for name in usual} == pytest.approx(dict.fromkeys(usual, 2.0))
    ran = of_rows([row], overheads=[OverheadPace(seconds={"start_up": seconds}, origin="run") for seconds in (7.0, 8.0, 30.0)]).overhead
    assert ran == {**usual, "start_up": 8.0}


def test_what_trials_waited_for_a_latency_counts_where_it_is_known() -> None:
    row, alone = planted_row(SHAPES[0], STUDY.proxy), latency_row(2.0, "timed")
    found = of_rows([row], [alone])
    assert (found.latency_seconds, found.trial_latency_seconds, found.first_latency_seconds) == (2.0, None, None)
    found = of_rows([row], [alone, latency_row(3.0, "run"), latency_row(4.0, "run"), latency_row(6.0, "run", is_first=True)])
    assert (found.latency_seconds, found.trial_latency_seconds, found.first_latency_seconds) == (2.0, 3.5, 6.0)
    assert of_rows([row], [alone, latency_row(1.5, "final")]).latency_seconds == 1.5


def test_latencies_do_not_speak_of_shapes_far_from_them() -> None:
    size = cost.parameters(SHAPES[0])
    rows = [latency_row(1.0, "run", parameters=round(size * times)) for times in (0.1, 0.5, 2.0, 10.0)]
    assert near_in_size(rows, SHAPES[:1]) == rows[1:3]


def test_muons_products_are_those_of_its_iteration() -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from trials.network.decoder import Network
    from trials.training.muon import Muon
    from trials.training.optimizers import make_optimizers

    shape = SHAPES[0]
    network = Network(shape, 0)
    (muon,) = [optimizer for optimizer in make_optimizers(network, STUDY.proxy) if isinstance(optimizer, Muon)]
    network(torch.zeros((1, 4), dtype=torch.long)).sum().backward()
    counter = FlopCounterMode(display=False)
    with counter:
        muon.step()
    assert optimizer_flops(shape, "muon") == pytest.approx(counter.get_total_flops(), rel=0.01)
    assert optimizer_flops(shape, "adamw") == 0


def test_blocks_of_one_size_that_stand_for_far_larger_steps_price_their_flops() -> None:
    blocks = [replace(planted_row(shape, STUDY.proxy), stands_for_flops=1e14) for shape in SHAPES[:3]]
    law = StepLaw.of(blocks)
    long = STUDY.proxy.model_copy(update={"batch_sequences": 1000 * STUDY.proxy.batch_sequences})
    speed = step_flops(SHAPES[0], long) / (law.seconds_per_token(SHAPES[0], long) * long.batch_sequences * long.context_tokens)
    assert 0.5 < speed / FLOPS_PER_SECOND <= 1
