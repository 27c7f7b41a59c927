"""What every runtime must do: the same logits as our network, for every kind of shape, in one pass and token by token."""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from search_space.architecture import Architecture
from search_space.cost import BITS_PER_WEIGHT
from search_space.errors import SpecError
from search_space.fields import OPTIONAL
from search_space.sharing import Sharing
from tests.support.needs import library_of
from trials.catalogue.runtimes import COMMAND, RUNTIMES
from trials.formats.executorch import LONGEST_TEXT
from trials.formats.model import Model
from trials.latency.runtimes import find_runtime
from trials.latency.runtimes.interface import Logits
from trials.network.decoder import Network
from trials.rounding.network import rounded
from trials.rounding.table import ROUNDINGS

HAS_VNNI = re.search(r"\b(avx512_|avx_)vnni\b", Path("/proc/cpuinfo").read_text(encoding="utf-8")) is not None
PLAIN = Architecture(
    vocab_size=70, hidden_size=48, num_unique_layers=3, num_attention_heads=6, num_key_value_heads=2, head_dim=8, intermediate_size=80
)
SLIDING = replace(PLAIN, layer_types=("sliding_attention", "full_attention"), sliding_window=5)
WHOLE = replace(PLAIN, hidden_size=64, num_attention_heads=6, head_dim=16, intermediate_size=96)
"""Every row is of whole blocks of 32, as some runtimes' quantised products want it."""
OF_EVERY_FIELD = {f"whole blocks, {row.name}": replace(WHOLE, **row.example) for row in OPTIONAL}
SHAPES = {
    "plain": PLAIN,
    "whole blocks": WHOLE,
    "whole blocks, untied, sliding and shared": replace(
        WHOLE, tie_word_embeddings=False, layer_types=SLIDING.layer_types, sliding_window=5, sharing=Sharing("immediate", 2)
    ),
    "untied": replace(PLAIN, tie_word_embeddings=False),
    "gelu": replace(PLAIN, mlp="gelu"),
    "relu": replace(PLAIN, mlp="relu"),
    "multi-head": replace(PLAIN, num_key_value_heads=6),
    "multi-query": replace(PLAIN, num_key_value_heads=1),
    "free head_dim": replace(PLAIN, head_dim=22, num_attention_heads=2),
    "smallest head_dim": replace(PLAIN, head_dim=2),
    "odd widths": replace(PLAIN, hidden_size=37, intermediate_size=51),
    "sliding": SLIDING,
    "sliding only": replace(PLAIN, layer_types=("sliding_attention",), sliding_window=7),
    "window of one": replace(PLAIN, layer_types=("full_attention", "sliding_attention"), sliding_window=1),
    **{
        f"{strategy} {part}": replace(PLAIN, sharing=Sharing(strategy, 2, part), layer_types=("full_attention",))
        for strategy in ("immediate", "repeat_all_over", "reverse")
        for part in ("block", "attention", "mlp")
    },
    "shared and sliding": replace(SLIDING, sharing=Sharing("immediate", 2)),
    **OF_EVERY_FIELD,
}
ROOT = Path(__file__).resolve().parents[4]
SENTENCE = r"\S.* must .+, found .+; \w.+[^.]"
PROMPT = [3, 1, 4, 15, 9, 2, 65, 35, 8, 69, 7, 0]
NEW = [6, 28, 31, 8, 5, 3, 0, 7]


def offered(*precisions: str) -> list[Any]:
    """Runtimes with each of the precisions that they have; a test is skipped for those whose library is not installed."""
    return [
        pytest.param(name, precision, marks=library_of(name, row))
        for name, row in RUNTIMES.items()
        for precision in row.precisions
        if precision in precisions and (row.device == "cpu" or torch.cuda.is_available())
    ]


def refused(runtime: str, architecture: Architecture, precision: str) -> bool:
    """Whether the runtime cannot hold the shape; it must say so in a sentence with what must hold, what was found and the cure."""
    reason = RUNTIMES[runtime].refusal(architecture, precision)
    assert reason is None or re.fullmatch(SENTENCE, reason)
    return reason is not None


def network(architecture: Architecture) -> Network:
    """Weights larger than a fresh network's, so that every part of it shows in the logits."""
    built = Network(architecture, seed=1)
    with torch.no_grad():
        for place, parameter in enumerate(built.parameters()):
            if parameter.ndim == 2:
                parameter.mul_(5)
            else:
                parameter.copy_(1 + 0.3 * torch.sin(torch.arange(len(parameter)) + place))
    return built


def uncached(built: Network, prompt: list[int], new: list[int]) -> list[Logits]:
    """Our network's logits after the prompt and after each new token, from one pass without a cache."""
    with torch.inference_mode():
        rows = built(torch.tensor([prompt + new]))[0, len(prompt) - 1 :]
    return list(rows.numpy())


def cached(runtime: str, built: Network, directory: Path, precision: str, *, twice: bool = False) -> list[Logits]:
    """The same from a runtime's prefill and decode; `twice` reads another text first, which must leave no trace."""
    module, architecture = find_runtime(runtime), built.architecture
    assert RUNTIMES[runtime].refusal(architecture, precision) is None
    module.prepare(directory, Model(architecture, dict(built.named_parameters()), precision))
    session = module.load(directory, architecture, len(PROMPT) + len(NEW), threads=1)
    if twice:
        session.prefill(NEW)
        session.decode(PROMPT[0])
    rows = [session.prefill(PROMPT).copy()]
    rows += [session.decode(token).copy() for token in NEW]
    session.close()
    return rows


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_row_says_all_that_is_asked_of_it(name: str) -> None:
    row, documented = RUNTIMES[name], (ROOT / "docs" / "runtimes.md").read_text(encoding="utf-8")
    wrong = {
        "module: there is no such file": not Path(ROOT, *row.module.split(".")).with_suffix(".py").is_file(),
        "precisions: none, or one that no cost is known for": not set(row.precisions) <= set(BITS_PER_WEIGHT)
        or bool(row.precisions) == (name == COMMAND),
        "device: neither cpu nor cuda": row.device not in ("cpu", "cuda"),
        "library and install: one without the other": bool(row.library) != bool(row.install),
        "refusal: not a sentence with what must hold, what was found and the cure": any(
            not re.fullmatch(SENTENCE, reason)
            for shape in SHAPES.values()
            for precision in row.precisions
            if (reason := row.refusal(shape, precision)) is not None
        ),
        "docs/runtimes.md: its table has no line for it": f"\n| `{name}` |" not in documented,
    }
    assert [what for what, is_so in wrong.items() if is_so] == []


@pytest.mark.parametrize("name", [pytest.param(name, marks=library_of(name, row)) for name, row in RUNTIMES.items() if name != COMMAND])
def test_a_runtime_s_functions_are_there_and_take_what_they_are_given(name: str) -> None:
    module = importlib.import_module(RUNTIMES[name].module)
    assert list(inspect.signature(module.version).parameters) == []
    assert list(inspect.signature(module.prepare).parameters) == ["directory", "model"]
    assert list(inspect.signature(module.load).parameters) == ["directory", "architecture", "max_tokens", "threads"]


def test_a_runtime_with_a_longest_text_has_room_for_it() -> None:
    assert {name: row.longest_text for name, row in RUNTIMES.items() if row.longest_text} == {"executorch": LONGEST_TEXT}


def difference(found: list[Logits], expected: list[Logits]) -> float:
    """Largest difference, relative to the spread of the expected logits."""
    return float(numpy.abs(numpy.stack(found) - numpy.stack(expected)).max() / numpy.stack(expected).std())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("runtime", "precision"), offered("float32"))
def test_float32_logits_are_those_of_our_network(runtime: str, precision: str, shape: str, tmp_path: Path) -> None:
    if refused(runtime, SHAPES[shape], precision):
        return
    built = network(SHAPES[shape])
    assert difference(cached(runtime, built, tmp_path, "float32"), uncached(built, PROMPT, NEW)) < 1e-4


@pytest.mark.parametrize(("runtime", "precision"), offered("float32"))
def test_a_prompt_forgets_the_text_before_it(runtime: str, precision: str, tmp_path: Path) -> None:
    built = network(PLAIN if refused(runtime, SLIDING, precision) else SLIDING)
    assert difference(cached(runtime, built, tmp_path, "float32", twice=True), uncached(built, PROMPT, NEW)) < 1e-4


@pytest.mark.parametrize(("runtime", "precision"), offered("float32"))
def test_a_prompt_may_be_a_single_token(runtime: str, precision: str, tmp_path: Path) -> None:
    built, module = network(PLAIN), find_runtime(runtime)
    module.prepare(tmp_path, Model(PLAIN, dict(built.named_parameters())))
    session = module.load(tmp_path, PLAIN, 2, threads=1)
    found = [session.prefill([5]).copy(), session.decode(6).copy()]
    session.close()
    assert difference(found, uncached(built, [5], [6])) < 1e-4


@pytest.mark.parametrize(("runtime", "precision"), offered("float32"))
def test_a_runtime_says_its_version(runtime: str, precision: str) -> None:
    assert find_runtime(runtime).version()[0].isdigit()


def test_a_runtime_whose_library_is_missing_is_said_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RUNTIMES, "torch", replace(RUNTIMES["torch"], library="no_such_library", install="no-such-library"))
    with pytest.raises(SpecError, match="runtime torch needs no_such_library, which is not installed; pip install no-such-library"):
        find_runtime("torch")


def test_an_unknown_runtime_names_the_nearest_one() -> None:
    with pytest.raises(SpecError, match="did you mean `torch`"):
        find_runtime("pytorch")


ROUNDED = [
    "plain",
    "untied",
    "odd widths",
    "shared and sliding",
    "whole blocks",
    "whole blocks, untied, sliding and shared",
    *OF_EVERY_FIELD,
]


@pytest.mark.parametrize("shape", ROUNDED)
@pytest.mark.parametrize(("runtime", "precision"), offered("float16"))
def test_float16_logits_are_those_of_our_network_in_float16(runtime: str, precision: str, shape: str, tmp_path: Path) -> None:
    if refused(runtime, SHAPES[shape], precision):
        return
    built = network(SHAPES[shape])
    found = cached(runtime, built, tmp_path, precision)
    assert root_mean_square(found, uncached(built, PROMPT, NEW)) < 0.03
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.copy_(parameter.half().float() if parameter.ndim == 2 else parameter)
    assert root_mean_square(found, uncached(built, PROMPT, NEW)) < 0.03  # activations are rounded too


@pytest.mark.parametrize(("runtime", "precision"), offered("int8", "int4"))
def test_rounded_logits_are_those_of_our_network_as_the_table_rounds_it(runtime: str, precision: str, tmp_path: Path) -> None:
    """To float32's last digits, but where an activation lies so near the middle of two codes that those digits decide its code."""
    row, apart, by_weights_alone = ROUNDINGS[runtime, precision], [], []
    if runtime == "openvino" and not HAS_VNNI:  # it leaves activations in float32 there, as docs/method.md says
        row = replace(row, activations=None)
    for place, shape in enumerate(ROUNDED):
        if refused(runtime, SHAPES[shape], precision):
            continue
        built, folder = network(SHAPES[shape]), tmp_path / str(place)
        folder.mkdir()
        found, plain = cached(runtime, built, folder, precision), uncached(built, PROMPT, NEW)
        with rounded(built, row):
            apart.append(root_mean_square(found, uncached(built, PROMPT, NEW)))
        with rounded(built, replace(row, activations=None)):
            by_weights_alone.append(root_mean_square(found, uncached(built, PROMPT, NEW)))
        assert root_mean_square(uncached(built, PROMPT, NEW), plain) == 0, "the weights are what they were"
        assert root_mean_square(found, plain) < {"int8": 0.04, "int4": 0.5}[precision]
    assert max(apart) < (0.02 if row.activations else 0.03)
    assert row.activations is None or sum(apart) < 0.75 * sum(by_weights_alone)
    assert min(apart) < (0.02 if RUNTIMES[runtime].low_cache else 1e-5), "keys and values of two bytes are not in the table"


def root_mean_square(found: list[Logits], expected: list[Logits]) -> float:
    """Root of the mean squared difference, relative to the spread of the expected logits."""
    return float(numpy.sqrt(((numpy.stack(found) - numpy.stack(expected)) ** 2).mean()) / numpy.stack(expected).std())
