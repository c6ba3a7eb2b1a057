"""The oracle, and its actor: called once at a time, in the order of the journal; told again, it stands where it stood."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import pytest
from attrs import define, field

from asynctune._engine.actor import OracleActor
from asynctune._engine.caller import Answered, Caller, History, OracleCall, replay
from asynctune._engine.opening import fold
from asynctune._engine.record import pack, unpack
from asynctune._machine.consult import Divergence
from asynctune._machine.instructions import Ask, TellEnd, TellReport
from asynctune._machine.machine import Machine
from asynctune.errors import PluginError
from asynctune.objective import Objective
from asynctune.oracles import Oracle
from asynctune.records import Report, State, Suggestion, SuggestionStatus, TrialId, TrialView, Values
from asynctune.schedulers import FIFO
from asynctune.space import Choice, Float, Int, Space
from tests.machine.driven import Driven

OBJECTIVE = Objective("loss", "min")
SPACE = Space({"x": Int(0, 99)})


@define(eq=False, slots=False)
class Diary(Oracle):
    """Writes down what it is told, and proposes how much that was."""

    pages: list[str] = field(factory=list)

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        self.pages.append(f"asked for {trial_id}")
        return Suggestion.run({"x": len(self.pages)})

    def on_trial_result(self, trial: TrialView, report: Report) -> None:
        self.pages.append(f"{trial.id} reported step {report.step}")

    def on_trial_end(self, trial: TrialView) -> None:
        self.pages.append(f"{trial.id} ended")


@define(eq=False, slots=False)
class Stored(Diary):
    """The same, with a state."""

    restored: int = 0

    def get_state(self) -> Mapping[str, Any]:
        return {"pages": self.pages}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.pages = list(state["pages"])
        self.restored += 1


class Patient(Diary):
    """The same, but it waits for somebody else's service."""

    async def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().populate_space(trial_id, space)


def ask(number: int, space: Space = SPACE) -> Ask:
    return Ask(number, number - 1, space)


def told(trial: int) -> TellEnd:
    return TellEnd(TrialView(id=trial, state=State.COMPLETED, values={"x": 1}, score=1.0))


def reported(trial: int, step: int) -> TellReport:
    return TellReport(TrialView(id=trial, state=State.RUNNING, values={}), Report(step, {"loss": 1.0}, 0.0, 1))


def history(calls: Sequence[OracleCall], *answers: Answered, adopt: bool = False) -> History:
    return History(calls, {one.ask: one for one in answers}, objective=OBJECTIVE, seed=3, adopt=adopt)


def answer(number: int, x: int, **more: Any) -> Answered:
    return Answered(number, Suggestion.run({"x": x}), more.pop("state", None), **more)


CALLS: list[OracleCall] = [ask(1), ask(2), reported(0, 1), told(0), ask(3), told(1)]


def calling(oracle: Oracle) -> Caller:
    caller = Caller(oracle)
    caller.begin(history([]))
    return caller


# ------------------------------------------------------------------------------------------------------------ told again


@pytest.mark.parametrize("kind", [Diary, Patient])
def test_without_a_state_it_is_called_again_from_the_beginning(kind: type[Diary]) -> None:
    oracle = kind()
    with closing(calling(oracle)) as caller:
        assert replay(caller, history(CALLS, answer(1, 1), answer(2, 2), answer(3, 5))) == ([], [])
    assert oracle.pages == ["asked for 0", "asked for 1", "0 reported step 1", "0 ended", "asked for 2", "1 ended"]


def test_what_was_asked_and_not_answered_is_answered_now_in_its_place() -> None:
    oracle = Diary()
    fresh, divergences = replay(calling(oracle), history(CALLS, answer(1, 1), answer(2, 2)))
    assert (fresh, divergences) == ([answer(3, 5)], [])
    assert oracle.pages[-1] == "1 ended"


def test_another_answer_than_the_recorded_one_is_a_difference_and_no_answer() -> None:
    fresh, divergences = replay(calling(Diary()), history(CALLS, answer(1, 1), answer(2, 7), answer(3, 5)))
    assert fresh == []
    recorded, now = (repr(Suggestion.run({"x": x})) for x in (7, 2))
    assert divergences == [Divergence("Diary", "populate_space", 1, recorded, now)]


def test_with_a_state_it_is_set_to_the_last_one_and_told_only_what_came_after() -> None:
    state = {"pages": ["what", "it", "knew", "then"]}
    oracle = Stored()
    caller = calling(oracle)
    answers = [answer(1, 1, state={"pages": ["no"]}), answer(2, 2, state=state)]
    fresh, divergences = replay(caller, history(CALLS, *answers))
    assert divergences == []
    assert oracle.restored == 1
    assert oracle.pages == [*state["pages"], "0 reported step 1", "0 ended", "asked for 2", "1 ended"]
    # And so what it answers now goes on from there.
    assert fresh == [answer(3, 7, state={"pages": oracle.pages[:-1]})]
    # The recorded state is not the oracle's to change.
    assert state == {"pages": ["what", "it", "knew", "then"]}


@pytest.mark.parametrize("kind", [Diary, Stored])
def test_an_oracle_that_adopts_a_search_is_told_of_the_trials_and_asked_only_what_nobody_answered(kind: type[Diary]) -> None:
    oracle = kind()
    answers = [answer(1, 50, state={"pages": ["not", "mine"]}), answer(2, 60)]
    fresh, divergences = replay(calling(oracle), history(CALLS, *answers, adopt=True))
    assert divergences == []
    assert oracle.pages == ["0 reported step 1", "0 ended", "asked for 2", "1 ended"]
    assert [one.suggestion for one in fresh] == [Suggestion.run({"x": 3})]


@pytest.mark.parametrize("kind", [Diary, Stored])
def test_an_oracle_that_had_adopted_a_search_is_not_asked_for_what_another_answered(kind: type[Diary]) -> None:
    """Opened a third time: what the first oracle proposed was told to the second one, and is told again."""
    driven = Driven(oracle="First({})")
    driven.open()
    driven.start(x=50)
    driven.open(oracle="Second({})")
    driven.grant()
    driven.returned(0, loss=1.0)
    driven.grant()
    driven.suggest(x=2)
    folded = fold(Machine(FIFO()), [unpack(pack(record)) for record in driven.records])

    oracle = kind()
    caller = calling(oracle)
    again = History(folded.calls, folded.answers, objective=OBJECTIVE, seed=3)
    assert replay(caller, again) == ([], [])
    assert oracle.pages == ["0 ended", "asked for 1"]


def test_it_is_told_what_the_search_is_about_before_everything_else() -> None:
    oracle = Diary()
    calling(oracle)
    assert (oracle.objective, oracle.seed) == (OBJECTIVE, 3)


# --------------------------------------------------------------------------------------------------------- bad answers


def odd(answer: Any, **hooks: Any) -> Diary:
    kind: type[Diary] = type("Odd", (Diary,), {"populate_space": lambda self, trial_id, space: answer, **hooks})
    return kind()


def proposes(answer: Any, **hooks: Any) -> Caller:
    return calling(odd(answer, **hooks))


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"x": 1},
        SuggestionStatus.IDLE,
        Suggestion,
        Suggestion("RUNNING", {"x": 1}),  # type: ignore[arg-type]
        Suggestion(SuggestionStatus.RUNNING, None),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_suggestion_is_said_to_be_none(answer: Any) -> None:
    with pytest.raises(PluginError, match=r"Odd\.populate_space returned .*: it must return Suggestion\.run\(values\)"):
        proposes(answer).ask(ask(1))


def test_a_name_that_is_none_is_named() -> None:
    with pytest.raises(PluginError, match="that are not in the space: there is no parameter 1; known are 'x'"):
        proposes(Suggestion(SuggestionStatus.RUNNING, {1: 1})).ask(ask(1))  # type: ignore[dict-item]


class Scalar:
    """As NumPy's are: of no dimension, with an `item()`."""

    ndim = 0

    def __init__(self, value: Any) -> None:
        self.value = value

    def item(self) -> Any:
        return self.value


@pytest.mark.parametrize(
    ("values", "plain"),
    [
        ({"x": Scalar(3), "rate": Scalar(0.25), "kind": Scalar("a")}, {"x": 3, "rate": 0.25, "kind": "a"}),
        ({"x": 3, "rate": 1, "kind": "b"}, {"x": 3, "rate": 1.0, "kind": "b"}),
    ],
)
def test_values_may_come_as_numpys_and_leave_as_the_spaces_own(values: dict[str, Any], plain: Values) -> None:
    space = Space({"x": Int(0, 9), "rate": Float(0, 1), "kind": Choice(["a", "b"])})
    answered = proposes(Suggestion.run(values)).ask(ask(1, space))
    assert answered.suggestion == Suggestion.run(plain)
    assert [type(value) for value in answered.suggestion.values.values()] == [type(value) for value in plain.values()]


@pytest.mark.parametrize("values", [{"x": 100}, {"x": "1"}, {"x": None}, {"x": object()}, {"nonesuch": object()}])
def test_values_outside_the_space_are_the_oracles_error(values: dict[str, Any]) -> None:
    with pytest.raises(PluginError, match="Odd proposed values for trial 0 that are not in the space: "):
        proposes(Suggestion.run(values)).ask(ask(1))


def test_an_answer_without_values_has_none() -> None:
    idle = Suggestion(SuggestionStatus.IDLE, {"left": object()})  # type: ignore[dict-item]
    assert proposes(idle).ask(ask(1)).suggestion == Suggestion.idle()


@pytest.mark.parametrize("error", [ZeroDivisionError("no"), SystemExit(3), KeyboardInterrupt(), TimeoutError()])
@pytest.mark.parametrize("hook", ["set_search", "populate_space", "on_trial_result", "on_trial_end", "get_state", "set_state"])
def test_an_oracle_that_raises_is_named_with_its_hook(hook: str, error: BaseException) -> None:
    def raises(*_: Any, **__: Any) -> None:
        raise error

    caller = Caller(type("Broken", (Stored,), {hook: raises})())
    with pytest.raises(PluginError, match=rf"^Broken\.{hook} raised {type(error).__name__}"):  # noqa: PT012
        caller.begin(history([]))
        caller.tell(told(0))
        caller.tell(reported(0, 1))
        caller.ask(ask(1))
        caller.restore({"pages": []})


@pytest.mark.parametrize("state", [{"seen": {1, 2}}, {"x": object()}, {"x": 2**70}, ["pages"], 3])
def test_a_state_that_cannot_be_stored_is_the_oracles_error(state: Any) -> None:
    class Secretive(Stored):
        def get_state(self) -> Mapping[str, Any]:
            kept: Mapping[str, Any] = state
            return kept

    with pytest.raises(PluginError, match=r"Secretive\.get_state raised WireError"):
        calling(Secretive()).ask(ask(1))


def test_an_answer_keeps_the_state_of_its_moment() -> None:
    caller = calling(Stored())
    one, other = caller.ask(ask(1)), caller.ask(ask(2))
    assert (one.state, other.state) == ({"pages": ["asked for 0"]}, {"pages": ["asked for 0", "asked for 1"]})


# ------------------------------------------------------------------------------------------------------------ the actor


class Heard:
    """What an actor says, on the loop."""

    def __init__(self) -> None:
        self.answers: list[Answered] = []
        self.errors: list[PluginError] = []
        self.divergences: list[Divergence] = []
        self.anything = asyncio.Event()

    def actor(self, oracle: Oracle, past: History) -> OracleActor:
        return OracleActor(
            oracle, past, answered=self._on(self.answers), failed=self._on_error, diverged=self._on(self.divergences)
        )

    def _on(self, told: list[Any]) -> Callable[[Sequence[Any]], None]:
        def hear(said: Sequence[Any]) -> None:
            told.extend(said)
            self.anything.set()

        return hear

    def _on_error(self, error: PluginError) -> None:
        self.errors.append(error)
        self.anything.set()

    async def until(self, done: Callable[[], bool]) -> None:
        while not done():
            await self.anything.wait()
            self.anything.clear()


@pytest.mark.parametrize("kind", [Diary, Patient, Stored])
async def test_calls_are_made_one_at_a_time_and_in_order(kind: type[Diary]) -> None:
    heard, oracle = Heard(), kind()
    actor = heard.actor(oracle, history(CALLS[:3], answer(1, 1)))
    actor.post([told(0), ask(3)])
    actor.post([told(1)])
    actor.post([ask(4)])
    await heard.until(lambda: len(heard.answers) == 3)
    await actor.stop()
    actor.join()
    assert [one.ask for one in heard.answers] == [2, 3, 4]
    wanted = ["asked for 0", "asked for 1", "0 reported step 1", "0 ended", "asked for 2", "1 ended", "asked for 3"]
    assert oracle.pages == wanted
    assert (heard.errors, heard.divergences) == ([], [])


async def test_differences_are_told() -> None:
    heard = Heard()
    actor = heard.actor(Diary(), history([ask(1)], answer(1, 99)))
    await heard.until(lambda: bool(heard.divergences))
    await actor.stop()
    actor.join()
    [told] = heard.divergences
    assert (told.plugin, told.hook, told.trial) == ("Diary", "populate_space", 0)
    assert "99" in told.recorded
    assert "99" not in told.now


async def test_an_error_is_told_once_and_ends_the_thread() -> None:
    heard = Heard()
    actor = heard.actor(odd(None), history([]))
    actor.post([ask(1), ask(2)])
    actor.post([ask(3)])
    await heard.until(lambda: bool(heard.errors))
    await actor.stop()
    actor.join()
    assert len(heard.errors) == 1
    assert heard.answers == []


async def test_answers_that_came_before_an_error_are_not_lost() -> None:
    class Tires(Diary):
        def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
            return Suggestion.run({"x": 1 // (2 - trial_id)})

    heard = Heard()
    actor = heard.actor(Tires(), history([]))
    actor.post([ask(1), ask(2), ask(3)])
    await heard.until(lambda: bool(heard.errors))
    await actor.stop()
    actor.join()
    assert [one.ask for one in heard.answers] == [1, 2]


async def test_stopping_cancels_an_answer_that_is_awaited() -> None:
    begun, loop = asyncio.Event(), asyncio.get_running_loop()

    class Forever(Diary):
        async def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:  # type: ignore[override]
            loop.call_soon_threadsafe(begun.set)
            await asyncio.Event().wait()
            raise AssertionError

    heard = Heard()
    actor = heard.actor(Forever(), history([]))
    actor.post([ask(1)])
    await begun.wait()
    await actor.stop()
    actor.join()
    assert (heard.answers, heard.errors) == ([], [])


async def test_stopping_makes_no_more_calls() -> None:
    entered, leave, oracle = threading.Event(), threading.Event(), Diary()

    class Slow(Diary):
        def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
            entered.set()
            leave.wait()
            return super().populate_space(trial_id, space)

    heard, oracle = Heard(), Slow()
    actor = heard.actor(oracle, history([]))
    actor.post([ask(1), ask(2), told(0)])
    actor.post([ask(3)])
    await asyncio.to_thread(entered.wait)
    ended = actor.stop()
    leave.set()
    await ended
    actor.join()
    assert oracle.pages == ["asked for 0"]


async def test_stopping_a_thousand_times_at_any_moment_always_ends() -> None:
    for turn in range(1000):
        heard = Heard()
        actor = heard.actor(Patient(), history([]))
        actor.post([ask(1), ask(2)])
        if turn % 2:
            await asyncio.sleep(0)
        await actor.stop()
        actor.join()
        assert heard.errors == []
