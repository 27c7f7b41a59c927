"""The sampler as a user of Optuna meets it: what it proposes, what it never proposes, and that it finds fronts."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.trial import TrialState, create_trial

from analysis.fronts.domination import hypervolume
from search_space.errors import SpecError
from trials.search.front_sampler import FrontSampler
from trials.search.told_trials import DEVIATION, ESTIMATE

LAYERS = 8
SPACE: dict[str, BaseDistribution] = {
    "width": CategoricalDistribution([64, 128, 256]),
    "depth": IntDistribution(5, LAYERS),
    "mlp": CategoricalDistribution(["relu", "swiglu"]),
    **{f"heads_{layer}": IntDistribution(1, 3) for layer in range(LAYERS)},
}
Params = dict[str, Any]
Direction = Literal["minimize", "maximize"]


def latency(params: Params) -> float:
    heads = sum(params[f"heads_{layer}"] for layer in range(params["depth"]))
    return float(params["width"] / 64 * (params["depth"] + 0.4 * heads) * (1.2 if params["mlp"] == "swiglu" else 1.0))


def loss(params: Params) -> float:
    heads = sum(params[f"heads_{layer}"] * (1 + layer / 4) for layer in range(params["depth"]))
    return float(4 - 0.3 * math.log2(params["width"]) - 0.01 * heads - 0.03 * params["depth"] - (0.1 if params["mlp"] == "swiglu" else 0))


def active(params: Params) -> set[str]:
    return {"width", "depth", "mlp"} | {f"heads_{layer}" for layer in range(params["depth"])}


def effective(params: Params) -> tuple[Any, ...]:
    return tuple(params[name] if name in active(params) else None for name in SPACE)


def study_with(sampler: optuna.samplers.BaseSampler, directions: Sequence[Direction] = ("minimize", "minimize")) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(directions=directions, sampler=sampler)


def search(sampler: optuna.samplers.BaseSampler, count: int, space: dict[str, BaseDistribution] = SPACE) -> optuna.Study:
    study = study_with(sampler)
    for _ in range(count):
        trial = study.ask(space)
        study.tell(trial, [loss(trial.params), latency(trial.params)])
    return study


def volume(study: optuna.Study) -> float:
    return float(hypervolume([(t.values[0], math.log(t.values[1])) for t in study.trials], (2.6, math.log(80))))


def test_it_finds_a_better_front_than_guessing_with_a_third_of_the_trials() -> None:
    ours = search(FrontSampler(SPACE, cheap={1: latency}, active=active, seed=0), 20)
    assert volume(ours) > volume(search(RandomSampler(seed=0), 60))


def test_it_finds_a_better_front_where_the_latency_is_learnt_too() -> None:
    assert volume(search(FrontSampler(SPACE, active=active, seed=0), 20)) > volume(search(RandomSampler(seed=0), 60))


def test_it_serves_an_objective_that_asks_for_its_values_one_by_one() -> None:
    study = study_with(FrontSampler(SPACE, cheap={1: latency}, seed=1))

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        params: Params = {"width": trial.suggest_categorical("width", [64, 128, 256]), "depth": trial.suggest_int("depth", 5, LAYERS)}
        params["mlp"] = trial.suggest_categorical("mlp", ["relu", "swiglu"])
        params.update({f"heads_{layer}": trial.suggest_int(f"heads_{layer}", 1, 3) for layer in range(LAYERS)})
        trial.suggest_float("undeclared", 0, 1)
        return loss(params), latency(params)

    study.optimize(objective, n_trials=10)
    assert len({effective(trial.params) for trial in study.trials}) == 10


def test_no_two_points_are_alike_where_they_differ_only_in_layers_without_effect() -> None:
    study = search(FrontSampler(SPACE, cheap={1: latency}, active=active, seed=0), 40)
    assert len({effective(trial.params) for trial in study.trials}) == 40


def test_many_in_flight_are_all_different() -> None:
    study = search(FrontSampler(SPACE, cheap={1: latency}, active=active, seed=2), 12)
    waiting = [study.ask(SPACE) for _ in range(12)]
    assert len({effective(trial.params) for trial in study.trials}) == 24
    assert len({round(latency(trial.params)) for trial in waiting}) > 3


def test_the_next_point_follows_from_the_seed_and_the_trials_alone() -> None:
    sampler = FrontSampler(SPACE, cheap={1: latency}, active=active, seed=3)
    study = search(sampler, 48)
    replayed = study_with(FrontSampler(SPACE, cheap={1: latency}, active=active, seed=3))
    for trial in study.trials[:47]:
        replayed.add_trial(trial)
    assert replayed.ask(SPACE).params == study.trials[47].params
    other = search(FrontSampler(SPACE, cheap={1: latency}, active=active, seed=4), 48)
    assert [trial.params for trial in other.trials] != [trial.params for trial in study.trials]


def test_only_feasible_points_are_proposed_however_few_there_are() -> None:
    def feasible(params: Params) -> bool:
        return 14 <= latency(params) <= 17

    study = search(FrontSampler(SPACE, cheap={1: latency}, feasible=feasible, active=active, seed=0), 30)
    assert all(feasible(trial.params) for trial in study.trials)


def test_candidates_are_all_that_is_proposed_and_then_the_front_is_repeated() -> None:
    names = list(SPACE)
    values = itertools.product([64, 256], [5, 8], ["relu", "swiglu"], *([[1, 3]] + [[2]] * (LAYERS - 1)))
    candidates = [dict(zip(names, point, strict=True)) for point in values]
    study = search(FrontSampler(SPACE, cheap={1: latency}, candidates=candidates, seed=0), len(candidates) + 2)
    proposed = [effective(trial.params) for trial in study.trials]
    assert set(proposed[: len(candidates)]) == {effective(point) for point in candidates}
    assert {trial.number for trial in study.best_trials} & {proposed.index(point) for point in proposed[len(candidates) :]}


def test_what_failed_is_avoided() -> None:
    study = study_with(FrontSampler(SPACE, cheap={1: latency}, active=active, seed=0))
    states = []
    for _ in range(40):
        trial = study.ask(SPACE)
        if trial.params["mlp"] == "swiglu" and trial.params["width"] == 256:
            study.tell(trial, state=TrialState.FAIL)
            states.append(TrialState.FAIL)
        else:
            study.tell(trial, [loss(trial.params), latency(trial.params)])
            states.append(TrialState.COMPLETE)
    assert states[20:].count(TrialState.FAIL) <= 3


def test_a_study_in_which_everything_fails_goes_on() -> None:
    study = study_with(FrontSampler(SPACE, active=active, seed=0))
    for _ in range(15):
        study.tell(study.ask(SPACE), state=TrialState.FAIL)
    assert len({effective(trial.params) for trial in study.trials}) == 15


def test_an_infinite_loss_counts_as_a_failure() -> None:
    study = search(FrontSampler(SPACE, cheap={1: latency}, active=active, seed=0), 8)
    study.add_trial(create_trial(params=draw_all(0), distributions=SPACE, values=[math.inf, latency(draw_all(0))]))
    for _ in range(8):
        trial = study.ask(SPACE)
        study.tell(trial, [loss(trial.params), latency(trial.params)])
    assert len({effective(trial.params) for trial in study.trials}) == 17


def test_trials_that_broke_a_constraint_of_optuna_are_learnt_from() -> None:
    study = study_with(FrontSampler(SPACE, cheap={1: latency}, active=active, seed=0))
    for _ in range(40):
        trial = study.ask(SPACE)
        trial.set_constraint("memory", latency(trial.params) - 20)
        study.tell(trial, [loss(trial.params), latency(trial.params)])
    assert sum(latency(trial.params) <= 20 for trial in study.trials[10:]) > 20


def test_stopped_trials_are_learnt_from_by_their_estimates_and_make_no_front() -> None:
    def grown(attributes: bool) -> float:
        """The front of 6 random points and of 8 proposals, in sight of 60 stopped trials whose loss is known to 0.05 or not at all."""
        study = study_with(FrontSampler(SPACE, cheap={1: latency}, active=active, seed=0))
        random = np.random.default_rng(0)
        for number in range(66):
            point = draw_all(random)
            values = [loss(point), latency(point)]
            if number < 6:
                study.add_trial(create_trial(params=point, distributions=SPACE, values=values))
                continue
            said = {ESTIMATE: [values[0] + random.normal(0, 0.05), values[1]], DEVIATION: [0.05, 0.0]} if attributes else {}
            study.add_trial(create_trial(state=TrialState.PRUNED, params=point, distributions=SPACE, user_attrs=said))
        for _ in range(8):
            trial = study.ask(SPACE)
            study.tell(trial, [loss(trial.params), latency(trial.params)])
        assert len({effective(trial.params) for trial in study.trials}) == 74
        ended = [trial.values for trial in study.get_trials(states=[TrialState.COMPLETE])]
        return float(hypervolume([(value[0], math.log(value[1])) for value in ended], (2.6, math.log(80))))

    assert grown(True) > grown(False)


def test_an_estimate_that_is_no_number_says_nothing() -> None:
    study = search(FrontSampler(SPACE, cheap={1: latency}, active=active, seed=0), 8)
    for attributes in ({ESTIMATE: [math.nan, 3.0], DEVIATION: [0.1, 0.0]}, {ESTIMATE: [3.0, 3.0]}):
        study.add_trial(create_trial(state=TrialState.PRUNED, params=draw_all(1), distributions=SPACE, user_attrs=attributes))
    assert effective(study.ask(SPACE).params) != effective(draw_all(1))


def test_points_that_were_tried_several_times_are_not_proposed_again() -> None:
    study = study_with(FrontSampler(SPACE, cheap={1: latency}, active=active, seed=0))
    random = np.random.default_rng(1)
    for point in [draw_all(seed) for seed in range(6)] * 3:
        values = [loss(point) + random.normal(0, 0.1), latency(point)]
        study.add_trial(create_trial(params=point, distributions=SPACE, values=values))
    for _ in range(12):
        trial = study.ask(SPACE)
        study.tell(trial, [loss(trial.params) + random.normal(0, 0.1), latency(trial.params)])
    assert len({effective(trial.params) for trial in study.trials}) == 18


def test_directions_are_heeded() -> None:
    study = study_with(FrontSampler(SPACE, cheap={0: lambda params: 1 / latency(params)}, seed=0), ("maximize", "minimize"))
    for _ in range(20):
        trial = study.ask(SPACE)
        study.tell(trial, [1 / latency(trial.params), loss(trial.params)])
    turned = [(t.values[1], -math.log(t.values[0])) for t in study.trials]
    assert hypervolume(turned, (2.6, math.log(80))) > volume(search(RandomSampler(seed=0), 40))


def memory(params: Params) -> float:
    return float(params["width"] * sum(params[f"heads_{layer}"] for layer in range(params["depth"])))


def test_of_three_objectives_two_of_them_known_it_finds_a_better_front_than_guessing_with_a_third_of_the_trials() -> None:
    def volume_of(sampler: optuna.samplers.BaseSampler, count: int) -> float:
        study = study_with(sampler, ("minimize", "minimize", "maximize"))
        for _ in range(count):
            trial = study.ask(SPACE)
            study.tell(trial, [loss(trial.params), latency(trial.params), 1 / memory(trial.params)])
        points = [(t.values[0], math.log(t.values[1]), -math.log(t.values[2])) for t in study.trials]
        return hypervolume(points, (2.6, math.log(80), math.log(6_000)))

    known = {1: latency, 2: lambda params: 1 / memory(params)}
    ours = volume_of(FrontSampler(SPACE, cheap=known, active=active, seed=0), 20)
    assert ours > volume_of(RandomSampler(seed=0), 60)
    assert volume_of(FrontSampler(SPACE, cheap={1: latency}, active=active, seed=0), 20) > volume_of(RandomSampler(seed=0), 40)


def test_a_cheap_objective_that_the_study_does_not_have_is_refused_in_a_sentence() -> None:
    study = study_with(FrontSampler(SPACE, cheap={2: memory}))
    with pytest.raises(SpecError, match="of which there are 2, found \\[2\\]"):
        study.ask(SPACE)


def test_continuous_and_logarithmic_ranges_are_searched() -> None:
    space: dict[str, BaseDistribution] = {"rate": FloatDistribution(1e-5, 1e-1, log=True), "size": IntDistribution(10, 5_000, log=True)}
    study = study_with(FrontSampler(space, cheap={1: lambda params: params["size"]}, seed=0))
    study.add_trial(create_trial(params={"rate": 0.0123, "size": 77}, distributions=space, values=[9.0, 77.0]))
    for _ in range(25):
        trial = study.ask(space)
        rate, size = trial.params["rate"], trial.params["size"]
        study.tell(trial, [(math.log10(rate) + 3) ** 2 + 10 / math.log(size), size])
    rates = [math.log10(trial.params["rate"]) for trial in study.trials[12:]]
    assert abs(float(np.median(rates)) + 3) < 0.5


def test_hints_make_a_hidden_size_visible() -> None:
    space: dict[str, BaseDistribution] = {"a": IntDistribution(0, 40), "b": IntDistribution(0, 40)}
    sizes = np.random.default_rng(0).permutation(41 * 41).reshape(41, 41) + 1.0

    def size(params: Params) -> float:
        return float(sizes[params["a"], params["b"]])

    def missed(hints: Callable[[Params], tuple[float]] | None) -> float:
        """How far the best trial is from the size that is best, 100."""
        study = study_with(FrontSampler(space, hints=hints, seed=0))
        for _ in range(20):
            trial = study.ask(space)
            study.tell(trial, [abs(math.log(size(trial.params) / 100)), 0.01 * trial.params["a"]])
        return float(min(trial.values[0] for trial in study.trials))

    assert missed(lambda params: (size(params),)) < 0.3 * missed(None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"space": {}}, "at least one parameter"),
        ({"cheap": {3: latency}}, "objective 0, 1 or 2"),
        ({"candidates": []}, "at least one point"),
        ({"sequences": {"heads": ["heads_0", "tails_1"]}}, "found 'tails_1'"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused_in_a_sentence(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        FrontSampler(**{"space": SPACE, **arguments})


def test_a_study_of_one_objective_is_refused_in_a_sentence() -> None:
    study = study_with(FrontSampler(SPACE), ("minimize",))
    with pytest.raises(SpecError, match="two or three objectives, found 1"):
        study.ask(SPACE)


def test_a_space_without_a_feasible_point_is_refused_in_a_sentence() -> None:
    study = study_with(FrontSampler(SPACE, feasible=lambda _: False))
    with pytest.raises(SpecError, match="pass `candidates`"):
        study.ask(SPACE)


@pytest.mark.slow
def test_a_proposal_after_25_times_the_trials_takes_far_less_than_25_times_as_long() -> None:
    def proposal_seconds(told: int) -> float:
        """Of processor, the least of several."""
        study = study_with(FrontSampler(SPACE, cheap={1: latency}, active=active, seed=0))
        random = np.random.default_rng(0)
        for _ in range(told):
            params = draw_all(random)
            study.add_trial(create_trial(params=params, distributions=SPACE, values=[loss(params), latency(params)]))
        times = []
        for _ in range(5):
            start = time.process_time()
            trial = study.ask(SPACE)
            times.append(time.process_time() - start)
            study.tell(trial, [loss(trial.params), latency(trial.params)])
        return min(times)

    assert proposal_seconds(5_000) < 12 * proposal_seconds(200)


def draw_all(seed: int | np.random.Generator) -> Params:
    random = np.random.default_rng(seed)
    return {name: draw(distribution, random) for name, distribution in SPACE.items()}


def draw(distribution: BaseDistribution, random: np.random.Generator) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[random.integers(len(distribution.choices))]
    assert isinstance(distribution, IntDistribution)
    return int(random.integers(distribution.low, distribution.high + 1))
