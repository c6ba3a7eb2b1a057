"""How plugins are asked: what they answer is checked, written down, and wins over what they would say today."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from attrs import define, field

from asynctune._engine.opening import fold
from asynctune._engine.record import Record, pack, unpack
from asynctune._machine.consult import Chosen, Divergence, EndTrial, EndWhole, Judged
from asynctune._machine.machine import Machine
from asynctune.errors import PluginError
from asynctune.policies import FailurePolicy, Resources
from asynctune.records import (
    CONTINUE,
    PAUSE,
    STOP,
    Choice,
    Exploit,
    Pause,
    Reallocate,
    Report,
    State,
    Stop,
    TrialView,
    Verdicts,
)
from asynctune.schedulers import FIFO, Scheduler
from asynctune.stoppers import FunctionStopper
from asynctune.views import SearchView
from tests.machine.driven import Driven, portrait


class Number(int):
    """An integer of somebody else's, such as NumPy's."""


@define(eq=False, slots=False)
class Told(Scheduler):
    """Writes down what it is told, and answers every report in the same way."""

    answer: Any = None
    calls: list[tuple[str, int]] = field(factory=list)

    def on_trial_add(self, trial: TrialView) -> Verdicts:
        self.calls.append(("add", trial.id))
        return None

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        self.calls.append((f"result {report.step}", trial.id))
        verdicts: Verdicts = self.answer
        return verdicts

    def on_trial_complete(self, trial: TrialView) -> None:
        self.calls.append(("complete", trial.id))

    def on_trial_error(self, trial: TrialView) -> None:
        self.calls.append(("error", trial.id))

    def on_trial_pause(self, trial: TrialView, by: str) -> None:
        self.calls.append((f"pause by {by}", trial.id))

    def on_trial_resume(self, trial: TrialView, by: str) -> None:
        self.calls.append((f"resume by {by}", trial.id))


def told(driven: Driven) -> list[tuple[str, int]]:
    assert isinstance(driven.scheduler, Told)
    return driven.scheduler.calls


# -------------------------------------------------------------------------------------------------- what they are told


def test_a_scheduler_sees_trials_and_not_attempts() -> None:
    driven = Driven(Told, failure=FailurePolicy(max_retries_per_trial=2))
    driven.start()
    driven.report(0, 1, loss=3.0)
    driven.report(0, 2, loss=2.0)
    driven.raised(0)
    driven.grant()
    for step in (1, 2, 3):
        driven.report(0, step, loss=1.0)
    driven.lost(0)
    driven.grant()
    driven.report(0, 3, loss=1.0)
    driven.returned(0, loss=1.0)
    assert told(driven) == [("add", 0), ("result 1", 0), ("result 2", 0), ("result 3", 0), ("complete", 0)]


def test_a_scheduler_hears_of_a_failure_once_there_are_no_retries_left() -> None:
    driven = Driven(Told, failure=FailurePolicy(max_retries_per_trial=1))
    driven.start()
    driven.raised(0)
    assert told(driven) == [("add", 0)]
    driven.grant()
    driven.raised(0)
    assert told(driven) == [("add", 0), ("error", 0)]


def test_a_scheduler_hears_of_no_loss() -> None:
    driven = Driven(Told)
    driven.start()
    driven.lost(0)
    driven.grant()
    assert told(driven) == [("add", 0)]


def test_a_scheduler_hears_of_its_own_pause_and_of_the_resumption() -> None:
    driven = Driven(lambda: Told(PAUSE))
    driven.start()
    driven.report(0, 1, loss=1.0)
    driven.left(0)
    driven.grant()
    assert told(driven) == [("add", 0), ("result 1", 0), ("pause by scheduler", 0), ("resume by scheduler", 0)]


def test_a_report_without_the_objective_is_not_judged() -> None:
    driven = Driven(Told)
    driven.start()
    driven.report(0, 1, loss=1.0)
    driven.report(0, 2, acc=1.0)
    driven.report(0, 3, loss=1.0)
    assert told(driven) == [("add", 0), ("result 1", 0), ("result 3", 0)]


# --------------------------------------------------------------------------------------------------- what they answer


@pytest.mark.parametrize("verdicts", [None, CONTINUE, {}, {0: CONTINUE}])
def test_an_answer_that_says_nothing_is_not_written_down(verdicts: Verdicts) -> None:
    driven = Driven(lambda: Told(verdicts))
    driven.start()
    driven.report(0, 1, loss=1.0)
    assert driven.decision.answers == ()


@pytest.mark.parametrize(
    ("verdicts", "written"),
    [
        (STOP, {0: STOP}),
        (PAUSE, {0: Pause()}),
        ({0: Stop("r")}, {0: Stop("r")}),
        ({Number(0): Stop("r")}, {0: Stop("r")}),
    ],
)
def test_a_verdict_is_written_down(verdicts: Verdicts, written: Mapping[int, Any]) -> None:
    driven = Driven(lambda: Told(verdicts))
    driven.start()
    driven.report(0, 1, loss=1.0)
    assert driven.decision.answers == (Judged("on_trial_result", 0, written),)


@pytest.mark.parametrize(
    "answer",
    ["STOP", Stop, 1, True, {0: "STOP"}, [STOP], {"0": STOP}, {True: STOP}, {0.0: STOP}, Stop(3), Exploit("0")],  # type: ignore[arg-type]
)
def test_an_answer_that_is_no_verdict_ends_the_search_naming_class_and_hook(answer: Any) -> None:
    driven = Driven(lambda: Told(answer))
    driven.start()
    with pytest.raises(PluginError, match=r"Told\.on_trial_result answered .* for trial 0: it must return CONTINUE"):
        driven.report(0, 1, loss=1.0)


@pytest.mark.parametrize(
    ("verdicts", "text"),
    [
        ({3: STOP}, "Told answered .* for trial 3, which has ended or never was"),
        (Exploit(0), r"Told\.on_trial_result answered Exploit.*, and its class does not say exploits = True"),
        (Reallocate(Resources(cpu=2)), r"Told\.on_trial_result answered .*, and its class does not say reallocates = True"),
    ],
)
def test_a_verdict_that_cannot_be_obeyed_ends_the_search_naming_it(verdicts: Verdicts, text: str) -> None:
    driven = Driven(lambda: Told(verdicts))
    driven.start()
    with pytest.raises(PluginError, match=text):
        driven.report(0, 1, loss=1.0)


HOOKS: Mapping[str, Callable[[Driven], object]] = {
    "set_search": lambda driven: driven.open(),
    "on_trial_add": lambda driven: driven.start(),
    "on_trial_result": lambda driven: (driven.start(), driven.report(0, 1, loss=1.0)),
    "on_trial_complete": lambda driven: (driven.start(), driven.returned(0, loss=1.0)),
    "on_trial_error": lambda driven: (driven.start(), driven.raised(0)),
    "on_trial_pause": lambda driven: (driven.start(), driven.report(0, 1, loss=1.0)),
    "on_trial_resume": lambda driven: (driven.start(), driven.report(0, 1, loss=1.0), driven.left(0), driven.grant()),
    "choose_trial_to_run": lambda driven: (driven.open(), driven.grant()),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_scheduler_that_raises_ends_the_search_naming_class_and_hook(hook: str) -> None:
    def raises(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("no trials")

    kind = type("Broken", (Told,), {hook: raises})
    driven = Driven(lambda: kind(PAUSE))
    with pytest.raises(PluginError, match=rf"^Broken\.{hook} raised ZeroDivisionError: no trials( \(trial 0, step \d\))?$"):
        HOOKS[hook](driven)
    assert driven.machine.consult.asking is None


@pytest.mark.fault(24)
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("hook", HOOKS)
def test_a_scheduler_that_wants_to_leave_the_process_has_failed(hook: str, error: BaseException) -> None:
    def leaves(*_: Any, **__: Any) -> None:
        raise error

    kind = type("Broken", (Told,), {hook: leaves})
    driven = Driven(lambda: kind(PAUSE))
    with pytest.raises(PluginError, match=rf"^Broken\.{hook} raised {type(error).__name__}"):
        HOOKS[hook](driven)


# --------------------------------------------------------------------------------------------------------- stoppers


@pytest.mark.fault(24)
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_a_stopper_that_wants_to_leave_the_process_has_failed(error: BaseException) -> None:
    def leaves(trial: TrialView, report: Report) -> bool:
        raise error

    driven = Driven(stop=lambda: (FunctionStopper(leaves),))
    driven.start()
    with pytest.raises(PluginError, match=rf"^leaves\(\) raised {type(error).__name__}"):
        driven.report(0, 1, loss=1.0)


@pytest.mark.parametrize("answer", [1, 0, b"x", ["x"]])
def test_a_stopper_that_answers_nonsense_ends_the_search_naming_it(answer: Any) -> None:
    class Odd:
        def should_stop_trial(self, trial: TrialView, report: Report) -> str | None:
            reason: str | None = answer
            return reason

    driven = Driven(stop=lambda: (Odd(),))
    driven.start()
    with pytest.raises(PluginError, match=r"the stopper Odd returned .*: it must return a reason"):
        driven.report(0, 1, loss=1.0)


@pytest.mark.parametrize(("answer", "reason"), [(True, "stopped by Curt"), ("", ""), ("because", "because")])
def test_a_stopper_may_be_curt(answer: Any, reason: str) -> None:
    class Curt:
        def should_stop_trial(self, trial: TrialView, report: Report) -> str | None:
            said: str | None = answer
            return said

    driven = Driven(stop=lambda: (Curt(),))
    driven.start()
    driven.report(0, 1, loss=1.0)
    assert driven.decision.answers == (EndTrial(0, reason),)
    assert (driven.view(0).state, driven.view(0).stop_reason) == (State.COMPLETED, reason)


@define
class Deadline:
    """Wants to be asked at a time, and says what it is given to say."""

    at: Any
    reason: str | None = None

    @property
    def deadline(self) -> float | None:
        if isinstance(self.at, Exception):
            raise self.at
        deadline: float | None = self.at
        return deadline

    def should_stop_search(self, search: SearchView) -> str | None:
        return self.reason


@pytest.mark.parametrize("at", ["soon", True, [3], ZeroDivisionError("no")])
def test_a_stopper_whose_deadline_is_no_time_ends_the_search_naming_it(at: Any) -> None:
    stopper = Deadline(None)
    driven = Driven(stop=lambda: (stopper,))
    stopper.at = at
    with pytest.raises(PluginError, match=r"Deadline\.deadline"):
        driven.open()


def test_a_stoppers_reason_to_end_the_search_is_written_down() -> None:
    driven = Driven(stop=lambda: (Deadline(None, "enough"),))
    driven.open()
    assert driven.decision.answers == (EndWhole("enough"),)


def test_every_stopper_is_asked_for_some_count() -> None:
    seen: list[int] = []

    def count(trial: TrialView, report: Report) -> bool:
        seen.append(report.step)
        return True

    driven = Driven(stop=lambda: (FunctionStopper(count), FunctionStopper(count)))
    driven.start()
    driven.report(0, 1, loss=1.0)
    assert seen == [1, 1, 1, 1]  # twice by the machine, and twice by its shadow


def test_a_function_that_raises_is_named_as_its_author_knows_it() -> None:
    def diverged(trial: TrialView, report: Report) -> bool:
        raise KeyError("los")

    driven = Driven(stop=lambda: (FunctionStopper(diverged),))
    driven.start()
    with pytest.raises(PluginError, match=r"^diverged\(\) raised KeyError: 'los'"):
        driven.report(0, 1, loss=1.0)


# ------------------------------------------------------------------------------------------------- told its history again


def retold(driven: Driven, scheduler: Scheduler, *stoppers: Any) -> Machine:
    machine = Machine(scheduler, stoppers)
    fold(machine, [unpack(pack(record)) for record in driven.records])
    return machine


def stopped_at_the_first_report() -> Driven:
    driven = Driven(lambda: Told(Stop("then")))
    driven.start()
    driven.report(0, 1, loss=1.0)
    return driven


def test_the_recorded_verdict_wins_and_the_difference_is_kept() -> None:
    driven = stopped_at_the_first_report()
    machine = retold(driven, Told(Stop("now")))
    assert portrait(machine) == portrait(driven.machine)
    then, now = (repr(Judged("on_trial_result", 0, {0: Stop(reason)})) for reason in ("then", "now"))
    assert machine.consult.divergences == [Divergence("Told", "on_trial_result", 0, then, now)]


def test_a_verdict_that_is_not_given_any_more_and_one_that_was_not_given_are_differences() -> None:
    driven = stopped_at_the_first_report()
    assert len(retold(driven, Told(None)).consult.divergences) == 1

    quiet = Driven(Told)
    quiet.start()
    quiet.report(0, 1, loss=1.0)
    machine = retold(quiet, Told(STOP))
    assert len(machine.consult.divergences) == 1
    assert machine.book.trials[0].state is State.RUNNING


def test_the_recorded_reasons_of_stoppers_win_and_other_stoppers_are_no_difference() -> None:
    driven = Driven(stop=lambda: (FunctionStopper(lambda trial, report: report.step == 2),))
    driven.start()
    driven.report(0, 1, loss=1.0)
    driven.report(0, 2, loss=1.0)
    for stoppers in ((), (FunctionStopper(lambda trial, report: True), Deadline(None, "now"))):
        machine = retold(driven, FIFO(), *stoppers)
        assert portrait(machine) == portrait(driven.machine)
        assert machine.consult.divergences == []


@define(eq=False, slots=False)
class Latest(Told):
    """Chooses the last one that waits."""

    def choose_trial_to_run(self, search: SearchView) -> Choice:
        waiting = [number for number, trial in search.trials.items() if trial.state is State.PENDING]
        return waiting[-1] if waiting else "NEW"


def three_waiting(make: Callable[[], Scheduler]) -> Driven:
    driven = Driven(make, ahead=3, slots=3, max_trials=3, scheduler="First({})")
    driven.open()
    for x in range(3):
        driven.suggest(x=x)
    return driven


def test_choices_are_written_down() -> None:
    driven = three_waiting(Latest)
    driven.grant()
    assert driven.decision.answers == (Chosen(1, 2, new=False),)


@pytest.mark.parametrize(("first", "then"), [(Latest, FIFO), (FIFO, Latest)])
def test_a_scheduler_that_takes_over_is_shown_the_choices_that_were_made_and_makes_its_own(first: Any, then: Any) -> None:
    driven = three_waiting(first)
    driven.grant()
    ran = next(iter(driven.machine.book.live))
    assert ran == (2 if first is Latest else 0)

    machine = retold(driven, then())
    assert portrait(machine) == portrait(driven.machine)

    adopted = Driven(then)
    adopted.machine, adopted.settings, adopted.records = machine, driven.settings, list(driven.records)
    fold(adopted.shadow, [unpack(pack(record)) for record in driven.records])
    adopted.open(scheduler="Second({})")
    # What the one before it answered is no difference of its own.
    assert machine.consult.divergences == []
    adopted.grant()
    adopted.grant()
    assert list(adopted.orders) == ([ran, 0] if then is FIFO else [ran, 2])


def test_records_that_do_not_follow_are_refused() -> None:
    driven = stopped_at_the_first_report()
    forged = [Record(seq=r.seq, stimulus=r.stimulus, happened=r.happened, answers=()) for r in driven.records]
    with pytest.raises(Exception, match=r"record 4 \(Heard\) does not follow by the law of this version"):
        fold(Machine(Told(Stop("then"))), forged)
