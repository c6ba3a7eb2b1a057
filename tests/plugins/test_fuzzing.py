"""The fuzzer: it finds what is wrong with a scheduler, makes it short, and says how to tell it again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from asynctune.records import PAUSE, Choice, Report, Stop, TrialView, Verdicts
from asynctune.schedulers import Scheduler
from asynctune.testing import FuzzError, fuzz_scheduler
from asynctune.views import SearchView
from tests.machine.test_schedulers import SCHEDULERS
from tests.many import few


class Sound(Scheduler):
    """Stops what is worse than 5."""

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return Stop("bad") if self.objective.loss(report.metrics["score"]) > 5 else None


class Raises(Scheduler):
    """Cannot bear the second NaN."""

    def __init__(self) -> None:
        self.seen = 0

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        self.seen += math.isnan(report.metrics["score"])
        if self.seen == 2:
            raise ZeroDivisionError("by NaN")
        return None


class Nonsense(Scheduler):
    """Stops trial 0, though it has ended."""

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return None

    def on_trial_complete(self, trial: TrialView) -> Verdicts:
        return {0: Stop("once more")} if trial.id else None


class Touched(Scheduler):
    """Decides by how often it was asked for its settings."""

    def __init__(self) -> None:
        self.asked = 0

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return Stop("enough") if self.asked else None

    def settings(self) -> Mapping[str, Any]:
        self.asked += 1
        return {}


class Leaks(Scheduler):
    """Keeps what it knows where the next one finds it."""

    seen: list[int] = []  # noqa: RUF012 -- that is what is wrong with it

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        self.seen.append(trial.id)
        return Stop("enough") if len(self.seen) == 4 else None


class Waits(Scheduler):
    """Sets everyone aside, and waits for nobody."""

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return PAUSE

    def choose_trial_to_run(self, search: SearchView) -> Choice:
        return "WAIT" if any(view.launches for view in search.trials.values()) else "NEW"


class Commits(Scheduler):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return None

    def choose_trial_to_run(self, search: SearchView) -> Choice:
        self.asked += 1
        return "WAIT" if self.asked % 2 == 0 and search.running else "NEW"


class Changes(Scheduler):
    """Changes what it is shown."""

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        report.metrics.pop("score")  # type: ignore[attr-defined]
        return None


BROKEN: Mapping[type[Scheduler], tuple[str, int]] = {
    Raises: ("Raises raised ZeroDivisionError: by NaN", 3),
    Nonsense: (r"Nonsense: on_trial_complete answered Stop\(.*\) for trial 0, which has ended", 4),
    Touched: (r"Touched answers otherwise, told the same again: None to on_trial_result of trial 0, and it had", 3),
    Waits: ("Waits waits: nothing runs, so nothing could ever change its mind", 3),
    Commits: ("Commits chose .*, asked again with nothing changed", 2),
    Changes: ("Changes: on_trial_result changed what it was shown|Changes raised", 2),
}


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_what_is_wrong_is_found_and_made_short(kind: Callable[[], Scheduler]) -> None:
    said, most = BROKEN[kind]  # type: ignore[index]
    with pytest.raises(FuzzError, match=said) as caught:
        fuzz_scheduler(kind)
    assert caught.value.seed is not None
    moves = caught.value.moves.split("; ")[1:]
    assert len(moves) <= most, caught.value.moves
    assert f"fuzz_scheduler(make, replay={caught.value.moves!r})" in str(caught.value)


def test_one_that_does_not_fail_again_is_said_to_depend_on_something_else() -> None:
    Leaks.seen.clear()
    with pytest.raises(FuzzError, match=r"Leaks answers otherwise.*it depends on something else than what it is told"):
        fuzz_scheduler(Leaks)


def test_it_is_told_again_by_what_was_written() -> None:
    with pytest.raises(FuzzError) as caught:
        fuzz_scheduler(Raises)
    with pytest.raises(FuzzError, match="by NaN") as again:
        fuzz_scheduler(Raises, replay=caught.value.moves)
    assert (again.value.seed, again.value.moves) == (None, caught.value.moves)
    assert isinstance(again.value.__cause__, ZeroDivisionError)
    assert "trial 0 reports nan at step 1" in str(again.value)
    fuzz_scheduler(Sound, replay=caught.value.moves)


def test_the_same_seed_finds_the_same() -> None:
    found = []
    for _ in range(2):
        with pytest.raises(FuzzError) as caught:
            fuzz_scheduler(Raises, seeds=[3, 4, 5], moves=300)
        found.append(str(caught.value))
    assert found[0] == found[1]


def test_a_sound_one_is_let_alone() -> None:
    fuzz_scheduler(Sound, seeds=20)


@pytest.mark.parametrize("text", ["", "run", "min; jump", "min; report 0 0 1.0", "min; fail x", "min; max", "min; report 0 1"])
def test_what_is_no_history_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no move of a history"):
        fuzz_scheduler(Sound, replay=text)


class Unsettled(Sound):
    def settings(self) -> Mapping[str, Any]:
        return {"what": object()}


def test_settings_that_cannot_be_written_down_are_found() -> None:
    with pytest.raises(FuzzError, match="settings that cannot be written down"):
        fuzz_scheduler(Unsettled)


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize(
    "seeds", few(1, [range(10), *(range(low, low + 50) for low in range(10, 410, 50))]), ids=lambda s: f"{s.start}-{s.stop - 1}"
)
def test_those_that_are_shipped_get_through(name: str, seeds: range) -> None:
    fuzz_scheduler(SCHEDULERS[name], seeds=seeds)
