"""Every event as strict JSON, there and back."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctune import events
from asynctune.errors import WireError
from asynctune.events import Event, Happening
from asynctune.policies import Resources
from tests.space.test_messages import counts, failures, keys, metrics, parameters, text

finite = st.floats(allow_nan=False, allow_infinity=False)
# Names that mean something one level up, and text that elsewhere means a number.
values = st.dictionaries(st.sampled_from(["x", "score", "metrics"]), st.sampled_from(["nan", "inf", 1, 1.0, True, None]))
trial: dict[str, st.SearchStrategy[Any]] = {"trial": counts}
launch = {**trial, "launch": counts}

HAPPENINGS: dict[type, st.SearchStrategy[Any]] = {
    kind: st.builds(kind, **fields)
    for kind, fields in {
        events.Started: {**launch, "attempt": counts, "step": counts, "restore": st.none() | keys},
        events.Reported: {
            **launch,
            "step": counts,
            "metrics": metrics,
            "checkpoint": st.none() | keys,
            "judged": st.booleans(),
            "size": st.none() | counts,
        },
        events.Paused: {
            **trial,
            "by": st.sampled_from(["scheduler", "user", "loss"]),
            "reason": text,
            "launch": st.none() | counts,
            "failure": st.none() | failures,
        },
        events.Finished: {
            **launch,
            "score": finite,
            "metrics": st.none() | metrics,
            "executions": st.lists(metrics, max_size=2).map(tuple),
            "checkpoint": st.none() | keys,
        },
        events.Stopped: {**trial, "reason": text, "score": st.none() | finite},
        events.AttemptFailed: {**launch, "failure": failures},
        events.GaveUp: {**launch, "failure": failures},
        events.TrialAdded: {**trial, "values": values, "ask": st.none() | counts},
        events.SpaceGrew: {**trial, "parameters": parameters},
        events.ParametersUsed: {**trial, "values": values},
        events.Exploited: {**trial, "source": counts, "checkpoint": keys, "values": values},
        events.ExploitSkipped: {**trial, "source": counts},
        events.Reallocated: {**trial, "resources": st.builds(Resources, cpu=st.floats(1, 9), gpu=st.floats(0, 9))},
        events.ParkedGone: {**launch, "reason": text},
        events.CheckpointSaved: {**trial, "checkpoint": keys, "size": st.none() | counts},
        events.CheckpointDropped: {**trial, "checkpoint": keys},
        events.CheckpointGone: {**trial, "checkpoint": keys},
        events.SearchOpened: {"times": counts},
        events.SearchEnded: {"reason": text, "error": st.none() | text},
    }.items()
}


@pytest.mark.parametrize("kind", get_args(Happening), ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_there_and_back(kind: type, data: st.DataObject) -> None:
    happened = tuple(data.draw(st.lists(HAPPENINGS[kind], max_size=2)))
    event = Event(seq=data.draw(counts), at=data.draw(st.floats(0, 1e9)), cause=data.draw(text), happened=happened)
    line = json.dumps(event.to_dict(), allow_nan=False)
    back = Event.from_dict(json.loads(line))
    assert repr(back) == repr(event)  # what is not a number is not equal to itself
    assert json.dumps(back.to_dict()) == line


def test_what_it_looks_like() -> None:
    happened = events.Reported(trial=3, launch=1, step=2, metrics={"loss": float("nan"), "high": float("inf"), "x": 1.0})
    event = Event(seq=7, at=1.5, cause="Heard", happened=(happened,))
    assert event.to_dict() == {
        "seq": 7,
        "at": 1.5,
        "cause": "Heard",
        "happened": [
            {
                "type": "Reported",
                "trial": 3,
                "launch": 1,
                "step": 2,
                "metrics": {"loss": "nan", "high": "inf", "x": 1.0},
                "checkpoint": None,
                "judged": True,
            }
        ],
    }


RIGHT: dict[str, Any] = {"seq": 1, "at": 0.0, "cause": "Ticked", "happened": []}


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "nan",
        {},
        {**RIGHT, "more": 1},
        {**RIGHT, "at": "nan"},
        {**RIGHT, "happened": None},
        {**RIGHT, "happened": {}},
        {**RIGHT, "happened": ["SearchOpened"]},
        {**RIGHT, "happened": [{"times": 1}]},
        {**RIGHT, "happened": [{"type": "SearchOpened", "times": "1"}]},
        {**RIGHT, "happened": [{"type": "Stopped", "trial": 1, "reason": "", "score": "1"}]},
    ],
)
def test_what_is_no_event(data: Any) -> None:
    with pytest.raises(WireError):
        Event.from_dict(data)
