"""Ablations: arms that spend one budget, trainings that are continued and shared, and answers that are right on planted data."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import archfront
from analysis.fidelity.ablation import Conclusion, Difference, compare_arms, pooled_noise
from analysis.records.record import read_records
from analysis.statistics.intervals import LEVEL
from analysis.terminal.experiment_text import ablation_table_text
from search_space.cost import non_embedding_parameters, parameters
from search_space.errors import SpecError, WorkError
from tests.support import fakes
from tests.support.planted_pace import planted_paces
from trials.experiments.ablation import run_ablations
from trials.experiments.ablation_latency import equalised
from trials.experiments.workplace import ThisMachine
from trials.plans.check_study import check_ablation
from trials.plans.plan_ablation import NOT_YET, plan_ablation
from trials.study.ablation_spec import MOST_FACTORS, arms_of, is_ablation, load_ablation

SHIPPED = sorted((Path(__file__).resolve().parents[3] / "studies" / "mobilellm").glob("*.yaml"))
VALUES: dict[str, Any] = {
    "name": "tiny",
    "question": "Is deep better than wide?",
    "baseline": "wide",
    "corpus": {"files": ["text.txt"]},
    "published": {"source": "arXiv 2402.14905", "accuracy": {"125M": {"wide": 43.9, "deep": 44.8}}},
    "scales": {
        "proxy": {
            "common": {"vocab_size": 260, "head_dim": 8, "intermediate_size": {"solve": True}},
            "budget": {"parameters": 20_000},
            "arms": {"wide": {"num_unique_layers": 1, "hidden_size": 40}, "deep": {"num_unique_layers": 3, "hidden_size": 24}},
            "proxy": {"tokens": 2_048, "context_tokens": 16, "batch_sequences": 8, "evaluations": 1, "evaluation_tokens": 512},
            "seeds": [0, 1],
        }
    },
}


def planted(effect: float, noise: float, seeds: int, generator: np.random.Generator) -> dict[str, dict[int, float]]:
    """Losses of a baseline, of an arm that is better by `effect`, and of two that equal the baseline; each seed is easier or harder."""
    ease = generator.normal(0, 0.05, seeds)
    means = {"baseline": 2.0, "arm": 2.0 - effect, "other": 2.0, "third": 2.0}
    return {name: {seed: float(mean + ease[seed] + generator.normal(0, noise)) for seed in range(seeds)} for name, mean in means.items()}


def test_intervals_hold_the_planted_difference_as_often_as_they_say() -> None:
    generator, effect, held = np.random.default_rng(0), 0.01, 0
    for _ in range(2000):
        found = compare_arms(planted(effect, 0.01, 3, generator), "baseline", {})[0]
        assert found.interval is not None
        held += found.interval[0] <= effect <= found.interval[1]
    assert held / 2000 == pytest.approx(LEVEL, abs=0.02)


def test_two_arms_with_two_seeds_borrow_the_noise_of_more_arms() -> None:
    generator, effect, held, widths = np.random.default_rng(3), 0.01, 0, []
    for _ in range(2000):
        losses = planted(effect, 0.01, 2, generator)
        pair = {name: losses[name] for name in ("baseline", "arm")}
        alone, found = compare_arms(pair, "baseline", {})[0], compare_arms(pair, "baseline", {}, pooled_noise(losses))[0]
        assert alone.interval is not None
        assert found.interval is not None
        assert alone.gain == found.gain
        held += found.interval[0] <= effect <= found.interval[1]
        widths.append((found.interval[1] - found.interval[0]) / (alone.interval[1] - alone.interval[0]))
    assert held / 2000 == pytest.approx(LEVEL, abs=0.02)
    assert np.median(widths) < 0.7


@pytest.mark.parametrize(
    ("effect", "figures", "conclusion"),
    [
        (0.05, {"125M": {"baseline": 43.0, "arm": 44.0}}, Conclusion.AGREES),
        (-0.05, {"125M": {"baseline": 43.0, "arm": 44.0}}, Conclusion.DISAGREES),
        (-0.05, {"125M": {"baseline": 43.0, "arm": 42.9}}, Conclusion.AGREES),
        (0.0, {"125M": {"baseline": 43.0, "arm": 44.0}}, Conclusion.CANNOT_TELL),
        (0.05, {"125M": {"baseline": 43.0, "arm": 43.0}}, Conclusion.CANNOT_TELL),
        (0.05, {"125M": {"baseline": 43.0, "arm": 44.0}, "350M": {"baseline": 49.0, "arm": 48.0}}, Conclusion.CANNOT_TELL),
        (0.05, {"125M": {"baseline": 43.0}}, Conclusion.NO_FIGURE),
    ],
)
def test_a_planted_difference_is_held_against_the_published_sign(
    effect: float, figures: dict[str, dict[str, float]], conclusion: Conclusion
) -> None:
    found = compare_arms(planted(effect, 0.004, 3, np.random.default_rng(1)), "baseline", figures)
    assert [difference.arm for difference in found] == ["arm", "other", "third"]
    assert found[0].conclusion is conclusion


def test_a_wrong_conclusion_is_as_rare_as_the_interval_promises() -> None:
    """Where there is no difference, both signs together come up in a tenth of the cases."""
    generator, figures = np.random.default_rng(2), {"125M": {"baseline": 43.0, "arm": 44.0}}
    conclusions = [compare_arms(planted(0.0, 0.01, 3, generator), "baseline", figures)[0].conclusion for _ in range(1000)]
    assert conclusions.count(Conclusion.CANNOT_TELL) / 1000 == pytest.approx(LEVEL, abs=0.03)


def test_only_seeds_that_finished_in_every_arm_count() -> None:
    losses = {"baseline": {0: 2.0, 1: 2.1, 2: 2.2}, "arm": {0: 1.9, 2: 2.1}}
    (found,) = compare_arms(losses, "baseline", {})
    assert found.seeds == 2
    assert found.gain == pytest.approx(0.1)
    (alone,) = compare_arms({"baseline": {0: 2.0}, "arm": {0: 1.9}}, "baseline", {})
    assert (alone.seeds, alone.interval) == (1, None)
    (none,) = compare_arms({"baseline": {0: 2.0}, "arm": {}}, "baseline", {"125M": {"baseline": 1.0, "arm": 2.0}})
    assert (none.seeds, none.gain, none.conclusion) == (0, None, Conclusion.CANNOT_TELL)


def test_the_table_marks_published_differences_that_are_noise_and_leaves_what_is_absent_empty() -> None:
    small = Difference(arm="a", baseline="b", published={"125M": -0.2}, gain=None, interval=None, seeds=0)
    large = Difference(arm="c", baseline="b", published={"125M": 1.3, "350M": 1.3}, gain=0.01, interval=(0.002, 0.018), seeds=3)
    lines = ablation_table_text([("Why?", [small, large])]).splitlines()
    assert lines[2] == "| Why? | a against b | -0.2 (125M) * | – | – | 0 | cannot tell |"
    assert lines[3] == "|  | c against b | +1.3 (125M), +1.3 (350M) | +0.0100 | +0.0020 to +0.0180 | 3 | agrees |"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_ablation_has_its_arms_at_both_of_the_papers_sizes_and_at_a_proxy(path: Path) -> None:
    ablation = load_ablation(path)
    assert ablation.name == path.stem
    assert list(ablation.scales) == ["proxy", "125M", "350M"]
    assert "arXiv" in ablation.published.source
    names = {arm.name for arm in arms_of(ablation, "proxy")}
    for figures in ablation.published.accuracy.values():
        assert set(figures) <= names
    for scale, about in (("proxy", 250_000), ("125M", 125_000_000), ("350M", 350_000_000)):
        for arm in arms_of(ablation, scale):
            if arm.name != "doubled":  # which has what the shared arms save
                assert parameters(arm.architecture) == pytest.approx(about, rel=0.4), "equal bodies have unequal totals"


def test_the_shipped_arms_that_the_paper_counts_have_its_parameters() -> None:
    def spent(name: str, scale: str) -> dict[str, int]:
        ablation = load_ablation(next(path for path in SHIPPED if path.stem == name))
        return {arm.name: parameters(arm.architecture) for arm in arms_of(ablation, scale)}

    assert spent("embeddings", "125M") == {"untied": 135_035_392, "tied": 125_469_184}
    assert spent("embeddings-body", "125M") == {"untied": 135_035_392, "tied": 118_651_392}
    assert spent("attention-window", "350M")["full"] == 345_355_200


@pytest.mark.parametrize("scale", ["proxy", "125M", "350M"])
def test_the_shipped_steps_combine_every_choice_at_equal_parameters(scale: str) -> None:
    ablation = load_ablation(next(path for path in SHIPPED if path.stem == "steps"))
    arms = arms_of(ablation, scale)
    assert len({arm.name for arm in arms}) == len({arm.architecture.key for arm in arms}) == 32
    spent = [parameters(arm.architecture) for arm in arms]
    assert max(spent) / min(spent) < 1.04
    assert set(ablation.published.accuracy["125M"]) <= {arm.name for arm in arms}


def test_a_second_pass_has_no_weights_of_its_own_in_the_shipped_timings() -> None:
    ablation = load_ablation(next(path for path in SHIPPED if path.stem == "sharing-latency"))
    for scale in ablation.scales:
        spent = {arm.name: parameters(arm.architecture) for arm in arms_of(ablation, scale)}
        assert len({spent[name] for name in ("unshared", "immediate", "repeat-all-over", "reverse")}) == 1
        assert spent["doubled"] > 1.8 * spent["unshared"]


def test_equal_body_means_equal_body() -> None:
    ablation = load_ablation(next(path for path in SHIPPED if path.stem == "depth-width-body"))
    for scale in ablation.scales:
        bodies = [non_embedding_parameters(arm.architecture) for arm in arms_of(ablation, scale)]
        assert max(bodies) / min(bodies) < 1.04


@pytest.fixture
def file(tmp_path: Path) -> Path:
    words = np.random.default_rng(0).choice(["shape", "width", "depth", "front", "bytes", "model"], 30_000)
    (tmp_path / "text.txt").write_text("\n\n".join(" ".join(words[place : place + 40]) for place in range(0, 30_000, 40)))
    return write(tmp_path, VALUES)


def write(folder: Path, values: dict[str, Any]) -> Path:
    path = folder / f"{values['name']}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def changed(path: str, value: Any) -> dict[str, Any]:
    values = copy.deepcopy(VALUES)
    *way, last = path.split(".")
    inner = values
    for name in way:
        inner = inner[name]
    inner[last] = value
    return values


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("scales.proxy.arms.deep.num_unique_layers", [2, 3], "arms.deep must be one shape, found several choices of num_unique_layers"),
        ("scales.proxy.arms.deep.hidden_size", 400, "arms.deep has no shape that spends the budget"),
        ("scales.proxy.arms.deep.width", 4, "space.width is unknown"),
        ("scales.proxy.proxy.token", 4, "scales.proxy.proxy.token is unknown"),
        ("scales.proxy.arms.deep.proxy", "int4", "arms.deep.proxy must have keys of the recipe, such as quantisation_aware, found int4"),
        ("scales.proxy.arms.deep.proxy", {"token": 4}, "arms.deep: proxy.token is unknown"),
        ("scales.proxy.rounding", [{"runtime": "torch", "precision": "int4"}], "rounding.0.runtime"),
        ("baseline", "round", "must hold the baseline round and another arm, found wide, deep"),
        ("scales.proxy.factors", {"deep": {"before": {}, "after": {}}}, "exactly one of arms and factors must be given, found both"),
        ("scales.proxy.proxy", None, "proxy or latency must be given, found none"),
        ("scales.proxy.rounds", 0, "scales.proxy.rounds must be greater than or equal to 1, found 0"),
        ("questions", "why", "questions is unknown; did you mean `question`"),
        ("scales.proxy.arms", {f"arm{count}": {} for count in range(65)}, "scales.proxy.arms must have at most 64"),
        ("scales", {f"scale{count}": VALUES["scales"]["proxy"] for count in range(9)}, "scales must have at most 8"),
    ],
)
def test_a_wrong_ablation_is_refused_in_a_sentence(path: str, value: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        load_ablation(write(tmp_path, changed(path, value)))
    assert str(caught.value).startswith(f"{tmp_path}/tiny.yaml: ")


@pytest.mark.parametrize("text", ["- 1", "a: [", "\xff"])
def test_what_is_no_ablation_is_refused_in_a_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text, encoding="latin-1")
    assert not is_ablation(tmp_path / "a.yaml")
    with pytest.raises(SpecError, match=r"see docs/ablations\.md"):
        load_ablation(tmp_path / "a.yaml")
    with pytest.raises(SpecError, match="is not a file"):
        load_ablation(tmp_path / "b.yaml")


def test_a_plan_costs_every_arm_and_trains_nothing(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.plans.known_paces.processor_share", lambda processes: pytest.fail("an arm's seconds are without it"))
    plans = plan_ablation(load_ablation(file))
    assert [(plan.scale, plan.arm, plan.seeds, plan.training_tokens) for plan in plans] == [
        ("proxy", "wide", 2, 2048),
        ("proxy", "deep", 2, 2048),
    ]
    judged = load_ablation(
        write(file.parent, {**changed("scales.proxy.rounding", [{"runtime": "onnxruntime", "precision": "int8"}]), "name": "rounded"})
    )
    assert all(more.training_seconds > plan.training_seconds > 0 for more, plan in zip(plan_ablation(judged), plans, strict=True))  # type: ignore[operator]
    assert archfront.main(["plan", str(file)]) == 0
    assert "proxy: " in capsys.readouterr().out
    assert archfront.main(["plan", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["arm"] == "wide"


def test_a_plan_says_what_it_had_no_time_to_time_and_goes_on_with_it(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = changed("scales.proxy.arms.deep.proxy", {"batch_sequences": 3})
    file = write(file.parent, {**values, "name": "slow"})
    monkeypatch.setattr("trials.plans.known_paces.measured_paces", lambda jobs: planted_paces(jobs[:1]))
    told = []
    for _ in range(2):
        assert archfront.main(["plan", str(file)]) == 0
        told.append(capsys.readouterr().out.splitlines()[0])
    assert NOT_YET in told[0]
    assert "on this machine with one training at a time" in told[1]


@pytest.mark.slow
def test_ablate_trains_compares_and_continues(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first run is of one seed, the second adds the other one, the third trains nothing and says the same."""
    directory = tmp_path / "out"
    first = write(tmp_path, {**changed("scales.proxy.seeds", [0]), "name": "first"})
    arguments = ["--directory", str(directory)]
    assert archfront.main(["ablate", str(first), *arguments, "--workers", "2"]) == 0
    told = capsys.readouterr()
    assert "2 of 2:" in told.err
    assert "| Is deep better than wide? | deep against wide | +0.9 (125M) |" in told.out
    (records,) = directory.glob("recipe-*/records.jsonl")
    begun = records.read_text()
    assert archfront.main(["ablate", str(file), str(first), *arguments]) == 0
    assert "2 of 2:" in capsys.readouterr().err
    assert records.read_text().startswith(begun)
    assert archfront.main(["ablate", str(file), *arguments, "--json"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    (answer,) = json.loads(told.out)
    assert answer["differences"][0]["seeds"] == 2
    assert answer["differences"][0]["interval"] is not None
    assert sorted(json.loads(line)["number"] for line in records.read_text().splitlines()) == [0, 1, 2, 3]


@pytest.mark.more
@pytest.mark.slow
def test_arms_of_two_recipes_are_judged_as_rounded_beside_each_other(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An arm of its own recipe stands beside its shape's other one; what was judged is kept with what was trained."""
    wide, deep = VALUES["scales"]["proxy"]["arms"].values()
    aware = {"quantisation_aware": {"precision": "int4", "last": 0.2}}
    values = changed("scales.proxy.arms", {"wide": wide, "deep": deep, "deep-aware": {**deep, "proxy": aware}})
    values["scales"]["proxy"]["rounding"] = [
        {"runtime": "executorch", "precision": "int8"},
        {"runtime": "onnxruntime", "precision": "int4"},
    ]
    path, directory = write(tmp_path, {**values, "name": "rounded"}), tmp_path / "rounded-runs"
    assert archfront.main(["ablate", str(path), "--directory", str(directory), "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert [(each["runtime"], each["precision"]) for each in answer["roundings"]] == [("executorch", "int8"), ("onnxruntime", "int4")]
    int8, int4 = (each["arms"] for each in answer["roundings"])
    assert [(arm["arm"], arm["against"], arm["seeds"]) for arm in int4] == [
        ("wide", None, 2), ("deep", "wide", 2), ("deep-aware", "deep", 2),
    ]  # fmt: skip
    assert all(one["loss"] < other["loss"] for one, other in zip(int8[:2], int4[:2], strict=True))
    assert int4[2]["less_lost_interval"] is not None
    assert len(list(directory.glob("recipe-*/rounded.jsonl"))) == 2
    assert archfront.main(["ablate", str(path), "--directory", str(directory)]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert "| int4 of onnxruntime | wide |" in told.out


class LosesTheFirst(ThisMachine):
    """A workplace that loses its first training and records the others."""

    def side_by_side(self, work: Any, trainings: Any, workers: int, *, lower: str) -> Iterator[tuple[int, Any]]:
        """The others' answers without a training, and then what is said of the first."""
        for place, call in enumerate(trainings):
            _, task, _ = call.arguments
            if place:
                yield place, (fakes.answer(task), [])
        raise WorkError("1 of 4 trainings was lost 3 times")


def test_after_a_lost_training_no_number_is_used_twice(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ablation, out = load_ablation(file), tmp_path / "out"

    def numbers() -> list[int]:
        return [record.number for folder in out.glob("recipe-*") for record in read_records(folder)]

    with pytest.raises(WorkError, match="lost 3 times"):
        run_ablations([ablation], out, workplace=LosesTheFirst(), report=print)
    assert numbers() == [1, 2, 3]
    monkeypatch.setattr(
        LosesTheFirst, "side_by_side", lambda self, work, calls, workers, lower: [(0, (fakes.answer(calls[0].arguments[1]), []))]
    )
    run_ablations([ablation], out, workplace=LosesTheFirst(), report=print)
    assert numbers() == [1, 2, 3, 4]


def test_an_unknown_scale_is_refused_in_a_sentence(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SpecError, match="tiny has no scale 125M"):
        run_ablations([load_ablation(file)], tmp_path / "out", scale="125M", report=print)
    for command in (["ablate"], ["job", "submit", "ablate", "--address", "http://127.0.0.1:1"]):
        assert archfront.main([*command, str(file), "--scale", "125M"]) == 2
        assert "tiny has no scale 125M" in capsys.readouterr().err


@pytest.mark.more
@pytest.mark.slow
def test_arms_of_equal_latency_take_as_long_as_the_baseline_and_are_measured_once(file: Path, tmp_path: Path) -> None:
    values = changed("scales.proxy.equal_latency", {"runtime": "onnxruntime", "prompt_tokens": 8, "new_tokens": 8})
    sizes = {"hidden_size": {"solve": True, "multiple_of": 8}, "intermediate_size": {"solve": True, "ratio": [1, 5]}}
    values["scales"]["proxy"]["common"] |= sizes
    values["scales"]["proxy"]["budget"] = {"parameters": 400_000, "tolerance": 0.05}
    values["scales"]["proxy"]["arms"] = {"wide": {"num_unique_layers": 3}, "deep": {"num_unique_layers": 4}}
    ablation, told = load_ablation(write(tmp_path, values)), list[str]()
    arms = equalised(ablation, "proxy", arms_of(ablation, "proxy"), tmp_path / "out", told.append)
    assert [arm.architecture.num_unique_layers for arm in arms] == [3, 4]
    assert len(told) == 1
    stored = json.loads((tmp_path / "out" / "tiny-proxy-latency.json").read_text())["found"]
    assert arms[0].architecture == arms_of(ablation, "proxy")[0].architecture
    assert stored["deep"]["total_ms"] > 0
    again = equalised(ablation, "proxy", arms_of(ablation, "proxy"), tmp_path / "out", told.append)
    assert [arm.architecture for arm in again] == [arm.architecture for arm in arms]
    assert len(told) == 1


FACTORS = {
    "deep": {"before": {"num_unique_layers": 1}, "after": {"num_unique_layers": 2}},
    "narrow": {"before": {"hidden_size": 32}, "after": {"hidden_size": 24}},
}


def test_factors_make_an_arm_of_every_combination_and_the_baseline_is_that_without_any(tmp_path: Path) -> None:
    values = changed("scales.proxy.arms", {})
    values["scales"]["proxy"]["factors"] = FACTORS
    arms = arms_of(load_ablation(write(tmp_path, values)), "proxy")
    assert [arm.name for arm in arms] == ["wide", "narrow", "deep", "deep+narrow"]
    assert [(arm.architecture.num_unique_layers, arm.architecture.hidden_size) for arm in arms] == [(1, 32), (1, 24), (2, 32), (2, 24)]
    many = {f"f{number}": FACTORS["deep"] for number in range(MOST_FACTORS + 1)}
    values["scales"]["proxy"]["factors"] = many
    with pytest.raises(SpecError, match=r"scales\.proxy\.factors"):
        load_ablation(write(tmp_path, values))


@pytest.mark.parametrize(
    ("factors", "baseline", "said"),
    [
        ({"wide": FACTORS["deep"]}, "wide", "factors must have other names than the baseline.* found 'wide'"),
        (FACTORS, "deep+narrow", r"factors must have other names than the baseline.* found 'deep\+narrow'"),
        ({"a+b": FACTORS["deep"]}, "wide", r"factors must have names without \+.* found 'a\+b'"),
        ({"": FACTORS["deep"]}, "wide", r"factors must have names without \+.* found ''"),
        ({**FACTORS, "other": FACTORS["narrow"]}, "wide", "keys of their own, found hidden_size in narrow and in other"),
        (
            {"deep": {"before": {"num_unique_layers": 1}, "after": {"hidden_size": 32}}, "narrow": FACTORS["narrow"]},
            "wide",
            "keys of their own, found hidden_size in deep and in narrow",
        ),
        (
            {name: {"before": {}, "after": {"proxy": {"tokens": 4_096, name: 1}}} for name in ("a", "b")},
            "wide",
            r"keys of their own, found proxy\.tokens in a and in b",
        ),
        (
            {"a": {"before": {}, "after": {"proxy": "int4"}}, "b": {"before": {}, "after": {"proxy": {"tokens": 4_096}}}},
            "wide",
            "proxy must have keys of the recipe, such as quantisation_aware, found int4",
        ),
    ],
)
def test_factors_that_overwrite_each_other_are_refused(factors: dict[str, Any], baseline: str, said: str, tmp_path: Path) -> None:
    values = changed("scales.proxy.arms", {}) | {"baseline": baseline}
    values["scales"]["proxy"]["common"] |= {"num_unique_layers": 1, "hidden_size": 32}
    values["scales"]["proxy"]["factors"] = factors
    with pytest.raises(SpecError, match=said):
        load_ablation(write(tmp_path, values))


def test_factors_of_the_recipe_are_made_together(tmp_path: Path) -> None:
    values = changed("scales.proxy.arms", {})
    values["scales"]["proxy"]["common"] |= {"num_unique_layers": 1, "hidden_size": 32}
    values["scales"]["proxy"]["factors"] = {
        "longer": {"before": {"proxy": {"tokens": 2_048}}, "after": {"proxy": {"tokens": 4_096}}},
        "large": {"before": {}, "after": {"proxy": {"batch_sequences": 16}}},
    }
    arms = arms_of(load_ablation(write(tmp_path, values)), "proxy")
    found = {arm.name: (arm.study.proxy.plain().tokens, arm.study.proxy.plain().batch_sequences) for arm in arms}
    assert found == {"wide": (2_048, 8), "large": (2_048, 16), "longer": (4_096, 8), "longer+large": (4_096, 16)}


@pytest.mark.more
@pytest.mark.slow
def test_ablate_trains_every_combination_and_tells_what_each_factor_gains(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = changed("scales.proxy.arms", {})
    values["scales"]["proxy"]["factors"] = FACTORS
    arguments = ["--directory", str(tmp_path / "out"), "--workers", "2"]
    assert archfront.main(["ablate", str(write(file.parent, values)), *arguments, "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    rows = [(row["arm"], row["baseline"], row["seeds"]) for row in answer["differences"]]
    assert rows == [("deep", "no deep", 2), ("narrow", "no narrow", 2), ("deep with narrow", "deep without narrow", 2)]
    losses: dict[tuple[int, int], list[float]] = {}
    for path in (tmp_path / "out").glob("recipe-*/records.jsonl"):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            shape = record["architecture"]["num_unique_layers"], record["architecture"]["hidden_size"]
            losses.setdefault(shape, []).append(record["training"]["validation"]["bits_per_byte"])
    mean = {shape: np.mean(found) for shape, found in losses.items()}
    deeper = [mean[1, width] - mean[2, width] for width in (32, 24)]
    assert answer["differences"][0]["gain_bits_per_byte"] == pytest.approx(np.mean(deeper))
    assert answer["differences"][2]["gain_bits_per_byte"] == pytest.approx(deeper[1] - deeper[0])


@pytest.mark.more
@pytest.mark.slow
def test_arms_are_timed_in_turn_once_and_nothing_is_trained_without_a_recipe(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = changed("scales.proxy.latency", [{"runtime": "onnxruntime", "prompt_tokens": 8, "new_tokens": 8}])
    values["published"]["execution_ms"] = {"125M": {"wide": 10.0, "deep": 12.0}}
    values["scales"]["proxy"] |= {"proxy": None, "rounds": 2}
    path, arguments = write(file.parent, values), ["--directory", str(tmp_path / "out")]
    assert archfront.main(["plan", str(path)]) == 0
    assert "proxy: nothing is trained; every arm is timed on this machine" in capsys.readouterr().out
    assert archfront.main(["ablate", str(path), *arguments, "--json"]) == 0
    told = capsys.readouterr()
    assert told.err.count("round 2 of 2, onnxruntime float32") == 2
    (answer,) = json.loads(told.out)
    (row,) = answer["times"]
    assert answer["differences"] == []
    assert (row["arm"], row["baseline"], row["rounds"], row["published_ratio"]) == ("deep", "wide", 2, {"125M": 1.2})
    assert row["decode_interval"][0] <= row["decode_ratio"] <= row["decode_interval"][1]
    assert not list((tmp_path / "out").glob("recipe-*"))
    assert archfront.main(["ablate", str(path), *arguments]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert "| onnxruntime float32 | deep against wide | 1.20 (125M) |" in told.out


def test_a_runtime_that_cannot_run_an_arm_is_refused_before_anything_is_timed(tmp_path: Path) -> None:
    values = changed("scales.proxy.latency", [{"runtime": "onnxruntime"}, {"runtime": "onnxruntime", "prompt_tokens": 100_000_000}])
    with pytest.raises(SpecError, match="prompt_tokens"):
        check_ablation(load_ablation(write(tmp_path, values)), ["proxy"])
