"""Contracts: what every plugin promises, as tests that its author subclasses.

::

    class TestMine(SchedulerContract):
        def make(self) -> Scheduler:
            return Mine(patience=3)

The plugin is driven directly, with views made by hand. Everything drawn is drawn from the seed in the test's name, so that a
failure can be run again alone. Needs pytest.
"""

from __future__ import annotations

import copy
import json
import math
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable
from random import Random
from typing import Any, ClassVar, Final, Literal

import pytest

from asynctune.objective import Objective
from asynctune.oracles.base import Oracle
from asynctune.records import State, SuggestionStatus
from asynctune.schedulers.base import Scheduler
from asynctune.seeds import generator
from asynctune.space import Boolean, Choice, Fixed, Float, HyperParameters, Int, Space
from asynctune.testing.rehearsal import HELD_BY_USER, OracleRehearsal, SchedulerRehearsal, replay

__all__ = ["OracleContract", "SchedulerContract"]

_DIRECTIONS: Final = pytest.mark.parametrize("direction", ["min", "max"])
_SEEDS: Final = pytest.mark.parametrize("seed", range(6))
_COPIES: Final = pytest.mark.parametrize("copied", [copy.deepcopy, lambda plugin: pickle.loads(pickle.dumps(plugin))])  # noqa: S301

# What metrics can be: nothing a number may not be, ties, the ends of the floats.
_ODD: Final = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, 1.0, 1e18, 1.7e308, -1.7e308, 5e-324)


class SchedulerContract(ABC):
    """Subclass it, and write `make`: it returns a new scheduler, with the same settings each time."""

    @abstractmethod
    def make(self) -> Scheduler:
        """A new scheduler."""

    @_SEEDS
    @_DIRECTIONS
    @pytest.mark.parametrize("workers", [1, 3, 16])
    def test_every_trial_comes_to_an_end(self, seed: int, direction: Literal["min", "max"], workers: int) -> None:
        """Whatever trials report, however they end, whenever the user interferes: no error, no nonsense, no standstill."""
        rehearsal = SchedulerRehearsal(self.make(), Objective("score", direction))
        _play(rehearsal, generator(seed), trials=30, workers=workers)
        assert not rehearsal.live()

    @_SEEDS
    def test_told_the_same_it_answers_the_same(self, seed: int) -> None:
        """What a search does when it is opened again."""
        first = self._played(seed)
        again = self.make()
        assert again is not first.scheduler, "make() must return a new scheduler each time"
        again.set_search(objective=first.objective)
        assert replay(again, first.calls) == [call.answer for call in first.calls]

    @_SEEDS
    @_COPIES
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

    @_SEEDS
    def test_what_it_is_shown_is_left_alone(self, seed: int) -> None:
        """Views are facts."""
        calls = self._played(seed).calls
        before = copy.deepcopy([call.arguments for call in calls])
        scheduler = self.make()
        scheduler.set_search(objective=Objective("score", "max"))
        replay(scheduler, calls)
        assert repr([call.arguments for call in calls]) == repr(before)

    def test_steps_may_be_skipped(self) -> None:
        """Trials may begin late, at steps of their own, and far apart."""
        rehearsal = SchedulerRehearsal(self.make(), Objective("score", "max"))
        for pace in (1, 7, 1000, 10**9, 3):
            trial = rehearsal.add()
            for step in range(pace, 6 * pace, pace):
                if rehearsal.trials[trial].state is State.RUNNING:
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

    def test_thousands_of_trials(self) -> None:
        """A search of this size is ordinary."""
        rehearsal = SchedulerRehearsal(self.make(), Objective("score", "max"), recording=False)
        _play(rehearsal, generator(0), trials=3000, workers=64, value=lambda rng, *_: rng.random(), trouble=False, steps=12)
        assert not rehearsal.live()

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
    return rng.choice(_ODD) if rng.random() < 0.3 else rng.gauss(trial % 5, 1) * step


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
            assert len(rehearsal.trials) >= trials, (
                f"nothing runs, trials could be made, and the choice is {choice!r}: a standstill"
            )
            # The law: nothing runs, nothing is left to propose, nothing was chosen.
            for trial in rehearsal.live(State.PENDING):
                rehearsal.complete(trial, stop_reason="not promoted")
            return


def _fill(rehearsal: SchedulerRehearsal, trials: int, workers: int) -> Any:
    # At most one turn for each slot and each trial: a scheduler may pause what it has just chosen.
    for _ in range(workers + trials):
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


# ------------------------------------------------------------------------------------------------------------- oracles


def _asks_for_nothing(hp: HyperParameters) -> float:
    return 1.0


def _asks_for_everything(hp: HyperParameters) -> float:
    return hp.Int("units", 1, 4) * (2.0 if hp.Boolean("bias") else 1.0)


def _asks_by_condition(hp: HyperParameters) -> float:
    if hp.Choice("kind", ["dense", "conv"]) == "dense":
        return float(hp.Int("units", 8, 24, step=8))
    return float(hp.Choice("kernel", [3, 5]))


def _asks_in_a_loop(hp: HyperParameters) -> float:
    return float(sum(hp.Int(f"units_{layer}", 1, 2) for layer in range(hp.Int("layers", 0, 3))))


def _asks_for_any_number(hp: HyperParameters) -> float:
    return hp.Float("rate", 1e-4, 1e-1, sampling="log") * hp.Choice("sign", [-1, 1])


_TRAINABLES: Final = (_asks_for_nothing, _asks_for_everything, _asks_by_condition, _asks_in_a_loop, _asks_for_any_number)
_SPACES: Final = {
    "one": Space.of({"only": 7}),
    "small": Space.of({"units": Int(1, 4), "kind": Choice(["a", 1, 1.0, True, None]), "bias": Boolean(), "fixed": Fixed("x")}),
    "steps": Space.of({"rate": Float(0, 1, step=0.25), "units": Int(2, 64, step=2, sampling="log")}),
    "endless": Space.of({"rate": Float(1e-5, 1, sampling="log"), "units": Int(1, 3)}),
    "vast": Space.of({f"group/p{place}": Int(1, 10**6, step=1000) for place in range(10)}),
}
_SMALL: Final = pytest.mark.parametrize("name", ["one", "small", "steps"])


class OracleContract(ABC):
    """Subclass it, and write `make`: it returns a new oracle, with the same settings each time.

    Attributes:
        exhausts: whether it promises to try each combination of a small space once, and to say then that nothing is left.
    """

    exhausts: ClassVar[bool] = False

    @abstractmethod
    def make(self) -> Oracle:
        """A new oracle."""

    @_SEEDS
    @pytest.mark.parametrize("name", _SPACES)
    @pytest.mark.parametrize("workers", [1, 5])
    def test_declared_spaces(self, seed: int, name: str, workers: int) -> None:
        """What it proposes is in the space, however trials end; and it is never idle while nothing runs."""
        rehearsal = OracleRehearsal(self.make(), space=_SPACES[name], seed=seed)
        _search(rehearsal, generator(seed), trials=50, workers=workers)
        assert not rehearsal.live()
        assert rehearsal.trials
        assert all(view.values.keys() == _SPACES[name].keys() for view in rehearsal.trials.values())

    @_SEEDS
    @pytest.mark.parametrize("trainable", _TRAINABLES)
    @pytest.mark.parametrize("workers", [1, 5])
    def test_spaces_that_are_found_on_the_way(
        self, seed: int, trainable: Callable[[HyperParameters], float], workers: int
    ) -> None:
        """Trials name parameters that nobody knew, some only under a condition."""
        rehearsal = OracleRehearsal(self.make(), trainable, seed=seed)
        _search(rehearsal, generator(seed), trials=50, workers=workers)
        assert not rehearsal.live()
        assert rehearsal.trials

    @_SMALL
    @pytest.mark.parametrize("workers", [1, 7])
    @pytest.mark.parametrize("trouble", [False, True])
    def test_a_small_space_is_tried_to_the_last(self, name: str, workers: int, trouble: bool) -> None:
        """Each combination once, and then no more."""
        if not self.exhausts:
            pytest.skip("it does not promise to (OracleContract.exhausts)")
        rehearsal = OracleRehearsal(self.make(), space=_SPACES[name])
        _search(rehearsal, generator(0), trials=10_000, workers=workers, trouble=trouble)
        tried = [repr(sorted(view.values.items())) for view in rehearsal.trials.values()]
        assert len(set(tried)) == len(tried) == _SPACES[name].size

    @_SEEDS
    def test_told_the_same_it_answers_the_same(self, seed: int) -> None:
        """What a search does when it is opened again."""
        for first in self._played(seed):
            again = self.make()
            assert again is not first.oracle, "make() must return a new oracle each time"
            again.set_search(objective=first.objective, seed=seed)
            assert replay(again, first.calls) == [call.answer for call in first.calls]

    @_SEEDS
    @_COPIES
    def test_a_copy_goes_on_where_the_original_stands(self, seed: int, copied: Callable[[Oracle], Oracle]) -> None:
        """It is copied at the door; and what it remembers can be kept."""
        for first in self._played(seed):
            original, half = self.make(), len(first.calls) // 2
            original.set_search(objective=first.objective, seed=seed)
            replay(original, first.calls[:half])
            twin = copied(original)
            expected = [call.answer for call in first.calls[half:]]
            assert replay(twin, first.calls[half:]) == expected
            # The twin has gone on; if the two shared anything, the original would now stand elsewhere.
            assert replay(original, first.calls[half:]) == expected

    @_SEEDS
    def test_its_state_can_stand_in_for_its_history(self, seed: int) -> None:
        """If it gives a state, that is all it needs, as lists, dicts, numbers and strings."""
        for first in self._played(seed):
            original, half = self.make(), len(first.calls) // 2
            original.set_search(objective=first.objective, seed=seed)
            replay(original, first.calls[:half])
            state = original.get_state()
            if state is None:
                continue
            restored = self.make()
            restored.set_search(objective=first.objective, seed=seed)
            restored.set_state(json.loads(json.dumps(state)))
            assert replay(restored, first.calls[half:]) == [call.answer for call in first.calls[half:]]

    def test_the_recipe_serves_twice(self) -> None:
        """One object, passed to two searches: neither sees the other."""
        recipe = self.make()
        for first in self._played(0):
            taken = copy.deepcopy(recipe)
            taken.set_search(objective=first.objective, seed=0)
            assert replay(taken, first.calls) == [call.answer for call in first.calls]

    @_SEEDS
    def test_what_it_is_shown_is_left_alone(self, seed: int) -> None:
        """Views and spaces are facts."""
        for first in self._played(seed):
            before = copy.deepcopy([call.arguments for call in first.calls])
            oracle = self.make()
            oracle.set_search(objective=first.objective, seed=seed)
            replay(oracle, first.calls)
            assert repr([call.arguments for call in first.calls]) == repr(before)

    def test_a_vast_space_costs_no_more_than_its_trials(self) -> None:
        """Nothing lists the combinations of a space."""
        rehearsal = OracleRehearsal(self.make(), space=_SPACES["vast"])
        _search(rehearsal, generator(0), trials=2000, workers=64, trouble=False)
        assert len(rehearsal.trials) == 2000

    def test_its_settings_are_a_fingerprint(self) -> None:
        """They can be written down, are the same for each that `make` makes, and stay as they are."""
        settings = dict(self.make().settings())
        assert json.loads(json.dumps(settings)) == settings
        assert all(dict(rehearsal.oracle.settings()) == settings for rehearsal in self._played(0))

    def _played(self, seed: int) -> list[OracleRehearsal]:
        declared = [OracleRehearsal(self.make(), space=space, seed=seed) for space in _SPACES.values()]
        found = [OracleRehearsal(self.make(), trainable, seed=seed) for trainable in _TRAINABLES]
        for rehearsal in (*declared, *found):
            _search(rehearsal, generator(seed), trials=30, workers=3)
        return [*declared, *found]


def _search(rehearsal: OracleRehearsal, rng: Random, *, trials: int, workers: int, trouble: bool = True) -> None:
    """Play a whole search in an order drawn from `rng`; with `trouble`, trials fail, end early, and report what is no
    number."""
    seen = -1  # how much was known of the space when nothing was left in it
    while True:
        while len(rehearsal.trials) < trials and len(rehearsal.live()) < workers and seen < len(rehearsal.space):
            status = rehearsal.ask().status
            if status is SuggestionStatus.EXHAUSTED:
                seen = len(rehearsal.space)
            if status is SuggestionStatus.IDLE:
                assert rehearsal.live(), "it is idle though nothing runs: nothing could ever change its mind"
                break
        if not rehearsal.live():
            return
        _end_one(rehearsal, rng, rng.choice(rehearsal.live()), rng.random() if trouble else 1.0)


def _end_one(rehearsal: OracleRehearsal, rng: Random, trial: int, luck: float) -> None:
    if luck < 0.05:
        rehearsal.fail(trial)  # before it asked for anything
        return
    value = rehearsal.run(trial)
    if luck < 0.1:
        rehearsal.fail(trial)
    elif luck < 0.2:
        rehearsal.report(trial, rng.choice(_ODD))
        rehearsal.complete(trial, None, stop_reason="not among the best")
    elif luck < 0.25:
        rehearsal.complete(trial, None, stop_reason="not promoted")
    else:
        rehearsal.report(trial, value)
        rehearsal.complete(trial, value)
