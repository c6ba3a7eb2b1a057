"""Optuna's samplers: what they are told of a space and of trials, and that they propose what they propose to Optuna."""

from __future__ import annotations

import logging
import math
from importlib.util import find_spec
from typing import Any

import optuna
import pytest
from hypothesis import given

import asynctune as at
from asynctune.errors import ConfigurationError
from asynctune.oracles import GP, NSGAII, TPE, OptunaOracle
from asynctune.oracles.known import Known
from asynctune.oracles.optuna_axes import axis
from asynctune.records import State
from asynctune.seeds import derive
from asynctune.space import Case, Cases, Condition, Domain, Float, Normal, Space
from asynctune.testing.rehearsal import OracleRehearsal
from tests.space.strategies import domains

PLAIN = Space.of(
    {"rate": at.Float(1e-5, 1e-1, sampling="log"), "units": at.Int(8, 512, step=8), "share": at.Float(0, 1, step=0.1)}
)
KIND = {"kind": at.Choice(["a", "b"])}


def wrong(value: Any) -> Any:
    return value


def loss(values: Any) -> float:
    return float((values["units"] - 100) ** 2 / 1e4 + (values["share"] - 0.3) ** 2 + values["rate"])


def study_of(rehearsal: OracleRehearsal) -> Any:
    """Optuna's study, after it was told everything."""
    rehearsal.ask()
    study: Any = vars(rehearsal.oracle)["_study"]
    return study


def minimised(oracle: at.Oracle, space: Any, **more: Any) -> OracleRehearsal:
    return OracleRehearsal(oracle, space=space, objective=at.Objective("loss", "min"), **more)


@given(domains)
def test_an_axis_goes_there_and_back(domain: Domain) -> None:
    if domain.size == 1:
        return
    along = axis(domain, optuna.distributions)
    for unit in (0.0, 0.1, 0.37, 0.5, 0.99, 1.0):
        value = domain.from_unit(unit)
        told = along.there(value)
        assert along.distribution._contains(along.distribution.to_internal_repr(told))
        back = along.back(told)
        assert domain.contains(back)
        if isinstance(domain, Normal) and unit in (0.0, 1.0):
            continue  # that far out, floats between 0 and 1 skip numbers
        if isinstance(domain, at.Int) and max(abs(domain.min_value), abs(domain.max_value)) >= 2**52:
            # Told by its place between 0 and 1, where floats skip integers, on a logarithm those in the middle, too.
            assert back == pytest.approx(value, rel=1e-9)
        elif not isinstance(value, float):
            assert (type(back), back) == (type(value), value)
        else:
            # A mirrored scale is as exact as floats are at its far end.
            ends = [domain.min_value, domain.max_value] if isinstance(domain, Float) else [0.0]
            assert back == pytest.approx(value, rel=1e-9, abs=max([1e-12, *(4 * math.ulp(end) for end in ends)]))


@pytest.mark.parametrize(
    ("domain", "distribution"),
    [
        (at.Int(1, 10), optuna.distributions.IntDistribution(1, 10)),
        (at.Int(1, 10, step=4), optuna.distributions.IntDistribution(1, 9, step=4)),
        (at.Int(1, 10, sampling="log"), optuna.distributions.IntDistribution(1, 10, log=True)),
        (at.Int(1, 10, sampling="reverse_log"), optuna.distributions.IntDistribution(1, 10, log=True)),
        (at.Int(1, 10, step=2, sampling="log"), optuna.distributions.IntDistribution(0, 3)),
        (at.Float(0, 1), optuna.distributions.FloatDistribution(0, 1)),
        (at.Float(0, 1, step=0.3), optuna.distributions.FloatDistribution(0, 0.9, step=0.3)),
        (at.Float(0.1, 1, sampling="log"), optuna.distributions.FloatDistribution(0.1, 1, log=True)),
        (at.Choice(["a", 2, None]), optuna.distributions.CategoricalDistribution(("a", 2, None))),
        (at.Choice([1, 1.0, True]), optuna.distributions.CategoricalDistribution(("1", "1.0", "True"))),
        (at.Boolean(), optuna.distributions.CategoricalDistribution((False, True))),
    ],
    ids=lambda each: each.describe() if hasattr(each, "describe") else "",
)
def test_what_optuna_is_told_of_a_domain(domain: Domain, distribution: Any) -> None:
    assert axis(domain, optuna.distributions).distribution == distribution


def test_it_proposes_what_optuna_proposes() -> None:
    seed = 7
    rehearsal = minimised(TPE(n_startup_trials=5), PLAIN, seed=seed)
    sampler = optuna.samplers.TPESampler(n_startup_trials=5)
    study = optuna.study.create_study(sampler=sampler)
    told = {
        "rate": optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True),
        "units": optuna.distributions.IntDistribution(8, 512, step=8),
        "share": optuna.distributions.FloatDistribution(0, 1, step=0.1),
    }
    for number in range(15):
        # As its own `reseed_rng` does it, but by our seed.
        luck = derive(seed, "optuna", number)
        sampler._random_sampler._rng.rng.seed(derive(luck, 0) % 2**32)
        sampler._rng.rng.seed(derive(luck, 1) % 2**32)
        trial = study.ask(told)
        study.tell(trial, loss(trial.params))

        values = rehearsal.ask().values
        rehearsal.complete(number, loss(values))
        assert values == pytest.approx(trial.params)


def test_how_trials_end_in_optunas_words() -> None:
    rehearsal = minimised(TPE(), PLAIN)
    for _ in range(5):
        rehearsal.ask()
    rehearsal.report(0, 3.0)
    rehearsal.complete(0, 2.5)
    rehearsal.report(1, 4.0)
    rehearsal.complete(1, None, stop_reason="not among the best")
    rehearsal.fail(2)
    rehearsal.complete(3, None)

    trials = study_of(rehearsal).trials
    states = optuna.trial.TrialState
    found = [states.COMPLETE, states.PRUNED, states.FAIL, states.FAIL, states.RUNNING, states.RUNNING]
    assert [trial.state for trial in trials] == found
    assert trials[0].value == 2.5
    assert [trial.intermediate_values for trial in trials[:3]] == [{1: 3.0}, {1: 4.0}, {}]
    assert trials[0].params == pytest.approx(rehearsal.trials[0].values)


def test_what_was_run_instead_of_a_proposal_is_what_optuna_learns() -> None:
    rehearsal = minimised(NSGAII(population_size=2), PLAIN)
    rehearsal.ask()
    other = {"rate": 1e-3, "units": 16, "share": 0.5}
    rehearsal._set(0, values=other)
    rehearsal._used[0] |= other
    rehearsal.complete(0, 1.0)

    failed, added, _ = study_of(rehearsal).trials
    assert failed.state is optuna.trial.TrialState.FAIL
    assert added.params == other
    assert added.value == 1.0
    assert added.system_attrs == failed.system_attrs  # it is one of its generation still


def test_what_it_asks_for_once_more_is_not_run_again_and_counts_twice() -> None:
    """Optuna runs it again: its sampler has then seen the same score twice, and a trial was spent on it."""
    space = Space.of({"a": at.Choice(["x", "y", "z"]), "b": at.Choice(["x", "y", "z"])})
    rehearsal = minimised(TPE(n_startup_trials=2), space)
    score = {"x": 0.0, "y": 1.0, "z": 2.0}
    scores: dict[tuple[Any, ...], float] = {}
    for number in range(9):
        values = rehearsal.ask().values
        key = tuple(values.values())
        assert key not in scores
        scores[key] = score[str(values["a"])] + score[str(values["b"])]
        rehearsal.complete(number, scores[key])

    told = study_of(rehearsal).trials
    finished = [trial for trial in told if trial.state is optuna.trial.TrialState.COMPLETE]
    assert len(finished) > len(scores) == 9
    assert all(trial.value == scores[tuple(trial.params.values())] for trial in finished)


def test_what_it_asks_for_while_that_still_runs_says_nothing_to_it() -> None:
    space = Space.of({"a": at.Choice(["x", "y"])})
    rehearsal = minimised(TPE(), space)
    first, second = rehearsal.ask().values, rehearsal.ask().values

    assert first != second
    states = {trial.state for trial in study_of(rehearsal).trials}
    assert states <= {optuna.trial.TrialState.RUNNING, optuna.trial.TrialState.FAIL}


def test_what_was_found_before_and_elsewhere_is_added() -> None:
    rehearsal = minimised(TPE(), PLAIN)
    values = {"rate": 1e-3, "units": 16, "share": 0.5}
    view = at.TrialView(id=-1, state=State.COMPLETED, values=values, score=1.0)
    rehearsal.proposer.on_trial_end(view)

    added, _ = study_of(rehearsal).trials
    assert (added.params, added.value) == (values, 1.0)


def test_under_conditions_it_is_asked_for_what_is_there_and_told_no_more() -> None:
    space = Space(
        {
            **KIND,
            "n": Cases(
                (
                    Case((Condition("kind", ("a",)),), at.Int(1, 5)),
                    Case((Condition("kind", ("b",)),), at.Choice(["x", "y"])),
                )
            ),
            "only": Cases((Case((Condition("kind", ("b",)),), at.Float(0, 1)),)),
        }
    )
    oracle, objective = TPE(n_startup_trials=4), at.Objective("loss", "min")
    oracle.known = Known(objective=objective, seed=0, fill=oracle.fill)
    oracle.set_search(objective=objective, seed=0)
    for number in range(12):
        values = oracle.populate_space(number, space).values
        assert space.validate(values) == values
        oracle.known.end(at.TrialView(id=number, state=State.COMPLETED, values=values, score=float(number)))

    oracle.populate_space(12, space)
    study = oracle._study
    assert [trial.state for trial in study.trials[:12]] == [optuna.trial.TrialState.COMPLETE] * 12
    kinds = {trial.params["kind"]: frozenset(trial.params) for trial in study.trials}
    assert kinds == {"a": {"kind", "n"}, "b": {"kind", "n: Choice('x', 'y')", "only"}}


def test_a_larger_score_is_better_where_it_is_to_be() -> None:
    rehearsal = OracleRehearsal(TPE(), space=PLAIN, objective=at.Objective("score", "max"))

    assert study_of(rehearsal).direction is optuna.study.StudyDirection.MAXIMIZE


def test_it_says_nothing_through_optuna(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    level = optuna.logging.get_verbosity()
    rehearsal = minimised(TPE(), PLAIN)
    for number in range(3):
        rehearsal.ask()
        rehearsal.complete(number, 1.0)

    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == level
    assert not logging.getLogger("optuna.storages._in_memory").filters


def test_its_settings_are_those_that_were_given() -> None:
    assert TPE().settings() == {}
    assert TPE(n_startup_trials=3, multivariate=True).settings() == {"n_startup_trials": 3, "multivariate": True}
    assert OptunaOracle(optuna.samplers.RandomSampler()).settings() == {"sampler": "RandomSampler"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TPE(n_startup_trials=-1), r"TPE\(n_startup_trials=\.\.\.\) takes an integer of at least 0.*not -1"),
        (lambda: TPE(multivariate=wrong("yes")), r"TPE\(multivariate=\.\.\.\) takes True or False.*not 'yes'"),
        (lambda: NSGAII(population_size=1), r"NSGAII\(population_size=\.\.\.\) takes an integer of at least 2.*not 1"),
        (lambda: NSGAII(mutation_prob=2), r"NSGAII\(mutation_prob=\.\.\.\) takes a number from 0 to 1.*not 2"),
        (lambda: OptunaOracle("tpe"), r"takes one of Optuna's samplers, such as TPESampler\(\), not 'tpe'"),
        (lambda: OptunaOracle(optuna.samplers.TPESampler), r"takes a sampler, not its class: write TPESampler\(\)"),
        (lambda: OptunaOracle(optuna.samplers.GridSampler({"x": [1]})), r"GridSampler lists a space.*use GridSearch\(\)"),
    ],
)
def test_what_cannot_be_is_said_when_it_is_made(make: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


@pytest.mark.skipif(find_spec("torch") is not None, reason="PyTorch is there")
def test_what_is_not_installed_is_named() -> None:
    with pytest.raises(ConfigurationError, match='GP needs torch, which is not installed: pip install "torch"'):
        GP()
