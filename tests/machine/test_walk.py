"""Walks: a machine that is told anything that can happen, in any order, and much that cannot.

After each step the machine's invariants hold, the records alone lead to the same state, and what it asked for outside agrees
with what it believes is outstanding. Wherever a walk stops: if all that is outstanding is then served, the search ends.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

from attrs import define, field
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from asynctune._engine.opening import fold, referenced
from asynctune._engine.record import pack, unpack
from asynctune._engine.retelling import retold, to_go_on_from
from asynctune._machine.instructions import (
    AnswerReport,
    Ask,
    DeleteCheckpoint,
    EndSearch,
    GoOn,
    Instruction,
    ParkLaunch,
    ReleaseSlot,
    RequestSlots,
    StartLaunch,
    StopLaunch,
    TellEnd,
    WakeAt,
)
from asynctune._machine.machine import Machine
from asynctune._machine.stimuli import (
    Closed,
    Enqueued,
    ExecutorFailed,
    Heard,
    LaunchEnded,
    LimitBroken,
    OracleFailed,
    PauseAsked,
    ResumeAsked,
    SlotGranted,
    Stimulus,
    StopAsked,
    StopTrialAsked,
    Suggested,
    Ticked,
    Weighed,
    WorkersSet,
)
from asynctune.failure import FailureKind
from asynctune.messages import (
    Breach,
    Died,
    Lost,
    MetricsReported,
    ParametersDeclared,
    RunTrial,
    TrialLeft,
    TrialRaised,
    TrialReturned,
    Weight,
    What,
)
from asynctune.objective import Objective
from asynctune.policies import CheckpointPolicy, FailurePolicy, Limit, Limits, Parking, Resources
from asynctune.records import (
    CONTINUE,
    PAUSE,
    CheckpointKey,
    Choice,
    Exploit,
    Reallocate,
    Report,
    State,
    Stop,
    Suggestion,
    TrialId,
    TrialView,
    Verdict,
    Verdicts,
)
from asynctune.schedulers import FIFO, Scheduler
from asynctune.seeds import derive, generator
from asynctune.space import Boolean, Int
from asynctune.stoppers import MaxSteps, Stopper, TimeBudget
from asynctune.testing.history import check_history
from asynctune.views import SearchView
from tests.machine.driven import Driven, failure, plainly, portrait

KeyOfLaunch = tuple[TrialId, int]
_WIDEST = 3  # slots that a trial is given


@define(eq=False, slots=False)
class Fickle(Scheduler):
    """Verdicts without sense, on the trial itself and on others; by what it was asked, so that it says the same again."""

    luck: int
    _open: set[TrialId] = field(factory=set)
    _all: set[TrialId] = field(factory=set)

    def explore(self, trial: TrialView, source: TrialView, seed: int) -> Mapping[str, Any]:
        return {"x": seed % 100} if "x" in source.values else {}

    def _say(self, *about: int | str) -> Verdicts:
        rng = generator(self.luck, *about)
        one: list[Verdict] = [CONTINUE, PAUSE, PAUSE, Stop("luck")]
        if self.exploits:
            one += [Reallocate(Resources(cpu=rng.randint(1, _WIDEST)))]
            one += [Exploit(-1)] * 6
        kind = rng.randrange(8)
        if kind < 4:
            return None
        if kind < 6 and isinstance(about[1], int) and about[0] != "end":
            return self._at_another(about[1], rng.choice(one), rng)
        chosen = rng.sample(sorted(self._open), k=min(2, len(self._open)))
        return {trial: self._at_another(trial, rng.choice(one), rng) for trial in chosen}

    def _at_another(self, trial: TrialId, verdict: Verdict, rng: Random) -> Verdict:
        """An exploit is of any other trial, also of one that has ended."""
        if not isinstance(verdict, Exploit):
            return verdict
        others = sorted(self._all - {trial})
        return Exploit(rng.choice(others)) if others else CONTINUE

    def on_trial_add(self, trial: TrialView) -> Verdicts:
        self._open.add(trial.id)
        self._all.add(trial.id)
        return self._say("add", trial.id) if derive(self.luck, "add", trial.id) % 4 == 0 else None

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return self._say("result", trial.id, report.step)

    def on_trial_complete(self, trial: TrialView) -> Verdicts:
        return self._end(trial)

    def on_trial_error(self, trial: TrialView) -> Verdicts:
        return self._end(trial)

    def _end(self, trial: TrialView) -> Verdicts:
        self._open.remove(trial.id)
        return self._say("end", trial.id)


@define(eq=False, slots=False)
class Choosy(Fickle):
    """Chooses without sense, too."""

    _asked: int = 0

    def choose_trial_to_run(self, search: SearchView) -> Choice:
        self._asked += 1
        pending = [number for number, trial in search.trials.items() if trial.state is State.PENDING]
        return generator(self.luck, self._asked).choice(["NEW", "WAIT", "NEW", *pending])


@define(eq=False, slots=False)
class Wild(Fickle):
    """Has trials go on as each other, and gives them other resources, too."""

    exploits = reallocates = True


@define(eq=False, slots=False)
class WildChoosy(Choosy):
    """And chooses without sense."""

    exploits = reallocates = True


@define(eq=False, slots=False)
class Stubborn(Fickle):
    """Sets everyone aside at every step, and has one rule for what comes next."""

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return PAUSE

    def choose_trial_to_run(self, search: SearchView) -> Choice:
        held = [number for number, trial in search.trials.items() if trial.state is State.PENDING and trial.launches]
        if self.luck % 3 == 0 or not held:
            return "NEW"
        return "WAIT" if self.luck % 3 == 1 else held[-1]


@define
class Running:
    """A launch, as its executor sees it."""

    order: RunTrial
    step: int = 0
    told: bool = False
    parked: bool = False


FINITE = st.sampled_from([0.5, 1.0, 2.0, -3.0])
NUMBER = st.one_of(FINITE, FINITE, FINITE, st.sampled_from([math.nan, math.inf, -math.inf]))
METRICS: st.SearchStrategy[Mapping[str, float]] = st.one_of(
    *[st.builds(lambda loss: {"loss": loss, "acc": 1.0}, NUMBER)] * 12, st.just({"acc": 1.0})
)
POLICIES = st.builds(
    FailurePolicy,
    max_retries_per_trial=st.integers(0, 2),
    max_consecutive_failed_trials=st.sampled_from([None, 2, 3, 0.5]),
    non_finite=st.sampled_from(["fail", "fail", "worst"]),
    rules=st.sampled_from([{}, {}, {FailureKind.KILLED: "fail"}, {ValueError: "end"}]),
) | st.builds(
    FailurePolicy,
    max_retries_per_trial=st.integers(1, 2),
    max_consecutive_failed_trials=st.sampled_from([None, 2]),
    delay=st.sampled_from([0, 1, 5.0]),
    retry_from=st.sampled_from(["checkpoint", "start"]),
)
ENDINGS = st.sampled_from(
    ["return", "return", "return nothing", "raise", "raise for good", "fatal", "leave", "infeasible", "die", "lose"]
)
MAX_TRIALS = st.sampled_from([None, 1, 3, 6])
SLOTS = st.integers(1, 4)
MiB = 2**20
PARKING = st.builds(
    Parking, max_trials=st.sampled_from([None, 0, 1, 2, 64]), max_memory=st.sampled_from([None, 4 * MiB, 4 * MiB])
)


class Walk(RuleBasedStateMachine):
    """What is told is anything; `asks`, `requested`, `held`, `running` and `wake` are what the machine was heard to want."""

    driven: Driven

    @initialize(
        data=st.data(),
        luck=st.integers(0, 2**32),
        kind=st.sampled_from([Stubborn, Wild, Choosy, WildChoosy, Stubborn, Wild, Fickle, FIFO]),
    )
    def open_it(self, data: st.DataObject, luck: int, kind: Any) -> None:
        stoppers: list[Stopper] = data.draw(st.sampled_from([[], [], [MaxSteps(3)], [TimeBudget(40)]]))
        space = data.draw(st.sampled_from([{"x": Int(0, 99)}, {"x": Int(0, 99)}, {}]))
        self.luck, self.asks, self.wake, self.end = luck, dict[int, Ask](), math.inf, False
        self.requested, self.held, self.running = Counter[int](), Counter[int](), dict[KeyOfLaunch, Running]()
        self.granted_late = Counter[int]()  # slots that were asked for when it ended: they may have been on their way
        self.stored = set[CheckpointKey]()
        self.slots = SLOTS if not kind.exploits else st.integers(_WIDEST, _WIDEST + 1)
        self.driven = Driven(
            lambda: FIFO() if kind is FIFO else kind(luck),
            stop=lambda: stoppers,
            space=space,
            objective=Objective(
                "loss", data.draw(st.sampled_from(["min", "max"])), data.draw(st.sampled_from(["last", "best"]))
            ),
            max_trials=data.draw(MAX_TRIALS),
            failure=data.draw(POLICIES),
            limits=Limits(trial_time=10, silence=data.draw(st.sampled_from([None, 3]))),
            checkpoints=CheckpointPolicy(keep=data.draw(st.sampled_from([1, 2, None]))),
            slots=data.draw(self.slots),
            ahead=data.draw(st.sampled_from([0, 1, 64])),
            hears_reports=data.draw(st.booleans()),
            parks=data.draw(st.sampled_from([True, True, False])),
            parking=data.draw(PARKING),
        )
        self.obey(self.driven.open())

    # ---------------------------------------------------------------------------------------------- the world outside

    def tell(self, stimulus: Stimulus) -> list[Instruction]:
        note(f"{stimulus}")
        do = self.driven.tell(stimulus)
        self.obey(do)
        return do

    def obey(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            self.obey_one(instruction)
            assert min(self.held.values(), default=0) >= 0, "a slot was used that nobody granted"
        back = {i.width for i in instructions if isinstance(i, ReleaseSlot)}
        asked = {i.width for i in instructions if isinstance(i, RequestSlots)}
        assert not back & asked, "a slot was given back and asked for in one breath: this may never end"
        machine, live = self.machine, self.machine.book.live.values()
        launches = {(trial.id, trial.launch.number): trial.launch for trial in live if trial.launch is not None}
        assert +self.requested == +Counter({1: machine.slots.requested, **machine.slots.wide})
        assert +self.held == +Counter({1: machine.slots.held})
        assert {key: (launch.told, launch.parked) for key, launch in self.running.items()} == {
            key: (launch.halted is not None, launch.parked) for key, launch in launches.items()
        }
        assert self.asks.keys() == machine.asks.in_flight.keys()
        assert self.end == machine.over

    def obey_one(self, instruction: Instruction) -> None:
        match instruction:
            case Ask(number=number):
                assert number not in self.asks
                self.asks[number] = instruction
            case RequestSlots(count, width):
                assert count > 0
                self.requested[width] += count
            case ReleaseSlot(width):
                self.held[width] -= 1
            case StartLaunch(order, width):
                self.held[width] -= 1
                assert width == round(order.resources.cpu), "a slot that is not as wide as the trial's resources"
                assert order.restore is None or order.restore in self.stored, "a checkpoint that was deleted"
                assert not any(trial == order.trial for trial, _ in self.running), "two launches of one trial"
                self.running[order.trial, order.launch] = Running(order)
            case StopLaunch(trial, launch, _, _, _):
                assert not self.running[trial, launch].told, "told twice"
                self.running[trial, launch].told, self.running[trial, launch].parked = True, False
            case ParkLaunch(trial, launch):
                self.running[trial, launch].parked = True
            case GoOn(trial, launch, width):
                self.held[width] -= 1
                assert self.running[trial, launch].parked, "it goes on, and was not parked"
                self.running[trial, launch].parked = False
            case _:
                self.obey_other(instruction)

    def obey_other(self, instruction: Instruction) -> None:
        match instruction:
            case WakeAt(at):
                assert self.at < at < self.wake
                self.wake = at
            case DeleteCheckpoint(key):
                assert key not in referenced(self.machine), "a checkpoint that is still needed"
                self.stored.remove(key)
            case TellEnd(trial=view):
                assert view.state.ended
            case EndSearch():
                assert not self.running
                assert not self.end
                self.end, self.requested, self.granted_late = True, Counter(), +self.requested

    @property
    def machine(self) -> Machine:
        return self.driven.machine

    @property
    def at(self) -> float:
        return self.driven.at

    def launch(self, data: st.DataObject) -> Running:
        return self.running[data.draw(st.sampled_from(sorted(self.running)), label="launch")]

    def values(self) -> dict[str, Any]:
        return dict.fromkeys(self.machine.book.declared, 5)

    # ------------------------------------------------------------------------------------- what the engine has to say

    @rule(seconds=st.sampled_from([0.1, 4.0, 11.0]), ticks=st.booleans(), early=st.booleans())
    def time_passes(self, seconds: float, ticks: bool, early: bool) -> None:
        self.driven.at += seconds
        if ticks:
            if math.isfinite(self.wake) and not early:
                self.driven.at = max(self.at, self.wake)
            self.wake = math.inf
            self.tell(Ticked(at=self.at))

    @precondition(lambda self: +self.requested or self.asks)
    @rule(luck=st.floats(0, 1, exclude_max=True))
    def go_on(self, luck: float) -> None:
        while +self.requested or (self.asks and not self.machine.over):
            self.serve(luck, launches=False)
            if +self.held or self.running:
                return

    @precondition(lambda self: +self.requested)
    @rule(data=st.data())
    def grant(self, data: st.DataObject) -> None:
        width = data.draw(st.sampled_from(sorted(+self.requested)))
        for _ in range(data.draw(st.integers(1, self.requested[width]))):
            if self.requested[width]:
                self.grant_one(width)

    def grant_one(self, width: int) -> None:
        self.requested[width] -= 1
        self.held[width] += 1
        self.tell(SlotGranted(at=self.at, width=width))

    @precondition(lambda self: self.end)
    @rule(data=st.data())
    def come_late(self, data: st.DataObject) -> None:
        """What is said after the end changes nothing, and leaves nothing behind; a slot goes back."""
        before = portrait(self.machine)
        at, ask = self.at, min(self.asks, default=0)
        late: list[Stimulus] = [Ticked(at=at), Closed(at=at), PauseAsked(at=at), OracleFailed(at=at, message="it raised")]
        late += [
            Suggested(at=at, ask=ask, suggestion=Suggestion.run(self.values())),
            *[SlotGranted(at=at, width=width) for width in +self.granted_late],
        ]
        said = data.draw(st.sampled_from(late), label="late")
        if isinstance(said, SlotGranted):
            self.granted_late[said.width] -= 1
            self.held[said.width] += 1
        assert self.tell(said) == ([ReleaseSlot(said.width)] if isinstance(said, SlotGranted) else [])
        assert self.driven.decision.void
        assert portrait(self.machine) == before

    @precondition(lambda self: self.asks and not self.end)
    @rule(data=st.data(), kind=st.sampled_from(["run", "run", "run", "idle", "exhausted"]))
    def suggest(self, data: st.DataObject, kind: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.asks)), label="ask")
        del self.asks[number]
        answers = {"run": Suggestion.run(self.values()), "idle": Suggestion.idle(), "exhausted": Suggestion.exhausted()}
        self.tell(Suggested(at=self.at, ask=number, suggestion=answers[kind]))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), metrics=st.lists(METRICS, min_size=1, max_size=3))
    def report(self, data: st.DataObject, metrics: list[Mapping[str, float]]) -> None:
        launch = self.launch(data)
        for each in metrics:
            self.report_one(data, launch, each)

    def report_one(self, data: st.DataObject, launch: Running, metrics: Mapping[str, float]) -> None:
        ahead = data.draw(st.sampled_from([1, 1, 1, 1, 1, 1, 2, 3, 0, -1]), label="step from the last one")
        checkpoint = data.draw(st.booleans(), label="with a checkpoint")
        order = launch.order
        step = max(launch.step, order.step if data.draw(st.booleans(), label="restored") else 0) + ahead
        key = CheckpointKey(order.trial, step, order.launch) if checkpoint else None
        if key is not None:
            self.stored.add(key)
        self.say(launch, metrics, step, key)
        launch.step = max(launch.step, step)

    def say(self, launch: Running, metrics: Mapping[str, float], step: int, key: CheckpointKey | None) -> None:
        order = launch.order
        message = MetricsReported(trial=order.trial, launch=order.launch, step=step, metrics=metrics, clock=0.0, checkpoint=key)
        answers = [i.answer for i in self.tell(Heard(at=self.at, message=message)) if isinstance(i, AnswerReport)]
        assert all(answer.what is What.GO for answer in answers if answer.trial != order.trial), "answered, and does not go on"
        # Each report is answered, once, whatever it led to.
        own = [answer for answer in answers if answer.trial == order.trial]
        assert [(answer.launch, answer.step) for answer in own] == [(order.launch, step)]
        assert own[0].what is (What.STOP if launch.told else What.PARK if launch.parked else What.GO)

    @precondition(lambda self: not self.end)
    @rule(luck=st.floats(0, 1, exclude_max=True), steps=st.integers(1, 4), number=FINITE, saves=st.sampled_from([1, 1, 2]))
    def march(self, luck: float, steps: int, number: float, saves: int) -> None:
        """All that can run does, and reports, and saves all steps or every second; who was told to leave does."""
        for _ in range(steps):
            for _ in range(4):
                if +self.requested or (self.asks and not self.end):
                    self.serve(luck, launches=False)
            for (trial, launch), running in list(self.running.items()):
                if running.told:
                    del self.running[trial, launch]
                    self.tell(LaunchEnded(at=self.at, ending=self.ending(trial, launch, "leave", number)))
                elif not running.parked:
                    running.step = max(running.step, running.order.step) + 1
                    key = CheckpointKey(trial, running.step, launch) if running.step % saves == 0 else None
                    if key is not None:
                        self.stored.add(key)
                    self.say(running, {"loss": number, "acc": 1.0}, running.step, key)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), name=st.sampled_from("ab"), domain=st.sampled_from([Boolean(), Boolean(), Boolean(), Int(0, 1)]))
    def declare(self, data: st.DataObject, name: str, domain: Any) -> None:
        order = self.launch(data).order
        new = {} if name in order.space else {name: domain}
        value = data.draw(st.sampled_from([domain.default, domain.default, 7, "x"]), label="value")
        message = ParametersDeclared(trial=order.trial, launch=order.launch, parameters=new, values={name: value})
        self.tell(Heard(at=self.at, message=message))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), limit=st.sampled_from([Limit.TRIAL_TIME, Limit.SILENCE]))
    def break_limit(self, data: st.DataObject, limit: Limit) -> None:
        order = self.launch(data).order
        self.tell(LimitBroken(at=self.at, breach=Breach(trial=order.trial, launch=order.launch, limit=limit, amount=10.0)))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), memory=st.sampled_from([0, MiB, 3 * MiB, 5 * MiB]))
    def weigh(self, data: st.DataObject, memory: int) -> None:
        launch = self.launch(data)
        counts, order = launch.parked, launch.order
        self.tell(Weighed(at=self.at, weight=Weight(trial=order.trial, launch=order.launch, memory=memory)))
        assert self.driven.decision.void == (not counts)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), how=ENDINGS, number=NUMBER)
    def end_one(self, data: st.DataObject, how: str, number: float) -> None:
        order = self.launch(data).order
        del self.running[order.trial, order.launch]
        self.tell(LaunchEnded(at=self.at, ending=self.ending(order.trial, order.launch, how, number)))

    def ending(self, trial: TrialId, launch: int, how: str, number: float) -> Any:
        match how:
            case "return":
                return TrialReturned(trial=trial, launch=launch, metrics={"loss": number})
            case "return nothing":
                return TrialReturned(trial=trial, launch=launch)
            case "leave":
                return TrialLeft(trial=trial, launch=launch)
            case "infeasible":
                return TrialLeft(trial=trial, launch=launch, infeasible="too large")
            case "die":
                return Died(trial=trial, launch=launch, signal=11)
            case "lose":
                return Lost(trial=trial, launch=launch, reason="gone")
        said = failure(retry=how == "raise", fatal=how == "fatal", error_type="FatalError" if how == "fatal" else "ValueError")
        return TrialRaised(trial=trial, launch=launch, failure=said)

    # ----------------------------------------------------------------------- what the user wants, and what is out of order

    @rule(data=st.data(), how=st.sampled_from("stop_trial pause resume enqueue resize end_all open_again old_words".split()))
    def meddle(self, data: st.DataObject, how: str) -> None:
        getattr(self, how)(data)

    def stop_trial(self, data: st.DataObject) -> None:
        trial = data.draw(st.integers(-1, 8), label="trial")
        known = self.machine.book.trials.get(trial)
        refused = known is None or known.state.ended or self.end
        self.tell(StopTrialAsked(at=self.at, trial=trial, reason="user"))
        assert (self.driven.decision.refused is not None) == refused

    def pause(self, data: st.DataObject) -> None:
        self.tell(PauseAsked(at=self.at))

    def resume(self, data: st.DataObject) -> None:
        self.tell(ResumeAsked(at=self.at))

    def enqueue(self, data: st.DataObject) -> None:
        values: Mapping[str, Any] = data.draw(st.sampled_from([self.values(), {"nonesuch": 1}, {"a": 7}]), label="values")
        unknown_is_wrong = values != self.values() and bool(self.machine.book.declared)
        refused = self.machine.ending is not None or unknown_is_wrong or ("a" in values and "a" in self.machine.space)
        self.tell(Enqueued(at=self.at, values=values))
        assert (self.driven.decision.refused is not None) == refused

    def resize(self, data: st.DataObject) -> None:
        self.tell(WorkersSet(at=self.at, slots=data.draw(self.slots, label="slots")))

    def end_all(self, data: st.DataObject) -> None:
        at = self.at
        closed, asked = Closed(at=at), StopAsked(at=at, reason="enough")
        failed: list[Stimulus] = [ExecutorFailed(at=at, message="no fork"), OracleFailed(at=at, message="it raised")]
        self.tell(data.draw(st.sampled_from([closed, asked, *failed]), label="how"))

    def open_again(self, data: st.DataObject) -> None:
        """As after a crash, if it was not over: everything that ran or was granted is gone, and the asks are still there."""
        self.requested, self.held, self.wake, self.end = Counter(), Counter(), math.inf, False
        self.granted_late = Counter()
        self.running.clear()
        changes: dict[str, Any] = {
            "max_trials": data.draw(MAX_TRIALS),
            "failure": data.draw(POLICIES),
            "slots": data.draw(self.slots),
            "parking": data.draw(PARKING),
            "oracle": data.draw(st.sampled_from(["A({})", "A({})", "B({})"])),
        }
        open_ones = [trial for trial in self.machine.book.trials.values() if not trial.state.ended]
        known = self.machine.book.trials
        saved = list(dict.fromkeys(key for trial in open_ones for key in to_go_on_from(trial, known)))
        self.stored &= referenced(self.machine)
        changes["gone"] = data.draw(st.lists(st.sampled_from(saved), unique=True)) if saved else []
        self.stored -= set(changes["gone"])
        note(f"opened again: {changes}")
        self.obey(self.driven.open(**changes))

    def old_words(self, data: st.DataObject) -> None:
        trial, launch = data.draw(st.integers(-1, 8)), data.draw(st.integers(0, 4))
        if (trial, launch) in self.running:
            return
        step, how = data.draw(st.integers(-1, 5)), data.draw(ENDINGS)
        message = MetricsReported(trial=trial, launch=launch, step=step, metrics={"loss": 0.0}, clock=0.0)
        declared = ParametersDeclared(trial=trial, launch=launch, parameters={"old": Boolean()}, values={"old": True})
        before = portrait(self.machine)
        for stimulus in (
            Heard(at=self.at, message=message),
            Heard(at=self.at, message=declared),
            LaunchEnded(at=self.at, ending=self.ending(trial, launch, how, 0.0)),
            Weighed(at=self.at, weight=Weight(trial=trial, launch=launch, memory=9 * MiB)),
            Suggested(at=self.at, ask=1000 + step, suggestion=Suggestion.run({})),
        ):
            assert self.tell(stimulus) == []
            assert self.driven.decision.void
        assert portrait(self.machine) == before

    # -------------------------------------------------------------------------------------------- and then to the end

    def teardown(self) -> None:
        if not hasattr(self, "driven"):
            return
        self.check_from_the_records_alone()
        note("to the end")
        if self.machine.user_paused:
            self.tell(ResumeAsked(at=self.at))
        rng = generator(self.luck)
        # What each trial still needs is bounded: a proposal, a slot, a launch that ends, and a retry or two of those.
        for _ in range(400):
            if self.end:
                return
            self.serve(rng.random())
        raise AssertionError(f"it does not end: {portrait(self.machine)}")

    def serve(self, luck: float, *, launches: bool = True) -> None:
        waits: list[tuple[str, Any]] = [("ask", ask) for ask in self.asks] + [
            ("slot", width) for width in self.requested.elements()
        ]
        waits += [("launch", key) for key, launch in self.running.items() if launches and not launch.parked]
        if not waits and self.machine.waiting.delayed:
            assert self.wake <= min(self.machine.waiting.delayed.values())
            waits.append(("tick", None))
        assert waits, f"nothing is outstanding, and it is not over: {portrait(self.machine)}"
        kind, which = waits[int(luck * len(waits))]
        if kind == "ask":
            del self.asks[which]
            more = len(self.machine.book.trials) < 12
            answer = Suggestion.run(self.values()) if more else Suggestion.exhausted()
            self.tell(Suggested(at=self.at, ask=which, suggestion=answer))
        elif kind == "slot":
            self.grant_one(which)
        elif kind == "tick":
            self.driven.at, self.wake = max(self.at, self.wake), math.inf
            self.tell(Ticked(at=self.at))
        else:
            how = "leave" if self.running.pop(which).told else "return"
            self.tell(LaunchEnded(at=self.at, ending=self.ending(which[0], which[1], how, 1.0)))

    def check_from_the_records_alone(self) -> None:
        records = [unpack(pack(record)) for record in self.driven.records]
        check_history(records, shared=True)  # a walk grants what was asked for, however much runs
        machine = Machine(type(self.driven.scheduler)(*self.recipe()), ())
        fold(machine, records)
        # The stoppers are others, and theirs is only the next deadline.
        assert portrait(machine) == portrait(self.machine)
        assert machine.consult.divergences == []
        views = [self.machine.book.view(trial) for trial in self.machine.book.trials.values()]
        assert [plainly(view) for view in retold(records).trials] == [plainly(view) for view in views]
        # Whoever takes over as the scheduler is led to the same place.
        assert fold(Machine(FIFO()), records).seq == len(records)

    def recipe(self) -> tuple[int, ...]:
        return () if type(self.driven.scheduler) is FIFO else (self.luck,)


TestWalk = Walk.TestCase
TestWalk.settings = settings(stateful_step_count=50)
