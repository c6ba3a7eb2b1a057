"""What every oracle promises."""

from __future__ import annotations

import copy
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, ClassVar, Final

import pytest

from asynctune.oracles.base import Oracle
from asynctune.oracles.proposer import Proposer
from asynctune.records import State, SuggestionStatus
from asynctune.seeds import generator
from asynctune.space import Boolean, Choice, Domain, Fixed, Float, HyperParameters, Int, Space
from asynctune.space.conditions import Case, Cases, Condition
from asynctune.testing.contracts.draws import COPIES, SEEDS
from asynctune.testing.rehearsal import ODD, Call, OracleRehearsal, replay

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


def _is_feasible(values: Mapping[str, Any]) -> bool:
    return bool(values["units"] != 2 or values["kind"] == "c")


def _case(kind: str, domain: Domain) -> Case:
    return Case((Condition("kind", (kind,)),), domain)


_TRAINABLES: Final = (_asks_for_nothing, _asks_for_everything, _asks_by_condition, _asks_in_a_loop, _asks_for_any_number)
_SPACES: Final = {
    "one": Space.of({"only": 7}),
    "small": Space.of({"units": Int(1, 4), "kind": Choice(["a", 1, 1.0, True, None]), "bias": Boolean(), "fixed": Fixed("x")}),
    "steps": Space.of({"rate": Float(0, 1, step=0.25), "units": Int(2, 64, step=2, sampling="log")}),
    "endless": Space.of({"rate": Float(1e-5, 1, sampling="log"), "units": Int(1, 3)}),
    "conditional": Space(
        {
            "kind": Choice(["net", "tree", "none"]),
            "size": Cases((_case("net", Int(1, 2)), _case("tree", Choice(["s", "m", "l"])))),
            "bias": Cases((_case("net", Boolean()),)),
        }
    ),
    "ruled": Space(
        {"units": Int(1, 4), "kind": Choice(["a", "b", "c"]), "bias": Boolean()},
        forbidden=[{"kind": "a", "bias": True}, {"units": [3, 4], "kind": "b"}],
        feasible=[_is_feasible],
    ),
    "vast": Space.of({"group": {f"p{place}": Int(1, 10**6, step=1000) for place in range(10)}}),
}
_PLAYED: Final[dict[type, dict[int, Sequence[OracleRehearsal]]]] = {}  # by contract and seed
_SMALL: Final = pytest.mark.parametrize("name", ["one", "small", "steps", "conditional", "ruled"])


class OracleContract(ABC):
    """Subclass it, and write `make`: it returns a new oracle, with the same settings each time.

    Attributes:
        exhausts: whether it promises to try each combination of a small space once, and to say then that nothing is left.
        trials: how many trials a rehearsed search has; fewer than 50 for an oracle that thinks for long, at least 12.
        many: how many trials a vast space is searched for.
        flat: whether it promises that a proposal costs as much after `many` trials as it does after a tenth of them. Counted in
            Python's calls, so that it is the same on every machine.
    """

    exhausts: ClassVar[bool] = False
    trials: ClassVar[int] = 50
    many: ClassVar[int] = 2000
    flat: ClassVar[bool] = False

    @abstractmethod
    def make(self) -> Oracle:
        """A new oracle."""

    @SEEDS
    @pytest.mark.parametrize("name", _SPACES)
    @pytest.mark.parametrize("workers", [1, 5])
    def test_declared_spaces(self, seed: int, name: str, workers: int) -> None:
        """What it proposes is in the space, however trials end; and it is never idle while nothing runs."""
        rehearsal = OracleRehearsal(self.make(), space=_SPACES[name], seed=seed)
        _search(rehearsal, generator(seed), trials=self.trials, workers=workers)
        assert not rehearsal.live()
        assert rehearsal.trials
        for view in rehearsal.trials.values():
            assert _SPACES[name].validate(view.values) == view.values
            assert _SPACES[name].objection(view.values) is None

    @SEEDS
    @pytest.mark.parametrize("trainable", _TRAINABLES)
    @pytest.mark.parametrize("workers", [1, 5])
    def test_spaces_that_are_found_on_the_way(
        self, seed: int, trainable: Callable[[HyperParameters], float], workers: int
    ) -> None:
        """Trials name parameters that nobody knew, some only under a condition."""
        rehearsal = OracleRehearsal(self.make(), trainable, seed=seed)
        _search(rehearsal, generator(seed), trials=self.trials, workers=workers)
        assert not rehearsal.live()
        assert rehearsal.trials

    @_SMALL
    @pytest.mark.parametrize("workers", [1, 8])
    @pytest.mark.parametrize("trouble", [False, True])
    def test_a_small_space_is_tried_to_the_last(self, name: str, workers: int, trouble: bool) -> None:
        """Each combination once, and then no more."""
        if not self.exhausts:
            pytest.skip("it does not promise to (OracleContract.exhausts)")
        rehearsal = OracleRehearsal(self.make(), space=_SPACES[name])
        _search(rehearsal, generator(0), trials=10_000, workers=workers, trouble=trouble)
        tried = [repr(sorted(view.values.items())) for view in rehearsal.trials.values()]
        assert len(set(tried)) == len(tried) == _SPACES[name].size

    @_SMALL
    @pytest.mark.parametrize("workers", [1, 8])
    def test_nothing_is_proposed_twice(self, name: str, workers: int) -> None:
        """Neither what has ended, nor what waits or runs, nor what the user has added; unless it says that it means to."""
        rehearsal = OracleRehearsal(self.make(), space=_SPACES[name])
        if rehearsal.oracle.repeats:
            pytest.skip("it means to repeat (Oracle.repeats)")
        rehearsal.enqueue(_SPACES[name].defaults())
        _search(rehearsal, generator(0), trials=self.trials, workers=workers)
        # One that goes on where its parent ended has that one's values.
        tried = [repr(sorted(view.values.items())) for view in rehearsal.trials.values() if view.parent is None]
        assert len(set(tried)) == len(tried)

    @SEEDS
    def test_earlier_searches_are_taken_in(self, seed: int) -> None:
        """What was observed before is no trial of this search: it may be tried again, and ends nothing."""
        for name, space in _SPACES.items():
            rehearsal = OracleRehearsal(self.make(), space=space, seed=seed)
            for again, score in enumerate([0.5, None, 2.0, -1.0]):
                rehearsal.observe(space.sample(again), score, State.FAILED if again == 1 else State.COMPLETED)
            _search(rehearsal, generator(seed), trials=self.trials // 2, workers=3)
            assert not rehearsal.live()
            size = space.size if self.exhausts else None
            assert len(rehearsal.trials) >= min(self.trials // 2, 1 if size is None else size), name

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

    def test_its_state_can_stand_in_at_any_call(self) -> None:
        """A search can be cut off behind each of its records."""
        rehearsal = OracleRehearsal(self.make(), space=_SPACES["small"])
        _search(rehearsal, generator(0), trials=12, workers=3)
        if rehearsal.proposer.get_state() is None:
            pytest.skip("it gives no state: it is told everything again")
        told = self._proposer(rehearsal)
        for place, call in enumerate(rehearsal.calls):
            assert replay(told, [call]) == [call.answer]
            restored = self._proposer(rehearsal)
            for earlier in rehearsal.calls[: place + 1]:
                self._remember(restored, earlier)
            restored.set_state(json.loads(json.dumps(told.get_state())))
            later = rehearsal.calls[place + 1 :]
            assert replay(restored, later) == [call.answer for call in later]

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
        """Nothing lists the combinations of a space; and with `flat`, a proposal does not cost more the more there were."""
        rehearsal = OracleRehearsal(self.make(), space=_SPACES["vast"])
        costs = []
        for trials in (self.many // 10, self.many):
            _search(rehearsal, generator(0), trials=trials, workers=64, trouble=False)
            costs.append(_calls(rehearsal.ask))
        assert len(rehearsal.trials) > self.many or rehearsal.ask().status is SuggestionStatus.EXHAUSTED
        if self.flat:
            assert costs[1] <= 1.5 * costs[0] + 50, f"a proposal took {costs[0]} calls, and later {costs[1]}"

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
        elif call.hook == "on_trial_add":
            proposer.on_trial_add(*call.arguments)
        elif call.hook == "populate_space" and call.answer.status is SuggestionStatus.RUNNING:
            proposer.on_trial_add(call.arguments[0], call.answer.values)

    def _rehearsals(self, seed: int, *, guarding: bool = False) -> list[OracleRehearsal]:
        declared = [OracleRehearsal(self.make(), space=space, seed=seed, guarding=guarding) for space in _SPACES.values()]
        found = [OracleRehearsal(self.make(), trainable, seed=seed, guarding=guarding) for trainable in _TRAINABLES]
        return [*declared, *found]

    def _played(self, seed: int) -> Sequence[OracleRehearsal]:
        """Whole searches, for their calls to be made again. The tests of a class share them: none goes on with the searches."""
        kept = _PLAYED.setdefault(type(self), {})
        if len(_PLAYED) > 1:  # of one class at a time: so many views take memory
            _PLAYED.clear()
            _PLAYED[type(self)] = kept
        if seed not in kept:
            rehearsals = self._rehearsals(seed)
            for rehearsal in rehearsals:
                _search(rehearsal, generator(seed), trials=self.trials * 3 // 5, workers=3)
            kept[seed] = rehearsals
        return kept[seed]


def _calls(ask: Callable[[], object]) -> int:
    """How many functions are called meanwhile."""
    count = 0

    def profile(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        ask()
    finally:
        sys.setprofile(before)
    return count


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
