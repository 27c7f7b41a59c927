"""A winner's shape at another size: valid, within the budget, its proportions and sharing kept, and what other tools build from it."""

from __future__ import annotations

import json
import math
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
import yaml

from search_space.architecture import Architecture
from search_space.cost import parameters, unrolled_parameters
from search_space.errors import SpecError
from search_space.families import FAMILIES
from search_space.proportions import Proportions
from search_space.sharing import PARTS, STRATEGIES, Sharing
from tests.conftest import Call
from tests.support.fuzz_subjects import STORED
from trials.catalogue.litgpt_config import litgpt_refusal
from trials.export.resizing import Resized, resized
from trials.network.decoder import Network
from trials.trial.shape_file import read_shape

TINY = Architecture(
    vocab_size=512,
    hidden_size=64,
    num_unique_layers=4,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    intermediate_size=160,
)
SIZES = ((250_000, 512), (3_000_000, 2_048), (30_000_000, 8_192), (125_000_000, 32_000), (1_000_000_000, 128_256))


def winners() -> Iterator[Architecture]:
    """Every kind of sharing, embeddings tied and not, key-value heads from one to all, and every field that is no size."""
    shared = [Sharing(), *(Sharing(strategy, repeats, part) for strategy, repeats, part in product(STRATEGIES[1:], (2, 3), PARTS))]
    for sharing, tied, groups in product(shared, (True, False), (1, 2, 4)):
        yield replace(TINY, sharing=sharing, tie_word_embeddings=tied, num_key_value_heads=groups)
    for fields in (
        {"mlp": "gelu"},
        {"mlp": "relu"},
        {"attention_bias": "qkv"},
        {"qk_norm": True},
        {"rope_theta": 500_000.0, "rms_norm_eps": 1e-3},
        {"layer_types": ("sliding_attention", "sliding_attention", "full_attention"), "sliding_window": 64},
        {"num_attention_heads": 8, "head_dim": 8, "num_key_value_heads": 8},
        {"num_unique_layers": 1, "layer_types": ("full_attention",)},
        {"num_unique_layers": 12, "layer_types": ("full_attention",), "hidden_size": 32, "head_dim": 8, "intermediate_size": 60},
    ):
        yield replace(TINY, **fields)
    yield from FAMILIES.values()


WINNERS = list(winners())
CASES = list(product(range(len(WINNERS)), range(len(SIZES))))


def made(winner: int, size: int) -> Resized:
    count, vocabulary = SIZES[size]
    return resized(WINNERS[winner], count, vocabulary)


def test_every_winner_at_every_size_spends_it_with_its_proportions_and_all_that_is_no_size() -> None:
    refused = []
    for winner, size in CASES:
        of, (count, vocabulary) = WINNERS[winner], SIZES[size]
        try:
            found = made(winner, size)
        except SpecError:
            refused.append((of, count))
            continue
        shape = found.shape
        assert abs(parameters(shape) - count) <= 0.01 * count, shape.label
        assert (shape.vocab_size, shape.head_dim) == (vocabulary, of.head_dim)
        kept = ("sharing", "mlp", "tie_word_embeddings", "attention_bias", "qk_norm", "rope_theta", "rms_norm_eps")
        assert [getattr(shape, name) for name in kept if name != "sharing"] == [getattr(of, name) for name in kept if name != "sharing"]
        assert (shape.sharing.repeats, shape.sharing.part) == (of.sharing.repeats, of.sharing.part)
        if shape.num_unique_layers > 1 and of.num_unique_layers > 1:
            assert shape.sharing == of.sharing
        pattern = min(3, shape.num_hidden_layers)
        assert shape.layer_types[:pattern] == (of.layer_types * 3)[:pattern]
        if count >= 10_000_000 and shape.num_attention_heads > 3:
            _, *others = found.ratios
            assert all(abs(math.log(after / before)) < 0.55 for _, before, after in others), (of.label, shape.label, others)
            assert shape.hidden_size % 8 == 0
    assert all(count < 3_000_000 and of.head_dim == 64 for of, count in refused), "64 wide heads leave no room in a quarter of a million"


def test_a_size_of_its_own_gives_a_shape_of_its_own_proportions() -> None:
    for name, shape in FAMILIES.items():
        found = resized(shape, parameters(shape)).shape
        assert Proportions.of(shape).distance(found) < 0.05, (name, found.label)


@pytest.mark.parametrize("size", range(len(SIZES)))
@pytest.mark.parametrize("winner", [0, 1, 20, 57, *range(114, 121), 124])
def test_the_count_is_that_of_the_network_and_of_what_transformers_builds(winner: int, size: int, tmp_path: Path) -> None:
    from trials.catalogue.hugging_face_config import hugging_face_config

    try:
        shape = made(winner, size).shape
    except SpecError:
        pytest.skip("no shape of so few parameters has heads so wide")
    with torch.device("meta"):
        assert sum(each.numel() for each in Network(shape).parameters()) == parameters(shape)
    try:
        config = hugging_face_config(shape, 2048)
    except SpecError:
        assert shape.mlp == "relu"
        return
    from transformers import AutoConfig, AutoModelForCausalLM

    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tmp_path))
    model.tie_weights()
    assert sum(each.numel() for each in model.parameters()) == unrolled_parameters(shape)


def test_a_limit_in_milliseconds_is_kept_by_fewer_blocks_or_refused() -> None:
    def milliseconds(shape: Architecture) -> float:
        return 0.5 * shape.num_hidden_layers + 4

    free = resized(TINY, 125_000_000, 32_000, 64)
    limit = milliseconds(free.shape)
    assert resized(TINY, 125_000_000, 32_000, 64, within=(limit, milliseconds)).shape == free.shape
    for allowed in (limit - 0.1, 12.0, 6.0):
        found = resized(TINY, 125_000_000, 32_000, 64, within=(allowed, milliseconds))
        assert found.total_ms == milliseconds(found.shape) <= allowed
        assert abs(parameters(found.shape) - 125_000_000) <= 1_250_000
        assert found.shape.num_unique_layers < free.shape.num_unique_layers
        assert found.shape.hidden_size >= free.shape.hidden_size
    with pytest.raises(SpecError, match=r"--latency-ms 4 must be .*; raise it, or lower --parameters"):
        resized(TINY, 125_000_000, 32_000, 64, within=(4.0, milliseconds))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    shutil.copytree(STORED / "search", tmp_path / "study")
    return tmp_path / "study"


def test_the_verb_writes_a_configuration_that_other_commands_and_tools_read(archfront: Call, study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ship"
    sized = ("--parameters", "2M", "--vocab-size", "1k", "--head-dim", "32", "--output", str(folder))
    done = archfront("export", str(study), "--pick", "knee", *sized)
    assert done.returncode == 0, done.stderr
    files = ["README.md", "archfront.sha256", "architecture.yaml", "config.json", "model_config.yaml"]
    assert [Path(line).name for line in done.stdout.splitlines()] == files
    assert "is not known" in done.stderr, "nobody compared sizes, which is said"
    shape, notice = read_shape(folder / "architecture.yaml")
    assert notice is None
    assert (shape.vocab_size, shape.head_dim) == (1000, 32)
    again, _ = read_shape(folder / "config.json")
    assert again == shape
    described = archfront("describe", str(folder / "config.json"), "--json")
    assert json.loads(described.stdout)["parameters"] == parameters(shape)
    settings = yaml.safe_load((folder / "model_config.yaml").read_text())
    assert (settings["n_embd"], settings["n_layer"], settings["padded_vocab_size"]) == (shape.hidden_size, shape.num_hidden_layers, 1000)
    card = (folder / "README.md").read_text()
    assert "without weights" in card
    assert "is not known" in card
    assert archfront("export", str(study), "--pick", "knee", *sized).returncode == 0, "what an export wrote is written again"
    (folder / "mine.txt").write_text("mine")
    assert "--force" in archfront("export", str(study), "--pick", "knee", *sized).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--vocab-size", "32000"), "--vocab-size must go with --parameters"),
        (("--latency-ms", "20"), "--latency-ms must go with --parameters"),
        (("--head-dim", "64"), "--head-dim must go with --parameters"),
        (("--parameters", "1M", "--format", "hf"), "--format must be left out beside --parameters"),
        (("--parameters", "1M", "--license", "mit"), "--license must be left out beside --parameters"),
        (("--parameters", "1M", "--gguf-precision", "int8"), "--gguf-precision must be left out beside --parameters"),
        (("--parameters", "900"), "--parameters must leave room for blocks"),
        (("--parameters", "1M", "--head-dim", "33"), "head_dim"),
        (("--parameters", "1M", "--vocab-size", "990000"), "raise it, or lower --vocab-size"),
    ],
)
def test_what_cannot_be_a_configuration_is_refused_in_a_sentence(words: tuple[str, ...], said: str, archfront: Call, study: Path) -> None:
    done = archfront("export", str(study), "--pick", "knee", *words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert not (study / "exports").exists()


def test_two_sizes_are_two_folders_and_a_persons_file_is_found_before_anything_is_measured(archfront: Call, study: Path) -> None:
    for size, name in (("1M", "1M"), ("1_004_000", "1004000"), ("1_000_001", "1000001")):
        done = archfront("export", str(study), "--pick", "recommended", "--parameters", size)
        assert done.returncode == 0, done.stderr
        (folder,) = (study / "exports").glob(f"*-{name}")
        assert (folder / "architecture.yaml").is_file()
    assert len(list((study / "exports").iterdir())) == 3
    (folder / "mine.txt").write_text("mine")
    done = archfront("export", str(study), "--pick", "recommended", "--parameters", "1_000_001", "--latency-ms", "1000")
    assert (done.returncode, "found mine.txt" in done.stderr, "measuring" in done.stderr) == (2, True, False), done.stderr


def test_litgpt_has_every_shape_but_those_with_a_relu_or_a_broken_theta() -> None:
    refused = {shape.mlp for shape in WINNERS if litgpt_refusal(shape) is not None}
    assert refused == {"relu"}
    assert litgpt_refusal(replace(TINY, rope_theta=10_000.5)) is not None
