"""ASHA in its stopping form: rungs, verdicts in a row, and the bugs of others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctune.errors import ConfigurationError
from asynctune.objective import Objective
from asynctune.records import CONTINUE, Stop, TrialId
from asynctune.schedulers import ASHA
from asynctune.testing import SchedulerRehearsal

C, S = "C", "STOP"


def rehearse(scheduler: ASHA, direction: Literal["min", "max"] = "max") -> SchedulerRehearsal:
    return SchedulerRehearsal(scheduler, Objective("score", direction))


def verdicts(rehearsal: SchedulerRehearsal, step: int, values: Iterable[float]) -> list[str]:
    """One new trial for each value, which it reports at this step."""
    answers = [rehearsal.report(rehearsal.add(), step, value) for value in values]
    return [S if isinstance(answer, Stop) else C for answer in answers]


def curve(rehearsal: SchedulerRehearsal, values: Iterable[float]) -> TrialId:
    """A trial that reports these values from step 1 on, without being stopped."""
    trial = rehearsal.add()
    assert [rehearsal.report(trial, step, value) for step, value in enumerate(values, 1)] == [CONTINUE] * rehearsal.trials[
        trial
    ].step
    return trial


# --------------------------------------------------------------------------------------------------------------- rungs


@pytest.mark.parametrize(
    ("settings", "rungs"),
    [
        ({"max_steps": 27}, (1, 3, 9)),
        ({"max_steps": 28}, (1, 3, 9, 27)),
        ({"max_steps": 27, "stop_last": False}, (1, 3, 9, 27)),
        ({"max_steps": 100, "factor": 4}, (1, 4, 16, 64)),
        # In floats, the logarithm of 1000 to the base 10 is a little less than 3.
        ({"max_steps": 1000, "factor": 10}, (1, 10, 100)),
        ({"max_steps": 1000, "factor": 10, "stop_last": False}, (1, 10, 100, 1000)),
        ({"max_steps": 243, "grace": 3, "stop_last": False}, (3, 9, 27, 81, 243)),
        ({"max_steps": 5**30, "factor": 5, "stop_last": False}, tuple(5**power for power in range(31))),
        ({"max_steps": 10, "grace": 4, "factor": 2}, (4, 8)),
        ({"max_steps": 1}, ()),
        ({"max_steps": 7, "grace": 7}, ()),
        ({"max_steps": 7, "grace": 7, "stop_last": False}, (7,)),
    ],
)
def test_rungs(settings: dict[str, Any], rungs: tuple[int, ...]) -> None:
    assert ASHA(**settings).rungs == rungs


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_steps": 2, "grace": 3}, r"ASHA\(max_steps=2\) is below grace=3: trials would end before the first rung"),
        ({"max_steps": 9, "factor": 1}, r"ASHA\(factor=\.\.\.\) takes an integer of at least 2, not 1"),
        ({"max_steps": 9, "factor": 2.5}, r"factor=.* not 2\.5"),
        ({"max_steps": 9, "factor": True}, r"factor=.* not True"),
        ({"max_steps": 0}, r"max_steps=.* of at least 1, not 0"),
        ({"max_steps": 27.0}, r"max_steps=.* not 27\.0"),
        ({"max_steps": True}, r"max_steps=.* not True"),
        ({"max_steps": None}, r"max_steps=.* not None"),
        ({"max_steps": 9, "grace": 0}, r"grace=.* of at least 1, not 0"),
        ({"max_steps": 9, "grace": "1"}, r"grace=.* not '1'"),
        ({"max_steps": 9, "stop_last": 1}, r"stop_last=\.\.\.\) takes True or False, not 1"),
        ({"max_steps": 9, "stop_last": None}, r"stop_last=.* not None"),
        ({"max_steps": 9, "form": "async"}, r"ASHA\(form=\.\.\.\) takes 'stopping' or 'promotion', not 'async'"),
        ({"max_steps": 9, "brackets": 0}, r"brackets=.* of at least 1, not 0"),
        ({"max_steps": 9, "brackets": 3}, r"ASHA\(brackets=3\).* there are only 2 rungs below max_steps=9"),
        ({"max_steps": 9, "grace": 9, "brackets": 2}, r"ASHA\(brackets=2\).* there are only 0 rungs"),
    ],
)
def test_what_makes_no_schedule_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        ASHA(**settings)


def test_it_takes_keywords_only() -> None:
    with pytest.raises(TypeError):
        ASHA(27)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_steps": 27}, ("rungs 1, 3, 9;", "about 1/3 ", "stopped at step 27", "about 3 of 27 steps", "at worst")),
        ({"max_steps": 16, "grace": 4, "factor": 4}, ("rung 4;", "about 1/4 ", "about 7 of 16 steps")),
        ({"max_steps": 9, "stop_last": False}, ("rungs 1, 3, 9;", "left alone after step 9")),
        ({"max_steps": 5, "grace": 5}, ("no rung below max_steps", "stopped at step 5")),
    ],
)
def test_the_plan_says_the_rungs_and_the_cost(settings: dict[str, Any], said: Sequence[str]) -> None:
    plan = ASHA(**settings).plan()
    assert [words for words in said if words not in plan] == []


def test_settings() -> None:
    settings = {"max_steps": 27, "grace": 1, "factor": 3, "form": "stopping", "brackets": 1, "stop_last": True}
    assert ASHA(max_steps=27).settings() == settings
    said = "ASHA(max_steps=27, grace=1, factor=3, form='stopping', brackets=1, stop_last=True)"
    assert repr(ASHA(max_steps=27)) == said


# ------------------------------------------------------------------------------------------------------------ verdicts


def test_the_row_of_verdicts_that_is_known() -> None:
    rehearsal = rehearse(ASHA(max_steps=4, factor=4))
    row = (1, 2, 3, 4, 5, 0, 4.5, 3.2)
    assert verdicts(rehearsal, 1, row) == [C, C, C, C, C, S, C, S]
    reasons = [view.stop_reason for view in rehearsal.trials.values() if view.stop_reason]
    assert reasons == [
        "ASHA: 0 at step 1 is not among the best 1/4 of rung 1 (cutoff 4, 5 trials)",
        "ASHA: 3.2 at step 1 is not among the best 1/4 of rung 1 (cutoff 4.25, 7 trials)",
    ]


def test_the_same_row_upside_down() -> None:
    rehearsal = rehearse(ASHA(max_steps=4, factor=4), "min")
    assert verdicts(rehearsal, 1, (-1, -2, -3, -4, -5, 0, -4.5, -3.2)) == [C, C, C, C, C, S, C, S]
    assert (
        rehearsal.trials[7].stop_reason == "ASHA: -3.2 at step 1 is not among the best 1/4 of rung 1 (cutoff -4.25, 7 trials)"
    )


def test_equals_go_on() -> None:
    rehearsal = rehearse(ASHA(max_steps=9))
    assert verdicts(rehearsal, 1, [0.1] * 20) == [C] * 20
    assert verdicts(rehearsal, 1, [0.1 - 1e-12, 0.1]) == [S, C]


def test_a_trial_is_judged_only_at_rungs() -> None:
    rehearsal = rehearse(ASHA(max_steps=27, grace=3))
    curve(rehearsal, [9.0] * 26)
    trial = rehearsal.add()
    told = [rehearsal.report(trial, step, 1.0) for step in (1, 2)]
    assert told == [CONTINUE, CONTINUE]
    assert isinstance(rehearsal.report(trial, 3, 1.0), Stop)


def test_between_rungs_nothing_can_happen_to_it() -> None:
    rehearsal = rehearse(ASHA(max_steps=27))
    curve(rehearsal, [5.0] * 26)
    trial = rehearsal.add()
    assert rehearsal.report(trial, 3, 5.0) == CONTINUE
    assert [rehearsal.report(trial, step, -99.0) for step in range(4, 9)] == [CONTINUE] * 5
    assert isinstance(rehearsal.report(trial, 9, -99.0), Stop)


@pytest.mark.parametrize("value", [1.0, math.nan, -math.inf])
def test_max_steps_ends_the_best_of_them(value: float) -> None:
    rehearsal = rehearse(ASHA(max_steps=9))
    trial = curve(rehearsal, range(1, 9))
    assert rehearsal.report(trial, 9, value) == Stop("ASHA: max_steps=9 reached")


def test_max_steps_may_be_jumped_over() -> None:
    rehearsal = rehearse(ASHA(max_steps=9))
    assert rehearsal.report(rehearsal.add(), 1000, 1.0) == Stop("ASHA: max_steps=9 reached")


def test_without_stop_last_a_trial_goes_on() -> None:
    rehearsal = rehearse(ASHA(max_steps=3, factor=2, stop_last=False))
    trials = [rehearsal.add() for _ in range(4)]
    first = [rehearsal.report(trial, 1, value) for trial, value in zip(trials, (10, 8, 6, 4), strict=True)]
    assert [isinstance(verdict, Stop) for verdict in first] == [False, True, True, True]
    assert [rehearsal.report(trials[0], step, 1.0) for step in range(2, 15)] == [CONTINUE] * 13


# ------------------------------------------------------------------------------------------------------ skipped rungs


def test_a_trial_that_skips_a_rung_does_not_fall_through_to_it() -> None:
    rehearsal = rehearse(ASHA(max_steps=27))
    late = rehearsal.add()
    assert rehearsal.report(late, 4, 50.0) == CONTINUE
    assert rehearsal.report(late, 5, 99.0) == CONTINUE
    # Had it been recorded at rung 1, with what it had at step 5, this one would be behind it.
    assert verdicts(rehearsal, 1, [1.0]) == [C]
    # And it was recorded at rung 3, with what it had when it came there.
    assert verdicts(rehearsal, 3, [50.0, 49.0]) == [C, S]


def test_a_trial_that_skips_rungs_is_compared_at_the_highest() -> None:
    rehearsal = rehearse(ASHA(max_steps=27))
    curve(rehearsal, [90.0, 90.0, 90.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0])
    late = rehearsal.add()
    assert rehearsal.report(late, 10, 5.0) == CONTINUE
    assert rehearsal.report(rehearsal.add(), 10, 3.0) == Stop(
        "ASHA: 3 at step 10 is not among the best 1/3 of rung 9 (cutoff 4.667, 2 trials)"
    )


# ------------------------------------------------------------------------------------------------------- not a number


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("direction", ["min", "max"])
@pytest.mark.fault(17)
def test_what_is_not_finite_never_passes_a_rung(value: float, direction: Literal["min", "max"]) -> None:
    rehearsal = rehearse(ASHA(max_steps=9), direction)
    assert verdicts(rehearsal, 1, [value, value]) == [S, S]
    assert rehearsal.trials[0].stop_reason == f"ASHA: {value} at step 1 is no finite score, which passes no rung"
    # Those who diverged are behind everyone, and lift nobody.
    assert verdicts(rehearsal, 1, [1.0, 1.0, value]) == [C, C, S]


def test_what_is_not_finite_is_no_help_to_others() -> None:
    rehearsal = rehearse(ASHA(max_steps=9), "min")
    assert verdicts(rehearsal, 1, [0.5, math.nan, 0.6]) == [C, S, S]


def test_before_the_first_rung_it_is_forgiven() -> None:
    rehearsal = rehearse(ASHA(max_steps=9, grace=3))
    trial = rehearsal.add()
    assert [rehearsal.report(trial, step, value) for step, value in ((1, math.nan), (2, -math.inf), (3, 1.0))] == [CONTINUE] * 3


def test_a_curve_that_explodes_is_stopped() -> None:
    rehearsal = rehearse(ASHA(max_steps=27), "min")
    assert verdicts(rehearsal, 1, [0.7, 0.5, 0.6, 1e18, 1.7e308]) == [C, C, S, S, S]


def young(rung: Sequence[float], direction: Literal["min", "max"] = "min") -> SchedulerRehearsal:
    """Trials that all came to rung 1 of 1, 3 and 9 with these, the best of them last; nobody has come farther."""
    rehearsal = rehearse(ASHA(max_steps=27, factor=3), direction)
    for value in rung:
        rehearsal.report(rehearsal.add(), 1, value)
    return rehearsal


@pytest.mark.parametrize("direction", ["min", "max"])
def test_a_curve_that_explodes_is_stopped_though_it_is_the_first_to_arrive(direction: Literal["min", "max"]) -> None:
    worse = 1.0 if direction == "min" else -1.0
    rehearsal = young([2.0 - worse * 0.3, 2.0 - worse * 0.4, 2.0 - worse * 0.5], direction)
    assert isinstance(rehearsal.report(2, 3, worse * 1e18), Stop)
    assert "beyond all measure of rung 1" in str(rehearsal.trials[2].stop_reason)
    # Far worse than before, but no explosion; as the first there it goes on, as it ever did.
    assert rehearsal.report(0, 3, worse * 1000.0) == CONTINUE


def test_what_has_diverged_itself_at_the_rung_before_is_no_measure() -> None:
    rehearsal = young([1e18, 1e18, 0.7, 0.6, 0.5])
    assert isinstance(rehearsal.report(0, 3, 1e18), Stop)
    assert isinstance(rehearsal.report(1, 9, 1e17), Stop)  # nobody is at rung 3 but the one that was stopped


def test_where_half_have_diverged_nobody_can_tell() -> None:
    rehearsal = young([1e18, 1e18, 0.5])
    assert isinstance(rehearsal.report(0, 3, 1e18), CONTINUE.__class__)


@pytest.mark.parametrize("rung", [[1.0, 1.0], [0.0, 0.0, 0.0], []])
def test_where_nothing_is_usual_the_first_to_arrive_goes_on(rung: Sequence[float]) -> None:
    rehearsal = young(rung)
    trial = rehearsal.add() if not rung else 0
    assert rehearsal.report(trial, 3, 1e18) == CONTINUE


def test_a_rung_that_enough_have_come_to_is_its_own_measure() -> None:
    rehearsal = young([1e-9, 1e-9, 1e-9])
    for trial, value in ((0, 9.0), (1, 3.0), (2, 1e-7)):
        stopped = isinstance(rehearsal.report(trial, 3, value), Stop)
        assert stopped == (value > 1e-6)
    late = rehearsal.add()
    assert rehearsal.report(late, 3, 1e-7) == CONTINUE
    assert isinstance(rehearsal.report(rehearsal.add(), 3, 1e18), Stop)


# -------------------------------------------------------------------------------------------------- other people's tests
# The scenarios of the suites in which Ray Tune tests its AsyncHyperBand, by meaning; their steps count from 0, ours from 1.


def with_two_curves(scheduler: ASHA) -> SchedulerRehearsal:
    """One trial that rises from 100 to 1000 in ten steps, and one that is at 450 for ten."""
    rehearsal = rehearse(scheduler)
    rehearsal.complete(curve(rehearsal, range(100, 1001, 100)))
    trial = rehearsal.add()
    for step in range(1, 11):
        if not rehearsal.trials[trial].state.ended:
            rehearsal.report(trial, step, 450.0)
    return rehearsal


def test_ray_on_complete() -> None:
    rehearsal = with_two_curves(ASHA(max_steps=100, factor=2))
    assert isinstance(rehearsal.report(rehearsal.add(), 101, 0.0), Stop)


def test_ray_grace_period() -> None:
    rehearsal = with_two_curves(ASHA(max_steps=100, grace=3, factor=3))
    trial = rehearsal.add()
    assert [isinstance(rehearsal.report(trial, step, 10.0), Stop) for step in (1, 2, 3)] == [False, False, True]


def test_ray_all_completes() -> None:
    rehearsal = rehearse(ASHA(max_steps=10, factor=2))
    trials = [rehearsal.add() for _ in range(10)]
    assert all(isinstance(rehearsal.report(trial, 10, 10.0), Stop) for trial in trials)


def test_ray_uses_the_percentile() -> None:
    rehearsal = with_two_curves(ASHA(max_steps=100, factor=2))
    # Rung 1 holds 100 and 450, and rung 2 holds 200 and 450.
    assert verdicts(rehearsal, 1, [260.0]) == [S]
    assert verdicts(rehearsal, 2, [324.0]) == [S]
    assert verdicts(rehearsal, 2, [325.0]) == [C]


# ------------------------------------------------------------------------------------------------- beside a plain model


class Plain:
    """ASHA's rule written down without a thought for cost: every rung a list, sorted at each arrival."""

    def __init__(self, rungs: Sequence[int], factor: int) -> None:
        self.factor = factor
        self.rungs: dict[int, list[float]] = {rung: [] for rung in rungs}
        self.judged: dict[TrialId, int] = {}

    def stops(self, trial: TrialId, step: int, value: float) -> bool:
        rung = max((rung for rung in self.rungs if rung <= step), default=0)
        if rung <= self.judged.get(trial, 0):
            return False
        self.judged[trial] = rung
        ranked = sorted(self.rungs[rung])
        self.rungs[rung].append(value if math.isfinite(value) else -math.inf)
        if not math.isfinite(value) or not ranked:
            return not math.isfinite(value)
        place = (1 - 1 / self.factor) * (len(ranked) - 1)
        low = math.floor(place + 1e-9)
        if place - low < 1e-9:
            return value < ranked[low]
        if math.isinf(ranked[low]):
            return value < ranked[low + 1]
        return value < ranked[low] + (ranked[low + 1] - ranked[low]) * (place - low) - 1e-9


@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.integers(1, 4), st.one_of(st.integers(-5, 5).map(float), st.just(math.nan))),
        max_size=120,
    ),
    st.integers(2, 4),
)
def test_it_judges_as_the_rule_written_down_plainly(reports: list[tuple[int, int, float]], factor: int) -> None:
    scheduler = ASHA(max_steps=16, factor=factor, stop_last=False)
    rehearsal, plain = rehearse(scheduler), Plain(scheduler.rungs, factor)
    slots = [rehearsal.add() for _ in range(8)]
    for slot, pace, value in reports:
        trial, step = slots[slot], rehearsal.trials[slots[slot]].step + pace
        stopped = isinstance(rehearsal.report(trial, step, value), Stop)
        assert stopped == plain.stops(trial, step, value)
        if stopped:
            slots[slot] = rehearsal.add()


def test_what_ended_is_forgotten_and_its_scores_are_not() -> None:
    scheduler = ASHA(max_steps=9)
    rehearsal = rehearse(scheduler)
    trials = [rehearsal.add() for _ in range(3)]
    for trial in trials:
        rehearsal.report(trial, 1, 5.0)
    rehearsal.fail(trials[0])
    rehearsal.complete(trials[1])
    rehearsal.complete(trials[2], stop_reason="stopped by the user")
    assert scheduler._reached == {}
    assert verdicts(rehearsal, 1, [4.0]) == [S]
