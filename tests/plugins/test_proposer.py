"""What every oracle gets without writing it, beside oracles that write next to nothing."""

from __future__ import annotations

import asyncio
import copy
import math
import pickle
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from attrs import frozen

from asynctune.errors import ConfigurationError, PluginError
from asynctune.objective import Goal, Objective
from asynctune.oracles import Oracle
from asynctune.oracles.known import Known
from asynctune.oracles.proposer import Proposer
from asynctune.records import Report, State, Suggestion, SuggestionStatus, TrialId, TrialView, Values
from asynctune.space import Boolean, Choice, Float, Int, Space
from asynctune.space.conditions import Case, Cases, Condition
from asynctune.testing import OracleRehearsal

SPACE = Space.of({"x": Int(0, 4), "rate": Float(0, 1), "kind": Choice(["a", "b"])})
SMALL = Space.of({"x": Int(1, 3), "b": Boolean()})
RUN, EXHAUSTED = SuggestionStatus.RUNNING, SuggestionStatus.EXHAUSTED


class Says(Oracle):
    """Proposes what it is made with, always."""

    def __init__(self, answer: Any) -> None:  # neither Oracle's __init__ nor its set_search is called
        self.answer = answer
        self.told: list[tuple[int, float | None]] = []

    def set_search(self, *, objective: Goal, seed: int) -> None:
        assert (self.objective, self.seed) == (objective, seed)
        assert isinstance(self.known, Known)

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        return Suggestion.run(self.answer)

    def on_trial_end(self, trial: TrialView) -> None:
        assert self.known.trials[trial.id] is trial  # written down before it hears of it
        assert trial.id not in self.known.pending
        self.told.append((trial.id, trial.score))


class MeansIt(Says):
    repeats = True


def proposer(oracle: Oracle, seed: int = 0, **more: Any) -> Proposer:
    made = Proposer(oracle)
    made.set_search(objective=Objective("loss", "min"), seed=seed, **more)
    return made


def ended(trial: int, values: Values, score: float | None = 1.0, state: State = State.COMPLETED) -> TrialView:
    return TrialView(id=trial, state=state, values=values, score=score)


def proposed(by: Proposer, trial: int, space: Space) -> Suggestion:
    suggestion = by.populate_space(trial, space)
    assert isinstance(suggestion, Suggestion)
    return suggestion


# ---------------------------------------------------------------------------------------------------------- what is proposed


class Scalar:
    """As NumPy's are."""

    ndim = 0

    def __init__(self, value: Any) -> None:
        self.value = value

    def item(self) -> Any:
        return self.value


def test_values_leave_as_the_spaces_own() -> None:
    values = proposed(proposer(Says({"kind": Scalar("b"), "x": Scalar(3), "rate": 1})), 0, SPACE).values
    assert list(values.items()) == [("x", 3), ("rate", 1.0), ("kind", "b")]
    assert [type(value) for value in values.values()] == [int, float, str]


def test_what_is_missing_is_what_the_runner_would_have_drawn() -> None:
    rehearsal = OracleRehearsal(Says({"x": 2}), lambda hp: float(hp.Float("rate", 0, 1)), space={"x": Int(0, 4)}, seed=5)
    rehearsal.ask()
    rehearsal.finish(0)
    assert proposed(proposer(Says({"x": 2}), seed=5), 0, SPACE).values["rate"] == rehearsal.trials[0].values["rate"]


def test_what_is_inactive_is_left_out() -> None:
    space = conditional()
    values = {"kind": "net", "layers": 2, "depth": 3}
    assert proposed(proposer(Says(values)), 0, space).values == {"kind": "net", "layers": 2}


def conditional() -> Space:
    def under(kind: str, domain: Int) -> Cases:
        return Cases((Case((Condition("kind", (kind,)),), domain),))

    return Space({"kind": Choice(["net", "tree"]), "layers": under("net", Int(1, 3)), "depth": under("tree", Int(2, 5))})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"x": 9}, r"Says proposed values for trial 7 that are not in the space: parameter 'x': Int\(0 to 4\) .* not 9"),
        ({"x": "1"}, "parameter 'x': .* not '1'"),
        ({"x": None}, "parameter 'x'"),
        ({"rate": math.nan}, "parameter 'rate': .* not nan"),
        ({"kind": "c"}, "parameter 'kind': .* not 'c'"),
        ({"units": 1}, "there is no parameter 'units'; known are 'x', 'rate', 'kind'"),
    ],
)
def test_what_is_outside_the_space_names_oracle_trial_parameter_value_and_range(values: dict[str, Any], said: str) -> None:
    with pytest.raises(PluginError, match=said):
        proposer(Says(values)).populate_space(7, SPACE)


# ------------------------------------------------------------------------------------------------------------- nothing twice


@pytest.mark.parametrize("workers", [1, 8])
def test_an_oracle_that_always_says_the_same_tries_a_small_space_to_the_last(workers: int) -> None:
    """Case 13, with an oracle that knows nothing: no duplicate, and exactly as many as there are. KerasTuner's model-based
    oracle tried 3 of 4 points in 10 trials, and its random one 160 of 200."""
    rehearsal = OracleRehearsal(Says({"a": 1, "b": 1}), space={"a": Int(1, 10), "b": Int(1, 20)})
    while True:
        while len(rehearsal.live()) < workers and rehearsal.ask().status is RUN:
            pass
        if not rehearsal.live():
            break
        rehearsal.finish(rehearsal.live()[0])
    tried = [tuple(view.values.items()) for view in rehearsal.trials.values()]
    assert len(tried) == len(set(tried)) == 200
    assert rehearsal.trials[0].values == {"a": 1, "b": 1}
    assert rehearsal.ask().status is EXHAUSTED


def test_what_waits_and_what_failed_is_not_proposed_again() -> None:
    asked = proposer(Says({"x": 1, "b": False}))
    first, second = (proposed(asked, trial, SMALL).values for trial in (0, 1))
    assert first == {"x": 1, "b": False} != second
    asked.on_trial_end(ended(0, first, None, State.FAILED))
    assert [proposed(asked, trial, SMALL).status for trial in range(2, 7)] == [RUN] * 4 + [EXHAUSTED]


def test_what_others_have_added_is_not_proposed_again() -> None:
    asked = proposer(Says({"x": 1, "b": False}))
    asked.on_trial_add(0, {"x": 1, "b": False})
    assert asked.known.pending == {0: {"x": 1, "b": False}}
    assert proposed(asked, 1, SMALL).values != {"x": 1, "b": False}


def test_an_oracle_that_means_to_repeat_may() -> None:
    asked = proposer(MeansIt({"x": 1, "b": False}))
    assert [proposed(asked, trial, SMALL).values for trial in range(9)] == [{"x": 1, "b": False}] * 9


def test_what_takes_its_place_depends_on_seed_and_trial_alone() -> None:
    found: dict[int, list[dict[str, Any]]] = {}
    for seed in (0, 0, 1):
        asked = proposer(Says({"x": 1, "b": False}), seed=seed)
        values = [dict(proposed(asked, trial, SMALL).values) for trial in range(6)]
        assert found.setdefault(seed, values) == values
    assert found[0] != found[1]


def test_while_nothing_is_known_any_number_of_trials_may_have_no_values() -> None:
    asked = proposer(Says({}))
    assert [proposed(asked, trial, Space()).values for trial in range(5)] == [{}] * 5


def test_parameters_that_are_not_tuned_tell_no_trials_apart() -> None:
    """Case 14: new entries that are not tuned do not defeat the search for duplicates. KerasTuner ran 10 trials on 3 points."""
    space = Space.of({"x": Int(1, 3)})
    asked = proposer(Says({"x": 1}), tuned=frozenset(space))
    for trial in range(3):
        values = proposed(asked, trial, space).values
        asked.on_trial_end(ended(trial, {**values, "extra": 0.5}))
        assert asked.known.trials[trial].values["extra"] == 0.5
    assert sorted(view.values["x"] for view in asked.known.trials.values()) == [1, 2, 3]  # type: ignore[type-var]
    assert proposed(asked, 3, space).status is EXHAUSTED


# ---------------------------------------------------------------------------------------------------------------- what is known


def test_trials_are_known_in_the_order_in_which_they_ended() -> None:
    asked = proposer(Says({}))
    for trial in range(4):
        asked.populate_space(trial, SPACE)
    scores = {2: 3.0, 0: None, 3: 1.0}
    for trial, score in scores.items():
        asked.on_trial_end(ended(trial, asked.known.pending[trial], score))
    known = asked.known
    assert list(known.trials) == [2, 0, 3]
    assert list(known.pending) == [1]
    assert [view.id for view in known.scored()] == [2, 3]
    assert known.best is known.trials[3]


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, None])
def test_no_trial_without_a_finite_score_is_scored_or_best(score: float | None) -> None:
    asked = proposer(Says({}))
    asked.on_trial_end(ended(0, {"x": 1}, score))
    asked.on_trial_end(ended(1, {"x": 2}, 5.0, State.FAILED))
    assert (asked.known.scored(), asked.known.best) == ([], None)


def test_trials_of_earlier_searches_are_known_and_not_tried() -> None:
    oracle = Says({"x": 1, "b": False})
    asked = proposer(oracle, space=SMALL)
    asked.on_trial_end(ended(-1, {"x": 1, "b": False}, 0.5))
    asked.on_trial_end(ended(-2, {"x": 2, "b": False}, None))
    assert oracle.told == [(-1, 0.5), (-2, None)]
    assert asked.known.best is asked.known.trials[-1]
    assert proposed(asked, 0, SMALL).values == {"x": 1, "b": False}


def test_nobody_can_write_into_what_is_known() -> None:
    known = proposer(Says({})).known
    for mapping in (known.trials, known.pending):
        with pytest.raises(TypeError, match="does not support item assignment"):
            mapping[0] = {}  # type: ignore[index]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_shares_nothing_and_its_oracle_knows_what_it_knows(copied: Callable[[Proposer], Proposer]) -> None:
    asked = proposer(Says({"x": 1, "b": False}))
    asked.populate_space(0, SMALL)
    twin = copied(asked)
    twin.on_trial_end(ended(0, {"x": 1, "b": False}))
    assert twin.oracle.known is twin.known
    assert (list(asked.known.trials), list(twin.known.trials)) == ([], [0])


@frozen
class Rigid(Oracle):
    """Whose attributes cannot be set, by those who do not insist."""

    start: int = 2

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        return Suggestion.run({"x": self.start + self.seed})


def test_a_frozen_oracle_is_told_all_the_same() -> None:
    class Quiet(Rigid):
        def set_search(self, *, objective: Goal, seed: int) -> None:
            """It needs nothing."""

    assert proposed(proposer(Quiet(), seed=1), 0, SPACE).values["x"] == 3


# --------------------------------------------------------------------------------------------------------------------- async


class Asks(Oracle):
    """Waits for somebody else's service in every hook that may."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        await asyncio.sleep(0)
        return Suggestion.run({"x": 1, "b": True})

    async def on_trial_end(self, trial: TrialView) -> None:
        await asyncio.sleep(0)
        self.heard.append(f"{trial.id} ended")

    async def on_trial_result(self, trial: TrialView, report: Report) -> None:
        await asyncio.sleep(0)
        self.heard.append(f"{trial.id} reported {report.step}")


async def test_an_async_oracle_gets_all_that_the_others_get() -> None:
    asked = proposer(Asks())
    found = []
    for trial in range(6):
        answer = asked.populate_space(trial, SMALL)
        assert isinstance(answer, Awaitable)
        found.append(tuple((await answer).values.items()))
    assert len(set(found)) == 6
    answer = asked.populate_space(6, SMALL)
    assert isinstance(answer, Awaitable)
    assert (await answer).status is EXHAUSTED


def test_an_async_oracle_is_waited_for_in_every_hook() -> None:
    oracle = Asks()
    rehearsal = OracleRehearsal(oracle, space=SMALL)
    rehearsal.ask()
    rehearsal.report(0, 0.5)
    rehearsal.finish(0)
    assert oracle.heard == ["0 reported 1", "0 ended"]


def test_a_recorded_answer_is_what_is_known_whatever_is_answered_now() -> None:
    asked = proposer(Says({"x": 1, "b": False}))
    recorded = Suggestion.run({"x": 3, "b": True})
    now = asked.populate_space(0, SMALL, recorded)
    assert isinstance(now, Suggestion)
    assert now.values == {"x": 1, "b": False}
    assert asked.known.pending == {0: {"x": 3, "b": True}}


def test_a_state_is_the_oracles_alone() -> None:
    class Counts(Says):
        def get_state(self) -> Mapping[str, Any]:
            return {"told": len(self.told)}

        def set_state(self, state: Mapping[str, Any]) -> None:
            self.told = [(0, None)] * state["told"]

    asked = proposer(Counts({}))
    asked.on_trial_end(ended(0, {"x": 1}), remembered=True)
    assert asked.get_state() == {"told": 0}
    assert list(asked.known.trials) == [0]


@pytest.mark.parametrize("given", [3, None, [("x", 1)], "x"])
def test_values_that_are_no_dict_are_refused_where_they_are_suggested(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^Suggestion\.run\(values=\.\.\.\) takes a dict from names to values, not "):
        Suggestion.run(given)
