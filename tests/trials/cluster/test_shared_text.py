"""A study's text on the nodes of a cluster: mapped, fetched once where it is not seen, the same bytes everywhere, and never an object."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ray import cloudpickle

from search_space.errors import WorkError
from trials.cluster import shared_text as module
from trials.cluster.shared_text import SharedText, shared_text, text_here
from trials.cluster.state_keeper import StateKeeper
from trials.corpus.blocks import META, SPLITS, TokenBlocks, split_file

TOKENS = 300_000


@pytest.fixture
def blocks(tmp_path: Path) -> TokenBlocks:
    ids = np.random.default_rng(0).integers(0, 300, TOKENS).astype(np.uint16)
    made = TokenBlocks(ids, ids[:5_000], ids[5_000:9_000], 300, np.ones(300, np.int32), "made up", "0" * 64, None)
    made.save(tmp_path / "driver" / "text-300-v1")
    return replace(TokenBlocks.load(tmp_path / "driver" / "text-300-v1"), documents=7)


class Given:
    """Ray's handle of a StateKeeper that is asked here, and counts what it gives."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[tuple[str, int]] = []
        keeper = StateKeeper(folder)

        def give(name: str, at: int) -> bytes:
            self.asked.append((name, at))
            return keeper.give(name, at)

        self.give = SimpleNamespace(remote=give)


@pytest.fixture
def given(blocks: TokenBlocks, monkeypatch: pytest.MonkeyPatch) -> Given:
    assert blocks.folder is not None
    there = Given(blocks.folder.parent)
    monkeypatch.setattr("trials.cluster.state_keeper.ray.get", lambda asked, timeout: asked)
    return there


def unseen(blocks: TokenBlocks, given: Given, monkeypatch: pytest.MonkeyPatch) -> SharedText:
    """What a worker of another machine has."""
    monkeypatch.setattr(module, "keeping_states", lambda *_: ExitStack())
    shared = shared_text(blocks, ExitStack(), is_joined=True)
    assert isinstance(shared, SharedText)
    return replace(shared, folder=Path("/nowhere") / shared.folder.name, keeper=given)


def same(ours: TokenBlocks, theirs: TokenBlocks) -> bool:
    batches = all(np.array_equal(ours.batch(3, step, 4, 32), theirs.batch(3, step, 4, 32)) for step in range(5))
    return batches and all(np.array_equal(getattr(ours, split), getattr(theirs, split)) for split in SPLITS)


def test_who_sees_the_files_maps_them_and_nothing_of_their_size_travels(blocks: TokenBlocks) -> None:
    shared = shared_text(blocks, ExitStack(), is_joined=False)
    assert len(cloudpickle.dumps(shared)) < 10_000 < 2 * TOKENS
    here = text_here(cloudpickle.loads(cloudpickle.dumps(shared)))
    assert same(here, blocks)
    assert here.documents == 7
    assert here.folder == blocks.folder


def test_blocks_without_a_folder_travel_as_they_are(blocks: TokenBlocks) -> None:
    made_up = replace(blocks, folder=None)
    assert shared_text(made_up, ExitStack(), is_joined=True) is made_up
    assert text_here(made_up) is made_up


def test_a_node_that_does_not_see_them_fetches_them_once_in_pieces_and_keeps_them(
    blocks: TokenBlocks, given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "node"))
    monkeypatch.setattr("trials.cluster.state_keeper.STATE_PIECE_BYTES", 100_000)
    shared = unseen(blocks, given, monkeypatch)
    first = shared.here()
    assert same(first, blocks)
    assert first.folder is not None
    assert first.folder.parent == tmp_path / "node" / "archfront"
    assert first.folder.name.startswith("text-300-v1-")
    assert sum(name.endswith(split_file("train")) for name, _ in given.asked) == 2 * TOKENS // 100_000 + 1
    assert given.asked[-1][0].endswith(META), "the folder is whole once it has its meta.json"
    asked = list(given.asked)
    assert same(shared.here(), blocks)
    assert given.asked == asked, "the next worker of the node maps what is there"


def test_what_was_cut_short_is_fetched_again_and_what_was_whole_is_not(
    blocks: TokenBlocks, given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "node"))
    shared = unseen(blocks, given, monkeypatch)
    whole = shared.here().folder
    assert whole is not None
    partial = whole.rename(whole.with_suffix(".fetched"))
    given.asked.clear()
    assert blocks.folder is not None
    shutil.rmtree(partial)
    shutil.copytree(blocks.folder, partial)
    os.truncate(partial / split_file("train"), 1_000)
    assert same(shared.here(), blocks)
    assert {Path(name).name for name, _ in given.asked} == {split_file("train")}


def test_files_that_change_on_their_way_are_no_text(
    blocks: TokenBlocks, given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "node"))
    shared = unseen(blocks, given, monkeypatch)
    assert blocks.folder is not None
    monkeypatch.setattr(module, "FETCH_AGAIN_SECONDS", 0.0)
    os.truncate(blocks.folder / split_file("test"), 100)
    with pytest.raises(
        WorkError, match=r"test\.bin of the study's text must come whole from the driver's node to .*, found no answer or other bytes 3"
    ):
        shared.here()
    assert not list((tmp_path / "node" / "archfront").glob("*/meta.json")), "what is not whole has another name"
    with pytest.raises(WorkError, match=r"the study's text in /nowhere/text-300-v1 must stay there while it trains, found it gone"):
        replace(shared, keeper=None).here()


ON_A_NODE = """
import sys
from contextlib import ExitStack
from pathlib import Path
import numpy as np
import ray
from trials.cluster.shared_text import shared_text, text_here
from trials.corpus.blocks import TokenBlocks
blocks = TokenBlocks.load(Path(sys.argv[1]))
ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=80_000_000, log_to_driver=False)
with ExitStack() as kept:
    shared = ray.put(shared_text(blocks, kept, is_joined=True))

    def first(text, place):
        import os
        os.environ["XDG_CACHE_HOME"] = place
        there = text_here(type(text)(text.rest, Path("/nowhere") / text.folder.name, text.mark, text.files, text.keeper))
        return there.folder.as_posix(), there.train[:10].tolist(), len(there.train)

    asked = [ray.remote(first).remote(shared, sys.argv[2]) for _ in range(4)]
    found = ray.get(asked)
    assert len({str(each) for each in found}) == 1, found
    assert found[0][1:] == (blocks.train[:10].tolist(), len(blocks.train)), found
    print(found[0][0])
"""


@pytest.mark.more
@pytest.mark.slow
def test_workers_of_a_node_fetch_a_text_larger_than_rays_store_together(tmp_path: Path) -> None:
    """A store of 80 MB, and a text of 120 MB that comes through it in pieces; 15 seconds."""
    ids = np.zeros(60_000_000, np.uint16)
    ids[:10] = range(10)
    TokenBlocks(ids, ids[:100], ids[:100], 300, np.ones(300, np.int32), "made up", "0" * 64, None).save(tmp_path / "large-300-v1")
    done = subprocess.run(
        [sys.executable, "-c", ON_A_NODE, str(tmp_path / "large-300-v1"), str(tmp_path / "node")],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith(str(tmp_path / "node" / "archfront" / "large-300-v1-"))
