"""What `Limits` takes, and what it refuses by name."""

from __future__ import annotations

import math
from typing import Any

import pytest

from asynctune.errors import CapabilityError, ConfigurationError
from asynctune.executors import InlineExecutor
from asynctune.executors.local import LocalExecutor
from asynctune.objective import Objective
from asynctune.policies import CheckpointPolicy, FailurePolicy, Limit, Limits
from asynctune.request import Request
from asynctune.wire import decode, encode


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ("4 GiB", 4 * 2**30),
        ("1.5GiB", 3 * 2**29),
        ("500 MB", 500_000_000),
        ("2048 kB", 2_048_000),
        ("2048 KiB", 2**21),
        ("2 TB", 2 * 10**12),
        ("4000000 B", 4_000_000),
        (2**40, 2**40),
        (None, None),
    ],
)
def test_sizes(given: Any, size: int | None) -> None:
    assert Limits(memory=given, log=given) == Limits(memory=size, log=size)


@pytest.mark.parametrize("name", ["memory", "log"])
@pytest.mark.parametrize(
    "given",
    [
        "4 GB ",
        "4 gib",
        "4",
        "GiB",
        "-4 GiB",
        "4 iB",
        "4 GiBs",
        "1e9 B",
        "٤ GiB",
        "",
        0,
        -1,
        100,
        4e9,
        True,
        math.nan,
        b"4 GiB",
        "9" * 400 + " GiB",
        "9223372036854775808 B",
        2**63,
    ],
)
def test_what_is_no_size_is_refused_by_name(name: str, given: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"Limits\({name}=\.\.\.\) takes a size of at least [\d,]+ bytes"):
        Limits(**{name: given})


@pytest.mark.parametrize("name", ["trial_time", "silence", "start_up"])
@pytest.mark.parametrize("given", [0, -1, math.nan, math.inf, True, "60", "60 s"])
def test_what_is_no_time_is_refused_by_name(name: str, given: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"Limits\({name}=\.\.\.\) takes a number above 0 or None"):
        Limits(**{name: given})


@pytest.mark.parametrize("given", [0, -1, 2.0, True, "8"])
def test_what_is_no_number_of_processes_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Limits\(processes=\.\.\.\) takes an integer of at least 1 or None"):
        Limits(processes=given)


def test_what_cannot_be_written_down_is_refused() -> None:
    most = r"at least \d and at most 9,223,372,036,854,775,807"
    kinds: list[tuple[Any, str]] = [(Limits, "processes"), (FailurePolicy, "max_retries_per_trial"), (CheckpointPolicy, "keep")]
    for kind, name in kinds:
        with pytest.raises(ConfigurationError, match=rf"{name}=\.\.\.\) takes an integer of {most}"):
            kind(**{name: 2**63})


@pytest.mark.parametrize("name", ["silence", "start_up"])
def test_a_limit_that_another_one_forestalls_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"Limits\({name}=61\) can never be reached: trial_time=60 ends a trial"):
        Limits(trial_time=60, **{name: 61})
    Limits(trial_time=60, **{name: 60})


def test_they_are_written_down_and_read() -> None:
    limits = Limits(trial_time=60, silence=1.5, start_up=3, memory="4 GiB", processes=8, log=None, grace=0)
    assert decode(encode(limits, Limits), Limits) == limits
    assert limits.watched == tuple(Limit)
    assert Limits().watched == ()


def request_with(limits: Limits) -> Request:
    # What `search()` hands on when it is given nothing else.
    nothing = dict.fromkeys(("oracle", "scheduler", "stop", "data", "storage", "seed", "warm_start"))
    policies = {"failure": None, "limits": limits, "checkpoints": None, "parking": None, "resources": None}
    plain: dict[str, Any] = {"objective": Objective("loss", "min"), "max_trials": 1, "resume": "auto", "overwrite": False}
    plain |= {"try_first": (), "new_entries": "tune"}
    return Request.checked(trainable, None, observers=(), display=False, policies=policies, **plain, **nothing)


async def trainable(trial: Any) -> float:
    return 1.0


@pytest.mark.parametrize("name", ["trial_time", "silence", "start_up", "memory", "processes", "log"])
def test_an_executor_that_does_not_keep_a_limit_is_refused_by_name(name: str) -> None:
    asked = request_with(Limits(**{name: 2**25}))
    asked.check_executor(LocalExecutor(1))
    with pytest.raises(CapabilityError, match=rf"Limits\({name}=\.\.\.\) needs an executor that watches over trials"):
        asked.check_executor(InlineExecutor(1))


def test_what_everybody_is_given_is_asked_of_nobody() -> None:
    request_with(Limits(grace=1)).check_executor(InlineExecutor(1))
