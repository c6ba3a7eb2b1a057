"""What is written down is read again as it was: every stimulus, every event, every answer."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
from attrs import evolve

from asynctune._engine.record import FIRST_CHAIN, Record, chain, event_of, pack, unpack
from asynctune._machine.consult import Chosen, EndTrial, EndWhole, Explored, Judged, LogEnd, PluginAnswer
from asynctune._machine.stimuli import (
    Closed,
    Enqueued,
    ExecutorFailed,
    Heard,
    LaunchEnded,
    LimitBroken,
    Opened,
    OracleFailed,
    PauseAsked,
    ResumeAsked,
    Settings,
    SlotGranted,
    Stimulus,
    StopAsked,
    StopTrialAsked,
    Suggested,
    Ticked,
    Weighed,
    WorkersSet,
)
from asynctune.errors import WireError
from asynctune.events import (
    AttemptFailed,
    CheckpointDropped,
    CheckpointGone,
    CheckpointSaved,
    Event,
    Exploited,
    ExploitSkipped,
    Finished,
    GaveUp,
    Happening,
    ParametersUsed,
    ParkedGone,
    Paused,
    Reallocated,
    Reported,
    SearchEnded,
    SearchOpened,
    SpaceGrew,
    Started,
    Stopped,
    TrialAdded,
)
from asynctune.failure import Failure, FailureKind
from asynctune.messages import (
    Breach,
    Died,
    Ending,
    FillRule,
    Lost,
    MetricsReported,
    ParametersDeclared,
    TrialLeft,
    TrialRaised,
    TrialReturned,
    Weight,
)
from asynctune.objective import Objective
from asynctune.policies import CheckpointPolicy, FailurePolicy, Limit, Limits, Parking, Resources
from asynctune.records import CheckpointKey, Exploit, Pause, Reallocate, Stop, Suggestion
from asynctune.space import Boolean, Case, Cases, Choice, Condition, Fixed, Float, Int, Normal, Parameter
from tests.journal.written import records_of

KEY = CheckpointKey(3, 10, 2)
FAILURE = Failure(
    kind=FailureKind.RAISED,
    message="ValueError: no\n",
    error_type="ValueError",
    bases=("Exception", "BaseException"),
    traceback="Traceback …",
    exit_code=3,
    signal=9,
    log="logs/3-2.log",
    tail="epoch 1\n…",
    retry=False,
    fatal=True,
)
SPACE: dict[str, Parameter] = {
    "n": Int(1, 9, step=2),
    "rate": Float(1e-8, 1, sampling="log", default=0.1),
    "kind": Choice(["a", 1, 1.0, True, None], default=True),
    "deep/on": Boolean(True),
    "always": Fixed(None),
    "noise": Normal(0, 1, step=0.5),
    "batch": Int(16, 256, sampling="log", quantum=16),
    "turn": Choice(["x", "y"], grid=True),
    "units": Cases(
        [
            Case((Condition("deep/on", [True]), Condition("kind", ["a", 1, None])), Int(1, 9)),
            Case((Condition("deep/on", [False]),), Float(0, 1)),
        ]
    ),
}
SETTINGS = Settings(
    objective=Objective("val_loss", "min", over="best"),
    seed=2**63 - 1,
    space=SPACE,
    derived={"total": "job.total"},
    forbidden=({"kind": ("a", 1, True), "rate": (0.1,)}, {"deep/on": (False,)}),
    feasible=("job.fits",),
    max_trials=None,
    failure=FailurePolicy(
        max_retries_per_trial=2,
        max_consecutive_failed_trials=0.25,
        delay=1.5,
        factor=3.0,
        max_delay=60.0,
        jitter=0.0,
        retry_from="start",
        rules={OSError: "retry", "job.NoData": "end", FailureKind.TIMED_OUT: "fail"},
        non_finite="worst",
    ),
    limits=Limits(trial_time=600.0, silence=60.0, memory="4 GiB", processes=8, log=None, grace=0.5),
    checkpoints=CheckpointPolicy(keep=None),
    resources=Resources(cpu=0.5, gpu=1.0),
    slots=4,
    ahead=64,
    fill=FillRule.DRAW,
    hears_reports=True,
    oracle='GridSearch({"points": 10})',
    scheduler="FIFO({})",
    logs=True,
    parks=True,
    parking=Parking(max_trials=None, max_memory="1 GiB"),
)
METRICS = {"loss": math.nan, "acc": math.inf, "low": -math.inf, "π": 5e-324, "whole": 3.0}
WHO: dict[str, Any] = {"trial": 3, "launch": 2}
STIMULI: list[Stimulus] = [
    Opened(at=0.0, wall=1.7e9, version="0.1.0", settings=SETTINGS),
    Opened(at=0.0, wall=1.7e9, version="0.1.0", settings=SETTINGS, gone=(KEY, KEY)),
    Suggested(at=0.1, ask=1, suggestion=Suggestion.run({"n": 1, "rate": 0.5, "kind": None, "deep/on": True, "always": "x"})),
    Suggested(at=0.1, ask=2, suggestion=Suggestion.idle(), state={"seen": [1, 2.5, None, {"deep": "yes"}], "": True}),
    OracleFailed(at=0.2, message="it raised"),
    SlotGranted(at=1e300),
    Heard(at=1.0, message=ParametersDeclared(**WHO, parameters=SPACE, values={"n": 3, "kind": 1.0})),
    Heard(at=1.0, message=MetricsReported(**WHO, step=10, metrics=METRICS, clock=12.5, checkpoint=KEY)),
    LimitBroken(at=1.5, breach=Breach(**WHO, limit=Limit.MEMORY, amount=5e9)),
    Weighed(at=1.5, weight=Weight(**WHO, memory=5_000_000_000)),
    LaunchEnded(at=2.0, ending=TrialReturned(**WHO, metrics=METRICS, executions=(METRICS, {}), step=4, checkpoint=KEY)),
    LaunchEnded(at=2.0, ending=TrialRaised(**WHO, failure=FAILURE)),
    LaunchEnded(at=2.0, ending=TrialLeft(**WHO)),
    LaunchEnded(at=2.0, ending=Died(**WHO, signal=9, log="logs/3-2.log", tail="no\x00memory", out_of_memory=True)),
    LaunchEnded(at=2.0, ending=TrialLeft(**WHO, infeasible="too large")),
    LaunchEnded(at=2.0, ending=Lost(**WHO, reason="the zygote died")),
    ExecutorFailed(at=3.0, message="no fork"),
    Ticked(at=4.0),
    StopTrialAsked(at=5.0, trial=3, reason="enough"),
    StopAsked(at=5.0, reason=""),
    PauseAsked(at=5.0),
    ResumeAsked(at=5.0),
    Enqueued(at=5.0, values={"n": 1}),
    WorkersSet(at=5.0, slots=8),
    Closed(at=6.0, reason="left"),
]
HAPPENINGS: list[Happening] = [
    Started(trial=3, launch=2, attempt=1, step=10, restore=KEY),
    Reported(trial=3, launch=2, step=11, metrics=METRICS, checkpoint=KEY, judged=False),
    Started(trial=3, launch=2, attempt=1, step=10, parked=True),
    Paused(trial=3, by="user", reason="r"),
    Paused(trial=3, by="scheduler", reason="r", parked=True),
    Paused(trial=3, by="loss", reason="the zygote died", launch=2, failure=FAILURE),
    Finished(trial=3, launch=2, score=0.5, metrics=METRICS, executions=(METRICS,), checkpoint=KEY),
    Finished(trial=3, launch=2, score=None),
    Stopped(trial=3, reason="enough", score=None),
    Stopped(trial=3, reason="infeasible: too large", infeasible=True),
    AttemptFailed(trial=3, launch=2, failure=FAILURE),
    AttemptFailed(trial=3, launch=2, failure=FAILURE, due=0.1, restart=True),
    GaveUp(trial=3, launch=2, failure=FAILURE),
    TrialAdded(trial=3, values={"n": 1}, ask=None),
    SpaceGrew(trial=3, parameters=SPACE),
    ParametersUsed(trial=3, values={"n": 1, "kind": None}),
    Exploited(trial=3, source=1, checkpoint=CheckpointKey(1, 2, 1), values={"n": 1, "kind": None}),
    ExploitSkipped(trial=3, source=1),
    Reallocated(trial=3, resources=Resources(cpu=2.5, gpu=1.0)),
    CheckpointGone(trial=3, checkpoint=KEY),
    CheckpointDropped(trial=3, checkpoint=KEY),
    CheckpointSaved(trial=3, checkpoint=KEY, size=4096),
    ParkedGone(trial=3, launch=2, reason="r"),
    SearchOpened(times=2),
    SearchEnded(reason="why", error="SearchError"),
    SearchEnded(reason="why", error="TooManyFailuresError", failures={"ValueError": 2, "timed out": 1}),
]
ANSWERS: list[PluginAnswer] = [
    Judged("on_trial_result", 3, {3: Stop("r"), 4: Pause(), 5: Exploit(4), 6: Reallocate(Resources(cpu=2.0, gpu=0.0))}),
    Chosen(1, 3, new=False),
    Chosen(2, None, new=True),
    Explored(3, {"n": 1, "kind": None}),
    EndTrial(3, "r"),
    EndWhole("r"),
    LogEnd(3, "epoch 1\nepoch 2"),
]


def name_of(value: object) -> str:
    inner = getattr(value, "message", None) or getattr(value, "ending", None)
    return type(value).__name__ + (f"-{type(inner).__name__}" if inner is not None else "")


def test_everything_that_can_be_recorded_is_here() -> None:
    assert {type(stimulus) for stimulus in STIMULI} == set(get_args(Stimulus))
    assert {type(happening) for happening in HAPPENINGS} == set(get_args(Happening))
    assert {type(answer) for answer in ANSWERS} == set(get_args(PluginAnswer))
    assert {type(s.ending) for s in STIMULI if isinstance(s, LaunchEnded)} == set(get_args(Ending))
    assert {type(s.message) for s in STIMULI if isinstance(s, Heard)} == {ParametersDeclared, MetricsReported}


@pytest.mark.parametrize("stimulus", STIMULI, ids=name_of)
def test_a_stimulus_is_read_as_it_was(stimulus: Stimulus) -> None:
    _check(Record(seq=1, stimulus=stimulus, happened=()))


@pytest.mark.parametrize("happening", HAPPENINGS, ids=name_of)
def test_an_event_is_read_as_it_was(happening: Happening) -> None:
    _check(Record(seq=2**62, stimulus=Ticked(at=0.0), happened=(happening, happening)))


@pytest.mark.parametrize("limit", [None, 1, 0.5])
def test_a_limit_of_failures_is_read_as_it_was(limit: float | None) -> None:
    settings = evolve(SETTINGS, failure=FailurePolicy(max_consecutive_failed_trials=limit))
    _check(Record(seq=1, stimulus=Opened(at=0.0, wall=1.7e9, version="0.1.0", settings=settings), happened=()))


@pytest.mark.parametrize("answer", ANSWERS, ids=name_of)
def test_an_answer_is_read_as_it_was(answer: PluginAnswer) -> None:
    _check(Record(seq=1, stimulus=Ticked(at=0.0), happened=(), answers=(answer,)))


def _check(record: Record) -> None:
    again = unpack(pack(record))
    # As text, for NaN is not equal to itself; and that of types that differ in nothing else.
    assert repr(again) == repr(record)
    assert pack(again) == pack(record)


@pytest.mark.parametrize("seed", range(5))
def test_a_whole_search_is_read_as_it_was(seed: int) -> None:
    for record in records_of(seed):
        again = unpack(pack(record))
        assert (again.seq, again.stimulus.at) == (record.seq, record.stimulus.at)
        _check(again)  # where an int stood for a float, it is one now


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00",
        pack(Record(seq=1, stimulus=Ticked(at=0.0), happened=()))[:-1],
        pack(Record(seq=1, stimulus=Ticked(at=0.0), happened=())) + b"\x00",
        pack(Record(seq=1, stimulus=Ticked(at=0.0), happened=())).replace(b"Ticked", b"Tocked"),
        pack(Record(seq=1, stimulus=Ticked(at=0.0), happened=())).replace(b"seq", b"sec"),
    ],
)
@pytest.mark.fault(36)
def test_what_is_no_record_is_said_to_be_none(payload: bytes) -> None:
    with pytest.raises(WireError):
        unpack(payload)


def test_what_could_not_be_read_again_is_not_written() -> None:
    stimulus = Suggested(at=0.0, ask=1, suggestion=Suggestion.idle(), state={"set": {1, 2}})
    with pytest.raises(WireError, match="cannot be written down"):
        pack(Record(seq=1, stimulus=stimulus, happened=()))


def test_the_chain_depends_on_every_byte_and_on_the_order() -> None:
    one, other = chain(chain(FIRST_CHAIN, b"ab"), b"c"), chain(chain(FIRST_CHAIN, b"a"), b"bc")
    assert len({one, other, chain(chain(FIRST_CHAIN, b"c"), b"ab"), chain(FIRST_CHAIN, b"abc")}) == 4
    assert len(one) == len(FIRST_CHAIN)


def test_an_event_is_the_public_view_of_a_record() -> None:
    record = Record(seq=7, stimulus=Ticked(at=2.5), happened=(SearchOpened(times=1),), answers=(EndWhole("r"),))
    assert event_of(record) == Event(seq=7, at=2.5, cause="Ticked", happened=(SearchOpened(times=1),))
    assert event_of(evolve(record, answers=())) == event_of(record)
