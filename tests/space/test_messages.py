"""Every message that crosses the pipe, there and back."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctune import messages
from asynctune.errors import WireError
from asynctune.failure import Failure, FailureKind
from asynctune.messages import Ending, Fill, FillRule, FromRunner, ToRunner, What
from asynctune.policies import Resources
from asynctune.records import CheckpointKey
from asynctune.wire import decode, encode, plain
from tests.space.strategies import domains, names, scalars

counts = st.integers(0, 2**62)
text = st.text(st.characters(codec="utf-8"), max_size=20)
keys = st.builds(CheckpointKey, counts, counts, counts)
metrics = st.dictionaries(text, st.floats(), max_size=4)
values = st.dictionaries(names, scalars, max_size=4)
parameters = st.dictionaries(names, domains, max_size=3)
positive = st.floats(0, exclude_min=True, allow_infinity=False)
failures = st.builds(
    Failure,
    kind=st.sampled_from(FailureKind),
    message=text,
    error_type=st.none() | text,
    traceback=st.none() | text,
    exit_code=st.none() | counts,
    signal=st.none() | counts,
    log=st.none() | text,
    retry=st.booleans(),
    fatal=st.booleans(),
)
who = {"trial": counts, "launch": counts}

MESSAGES: dict[type, st.SearchStrategy[Any]] = {
    kind: st.builds(kind, **who, **fields)
    for kind, fields in {
        messages.RunTrial: {
            "attempt": counts,
            "values": values,
            "space": parameters,
            "fill": st.builds(Fill, st.sampled_from(FillRule), counts),
            "seed": counts,
            "resources": st.builds(Resources, cpu=st.floats(0, 10_000, exclude_min=True), gpu=st.floats(0, 8)),
            "restore": st.none() | keys,
            "step": counts,
        },
        messages.Answer: {"step": counts, "what": st.sampled_from(What), "save": st.booleans(), "reason": st.none() | text},
        messages.Halt: {"reason": text},
        messages.ParametersDeclared: {"parameters": parameters, "values": values},
        messages.MetricsReported: {"step": counts, "metrics": metrics, "clock": st.floats(), "checkpoint": st.none() | keys},
        messages.TrialReturned: {
            "metrics": st.none() | metrics,
            "executions": st.lists(metrics, max_size=2).map(tuple),
            "step": st.none() | counts,
            "checkpoint": st.none() | keys,
        },
        messages.TrialRaised: {"failure": failures},
        messages.TrialLeft: {},
        messages.Died: {"exit_code": st.none() | counts, "signal": st.none() | counts, "log": st.none() | text, "tail": text},
        messages.Lost: {"reason": text},
    }.items()
}
UNIONS: list[Any] = [ToRunner, FromRunner, Ending]
each_message = pytest.mark.parametrize(
    ("kind", "union"),
    [(kind, union) for union in UNIONS for kind in get_args(union)],
    ids=lambda part: getattr(part, "__name__", ""),
)


@each_message
@given(data=st.data())
def test_there_and_back(kind: type, union: Any, data: st.DataObject) -> None:
    message = data.draw(MESSAGES[kind])
    back = decode(encode(message, union), union)

    assert type(back) is kind
    assert repr(back) == repr(message)  # NaN is equal to nothing, but is written like itself


@each_message
@given(data=st.data())
def test_each_names_its_trial_and_launch(kind: type, union: Any, data: st.DataObject) -> None:
    whole = plain(data.draw(MESSAGES[kind]), union)

    for damaged in (
        {key: value for key, value in whole.items() if key != "trial"},
        {key: value for key, value in whole.items() if key != "launch"},
        {**whole, "launch": float(whole["launch"])},
        {**whole, "trial": str(whole["trial"])},
        {**whole, "trial": True},
        {**whole, "another": None},
    ):
        with pytest.raises(WireError):
            decode(encode(damaged, dict), union)


@pytest.mark.parametrize("union", UNIONS)
@given(data=st.data())
def test_messages_of_another_direction_are_refused(union: Any, data: st.DataObject) -> None:
    foreign = data.draw(st.sampled_from([kind for kind in MESSAGES if kind not in get_args(union)]))
    other = next(other for other in UNIONS if foreign in get_args(other))
    message = encode(data.draw(MESSAGES[foreign]), other)

    with pytest.raises(WireError):
        decode(message, union)


@pytest.mark.parametrize(
    ("domain", "wrong"),
    [
        ({"type": "Int", "min_value": 5, "max_value": 1, "step": None, "sampling": "linear", "default": 5}, "max_value"),
        ({"type": "Int", "min_value": 1, "max_value": 5, "step": None, "sampling": "linear", "default": 9}, "default"),
        (
            {"type": "Float", "min_value": float("nan"), "max_value": 1, "step": None, "sampling": "linear", "default": 0},
            "min_value",
        ),
        ({"type": "Choice", "values": [], "ordered": False, "default": None}, "values"),
        ({"type": "Choice", "values": ["a", "a"], "ordered": False, "default": "a"}, "values"),
        ({"type": "Fixed", "value": float("inf")}, "value"),
    ],
)
def test_a_domain_that_cannot_be_is_refused_on_the_way(domain: dict[str, Any], wrong: str) -> None:
    message = {"type": "ParametersDeclared", "trial": 1, "launch": 1, "parameters": {"x": domain}, "values": {}}

    with pytest.raises(WireError, match=rf"SpaceError: {domain['type']}\({wrong}="):
        decode(encode(message, dict), FromRunner)
