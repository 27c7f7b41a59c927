"""Whether short trainings rank as longer ones do: on planted rankings, and on shapes trained for real."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

import archfront
from analysis.fidelity.rank_validity import VALIDITY, LongRun, read_long_runs, stratified, validity, validity_sentences
from analysis.records.record import TrialRecord
from analysis.report.study_page import report_page
from search_space.errors import SpecError
from tests.support.sample_study import sample_records, sample_summary
from trials.study.load_study import load_study
from trials.training.recipe import lengthened

RECORDS = sample_records()
FINISHED = stratified(RECORDS, 100)


def bits(record: TrialRecord) -> float:
    assert record.training is not None
    assert record.training.validation is not None
    return record.training.validation.bits_per_byte


def long_run(record: TrialRecord, bits_per_byte: float | None, **changes: object) -> LongRun:
    run = LongRun(
        number=record.number, architecture_key=record.architecture.key, times=4.0, seed=1000, tokens=1, bits_per_byte=bits_per_byte
    )
    return dataclasses.replace(run, **changes)  # type: ignore[arg-type]


def test_a_sample_spans_the_losses_from_the_best_to_the_worst() -> None:
    chosen = stratified(RECORDS, 6)
    assert len(chosen) == 6
    assert chosen[0] == FINISHED[0]
    assert chosen[-1] == FINISHED[-1]
    assert [bits(record) for record in chosen] == sorted(bits(record) for record in chosen)
    assert len(FINISHED) == len({record.architecture for record in FINISHED})
    assert stratified(RECORDS[::-1], 6) == chosen


def test_the_same_order_is_trusted_at_every_share() -> None:
    found = validity(RECORDS, [long_run(record, bits(record) - 0.3) for record in FINISHED])
    assert found is not None
    assert [found_at.share for found_at in found.correlations] == [0.25, 0.5, 0.75, 1.0]
    assert found.correlations[-1].correlation.tau == 1
    smallest = min(abs(bits(a) - bits(b)) for a in FINISHED for b in FINISHED if a is not b)
    assert found.trusted_difference == pytest.approx(smallest)
    text = " ".join(validity_sentences(found))
    assert "trained 4 times longer, with another seed. The short ranking can be trusted: Kendall's tau" in text
    assert "kept their order in 95 % of the pairs" in text


def test_the_opposite_order_is_not_trusted() -> None:
    found = validity(RECORDS, [long_run(record, 5 - bits(record)) for record in FINISHED])
    assert found is not None
    assert found.trusted_difference is None
    text = " ".join(validity_sentences(found))
    assert "cannot be trusted" in text
    assert "No difference after the short training was large enough" in text


def test_large_differences_are_trusted_where_small_ones_turn_around() -> None:
    runs = [long_run(record, round(bits(record) / 0.05) * 0.05 - 0.001 * bits(record)) for record in FINISHED]
    found = validity(RECORDS, runs)
    assert found is not None
    assert found.trusted_difference is not None
    assert 0.01 < found.trusted_difference < 0.06
    assert 0.3 < found.correlations[-1].correlation.tau < 1


def test_what_did_not_finish_or_belongs_to_another_trial_is_not_counted() -> None:
    runs = [long_run(record, bits(record)) for record in FINISHED[:2]]
    runs += [long_run(FINISHED[2], None, tokens=None, reason="diverged: nan"), long_run(FINISHED[3], 2.0, architecture_key="another")]
    found = validity(RECORDS, runs)
    assert found is not None
    assert len(found.shapes) == 2
    assert found.correlations == ()
    assert "too few to say anything" in " ".join(validity_sentences(found))
    assert "1 long training did not finish: #" in " ".join(validity_sentences(found))
    assert validity(RECORDS, []) is None


def test_the_report_says_whether_the_ranking_can_be_trusted() -> None:
    found = validity(RECORDS, [long_run(record, bits(record)) for record in FINISHED])
    assert "Whether the ranking can be trusted" in report_page(sample_summary(), RECORDS, {}, found)
    assert "Whether the ranking can be trusted" not in report_page(sample_summary(), RECORDS, {})


@pytest.mark.slow
def test_the_command_trains_longer_and_continues_where_it_was_stopped(
    trained: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path, directory = trained
    command = ["validate", str(path), "--directory", str(directory), "--shapes", "3", "--times", "2", "--json"]
    assert archfront.main(command) == 0
    first = json.loads(capsys.readouterr().out)
    assert len(first["shapes"]) == 3
    runs = read_long_runs(directory)
    assert [run.tokens for run in runs] == [1280] * 3
    kept = (directory / VALIDITY).read_bytes()
    (directory / VALIDITY).write_bytes(kept[:-20])  # as if killed while the last line was written
    assert archfront.main(command) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert (directory / VALIDITY).read_bytes() == kept
    lines = [json.loads(line) for line in kept.splitlines()]
    lines[1] |= {"tokens": None, "bits_per_byte": None, "reason": "out_of_memory: 3 GiB asked"}
    (directory / VALIDITY).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert archfront.main(command) == 0
    assert json.loads(capsys.readouterr().out) == first  # what failed was tried again
    assert "Whether the ranking can be trusted" in (directory / "report.html").read_text(encoding="utf-8")
    assert archfront.main([*command[:-2], "1"]) == 2
    assert "--times must be above 1" in capsys.readouterr().err
    command[command.index("--shapes") + 1] = "1"
    assert archfront.main(command) == 2
    assert "--shapes must be at least 3, for fewer have no order to compare, found 1" in capsys.readouterr().err


def test_the_budget_is_lengthened_whatever_it_is() -> None:
    proxy = load_study("studies/quickstart.yaml").proxy
    assert proxy.tokens is not None
    assert lengthened(proxy, 4).tokens == 4 * proxy.tokens
    assert lengthened(proxy.model_copy(update={"tokens": None, "seconds": 3.0}), 4).seconds == 12


def test_a_file_that_holds_no_long_trainings_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / VALIDITY).write_text('{"factor": 1}\n', encoding="utf-8")
    with pytest.raises(SpecError, match=r"validity\.jsonl:1 does not hold a long training"):
        read_long_runs(tmp_path)
