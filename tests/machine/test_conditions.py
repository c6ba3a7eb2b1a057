"""Parameters that are there only under conditions: what is proposed, what is asked for, and how the space grows."""

from __future__ import annotations

from typing import Any

import pytest

from asynctune._machine.instructions import StopLaunch
from asynctune.errors import PluginError
from asynctune.events import ParametersUsed, SpaceGrew
from asynctune.records import State, Suggestion
from asynctune.space import Boolean, Case, Cases, Condition, Int, Parameter, Space
from tests.machine.driven import NO_LIMIT, Driven


def when(value: bool, domain: Any, parent: str = "deep") -> Cases:
    return Cases([Case((Condition(parent, [value]),), domain)])


SPACE: dict[str, Parameter] = {
    "deep": Boolean(),
    "units": Cases([*when(True, Int(1, 9)).cases, *when(False, Int(10, 99)).cases]),
    "bias": when(True, Boolean()),
}


@pytest.mark.parametrize("values", [{"deep": True, "units": 3, "bias": True}, {"deep": False, "units": 30}])
def test_what_is_there_must_be_proposed_and_no_more(values: dict[str, Any]) -> None:
    driven = Driven(space=SPACE)
    driven.start(**values)

    assert driven.view(0).values == values
    driven.returned(0, loss=1.0)
    assert driven.view(0).values == values


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"deep": False, "units": 30, "bias": True}, "'bias' has a value, and is not there with the others: it is Boolean()"),
        ({"deep": True, "units": 3}, "there is no value for 'bias', which the space declares"),
        (
            {"deep": True, "units": 30, "bias": True},
            "30 is not a value of 'units', Int(1 to 9) when 'deep' is True; Int(10 to 99)",
        ),
        ({"units": 3}, "there is no value for 'deep', which the space declares"),
    ],
)
def test_what_cannot_be_together_is_refused(values: dict[str, Any], text: str) -> None:
    driven = Driven(space=SPACE)
    driven.open()
    driven.grant()
    with pytest.raises(PluginError) as caught:
        driven.suggest(Suggestion.run(values))
    assert text in str(caught.value)


def test_a_trial_names_what_is_there_only_under_conditions() -> None:
    driven = Driven(space={}, slots=2)
    driven.open()
    driven.start_empty()
    driven.declare(0, {"deep": Boolean(), "units": when(True, Int(1, 9))}, deep=False)

    assert driven.happened() == (
        SpaceGrew(trial=0, parameters={"deep": Boolean(), "units": when(True, Int(1, 9))}),
        ParametersUsed(trial=0, values={"deep": False}),
    )
    # The same name in another branch is a further case, and the event says what is known then.
    driven.declare(0, {"units": when(False, Int(10, 99))}, units=20)
    assert driven.happened() == (
        SpaceGrew(trial=0, parameters={"units": SPACE["units"]}),
        ParametersUsed(trial=0, values={"units": 20}),
    )
    assert driven.machine.space == Space({"deep": Boolean(), "units": SPACE["units"]})
    # Known by now: nothing grows.
    driven.declare(0, {"units": when(False, Int(10, 99))}, deep=False, units=20)
    assert driven.happened() == (ParametersUsed(trial=0, values={"deep": False, "units": 20}),)


@pytest.mark.parametrize(
    ("parameters", "values", "text"),
    [
        (
            {},
            {"deep": False, "bias": True},
            "it asked for 'bias' and says that it got True, which is not a value of Boolean() when",
        ),
        ({}, {"deep": True, "units": 50}, "it asked for 'units' and says that it got 50, which is not a value of Int(1 to 9)"),
        (
            {"units": when(True, Int(1, 8))},
            {"deep": True},
            "'units' is Int(1 to 9) when 'deep' is True and was declared again as",
        ),
        ({"more": when(True, Int(1, 8), "nobody")}, {}, "parameter 'more' depends on 'nobody', which there is not"),
        ({"deep": when(True, Int(1, 2), "bias")}, {}, "parameter 'deep' is Boolean() and was declared again as"),
    ],
)
def test_what_a_trial_cannot_ask_for_fails_it(parameters: dict[str, Parameter], values: dict[str, Any], text: str) -> None:
    driven = Driven(failure=NO_LIMIT, space=SPACE)
    driven.start(deep=True, units=3, bias=True)
    (stop,) = driven.declare(0, parameters, **values)

    assert isinstance(stop, StopLaunch)
    assert text in stop.reason
    driven.left(0)
    assert driven.view(0).state is State.FAILED
    assert driven.machine.space == Space(SPACE)


def test_a_case_that_became_known_while_the_oracle_thought_may_be_missing() -> None:
    declared = {"deep": SPACE["deep"], "units": when(True, Int(1, 9))}
    driven = Driven(space=declared, slots=2)
    driven.start(deep=False)
    driven.grant()
    driven.declare(0, {"units": when(False, Int(10, 99))}, deep=False, units=20)
    driven.suggest(deep=False)

    assert driven.view(1).values == {"deep": False}
    assert driven.orders[1].space == {"deep": SPACE["deep"], "units": SPACE["units"]}


def test_where_names_are_the_trials_own_a_parent_may_be_left_open() -> None:
    driven = Driven(space={}, slots=2)
    driven.open()
    driven.start_empty()
    driven.declare(0, {"deep": Boolean(), "units": when(True, Int(1, 9))}, deep=False)
    driven.enqueue(units=4)

    assert driven.view(1).values == {"units": 4}
