"""What every oracle promises."""

from __future__ import annotations

import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from random import Random
from typing import ClassVar, Final

import pytest

from asynctune.oracles.base import Oracle
from asynctune.oracles.proposer import Proposer
from asynctune.records import SuggestionStatus
from asynctune.seeds import generator
from asynctune.space import Boolean, Choice, Fixed, Float, HyperParameters, Int, Space
from asynctune.testing.contracts.draws import COPIES, ODD, SEEDS
from asynctune.testing.rehearsal import Call, OracleRehearsal, replay

__all__ = ["OracleContract"]


def _asks_for_nothing(_: HyperParameters) -> float:
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
    "vast": Space.of({"group": {f"p{place}": Int(1, 10**6, step=1000) for place in range(10)}}),
}
_SMALL: Final = pytest.mark.parametrize("name", ["one", "small", "steps"])


class OracleContract(ABC):
    """Subclass it, and write `make`: it returns a new oracle, with the same settings each time.

    Attributes:
        exhausts: whether it promises to try each combination of a small space once, and to say then that nothing is left.
        many: how many trials of a vast space it is asked for. One whose proposals cost more with each trial takes fewer.
    """

    exhausts: ClassVar[bool] = False
    many: ClassVar[int] = 2000

    @abstractmethod
    def make(self) -> Oracle:
        """A new oracle."""

    @SEEDS
    @pytest.mark.parametrize("name", _SPACES)
    @pytest.mark.parametrize("workers", [1, 5])
    def test_declared_spaces(self, seed: int, name: str, workers: int) -> None:
        """What it proposes is in the space, however trials end; and it is never idle while nothing runs."""
        rehearsal = OracleRehearsal(self.make(), space=_SPACES[name], seed=seed)
        _search(rehearsal, generator(seed), trials=50, workers=workers)
        assert not rehearsal.live()
        assert rehearsal.trials
        assert all(view.values.keys() == _SPACES[name].keys() for view in rehearsal.trials.values())

    @SEEDS
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

    @SEEDS
    def test_told_the_same_it_answers_the_same(self, seed: int) -> None:
        """What a search does when it is opened again."""
        for first in self._played(seed):
            again = self._proposer(first)
            assert again.oracle is not first.oracle, "make() must return a new oracle each time"
            assert replay(again, first.calls) == [call.answer for call in first.calls]

    @SEEDS
    @COPIES
    def test_a_copy_goes_on_where_the_original_stands(self, seed: int, copied: Callable[[Proposer], Proposer]) -> None:
        """It is copied at the door; and what it remembers can be kept."""
        for first in self._played(seed):
            original, half = self._proposer(first), len(first.calls) // 2
            replay(original, first.calls[:half])
            twin = copied(original)
            expected = [call.answer for call in first.calls[half:]]
            assert replay(twin, first.calls[half:]) == expected
            # The twin has gone on; if the two shared anything, the original would now stand elsewhere.
            assert replay(original, first.calls[half:]) == expected

    @SEEDS
    def test_its_state_can_stand_in_for_its_history(self, seed: int) -> None:
        """If it gives a state, that is all it needs, as lists, dicts, numbers and strings."""
        for first in self._played(seed):
            original, half = self._proposer(first), len(first.calls) // 2
            replay(original, first.calls[:half])
            state = original.get_state()
            if state is None:
                continue
            restored = self._proposer(first)
            for call in first.calls[:half]:
                self._remember(restored, call)
            restored.set_state(json.loads(json.dumps(state)))
            assert replay(restored, first.calls[half:]) == [call.answer for call in first.calls[half:]]

    def test_the_recipe_serves_twice(self) -> None:
        """One object, passed to two searches: neither sees the other."""
        recipe = self.make()
        for first in self._played(0):
            taken = Proposer(copy.deepcopy(recipe))
            taken.set_search(objective=first.objective, seed=0)
            assert replay(taken, first.calls) == [call.answer for call in first.calls]

    @SEEDS
    def test_what_it_is_shown_is_left_alone(self, seed: int) -> None:
        """Views and spaces are facts."""
        for rehearsal in self._rehearsals(seed, guarding=True):
            _search(rehearsal, generator(seed), trials=10, workers=3)
            assert not rehearsal.live()

    def test_a_vast_space_costs_no_more_than_its_trials(self) -> None:
        """Nothing lists the combinations of a space."""
        rehearsal = OracleRehearsal(self.make(), space=_SPACES["vast"])
        _search(rehearsal, generator(0), trials=self.many, workers=64, trouble=False)
        assert len(rehearsal.trials) == self.many

    def test_its_settings_are_a_fingerprint(self) -> None:
        """They can be written down, are the same for each that `make` makes, and stay as they are."""
        settings = dict(self.make().settings())
        assert json.loads(json.dumps(settings)) == settings
        assert all(dict(rehearsal.oracle.settings()) == settings for rehearsal in self._played(0))

    def _proposer(self, rehearsal: OracleRehearsal) -> Proposer:
        proposer = Proposer(self.make())
        proposer.set_search(objective=rehearsal.objective, seed=rehearsal.seed)
        return proposer

    @staticmethod
    def _remember(proposer: Proposer, call: Call) -> None:
        if call.hook == "on_trial_end":
            proposer.on_trial_end(*call.arguments, remembered=True)
        elif call.hook == "populate_space" and call.answer.status is SuggestionStatus.RUNNING:
            proposer.on_trial_add(call.arguments[0], call.answer.values)

    def _rehearsals(self, seed: int, *, guarding: bool = False) -> list[OracleRehearsal]:
        declared = [OracleRehearsal(self.make(), space=space, seed=seed, guarding=guarding) for space in _SPACES.values()]
        found = [OracleRehearsal(self.make(), trainable, seed=seed, guarding=guarding) for trainable in _TRAINABLES]
        return [*declared, *found]

    def _played(self, seed: int) -> list[OracleRehearsal]:
        rehearsals = self._rehearsals(seed)
        for rehearsal in rehearsals:
            _search(rehearsal, generator(seed), trials=30, workers=3)
        return rehearsals


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
        rehearsal.report(trial, rng.choice(ODD))
        rehearsal.complete(trial, None, stop_reason="not among the best")
    elif luck < 0.25:
        rehearsal.complete(trial, None, stop_reason="not promoted")
    else:
        rehearsal.report(trial, value)
        rehearsal.complete(trial, value)
