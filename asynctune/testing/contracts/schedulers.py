"""What every scheduler promises."""

from __future__ import annotations

import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from random import Random
from typing import Any, ClassVar, Final, Literal

import pytest

from asynctune.objective import Objective
from asynctune.records import State
from asynctune.schedulers.base import Scheduler
from asynctune.seeds import generator
from asynctune.testing.contracts.counting import CountingRehearsal
from asynctune.testing.contracts.draws import COPIES, SEEDS
from asynctune.testing.fuzzing import fuzz_scheduler
from asynctune.testing.rehearsal import ODD, replay
from asynctune.testing.scheduler_rehearsal import HELD_BY_USER, SchedulerRehearsal

__all__ = ["SchedulerContract"]

_DIRECTIONS: Final = pytest.mark.parametrize("direction", ["min", "max"])


class SchedulerContract(ABC):
    """Subclass it, and write `make`: it returns a new scheduler, with the same settings each time.

    Attributes:
        flat: whether it promises that a call of it costs about as much after 3000 trials as after 300; by default True. Counted
            in Python's instructions, so that it is the same on every machine. What C code does is not seen, but where it
            compares what was reported.
    """

    flat: ClassVar[bool] = True

    @abstractmethod
    def make(self) -> Scheduler:
        """A new scheduler."""

    @SEEDS
    @_DIRECTIONS
    @pytest.mark.parametrize("workers", [1, 3, 16])
    def test_every_trial_comes_to_an_end(self, seed: int, direction: Literal["min", "max"], workers: int) -> None:
        """Whatever trials report, however they end, whenever the user interferes: no error, no nonsense, no standstill."""
        rehearsal = SchedulerRehearsal(self.make(), Objective("score", direction))
        _play(rehearsal, generator(seed), trials=30, workers=workers)
        assert not rehearsal.live()

    @SEEDS
    def test_told_the_same_it_answers_the_same(self, seed: int) -> None:
        """What a search does when it is opened again."""
        first = self._played(seed)
        again = self.make()
        assert again is not first.scheduler, "make() must return a new scheduler each time"
        again.set_search(objective=first.objective)
        assert replay(again, first.calls) == [call.answer for call in first.calls]

    @SEEDS
    @COPIES
    def test_a_copy_goes_on_where_the_original_stands(self, seed: int, copied: Callable[[Scheduler], Scheduler]) -> None:
        """It is copied at the door; and what it remembers can be kept."""
        calls = self._played(seed).calls
        original, half = self.make(), len(calls) // 2
        original.set_search(objective=Objective("score", "max"))
        replay(original, calls[:half])
        twin = copied(original)
        expected = [call.answer for call in calls[half:]]
        assert replay(twin, calls[half:]) == expected
        # The twin has gone on; if the two shared anything, the original would now stand elsewhere.
        assert replay(original, calls[half:]) == expected

    def test_the_recipe_serves_twice(self) -> None:
        """One object, passed to two searches: neither sees the other."""
        recipe, first = self.make(), self._played(0)
        for _ in range(2):
            taken = copy.deepcopy(recipe)
            taken.set_search(objective=first.objective)
            assert replay(taken, first.calls) == [call.answer for call in first.calls]

    @SEEDS
    def test_what_it_is_shown_is_left_alone(self, seed: int) -> None:
        """Views are facts."""
        rehearsal = SchedulerRehearsal(self.make(), Objective("score", "max"), guarding=True)
        _play(rehearsal, generator(seed), trials=10, workers=4)
        assert not rehearsal.live()

    def test_steps_may_be_skipped(self) -> None:
        """Trials may begin late, at steps of their own, and far apart."""
        rehearsal = SchedulerRehearsal(self.make(), Objective("score", "max"))
        for pace in (1, 7, 1000, 10**9, 3):
            trial = rehearsal.add()
            for step in range(pace, 6 * pace, pace):
                view = rehearsal.trials[trial]
                if view.state is State.RUNNING and view.step < step:  # it may have gone on as one that is further
                    rehearsal.report(trial, step, float(pace))

    def test_trials_may_end_without_a_word(self) -> None:
        """A trial can end before its first report, and before its first launch."""
        rehearsal = SchedulerRehearsal(self.make(), Objective("score", "max"))
        for run in (True, False):
            rehearsal.complete(rehearsal.add(run=run), stop_reason="stopped by the user")
            rehearsal.fail(rehearsal.add(run=run))
        _play(rehearsal, generator(0), trials=20, workers=2)
        assert not rehearsal.live()

    def test_equal_trials_are_judged_alike_whenever_they_come(self) -> None:
        """Ties raise nothing."""
        rehearsal = SchedulerRehearsal(self.make(), Objective("score", "max"))
        _play(rehearsal, generator(0), trials=50, workers=8, value=lambda *_: 0.1, trouble=False)
        assert not rehearsal.live()

    @pytest.mark.parametrize("seeds", [range(10)], ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
    def test_any_order(self, seeds: range) -> None:
        """Reports, failures, ends, losses and the user's pauses in any order, and another one in its place at any moment."""
        fuzz_scheduler(self.make, seeds=seeds)

    def test_thousands_of_trials(self) -> None:
        """A search of this size is ordinary; and with `flat`, a call does not cost more the more trials there were."""
        rehearsal = CountingRehearsal(self.make(), Objective("score", "max"), windows=((250, 300), (2950, 3000)))
        _play(rehearsal, generator(0), trials=3000, workers=64, value=lambda rng, *_: rng.random(), trouble=False, steps=12)
        assert not rehearsal.live()
        few, many = rehearsal.means()
        if self.flat:
            told = f"a call takes {few:.0f} instructions with 300 trials, and {many:.0f} with 3000: see SchedulerContract.flat"
            assert many <= 3 * few + 100, told

    def test_its_settings_are_a_fingerprint(self) -> None:
        """They can be written down, are the same for each that `make` makes, and stay as they are."""
        rehearsal = self._played(0)
        settings = dict(self.make().settings())
        assert json.loads(json.dumps(settings)) == settings
        assert dict(rehearsal.scheduler.settings()) == settings

    def test_it_says_what_it_will_do(self) -> None:
        """`plan()` costs nothing: it is asked before the first trial."""
        scheduler = self.make()
        scheduler.set_search(objective=Objective("score", "min"))
        plan = scheduler.plan()
        assert isinstance(plan, str)
        assert plan.strip()

    def _played(self, seed: int) -> SchedulerRehearsal:
        rehearsal = SchedulerRehearsal(self.make(), Objective("score", "max"))
        _play(rehearsal, generator(seed), trials=30, workers=4)
        return rehearsal


def _odd(rng: Random, trial: int, step: int) -> float:
    return rng.choice(ODD) if rng.random() < 0.3 else rng.gauss(trial % 5, 1) * step


def _play(
    rehearsal: SchedulerRehearsal,
    rng: Random,
    *,
    trials: int,
    workers: int,
    value: Callable[[Random, int, int], float] = _odd,
    trouble: bool = True,
    steps: int = 30,
) -> None:
    """Play a whole search in an order drawn from `rng`; with `trouble`, trials fail and end early, and the user interferes."""
    trials += len(rehearsal.trials)
    while True:
        choice = _fill(rehearsal, trials, workers)
        running = rehearsal.live(State.RUNNING)
        held = [trial for trial in rehearsal.live(State.PENDING) if rehearsal.trials[trial].hold == HELD_BY_USER]
        if held and (not running or rng.random() < 0.2):
            rehearsal.start(rng.choice(held))
        elif running:
            _step(rehearsal, rng, rng.choice(running), value=value, trouble=trouble, steps=steps)
        else:
            standstill = f"a standstill: nothing runs, trials could be made, and it chose {choice!r}"
            assert len(rehearsal.trials) >= trials, standstill
            # The law: nothing runs, nothing is left to propose, nothing was chosen.
            for trial in rehearsal.live(State.PENDING):
                rehearsal.complete(trial, stop_reason="not promoted")
            return


def _fill(rehearsal: SchedulerRehearsal, trials: int, workers: int) -> Any:
    # At most one turn for each slot and each trial: a scheduler may pause what it has just chosen.
    for _ in range(workers + trials):
        rehearsal.growing = len(rehearsal.trials) < trials
        rehearsal.exhausted = not rehearsal.growing
        if len(rehearsal.live(State.RUNNING)) >= workers:
            return None
        choice = rehearsal.choose()
        if choice == "WAIT" or (choice == "NEW" and len(rehearsal.trials) >= trials):
            return choice
        if choice == "NEW":
            rehearsal.add({"x": len(rehearsal.trials)})
        else:
            rehearsal.start(choice)
    return "always another"


def _step(
    rehearsal: SchedulerRehearsal,
    rng: Random,
    trial: int,
    *,
    value: Callable[[Random, int, int], float],
    trouble: bool,
    steps: int,
) -> None:
    luck = rng.random() if trouble else 1.0
    step = rehearsal.trials[trial].step + (rng.randint(2, 7) if 0.2 < luck < 0.3 else 1)
    if luck < 0.03:
        rehearsal.fail(trial)
    elif luck < 0.06 or step > steps:
        rehearsal.complete(trial)
    elif luck < 0.08:
        rehearsal.complete(trial, stop_reason="stopped by the user")
    elif luck < 0.12:
        rehearsal.pause(trial)
    else:
        rehearsal.report(trial, step, value(rng, trial, step))
