"""What one trunk with branches costs of separate runs, and how their losses differ: `python -m benchmarks.branches DIR --trials 0 1`.

DIR is a scaling study that has been run. Each of the trials is trained again with its branches, and then once for each loss: with the
trunk's warm-up, where losses must be equal bit for bit, and with the recipe's own share of the shorter run.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from analysis.records.record import TrialRecord
from analysis.records.training import Training
from trials.corpus.blocks import TokenBlocks
from trials.corpus.prepare import prepare_corpus
from trials.reporting.stored_study import read_study
from trials.study.spec import ProxySpec, StudySpec
from trials.training.proxy_run import train
from trials.training.schedules import RunLength, ending_at


def compare(study: StudySpec, record: TrialRecord, blocks: TokenBlocks) -> None:
    """Print a line for each branch and one for the whole."""
    proxy, separate = record_recipe(study, record), 0.0
    whole, with_branches = timed(record, proxy, blocks)
    for share, cooldown in zip(proxy.cooldowns, whole.cooldowns, strict=True):
        ending, _ = ending_at(proxy, RunLength.of(proxy, record.architecture), share)
        alone, seconds = timed(record, ending, blocks)
        own, _ = timed(record, ending.model_copy(update={"warmup": proxy.warmup}), blocks)
        separate += seconds
        assert alone.validation is not None
        assert own.validation is not None
        equal = "equal" if cooldown.loss == alone.validation.loss else f"not equal ({alone.validation.loss})"
        print(
            f"#{record.number} {cooldown.tokens:,} tokens: branch {cooldown.loss:.6f}, separate {equal}, "
            f"{cooldown.loss / own.validation.loss - 1:+.2%} of a run with its own warm-up",
            flush=True,
        )
    last, seconds = timed(record, proxy.model_copy(update={"cooldowns": ()}), blocks)
    separate += seconds
    same = "equal" if last.validation == whole.validation else "not equal"
    print(
        f"#{record.number} trunk {same}; {with_branches:.1f} s of {separate:.1f} processor seconds: {with_branches / separate:.0%}",
        flush=True,
    )


def record_recipe(study: StudySpec, record: TrialRecord) -> ProxySpec:
    """What the trial was trained by."""
    assert record.training is not None
    return study.proxy.with_tokens(record.training.planned_tokens)


def timed(record: TrialRecord, proxy: ProxySpec, blocks: TokenBlocks) -> tuple[Training, float]:
    """A training and its processor seconds."""
    begun = time.process_time()
    _, training = train(record.architecture, blocks, proxy, seed=record.seed)
    return training, time.process_time() - begun


def main() -> None:
    """Read the directory and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--trials", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    stored = read_study(options.directory)
    for number in options.trials:
        record = stored.record(number)
        compare(stored.study, record, prepare_corpus(stored.study.corpus, record.architecture.vocab_size))


if __name__ == "__main__":
    main()
