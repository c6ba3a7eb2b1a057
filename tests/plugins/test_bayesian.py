"""Bayesian optimisation: it learns, repeats nothing, and stands where it stood when it is taken up again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from scipy.optimize import approx_fprime

from asynctune._engine.record import Record
from asynctune.errors import ConfigurationError
from asynctune.objective import Objective
from asynctune.oracles import BayesianOptimization, RandomSearch
from asynctune.records import State, SuggestionStatus, TrialView, Value
from asynctune.schedulers import FIFO
from asynctune.seeds import generator
from asynctune.space import Boolean, Choice, Fixed, Float, HyperParameters, Int, Space, When
from asynctune.testing import Behaviour, OracleRehearsal, SimulatedSearch
from tests.plugins.trainables import same

np = pytest.importorskip("numpy")
pytest.importorskip("sklearn")

from asynctune.oracles._bayesian.candidates import Field  # noqa: E402
from asynctune.oracles._bayesian.process import fit, learn, warp  # noqa: E402
from asynctune.oracles._bayesian.promise import Promise  # noqa: E402

RUN, EXHAUSTED = SuggestionStatus.RUNNING, SuggestionStatus.EXHAUSTED
LOSS = Objective("loss", "min")
Trainable = Callable[[HyperParameters], float]


def play(rehearsal: OracleRehearsal, trials: int, workers: int = 1) -> list[TrialView]:
    """So many trials, of which so many run at a time."""
    rng = generator(workers)
    while True:
        while len(rehearsal.live()) < workers and len(rehearsal.trials) < trials and rehearsal.ask().status is RUN:
            pass
        if not rehearsal.live():
            return list(rehearsal.trials.values())
        rehearsal.finish(rng.choice(rehearsal.live()))


def best(views: list[TrialView], objective: Objective) -> float:
    found = objective.best(view.score for view in views if view.score is not None)
    assert found is not None
    return found


def bowl(hp: HyperParameters) -> float:
    return (hp.Float("x", 0, 1) - 0.3) ** 2 + (hp.Float("y", 0, 1) - 0.8) ** 2


BOWL = {"x": Float(0, 1), "y": Float(0, 1)}


# -------------------------------------------------------------------------------------- KerasTuner's tests, by meaning


def test_it_proposes_what_is_large_when_that_is_better() -> None:
    """KerasTuner's test_bayesian_oracle_maximize: it proposes a > 0 too, after a = -10 scored -10 and a = 10 scored 10."""
    rehearsal = OracleRehearsal(
        BayesianOptimization(num_initial_points=4), lambda hp: float(hp.Int("a", -100, 100)), space={"a": Int(-100, 100)}
    )
    views = play(rehearsal, 6)
    assert [view.values["a"] for view in views[4:]] == [
        value for view in views[4:] if isinstance(value := view.values["a"], int)
    ]
    assert all(float(str(view.values["a"])) > 0 for view in views[4:])


def test_parameters_that_are_found_later_are_proposed_too() -> None:
    """KerasTuner's test_hyperparameters_added and test_bayesian_dynamic_space: it proposes them too."""

    def trainable(hp: HyperParameters) -> float:
        return float(hp.Int("a", 0, 100) + hp.Int("b", 0, 100) + (hp.Int("c", 0, 100) if len(rehearsal.trials) > 8 else 0))

    rehearsal = OracleRehearsal(BayesianOptimization(num_initial_points=3), trainable, space={"a": Int(0, 100)})
    views = play(rehearsal, 14)
    assert set(views[1].values) == {"a", "b"}
    assert set(rehearsal.ask().values) == {"a", "b", "c"}


def test_steps_are_kept() -> None:
    """KerasTuner's test_step_respected: every value is one of 0, 3, 6 and 9, there and here."""
    rehearsal = OracleRehearsal(
        BayesianOptimization(num_initial_points=2), lambda hp: hp.Float("c", 0, 10, step=3), space={"c": Float(0, 10, step=3)}
    )
    assert {view.values["c"] for view in play(rehearsal, 10)} == {0.0, 3.0, 6.0, 9.0}


def test_floats_are_optimised() -> None:
    """KerasTuner's test_float_optimization: 3 within 0.1 after 50 trials, there and here."""

    def trainable(hp: HyperParameters) -> float:
        return -1 * hp.Float("a", 0, 1) ** 3 + hp.Float("b", 0, 1) ** 2 + hp.Float("c", 0, 1) + hp.Float("d", 0, 1)

    space = {name: Float(0, 1) for name in "abcd"}
    views = play(OracleRehearsal(BayesianOptimization(num_initial_points=20), trainable, space=space), 50)
    assert best(views, Objective("score", "max")) == pytest.approx(3, abs=0.1)


def test_several_workers_optimise_together() -> None:
    """KerasTuner's test_distributed_optimization: 4 workers, 10 trials each, a score below -0.8, a near 4, b near 1, and the
    order of magnitude of c."""

    def trainable(hp: HyperParameters) -> float:
        a, b, c = hp.Int("a", 0, 10), hp.Float("b", -1, 1, step=0.1), hp.Float("c", 1e-5, 1e-2, sampling="log")
        return abs(a - 4) - b + 0.1 * abs(3 + float(np.log10(c)))

    rehearsal = OracleRehearsal(BayesianOptimization(num_initial_points=10), trainable, objective=LOSS)
    views = play(rehearsal, 40, workers=4)
    found = min((view for view in views if view.score is not None), key=lambda view: view.score or 0.0)
    assert found.score is not None
    assert found.score < -0.8
    assert found.values["a"] == 4
    assert found.values["b"] == 1.0
    assert 1e-4 < float(str(found.values["c"])) < 1e-2


def test_a_small_space_is_exhausted() -> None:
    """KerasTuner's test_exhausted_search_space: it stops after 4 trials; but if it has left its random phase, never."""
    rehearsal = OracleRehearsal(BayesianOptimization(num_initial_points=2), lambda hp: 0.0, space={"a": Choice([1, 2, 3, 4])})
    assert len(play(rehearsal, 100)) == 4
    assert rehearsal.ask().status is EXHAUSTED


def test_trials_that_failed_are_passed_over() -> None:
    """KerasTuner's test_skip_failed_trials: it does not raise; and a trial without a finite score counts as a 0 there."""
    rehearsal = OracleRehearsal(BayesianOptimization(num_initial_points=3), bowl, space=BOWL, objective=LOSS)
    for trial in range(12):
        assert rehearsal.ask().status is RUN
        if trial % 3 == 0:
            rehearsal.fail(trial)
        elif trial % 3 == 1:
            rehearsal.report(trial, float("nan"))
            rehearsal.complete(trial, None, stop_reason="not a number")
        else:
            rehearsal.finish(trial)
    rehearsal.ask()
    assert rehearsal.oracle._surrogate.count == len(rehearsal.oracle.known.scored())  # type: ignore[attr-defined]


@pytest.mark.parametrize("score", [0.0, -7.5, 1e300, 5e-324])
def test_scores_that_are_all_the_same(score: float) -> None:
    """KerasTuner's test_bayesian_oracle_with_zero_y: it proposes all the same."""
    views = play(OracleRehearsal(BayesianOptimization(num_initial_points=3), lambda hp: score, space=BOWL), 12)
    assert len({same(view.values) for view in views}) == 12


def test_taken_up_again_it_goes_on_where_it_stood() -> None:
    """KerasTuner's test_bayesian_save_reload: it goes on, but with another random state; here, as if nothing had happened."""
    first = OracleRehearsal(BayesianOptimization(), bowl, space=BOWL, objective=LOSS)
    play(first, 12)
    state = json.loads(json.dumps(first.oracle.get_state()))
    again = OracleRehearsal(BayesianOptimization(), bowl, space=BOWL, objective=LOSS)
    for view in first.trials.values():
        again.oracle.known.propose(view.id, view.values)
        again.oracle.known.end(view)
    again.oracle.known.see(first.space)
    again.oracle.set_state(state)
    assert again.oracle.populate_space(12, first.space) == first.oracle.populate_space(12, first.space)


@pytest.mark.parametrize("cut", [3, 20, 41])
def test_a_search_that_was_cut_off_and_resumed_equals_one_that_was_not(cut: int) -> None:
    def search(records: list[Record]) -> SimulatedSearch:
        return SimulatedSearch(
            script=lambda order, hp: Behaviour(ending={"loss": bowl(hp)}, lasts=1.0),
            oracle=BayesianOptimization(),
            scheduler=FIFO(),
            space=BOWL,
            max_trials=15,
            records=records,
        )

    def found(search: SimulatedSearch) -> list[str]:
        return [same(view.values) for view in search.trials.values() if view.launches]

    whole = search([]).run()
    resumed = search(whole.records[:cut]).run()
    assert resumed.divergences == []
    assert found(resumed) == found(whole)
    assert len(found(whole)) == 15


# -------------------------------------------------------------------------- what KerasTuner 1.4.8 gets wrong (its cases)


def test_case_11_an_integer_on_a_log_scale_never_exceeds_its_range() -> None:
    """Case 11: KerasTuner proposed 101 for Int(1, 100, sampling="log"), four times."""
    space = {"n": Int(1, 100, sampling="log")}
    rehearsal = OracleRehearsal(
        BayesianOptimization(num_initial_points=3), lambda hp: float(hp.Int("n", 1, 100, sampling="log")), space=space
    )
    views = play(rehearsal, 30)
    assert all(isinstance(view.values["n"], int) and 1 <= view.values["n"] <= 100 for view in views)
    assert any(view.values["n"] == 100 for view in views)


@pytest.mark.parametrize("workers", [1, 8])
def test_case_13_a_finite_space_is_tried_to_the_last_and_nothing_twice(workers: int) -> None:
    """Case 13: KerasTuner tried 3 of 4 points in 10 trials, and never stopped."""
    space = {"a": Int(1, 10), "b": Int(1, 20)}
    rehearsal = OracleRehearsal(BayesianOptimization(), lambda hp: 0.0, space=space)
    views = play(rehearsal, 1000, workers)
    assert len(views) == len({same(view.values) for view in views}) == 200
    assert rehearsal.ask().status is EXHAUSTED


# ------------------------------------------------------------------------------------------------------- what it promises


PROBLEMS: Mapping[str, tuple[dict[str, Any], Callable[[Mapping[str, Any]], float], float]] = {
    "kinds": (
        {"kind": Choice(["a", "b", "c", "d"]), "x": Float(0, 1), "n": Int(1, 30), "flag": Boolean()},
        lambda v: (v["kind"] != "c") + (v["x"] - 0.4) ** 2 + ((v["n"] - 20) / 30) ** 2 + 0.2 * (not v["flag"]),
        0.01,
    ),
    "conditions": (
        {
            "model": Choice(["linear", "net"]),
            "penalty": When("model", "linear", Float(1e-6, 1, sampling="log")),
            "units": When("model", "net", Int(8, 256)),
        },
        lambda v: 0.3 + 0.1 * (np.log10(v["penalty"]) + 2) ** 2 if v["model"] == "linear" else ((v["units"] - 100) / 200) ** 2,
        0.001,
    ),
    "rates": ({"rate": Float(1e-6, 1, sampling="log")}, lambda v: (np.log10(v["rate"]) + 2.7) ** 2, 1e-4),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_it_finds_what_is_best(name: str) -> None:
    space, value, close = PROBLEMS[name]
    rehearsal = OracleRehearsal(BayesianOptimization(), space=space, objective=LOSS)
    for trial in range(40):
        rehearsal.complete(trial, float(value(rehearsal.ask().values)))
    assert best(list(rehearsal.trials.values()), LOSS) < close


def test_it_learns_which_random_search_does_not() -> None:
    learnt = play(OracleRehearsal(BayesianOptimization(), bowl, space=BOWL, objective=LOSS), 25)
    drawn = play(OracleRehearsal(RandomSearch(), bowl, space=BOWL, objective=LOSS), 25)
    assert best(learnt, LOSS) < best(drawn, LOSS) / 100


def test_a_few_terrible_scores_do_not_hide_the_differences_between_the_good() -> None:
    def trainable(hp: HyperParameters) -> float:
        loss = bowl(hp)
        return loss if loss < 0.4 else loss * 1e30

    views = play(OracleRehearsal(BayesianOptimization(), trainable, space=BOWL, objective=LOSS), 40)
    assert best(views, LOSS) < 1e-3


def test_workers_are_sent_to_several_places() -> None:
    rehearsal = OracleRehearsal(BayesianOptimization(), bowl, space=BOWL, objective=LOSS)
    play(rehearsal, 5)
    proposed = [rehearsal.ask().values for _ in range(6)]
    points = np.array([[values["x"], values["y"]] for values in proposed])
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)[np.triu_indices(6, 1)]
    assert apart.min() > 1e-3
    assert apart.max() > 0.05


def test_it_learns_from_what_was_observed_before() -> None:
    rehearsal = OracleRehearsal(BayesianOptimization(), bowl, space=BOWL, objective=LOSS)
    rng = generator(0)
    earlier: list[dict[str, Value]] = [{"x": rng.random(), "y": rng.random()} for _ in range(40)]
    loss = [(float(str(v["x"])) - 0.3) ** 2 + (float(str(v["y"])) - 0.8) ** 2 for v in earlier]
    for place, (values, score) in enumerate(zip(earlier, loss, strict=True), 1):
        rehearsal.oracle.known.end(TrialView(id=-place, state=State.COMPLETED, values=values, score=score))
    assert best(play(rehearsal, 2), LOSS) < min(loss)


def test_the_first_trials_are_those_of_their_seed_and_number() -> None:
    def first(seed: int, workers: int) -> list[str]:
        rehearsal = OracleRehearsal(BayesianOptimization(num_initial_points=8), bowl, space=BOWL, seed=seed)
        return [same(view.values) for view in play(rehearsal, 8, workers)]

    assert first(0, 1) == first(0, 8)
    assert not set(first(0, 1)) & set(first(1, 1))


def test_many_observations_cost_no_more_than_some_hundreds() -> None:
    rehearsal = OracleRehearsal(BayesianOptimization(), bowl, space=BOWL, objective=LOSS)
    rng = generator(0)
    for place in range(1, 10_001):
        values = {"x": rng.random(), "y": rng.random()}
        rehearsal.oracle.known.end(TrialView(id=-place, state=State.COMPLETED, values=values, score=rng.random()))
    assert rehearsal.ask().status is RUN
    surrogate: Any = rehearsal.oracle._surrogate  # type: ignore[attr-defined]
    assert surrogate.count == 10_000
    chosen = surrogate._chosen()
    assert len(chosen) == len(set(chosen.tolist())) == 400
    assert set(np.argsort(surrogate._losses[:10_000])[:200].tolist()) <= set(chosen.tolist())


def test_while_nothing_is_known_it_proposes_nothing() -> None:
    rehearsal = OracleRehearsal(BayesianOptimization(), bowl, objective=LOSS)
    assert [rehearsal.ask().values for _ in range(3)] == [{}, {}, {}]
    rehearsal.finish(0)
    assert set(rehearsal.ask().values) == {"x", "y"}


def test_where_nothing_can_be_chosen_there_is_one_trial() -> None:
    assert len(play(OracleRehearsal(BayesianOptimization(), space={"always": Fixed(1), "one": Choice(["a"])}), 10)) == 1


def test_its_state_does_not_grow_with_the_trials() -> None:
    rehearsal = OracleRehearsal(BayesianOptimization(), bowl, space=BOWL, objective=LOSS)
    play(rehearsal, 10)
    early = len(json.dumps(rehearsal.oracle.get_state()))
    play(rehearsal, 60)
    assert len(json.dumps(rehearsal.oracle.get_state())) < early + 50


@pytest.mark.parametrize("beta", [0.0, 2.6])
def test_the_confidence_bound_of_keras_tuner(beta: float) -> None:
    views = play(OracleRehearsal(BayesianOptimization(beta=beta), bowl, space=BOWL, objective=LOSS), 25)
    assert best(views, LOSS) < 1e-2


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"num_initial_points": 0}, r"num_initial_points=\.\.\.\) takes an integer of at least 1 or None, not 0"),
        ({"num_initial_points": 2.5}, "num_initial_points"),
        ({"alpha": 0}, r"alpha=\.\.\.\) takes a number above 0"),
        ({"alpha": 2}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"beta": -1}, r"beta=\.\.\.\) takes a number of at least 0 or None, not -1"),
        ({"beta": float("inf")}, "beta"),
        ({"beta": "2.6"}, "beta"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        BayesianOptimization(**arguments)


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="kappa"):
        BayesianOptimization(kappa=1)  # type: ignore[call-arg]


# ---------------------------------------------------------------------------------------------------------- the numbers


def observed(count: int = 30, width: int = 4) -> tuple[Any, Any]:
    points = np.random.default_rng(0).random((count, width))
    return points, warp(np.sin(5 * points[:, 0]) + points[:, 1] ** 2)


def test_the_process_is_that_of_scikit_learn() -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    points, targets = observed()
    theta = learn(points, targets, None, 1e-6)
    rows = np.random.default_rng(1).random((20, 4))
    mean, deviation = fit(points, targets, np.empty((0, 4)), theta, 1e-6).at(rows)
    kernel = ConstantKernel(np.exp(theta[0])) * Matern(np.exp(theta[1:-1]), nu=2.5)
    reference = GaussianProcessRegressor(kernel, alpha=np.exp(theta[-1]), optimizer=None).fit(points, targets)
    expected_mean, expected_deviation = reference.predict(rows, return_std=True)
    assert mean == pytest.approx(expected_mean, abs=1e-6)
    assert deviation == pytest.approx(expected_deviation, abs=1e-5)


def test_what_is_pending_moves_no_mean_and_takes_the_doubt_away() -> None:
    points, targets = observed()
    theta = learn(points, targets, None, 1e-6)
    rows = np.random.default_rng(2).random((5, 4))
    before, after = fit(points, targets, rows[:0], theta, 1e-6), fit(points, targets, rows[:2], theta, 1e-6)
    assert after.at(rows)[0] == pytest.approx(before.at(rows)[0])
    assert (after.at(rows[:2])[1] < before.at(rows[:2])[1] / 2).all()
    believed = fit(np.vstack([points, rows[:2]]), np.append(targets, before.at(rows[:2])[0]), rows[:0], theta, 1e-6)
    assert after.at(rows)[1] == pytest.approx(believed.at(rows)[1], abs=1e-6)


@pytest.mark.parametrize("beta", [None, 2.6])
def test_the_slopes_are_those_of_the_promise(beta: float | None) -> None:
    points, targets = observed()
    posterior = fit(points, targets, np.empty((0, 4)), learn(points, targets, None, 1e-6), 1e-6)
    promise = Promise(posterior, beta, posterior.incumbent())
    for row in np.random.default_rng(3).random((5, 4)):
        numeric = approx_fprime(row, lambda at: promise.of(at[None])[0], 1e-6)
        assert promise._slopes(row[None])[1][0] == pytest.approx(numeric, rel=1e-3, abs=1e-3)


def test_the_improvement_has_a_logarithm_however_small_it_is() -> None:
    from asynctune.oracles._bayesian.promise import _log_h

    z = np.array([-1e8, -1e5, -100.0, -10.0, -1.0, 0.0, 3.0])
    found = _log_h(z)
    assert np.isfinite(found).all()
    assert (np.diff(found) > 0).all()
    assert found[5:] == pytest.approx([np.log(1 / np.sqrt(2 * np.pi)), np.log(3.000382)], abs=1e-6)
    assert found[4] == pytest.approx(np.log(0.0833154706), abs=1e-8)


@pytest.mark.parametrize(
    "losses", [[0.0] * 5, [1e308, -1e308, 0.0, 1.0], [1.0, 2.0, 3.0, 1e200], [1e-30, 2e-30, 3e-30, 1.0], [5e-324, 0.0, 0.0]]
)
def test_whatever_the_losses_are_they_become_fit_for_a_model(losses: list[float]) -> None:
    warped = warp(np.array(losses))
    assert np.isfinite(warped).all()
    assert np.abs(warped).max() < 100


def test_candidates_are_of_the_space() -> None:
    space = Space.of(PROBLEMS["conditions"][0])
    field = Field(space)
    anywhere = field.anywhere(1)
    around = field.around([anywhere.values[0], anywhere.values[1]], 2)
    for candidates in (anywhere, around, field.decoded(np.random.default_rng(0).random((20, field.encoding.width)))):
        assert all(dict(values) == space.validate(values) for values in candidates.values)
        assert candidates.rows.tolist() == [field.encoding.vector(values) for values in candidates.values]
