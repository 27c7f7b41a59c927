"""The ExecuTorch program: what its file holds, what it packs, and what is said where it cannot be written."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from search_space.architecture import Architecture
from search_space.cost import parameters
from search_space.errors import SpecError, WorkError
from search_space.sharing import Sharing
from tests.support.sample_network import spread_out
from trials.catalogue.formats import EXECUTORCH
from trials.catalogue.runtimes import RUNTIMES
from trials.export.subprocess_reading import read_in_subprocess
from trials.formats.block_quantisation import quantise
from trials.formats.executorch import LONGEST_TEXT, write_executorch
from trials.formats.executorch_pieces import stages
from trials.formats.flatbuffer import PROGRAM, flatbuffers
from trials.formats.model import Model, fresh_model
from trials.latency.runtimes import find_runtime

INSTALLED = pytest.mark.skipif(
    not RUNTIMES["executorch"].installed, reason="executorch is not installed; pip install 'archfront[executorch]'"
)
ROOT = Path(__file__).resolve().parents[3]
FOUR = Architecture(
    vocab_size=64, hidden_size=256, num_unique_layers=4, num_attention_heads=4, num_key_value_heads=2, head_dim=64, intermediate_size=768
)
TWICE = replace(FOUR, sharing=Sharing("immediate", 2), layer_types=("full_attention",))
EIGHT = replace(FOUR, num_unique_layers=8, layer_types=("full_attention",))

SMALL = replace(FOUR, num_unique_layers=1, hidden_size=32, layer_types=("full_attention",))


def written(architecture: Architecture, folder: Path, precision: str = "float32") -> Path:
    """A program of random weights, for 16 tokens."""
    path = folder / f"{architecture.key}-{precision}.pte"
    write_executorch(path, fresh_model(architecture, precision), room_tokens=16)
    return path


def packed_bytes(program: Path) -> int:
    """Memory that no file backs which a program takes in a fresh process."""
    code = (
        "import sys; from pathlib import Path; from trials.latency.runtimes.executorch_runtime import open_program\n"
        "taken = lambda: next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('RssAnon'))\n"
        "open_program(Path(sys.argv[1]), threads=1).prefill([1])\nbefore = taken()\n"
        "session = open_program(Path(sys.argv[2]), threads=1); session.prefill([1]); print(taken() - before)\n"
    )
    small = program.with_name("small.pte")
    write_executorch(small, fresh_model(SMALL), room_tokens=16)
    done = subprocess.run([sys.executable, "-c", code, small, program], cwd=ROOT, capture_output=True, text=True, check=True)
    return 1024 * int(done.stdout)


def test_a_shared_part_is_one_stage_that_runs_several_times() -> None:
    assert (len(stages(TWICE)), len(set(stages(TWICE)))) == (16, 8)
    assert (len(stages(FOUR)), len(set(stages(FOUR)))) == (5, 5)
    shared_mlp = replace(FOUR, sharing=Sharing("reverse", 2, "mlp"), layer_types=("full_attention",))
    assert (len(stages(shared_mlp)), len(set(stages(shared_mlp)))) == (24, 20)


@pytest.mark.needs
@pytest.mark.more
@INSTALLED
def test_the_file_has_every_weight_once(tmp_path: Path) -> None:
    large = replace(FOUR, vocab_size=4096)  # its table is both the embedding and the output
    for architecture in (FOUR, TWICE, EIGHT, large):
        assert 4 * parameters(architecture) < written(architecture, tmp_path).stat().st_size < 1.01 * 4 * parameters(architecture) + 100_000


@pytest.mark.needs
@pytest.mark.more
@INSTALLED
def test_the_file_is_smaller_where_weights_are_rounded(tmp_path: Path) -> None:
    sizes = [written(EIGHT, tmp_path, precision).stat().st_size for precision in ("float32", "int8", "int4")]
    assert sizes[0] > 3.5 * sizes[1] > 3.5 * 1.6 * sizes[2]


@pytest.mark.slow
@pytest.mark.needs
@pytest.mark.more
@INSTALLED
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux, which counts the memory of a process")
def test_a_shared_part_is_packed_once(tmp_path: Path) -> None:
    once, twice, unshared = (packed_bytes(written(architecture, tmp_path)) for architecture in (FOUR, TWICE, EIGHT))
    assert twice - once < 0.3 * (unshared - once)


@pytest.mark.needs
@pytest.mark.more
@INSTALLED
@pytest.mark.parametrize(("length", "start"), [(17, 0), (1, 16)])
def test_more_tokens_than_there_is_room_for_fail_and_leave_the_process_alive(length: int, start: int, tmp_path: Path) -> None:
    from executorch.extension.pybindings import _portable_lib as library

    program = library._load_for_executorch(str(written(FOUR, tmp_path)))
    with pytest.raises(RuntimeError, match="Failed to execute method forward"):
        program.run_method("forward", (torch.zeros((1, length), dtype=torch.int64), torch.tensor([start])))


@pytest.mark.needs
@pytest.mark.more
@INSTALLED
def test_a_workload_beyond_the_longest_text_is_refused(tmp_path: Path) -> None:
    runtime = find_runtime("executorch")
    runtime.prepare(tmp_path, fresh_model(FOUR))
    with pytest.raises(SpecError, match=rf"must be {LONGEST_TEXT} at most together in executorch, found {LONGEST_TEXT + 1}; lower them"):
        runtime.load(tmp_path, FOUR, LONGEST_TEXT + 1, threads=1)


@pytest.mark.needs
@pytest.mark.more
@INSTALLED
def test_a_program_that_does_not_load_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / EXECUTORCH).write_bytes(written(FOUR, tmp_path).read_bytes()[:20_000])
    with pytest.raises(WorkError, match=r"the process that runs model.pte (ended with exit code|was ended by)"):
        read_in_subprocess("executorch", tmp_path / EXECUTORCH, FOUR, [1, 2, 3])


@pytest.mark.needs
@pytest.mark.more
@INSTALLED
def test_a_schema_that_has_changed_is_said_in_a_sentence() -> None:
    with pytest.raises(WorkError, match=r"ExecuTorch's schema/program.fbs must hold what archfront writes, found: .*no_such_field"):
        flatbuffers(PROGRAM, [{"no_such_field": 1}])


@pytest.mark.usefixtures("a_process_of_its_own")
def test_a_process_that_does_not_end_in_time_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.export.subprocess_reading.TIMEOUT_SECONDS", 0.001)
    with pytest.raises(WorkError, match=r"the process that runs model.pte did not end within 0.001 seconds"):
        read_in_subprocess("executorch", tmp_path / EXECUTORCH, FOUR, [1, 2, 3])


@pytest.mark.slow
@pytest.mark.needs
@pytest.mark.more
@INSTALLED
def test_executorchs_own_interface_runs_a_program_as_the_card_says(tmp_path: Path) -> None:
    network, path = spread_out(FOUR), tmp_path / EXECUTORCH
    write_executorch(path, Model(FOUR, dict(network.named_parameters())), room_tokens=16)
    code = (
        "import sys, torch; from executorch.runtime import Runtime\n"
        "forward = Runtime.get().load_program(sys.argv[1]).load_method('forward')\n"
        "forward.execute([torch.tensor([[5, 6, 7]]), torch.tensor([0])])\n"
        "torch.save(forward.execute([torch.tensor([[8]]), torch.tensor([3])])[0], sys.argv[2])\n"
    )
    subprocess.run([sys.executable, "-c", code, path, tmp_path / "logits.pt"], check=True, capture_output=True)
    with torch.inference_mode():
        expected = network(torch.tensor([[5, 6, 7, 8]]))[0, -1:]
    torch.testing.assert_close(torch.load(tmp_path / "logits.pt"), expected, atol=1e-4, rtol=0)


def test_a_row_of_rounded_weights_may_share_one_scale() -> None:
    weight = torch.randn((3, 37), generator=torch.Generator().manual_seed(0)).numpy()
    rounded = quantise(weight, 8, block=37)
    assert rounded.scales.shape == (3, 1)
    assert abs(rounded.dequantised() - weight).max() <= rounded.scales.max() / 2 * 1.001
