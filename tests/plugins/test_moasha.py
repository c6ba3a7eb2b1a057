"""MOASHA: fronts, how they are thinned out, and who passes a rung."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from asynctune.errors import ConfigurationError
from asynctune.objective import Objective, Objectives
from asynctune.pareto import dominates, front
from asynctune.records import Report, State, Stop, TrialView
from asynctune.schedulers import MOASHA
from asynctune.schedulers.fronts import Fronts, spread

BOTH = Objectives([Objective("error", "min"), Objective("speed", "max")])


def report(scheduler: MOASHA, trial: int, step: int, **metrics: float) -> Any:
    view = TrialView(id=trial, state=State.RUNNING, values={}, step=step)
    return scheduler.on_trial_result(view, Report(step, metrics, 0.0, 1))


def moasha(goal: Any = BOTH, **settings: Any) -> MOASHA:
    scheduler = MOASHA(**{"max_steps": 9, **settings})
    scheduler.set_search(objective=goal)
    return scheduler


def passes(scheduler: MOASHA, *points: tuple[float, float], step: int = 1) -> str:
    """Of trials that come to a rung in this order with (error, speed): "C" for who goes on, "S" for who is stopped."""
    found = [report(scheduler, trial, step, error=error, speed=speed) for trial, (error, speed) in enumerate(points)]
    return "".join("C" if verdict is None else "S" for verdict in found)


# --------------------------------------------------------------------------------------------------------------- fronts


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("places", [1, 2, 3])
def test_fronts_are_those_that_peeling_finds(seed: int, places: int) -> None:
    luck, fronts = random.Random(seed), Fronts()
    points = [tuple(float(luck.randrange(6)) for _ in range(places)) for _ in range(60)]
    for point in points:
        place = fronts.add(point)
        assert point in fronts[place]
    left = list(points)
    for place in range(len(fronts)):
        first = [left[each] for each in front(left)]
        assert sorted(fronts[place]) == sorted(first)
        assert fronts.before(place) == len(points) - len(left)
        left = [point for point in left if not any(point == each for each in first)]
    assert not left


def test_a_front_is_thinned_out_evenly() -> None:
    # The best in the first place, then whoever is farthest from all that were taken.
    line = [(float(x), 10.0 - x) for x in range(11)]
    assert spread(line, 1) == [(0.0, 10.0)]
    assert spread(line, 2) == [(0.0, 10.0), (10.0, 0.0)]
    assert spread(line, 3) == [(0.0, 10.0), (10.0, 0.0), (5.0, 5.0)]
    assert sorted(spread(line, 99)) == line
    # Whatever the units: each place is scaled.
    assert spread([(x, 1e6 * y) for x, y in line], 3) == [(0.0, 1e7), (10.0, 0.0), (5.0, 5e6)]
    assert spread([(1e308, -1e308), (-1e308, 1e308)] * 5, 1) == [(-1e308, 1e308)]


# ---------------------------------------------------------------------------------------------------------------- rungs


def test_the_rungs_are_those_of_asha() -> None:
    assert MOASHA(max_steps=81).rungs == (1, 3, 9, 27)
    assert MOASHA(max_steps=100, grace=2, factor=4).rungs == (2, 8, 32)


def test_who_is_beaten_by_too_many_is_stopped() -> None:
    assert passes(moasha(), (5, 1), (4, 2), (3, 3), (9, 0), (3, 3)) == "CCCSC"


def test_of_those_that_nobody_beats_the_ones_at_the_ends_go_on() -> None:
    # 2 of 4 have room: the best by error, and who is farthest from it. The one in between has not.
    assert passes(moasha(factor=2), (1, 1), (9, 9), (5, 5), (4, 4)) == "CSSS"
    assert passes(moasha(factor=2), (1, 1), (5, 5), (9, 9)) == "CSC"


def test_one_objective_is_ranked_as_one() -> None:
    scheduler = moasha(Objective("loss", "min"), factor=2)
    told = [report(scheduler, trial, 1, loss=loss) for trial, loss in enumerate((5.0, 6.0, 4.0, 5.0, 3.0, 9.0, 5.0))]
    assert [verdict is None for verdict in told] == [True, False, True, True, True, False, True]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_diverges_never_passes(bad: float) -> None:
    scheduler = moasha()
    stopped = report(scheduler, 0, 1, error=0.1, speed=bad)
    assert stopped == Stop("MOASHA: at step 1, speed is not finite, which passes no rung")
    assert report(scheduler, 1, 1, error=9.0, speed=0.0) is None


def test_a_report_that_skips_rungs_counts_at_the_highest_alone() -> None:
    scheduler = moasha(max_steps=81)
    assert report(scheduler, 0, 10, error=9.0, speed=0.0) is None
    assert report(scheduler, 0, 11, error=99.0, speed=0.0) is None  # recorded, and not judged twice
    assert report(scheduler, 1, 1, error=99.0, speed=0.0) is None  # the first at its rung
    assert report(scheduler, 2, 9, error=99.0, speed=0.0) is not None


def test_the_end() -> None:
    scheduler = moasha()
    assert report(scheduler, 0, 9, error=1.0, speed=1.0) == Stop("MOASHA: max_steps=9 reached")
    assert report(scheduler, 1, 1, error=1.0) is None  # not all of it


def test_the_reason_says_what_it_was() -> None:
    scheduler = moasha()
    report(scheduler, 0, 1, error=1.0, speed=2.0)
    reason = "MOASHA: error 3, speed 1 at step 1 is not among the best 1/3 of rung 1 (2 trials)"
    assert report(scheduler, 1, 1, error=3.0, speed=1.0) == Stop(reason)


def test_whoever_goes_on_is_beaten_by_few() -> None:
    # At any moment: of those that came, fewer than a third, rounded up, beat whoever passed.
    luck, scheduler = random.Random(3), moasha()
    came: list[tuple[float, float]] = []
    for trial in range(300):
        error, slow = luck.random(), luck.random()
        came.append((error, slow))
        beaten = sum(dominates(other, (error, slow)) for other in came)
        if report(scheduler, trial, 1, error=error, speed=-slow) is None:
            assert beaten < -(-len(came) // 3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_steps": 2, "grace": 3}, r"MOASHA\(max_steps=2\) is below grace=3"),
        ({"max_steps": 9, "factor": 1}, r"MOASHA\(factor=\.\.\.\) takes an integer of at least 2, not 1"),
        ({"max_steps": 9.0}, r"max_steps=.* not 9\.0"),
    ],
)
def test_what_makes_no_schedule_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        MOASHA(**settings)


def test_the_plan() -> None:
    assert moasha().plan() == "MOASHA: rungs 1, 3; about 1/3 go on at each, and are stopped at step 9"
    assert moasha(max_steps=1).plan() == "MOASHA: no rung below max_steps; each trial is stopped at step 1"
    assert moasha().settings() == {"max_steps": 9, "grace": 1, "factor": 3}
