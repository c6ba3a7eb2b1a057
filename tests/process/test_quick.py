"""What is packed and read by hand is what the converter packs and reads."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctune._runner.orders import End, FromSearch, RunnerEnded, Signal, StartRunner, ToSearch
from asynctune._runner.quick import pack, pack_ended, unpack, unpack_order
from asynctune.errors import WireError
from asynctune.failure import Failure, FailureKind
from asynctune.messages import (
    Answer,
    Fill,
    FillRule,
    FromRunner,
    Halt,
    MetricsReported,
    ParametersDeclared,
    RunTrial,
    ToRunner,
    TrialLeft,
    TrialRaised,
    TrialReturned,
    What,
)
from asynctune.policies import Resources
from asynctune.records import CheckpointKey
from asynctune.space.domains import Boolean, Choice, Domain, Fixed, Float, Int
from asynctune.wire import decode, encode

numbers = st.integers(0, 2**63 - 1)
texts = st.text(max_size=20)
keys = st.builds(CheckpointKey, numbers, numbers, numbers)
metrics = st.dictionaries(texts, st.floats(), max_size=5)
values = st.dictionaries(texts, st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | texts, max_size=5)
domains = st.sampled_from([Int(1, 9), Float(0.1, 0.9, sampling="log"), Choice(["a", 1, None]), Boolean(), Fixed("x")])
spaces = st.dictionaries(texts, domains, max_size=5)
failures = st.builds(Failure, kind=st.sampled_from(FailureKind), message=texts, exit_code=st.none() | numbers)
who = {"trial": numbers, "launch": numbers}

from_runner = st.one_of(
    st.builds(MetricsReported, **who, step=numbers, metrics=metrics, clock=st.floats(), checkpoint=st.none() | keys),
    st.builds(
        TrialReturned,
        **who,
        metrics=st.none() | metrics,
        executions=st.lists(metrics, max_size=3),
        step=st.none() | numbers,
        checkpoint=st.none() | keys,
    ),
    st.builds(ParametersDeclared, **who, parameters=spaces, values=values),
    st.builds(TrialRaised, **who, failure=failures),
    st.builds(TrialLeft, **who),
)
orders = st.builds(
    RunTrial,
    **who,
    attempt=numbers,
    values=values,
    space=spaces,
    fill=st.builds(Fill, st.sampled_from(FillRule), numbers),
    seed=numbers,
    resources=st.builds(Resources, cpu=st.sampled_from([1, 2.0, 0.5]), gpu=st.sampled_from([0, 1.0])),
    restore=st.none() | keys,
    step=numbers,
)
to_runner = st.one_of(
    orders,
    st.builds(Answer, **who, step=numbers, what=st.sampled_from(What), save=st.booleans(), reason=st.none() | texts),
    st.builds(Halt, **who, reason=texts),
)
to_search = st.one_of(
    st.builds(StartRunner, runner=numbers, gpus=st.none() | texts, order=st.none() | orders),
    st.builds(Signal, runner=numbers, signum=st.integers(1, 64)),
    st.builds(End, runner=numbers, grace=st.floats(0, 1e6)),
)


@given(from_runner)
def test_packed(message: Any) -> None:
    assert pack(message) == encode(message, FromRunner)


# NaN is equal to nothing: two messages are the same if they are packed the same.


@given(to_runner)
def test_read(message: Any) -> None:
    body = encode(message, ToRunner)

    assert encode(unpack(body), ToRunner) == body
    assert type(unpack(body)) is type(decode(body, ToRunner))


@given(to_search)
def test_orders_read(message: Any) -> None:
    body = encode(message, ToSearch)

    assert encode(unpack_order(body), ToSearch) == body


@given(numbers, st.none() | numbers, st.none() | numbers, st.booleans())
def test_ends_packed(runner: int, exit_code: int | None, signum: int | None, starved: bool) -> None:
    message = RunnerEnded(runner=runner, exit_code=exit_code, signal=signum, out_of_memory=starved)

    assert pack_ended(runner, exit_code, signum, starved) == encode(message, FromSearch)


def test_a_space_is_read_when_it_is_looked_at() -> None:
    space: dict[str, Domain] = {"i": Int(1, 9), "c": Choice(["a", "b"])}
    order = RunTrial(
        trial=1, launch=1, attempt=1, values={}, space=space, fill=Fill(FillRule.DRAW, 1), seed=1, resources=Resources()
    )
    read = unpack(encode(order, ToRunner))

    assert isinstance(read, RunTrial)
    assert read == order
    assert list(read.space) == ["i", "c"]
    assert len(read.space) == 2
    assert read.space["i"] == Int(1, 9)
    assert "Choice" in repr(read.space)


@pytest.mark.parametrize(
    "message",
    [
        MetricsReported(trial=0, launch=1, step=2**70, metrics={"a": 1.0}, clock=0.0),
        MetricsReported(trial=0, launch=1, step=1, metrics={"a": object()}, clock=0.0),  # type: ignore[dict-item]
        TrialReturned(trial=0, launch=1, metrics={"\ud800": math.nan}),
    ],
)
def test_what_cannot_be_packed_is_one_error(message: Any) -> None:
    with pytest.raises(WireError):
        pack(message)


@pytest.mark.parametrize("terms", [{}, {"parent": 0}, {"budget": 9}, {"parent": 3, "budget": 1}])
def test_what_few_orders_have_is_sent_where_it_says_something(terms: dict[str, Any]) -> None:
    order = RunTrial(
        trial=4, launch=1, attempt=1, values={}, space={}, fill=Fill(FillRule.DRAW, 1), seed=1, resources=Resources(), **terms
    )
    body = encode(order, ToRunner)
    assert unpack(body) == order == decode(body, ToRunner)
    assert {name for name in ("parent", "budget") if name.encode() in body} == terms.keys()
