from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest

from search_space.architecture import KEYS, Architecture
from search_space.errors import SpecError
from search_space.families import FAMILIES, family
from search_space.sharing import PARTS, STRATEGIES, Sharing

SHAPE = Architecture(
    vocab_size=512,
    hidden_size=64,
    num_unique_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    intermediate_size=172,
)
VALUES = {
    "vocab_size": 512,
    "hidden_size": 64,
    "num_unique_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 172,
}
"""What a person writes for `SHAPE`: what has a usual value is left out."""


@pytest.mark.parametrize(
    ("sharing", "schedule"),
    [
        (Sharing(), (0, 1, 2)),
        (Sharing("immediate", 2), (0, 0, 1, 1, 2, 2)),
        (Sharing("immediate", 3), (0, 0, 0, 1, 1, 1, 2, 2, 2)),
        (Sharing("repeat_all_over", 2), (0, 1, 2, 0, 1, 2)),
        (Sharing("repeat_all_over", 3), (0, 1, 2, 0, 1, 2, 0, 1, 2)),
        (Sharing("reverse", 2), (0, 1, 2, 2, 1, 0)),
        (Sharing("reverse", 3), (0, 1, 2, 2, 1, 0, 0, 1, 2)),
    ],
)
def test_each_strategy_runs_the_stored_blocks_in_its_order(sharing: Sharing, schedule: tuple[int, ...]) -> None:
    shape = replace(SHAPE, sharing=sharing)
    assert shape.attention_schedule == shape.mlp_schedule == schedule
    assert shape.num_hidden_layers == len(schedule)
    assert shape.num_unique_layers == shape.stored_attentions == shape.stored_mlps == 3


def test_sharing_one_part_stores_the_other_at_every_depth() -> None:
    attention = replace(SHAPE, sharing=Sharing("reverse", 2, "attention"))
    assert (attention.attention_schedule, attention.mlp_schedule) == ((0, 1, 2, 2, 1, 0), (0, 1, 2, 3, 4, 5))
    assert (attention.stored_attentions, attention.stored_mlps) == (3, 6)
    mlp = replace(SHAPE, sharing=Sharing("immediate", 2, "mlp"))
    assert (mlp.attention_schedule, mlp.mlp_schedule) == ((0, 1, 2, 3, 4, 5), (0, 0, 1, 1, 2, 2))
    assert (mlp.stored_attentions, mlp.stored_mlps) == (6, 3)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_runs_once_is_not_shared_whatever_it_is_called(strategy: str, part: str) -> None:
    assert Sharing(strategy, 1, part) == Sharing()


@pytest.mark.parametrize("part", PARTS)
def test_strategies_are_one_where_there_is_one_block(part: str) -> None:
    strategies = ("immediate", "repeat_all_over", "reverse")
    shapes = {replace(SHAPE, num_unique_layers=1, layer_types=("full_attention",), sharing=Sharing(name, 2, part)) for name in strategies}
    assert len(shapes) == 1
    assert len({shape.key for shape in shapes}) == 1


def test_a_window_that_no_block_uses_makes_no_difference() -> None:
    assert replace(SHAPE, sliding_window=128) == SHAPE
    assert replace(SHAPE, sliding_window=128).key == SHAPE.key


def test_a_pattern_and_its_repetition_are_one_shape() -> None:
    deep = replace(SHAPE, sharing=Sharing("immediate", 2), sliding_window=8)
    short = replace(deep, layer_types=("sliding_attention", "full_attention"), sliding_window=8)
    assert short.layer_types == ("sliding_attention", "full_attention") * 3
    assert replace(deep, layer_types=("sliding_attention", "full_attention") * 3, sliding_window=8) == short
    uneven = replace(deep, layer_types=("full_attention",) * 3 + ("sliding_attention",), sliding_window=8)
    assert uneven.layer_types == ("full_attention",) * 3 + ("sliding_attention",) + ("full_attention",) * 2


def test_shapes_that_differ_in_any_field_differ_in_their_keys() -> None:
    others = [
        replace(SHAPE, vocab_size=513),
        replace(SHAPE, hidden_size=65),
        replace(SHAPE, num_key_value_heads=4),
        replace(SHAPE, head_dim=18),
        replace(SHAPE, mlp="relu"),
        replace(SHAPE, mlp="gelu"),
        replace(SHAPE, tie_word_embeddings=False),
        replace(SHAPE, layer_types=("sliding_attention",), sliding_window=8),
        replace(SHAPE, layer_types=("sliding_attention",), sliding_window=9),
        *(replace(SHAPE, sharing=Sharing(*fields)) for fields in itertools.product(STRATEGIES[1:], (2, 3), PARTS)),
    ]
    assert len({shape.key for shape in [SHAPE, *others]}) == len(others) + 1


def test_a_key_is_the_same_on_every_machine_and_in_every_version() -> None:
    assert SHAPE.key == "3766facf2078"
    assert FAMILIES["mobilellm-125m"].key == "33b35d4b259c"


EVERY_KIND = [
    *FAMILIES.values(),
    SHAPE,
    replace(SHAPE, mlp="gelu", tie_word_embeddings=False),
    replace(SHAPE, sharing=Sharing("reverse", 3, "mlp"), layer_types=("sliding_attention", "full_attention"), sliding_window=4),
]


@pytest.mark.parametrize("shape", EVERY_KIND, ids=lambda shape: shape.label)
def test_a_shape_survives_the_journey_through_json(shape: Architecture) -> None:
    values = json.loads(json.dumps(shape.as_dict()))
    assert Architecture.from_dict(values) == shape
    assert Architecture.from_dict(values).as_dict() == values


def test_the_keys_of_a_printed_shape_are_these_in_this_order() -> None:
    words = (
        "vocab_size hidden_size num_hidden_layers num_unique_layers num_attention_heads num_key_value_heads head_dim intermediate_size "
        "mlp tie_word_embeddings sharing layer_types sliding_window"
    )
    assert list(SHAPE.as_dict()) == list(KEYS) == words.split()
    assert SHAPE.as_dict() == VALUES | {
        "num_hidden_layers": 3,
        "mlp": "swiglu",
        "tie_word_embeddings": True,
        "sharing": {"strategy": "none", "repeats": 1, "part": "block"},
        "layer_types": ["full_attention"] * 3,
        "sliding_window": None,
    }


def test_what_has_a_usual_value_may_be_left_out() -> None:
    assert Architecture.from_dict(VALUES) == SHAPE
    assert Architecture.from_dict(VALUES | {"sharing": "none", "layer_types": None, "sliding_window": None}) == SHAPE


def test_executed_depth_alone_gives_the_stored_one() -> None:
    values = {name: value for name, value in VALUES.items() if name != "num_unique_layers"}
    shared = {"num_hidden_layers": 6, "sharing": {"strategy": "immediate"}}
    assert Architecture.from_dict(values | shared) == replace(SHAPE, sharing=Sharing("immediate", 2))


@pytest.mark.parametrize(
    ("shape", "label"),
    [
        (SHAPE, "3x64 4/2x16 f172"),
        (FAMILIES["mobilellm-125m"], "30x576 9/3x64 f1536"),
        (FAMILIES["mobilellm-ls-125m"], "30x576 9/3x64 f1536 immediate x2"),
        (replace(SHAPE, mlp="relu", sharing=Sharing("reverse", 3, "mlp")), "3x64 4/2x16 f172 relu reverse mlp x3"),
        (
            replace(SHAPE, tie_word_embeddings=False, layer_types=("sliding_attention", "full_attention"), sliding_window=8),
            "3x64 4/2x16 f172 untied 2 sliding 8",
        ),
    ],
)
def test_a_label_names_what_departs_from_the_usual(shape: Architecture, label: str) -> None:
    assert shape.label == label


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"hidden_size": 0}, "hidden_size must be a whole number of at least 1, found 0; correct it"),
        ({"hidden_size": 64.0}, "hidden_size must be a whole number of at least 1, found 64.0; correct it"),
        ({"vocab_size": True}, "vocab_size must be a whole number of at least 1, found True; correct it"),
        ({"head_dim": "16"}, "head_dim must be a whole number of at least 1, found '16'; correct it"),
        ({"head_dim": 15}, "head_dim must be even because RoPE turns pairs, found 15; choose 16"),
        (
            {"num_attention_heads": 6, "num_key_value_heads": 4},
            "num_attention_heads must be a multiple of num_key_value_heads, found 6 and 4; choose one of 1, 2, 3, 6 key-value heads",
        ),
        ({"mlp": "geglu"}, "mlp must be one of swiglu, gelu, relu, found 'geglu'; choose one of them"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings must be true or false, found 1; write one of them"),
        (
            {"layer_types": ["sliding_attention"]},
            "sliding_window must be a whole number of at least 1 where a block slides, found nothing; state one",
        ),
        (
            {"layer_types": ["full_attention", "local"]},
            "layer_types must hold full_attention or sliding_attention, found 'local'; choose one of them",
        ),
        ({"layer_types": ["full_attention"] * 4}, "layer_types must name 1 to 3 blocks (a shorter pattern repeats), found 4; shorten it"),
        (
            {"layer_types": "full_attention"},
            "layer_types must be a list such as [full_attention, sliding_attention], found 'full_attention'; write one",
        ),
        ({"layer_types": 3}, "layer_types must be a list such as [full_attention, sliding_attention], found 3; write one"),
        ({"hiden_size": 64}, "hiden_size is unknown; did you mean `hidden_size`?"),
        (
            {"num_hidden_layers": 4},
            "num_hidden_layers must be num_unique_layers times sharing.repeats = 3, found 4; leave it out or correct it",
        ),
        (
            {"sharing": "immediate"},
            "sharing must be `none` or a mapping such as {strategy: immediate, repeats: 2}, found 'immediate'; write one",
        ),
        (
            {"sharing": {"strategy": "twice"}},
            "sharing.strategy must be one of none, immediate, repeat_all_over, reverse, found 'twice'; choose one of them",
        ),
        (
            {"sharing": {"strategy": "reverse", "part": "norm"}},
            "sharing.part must be one of block, attention, mlp, found 'norm'; choose one of them",
        ),
        ({"sharing": {"strategy": "reverse", "repeats": 0}}, "sharing.repeats must be a whole number of at least 1, found 0; correct it"),
        (
            {"sharing": {"strategy": "none", "repeats": 2}},
            "sharing.repeats must be 1 where the strategy is none, found 2; name a strategy",
        ),
        ({"sharing": {"strategy": "reverse", "repeat": 2}}, "sharing.repeat is unknown; did you mean `repeats`?"),
    ],
)
def test_an_invalid_shape_is_refused_in_one_sentence_with_the_cure(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError) as raised:
        Architecture.from_dict(VALUES | changes)
    assert str(raised.value) == sentence


def test_a_shape_without_a_size_names_it() -> None:
    with pytest.raises(SpecError, match="head_dim is missing from the architecture; add it"):
        Architecture.from_dict({name: value for name, value in VALUES.items() if name != "head_dim"})
    with pytest.raises(SpecError, match="num_unique_layers is missing from the architecture, and num_hidden_layers too; add one"):
        Architecture.from_dict({name: value for name, value in VALUES.items() if name != "num_unique_layers"})
    with pytest.raises(SpecError, match=r"an architecture must be a mapping of vocab_size, .*, found a list"):
        Architecture.from_dict([VALUES])  # type: ignore[arg-type]


def test_families_are_found_by_name_and_a_mistyped_one_names_the_nearest() -> None:
    assert family("MobileLLM-125M") is FAMILIES["mobilellm-125m"]
    with pytest.raises(SpecError, match="the family mobilelm-125m is unknown; did you mean `mobilellm-125m`"):
        family("mobilelm-125m")
