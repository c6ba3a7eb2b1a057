"""Repeats around another oracle: what it is told, and what users see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

import asynctune as at
from asynctune.errors import ConfigurationError, PluginError
from asynctune.objective import Goal, Objective
from asynctune.oracles import (
    ConcurrencyLimiter,
    GridSearch,
    HyperbandOracle,
    Oracle,
    RandomSearch,
    RegularizedEvolution,
    Repeater,
    grouped,
)
from asynctune.records import State, Suggestion, SuggestionStatus, TrialId, TrialView
from asynctune.seeds import generator
from asynctune.space import Boolean, Choice, Float, HyperParameters, Int, Space
from asynctune.testing import OracleRehearsal
from tests.plugins.trainables import SEARCHES, effective, same

RUN, IDLE, EXHAUSTED = SuggestionStatus.RUNNING, SuggestionStatus.IDLE, SuggestionStatus.EXHAUSTED
SPACE = {"n": Int(1, 4), "deep": Boolean()}


class Told(GridSearch):
    """Keeps what it is told."""

    def set_search(self, *, objective: Goal, seed: int) -> None:
        super().set_search(objective=objective, seed=seed)
        self.told: list[TrialView] = []

    def on_trial_end(self, trial: TrialView) -> None:
        super().on_trial_end(trial)
        self.told.append(trial)


def rehearsed(times: int, **more: Any) -> tuple[OracleRehearsal, Told]:
    inner = Told()
    return OracleRehearsal(Repeater(inner, times=times), **{"space": SPACE, **more}), inner


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"times": 0}, r"Repeater\(times=\.\.\.\) takes an integer of at least 1 and at most 1,000, not 0"),
        ({"times": True}, r"Repeater\(times=\.\.\.\) takes an integer"),
        ({"oracle": 3}, r"Repeater\(oracle=\.\.\.\) takes an oracle such as RandomSearch\(\), not 3"),
    ],
)
def test_arguments(arguments: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ConfigurationError, match=wanted):
        Repeater(**{"oracle": RandomSearch(), **arguments})


def test_it_is_as_what_it_wraps() -> None:
    repeater = Repeater(GridSearch(points=3))
    assert (repeater.times, repeater.exhaustive, repeater.fill, repeater.ahead) == (3, True, GridSearch.fill, 0)
    assert repeater.settings() == {"oracle": {"class": "GridSearch", "settings": {"points": 3}}, "times": 3}


@pytest.mark.parametrize("workers", [1, 2, 7, 100])
def test_each_proposal_so_many_times(workers: int) -> None:
    rehearsal, inner = rehearsed(3)
    rng = generator(workers)
    while True:
        while len(rehearsal.live()) < workers and rehearsal.ask().status is RUN:
            pass
        if not rehearsal.live():
            break
        rehearsal.finish(rng.choice(rehearsal.live()))
    groups = grouped(rehearsal.trials.values())
    assert [len(group.trials) for group in groups] == [3] * 8
    assert sorted(trial.id for trial in inner.told) == list(range(8))
    assert len({same(trial.values) for trial in inner.told}) == 8


def test_the_mean_is_told_and_the_spread() -> None:
    rehearsal, inner = rehearsed(3)
    for trial, score in ((1, 4.0), (0, 1.0)):
        while len(rehearsal.trials) < 3:
            rehearsal.ask()
        rehearsal.trials[trial] = evolve(rehearsal.trials[trial], metrics={"score": score, "other": -score})
        rehearsal.complete(trial, score)
        assert inner.told == []
    rehearsal.complete(2, 7.0)
    (told,) = inner.told
    assert (told.id, told.state, told.score) == (0, State.COMPLETED, 4.0)
    assert told.metrics == {"score": 2.5, "other": -2.5, "score_std": 3.0}
    assert inner.known.best == told
    (group,) = grouped(rehearsal.trials.values())
    assert (group.trials, group.scores, group.mean, group.std) == ((0, 1, 2), (1.0, 4.0, 7.0), 4.0, 3.0)


def test_what_failed_is_left_out() -> None:
    rehearsal, inner = rehearsed(3)
    for _ in range(3):
        rehearsal.ask()
    rehearsal.fail(0)
    rehearsal.complete(1, None, stop_reason="no score")
    rehearsal.complete(2, 5.0)
    assert [(told.state, told.score) for told in inner.told] == [(State.COMPLETED, 5.0)]
    assert grouped(rehearsal.trials.values())[0].std is None


def test_where_all_failed_the_proposal_has_failed() -> None:
    rehearsal, inner = rehearsed(2)
    for trial in range(2):
        rehearsal.ask()
        rehearsal.fail(trial)
    assert [(told.id, told.state, told.score) for told in inner.told] == [(0, State.FAILED, None)]


def test_what_was_not_proposed_is_told_as_it_is_and_not_proposed() -> None:
    """A trial that was enqueued (n=1, which the grid would have begun with)."""
    rehearsal, inner = rehearsed(2, space={"n": Int(1, 3)})
    rehearsal.proposer.on_trial_add(7, {"n": 1})
    assert rehearsal.ask().values == {"n": 2}
    rehearsal.proposer.on_trial_end(TrialView(id=7, state=State.COMPLETED, values={"n": 1}, score=3.0))
    assert [(told.values, told.score) for told in inner.told] == [({"n": 1}, 3.0)]
    # And one that nobody had heard of, as a search tells that goes on with another oracle.
    rehearsal.proposer.on_trial_end(TrialView(id=8, state=State.COMPLETED, values={"n": 3}, score=1.0))
    assert [rehearsal.ask().values for _ in range(2)] == [{"n": 2}, {}]
    assert [told.id for told in inner.told] == [0, 2]


def test_what_earlier_searches_found_is_passed_on() -> None:
    rehearsal, inner = rehearsed(2)
    rehearsal.proposer.on_trial_end(TrialView(id=-1, state=State.COMPLETED, values={"n": 1, "deep": True}, score=3.0))
    assert [told.id for told in inner.told] == [-1]
    assert list(inner.known.trials) == [-1]


@pytest.mark.parametrize("trainable", SEARCHES)
@pytest.mark.parametrize("fill", [GridSearch, RandomSearch])
def test_what_is_found_on_the_way_is_repeated_too(trainable: Callable[[HyperParameters], float], fill: type[Oracle]) -> None:
    """One at a time, the repeats of a proposal are the same to the last value."""
    rehearsal = OracleRehearsal(Repeater(fill(), times=2), trainable)
    while len(rehearsal.trials) < 60 and rehearsal.ask().status is RUN:
        rehearsal.finish(len(rehearsal.trials) - 1)
    views = list(rehearsal.trials.values())
    assert all(same(one.values) == same(other.values) for one, other in zip(views[::2], views[1::2], strict=True))
    if trainable is not SEARCHES[-1]:
        assert {same(view.values) for view in views} == effective(trainable)


def test_while_nothing_is_known_the_first_runs_alone() -> None:
    rehearsal = OracleRehearsal(Repeater(RandomSearch()), lambda hp: float(hp.Int("n", 1, 10**6)))
    assert [rehearsal.ask().status for _ in range(2)] == [RUN, IDLE]
    rehearsal.finish(0)
    assert rehearsal.ask().values == rehearsal.ask().values == rehearsal.trials[0].values
    assert rehearsal.ask().values != rehearsal.trials[0].values


def test_a_recorded_proposal_is_repeated_and_not_todays() -> None:
    """When a search is resumed, what was answered then counts, also where the oracle answers otherwise now."""

    class Fickle(Oracle):
        def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
            return Suggestion.run({"n": 4, "deep": True})

    rehearsal = OracleRehearsal(Repeater(Fickle(), times=2), space=SPACE)
    recorded = Suggestion.run({"n": 1, "deep": False})
    rehearsal.proposer.populate_space(0, rehearsal.space, recorded)
    answer = rehearsal.proposer.populate_space(1, rehearsal.space)
    assert isinstance(answer, Suggestion)
    assert answer.values == recorded.values


def test_an_oracle_that_learns_is_not_fooled_by_luck() -> None:
    """Noise as large as the signal: with repeats, the best mean is nearer to the truth than the best single one."""
    noise = generator(1)
    space = {"n": Int(0, 30), "kind": Choice(["a", "b"])}

    def noisy(hp: HyperParameters) -> float:
        return abs(hp.Int("n", 0, 30) - 12) / 10 + noise.gauss(0, 0.5)

    oracle = Repeater(RegularizedEvolution(population_size=6), times=5)
    rehearsal = OracleRehearsal(oracle, noisy, space=space, objective=Objective("loss", "min"))
    for trial in range(200):
        rehearsal.ask()
        rehearsal.finish(trial)
    best = min(grouped(rehearsal.trials.values()), key=lambda group: group.mean or 0.0)
    assert len(best.trials) == 5
    assert abs(int(str(best.values["n"])) - 12) <= 6


def test_trials_that_go_on_from_others_cannot_be_repeated() -> None:
    with pytest.raises(ConfigurationError, match="go on from one another's checkpoints"):
        Repeater(HyperbandOracle())
    rehearsal = OracleRehearsal(
        Repeater(ConcurrencyLimiter(HyperbandOracle(max_epochs=4, factor=2), 100), times=2), space={"x": Float(0, 1)}
    )
    with pytest.raises(PluginError, match="goes on from another one, which Repeater cannot repeat"):
        _through(rehearsal)


def _through(rehearsal: OracleRehearsal) -> None:
    for trial in range(60):
        rehearsal.ask()
        rehearsal.finish(trial)


@pytest.mark.parametrize("given", [3, None, [1, 2], {0: "trial"}])
def test_what_are_no_trials_cannot_be_grouped(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^grouped\(trials=\.\.\.\) takes trials, such as result\.trials"):
        grouped(given)


@pytest.mark.parametrize("wrap", [lambda oracle: oracle, lambda oracle: at.oracles.ConcurrencyLimiter(oracle, 2)])
async def test_a_finite_space_needs_no_max_trials(wrap: Any) -> None:
    async def train(trial: at.AsyncTrial) -> float:
        return float(trial.values["x"])

    result = await at.search(
        train,
        {"x": at.Int(0, 4)},
        objective=at.Objective("loss", "min"),
        oracle=wrap(at.oracles.Repeater(at.oracles.GridSearch(), times=3)),
        executor=at.InlineExecutor(2),
    )
    assert Counter(trial.values["x"] for trial in result.trials.values()) == dict.fromkeys(range(5), 3)
