"""A limit around another oracle: so many at a time, and batches."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import asynctune as at
from asynctune.errors import ConfigurationError
from asynctune.objective import Objective
from asynctune.oracles import ConcurrencyLimiter, GridSearch, Oracle, RandomSearch
from asynctune.oracles.proposer import Proposer
from asynctune.records import Suggestion, SuggestionStatus, TrialId
from asynctune.space import Boolean, Int, Space
from asynctune.testing import OracleRehearsal

RUN, IDLE, EXHAUSTED = SuggestionStatus.RUNNING, SuggestionStatus.IDLE, SuggestionStatus.EXHAUSTED
SPACE = {"n": Int(1, 9)}


class Kept(Oracle):
    """Proposes 1, 2, 3, ..., and says where it is."""

    repeats = True

    def __init__(self) -> None:
        self.next = 1

    async def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        await asyncio.sleep(0)
        self.next += 1
        return Suggestion.run({"n": self.next - 1})

    def get_state(self) -> dict[str, int]:
        return {"next": self.next}

    def set_state(self, state: Any) -> None:
        self.next = state["next"]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ((RandomSearch(), 0), r"ConcurrencyLimiter\(max_concurrent=\.\.\.\) takes an integer of at least 1, not 0"),
        ((RandomSearch(), 1.5), r"ConcurrencyLimiter\(max_concurrent=\.\.\.\) takes an integer"),
        ((RandomSearch, 1), r"ConcurrencyLimiter\(oracle=\.\.\.\) takes an oracle such as RandomSearch\(\), not <class"),
    ],
)
def test_arguments(arguments: tuple[Any, Any], wanted: str) -> None:
    with pytest.raises(ConfigurationError, match=wanted):
        ConcurrencyLimiter(*arguments)


def test_batch_is_a_bool() -> None:
    with pytest.raises(ConfigurationError, match=r"ConcurrencyLimiter\(batch=\.\.\.\) takes True or False, not 1"):
        ConcurrencyLimiter(RandomSearch(), 2, batch=1)  # type: ignore[arg-type]


def test_it_is_as_what_it_wraps() -> None:
    limiter = ConcurrencyLimiter(GridSearch(points=3), 2)
    assert (limiter.exhaustive, limiter.fill, limiter.ahead) == (True, GridSearch.fill, 0)
    assert ConcurrencyLimiter(RandomSearch(), 2).ahead == RandomSearch.ahead
    wrapped = {"class": "GridSearch", "settings": {"points": 3}}
    assert limiter.settings() == {"oracle": wrapped, "max_concurrent": 2, "batch": False}


def test_so_many_at_a_time() -> None:
    rehearsal = OracleRehearsal(ConcurrencyLimiter(GridSearch(), 2), space=SPACE)
    assert [rehearsal.ask().status for _ in range(3)] == [RUN, RUN, IDLE]
    rehearsal.finish(1)
    assert [rehearsal.ask().status for _ in range(2)] == [RUN, IDLE]
    rehearsal.fail(0)
    assert [rehearsal.ask().status for _ in range(2)] == [RUN, IDLE]


def test_batches() -> None:
    rehearsal = OracleRehearsal(ConcurrencyLimiter(GridSearch(), 3, batch=True), space={"n": Int(1, 5)})
    assert [rehearsal.ask().status for _ in range(4)] == [RUN, RUN, RUN, IDLE]
    for trial in (2, 0):
        rehearsal.finish(trial)
        assert rehearsal.ask().status is IDLE
    rehearsal.finish(1)
    assert [rehearsal.ask().status for _ in range(3)] == [RUN, RUN, EXHAUSTED]


def test_a_batch_that_is_not_full_is_filled() -> None:
    rehearsal = OracleRehearsal(ConcurrencyLimiter(GridSearch(), 2, batch=True), space=SPACE)
    rehearsal.ask()
    rehearsal.finish(0)
    assert [rehearsal.ask().status for _ in range(3)] == [RUN, RUN, IDLE]


def test_what_nothing_was_left_for_takes_no_place() -> None:
    """The proposal was no new one, and nothing is left, so it never ran; when the space grows, there is room for it."""

    class Same(Oracle):
        def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
            return Suggestion.run(space.defaults())

    proposer = Proposer(ConcurrencyLimiter(Same(), 1))
    proposer.set_search(objective=Objective("score", "max"), seed=0)
    rehearsal = OracleRehearsal(ConcurrencyLimiter(Same(), 1), space={"n": 1})
    rehearsal.ask()
    rehearsal.finish(0)
    assert [rehearsal.ask().status for _ in range(2)] == [EXHAUSTED, EXHAUSTED]
    rehearsal.space = rehearsal.space.grow({"b": Boolean()})
    assert rehearsal.ask().status is EXHAUSTED  # it had asked for all that it stands for


def test_an_oracle_that_answers_later_and_keeps_a_state() -> None:
    rehearsal = OracleRehearsal(ConcurrencyLimiter(Kept(), 2), space=SPACE)
    assert [rehearsal.ask().values.get("n") for _ in range(3)] == [1, 2, None]
    state = rehearsal.oracle.get_state()
    assert state == {"oracle": {"next": 3}, "live": [0, 1], "full": False}
    other = OracleRehearsal(ConcurrencyLimiter(Kept(), 2), space=SPACE)
    other.ask()
    other.oracle.set_state(state)
    assert other.oracle.get_state() == state
    assert ConcurrencyLimiter(RandomSearch(), 2).get_state() is None


class Hears(RandomSearch):
    """Wants to know of reports."""

    def on_trial_result(self, trial: Any, report: Any) -> None:
        pass


def test_it_hears_of_reports_only_for_one_that_does() -> None:
    for oracle in (RandomSearch(), Hears()):
        limited = ConcurrencyLimiter(ConcurrencyLimiter(oracle, 3), 2)
        search = at.Search(
            print, SPACE, objective="loss", oracle=limited, executor=(executor := at.InlineExecutor(1)), max_trials=1
        )
        settings = search._request.settings(executor, 0)
        assert settings.hears_reports is limited.hears_reports is isinstance(oracle, Hears)


def test_the_other_oracle_is_named_in_errors() -> None:
    assert Proposer(ConcurrencyLimiter(Kept(), 2)).name == "Kept"
