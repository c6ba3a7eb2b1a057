"""Hyperband: many trials for a few epochs, the best of them for more, and a few for all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any, ClassVar

from attrs import define, field, frozen

from asynctune.oracles.base import Oracle
from asynctune.oracles.wrapped import its_own
from asynctune.records import State, Suggestion, TrialId, TrialView, Values
from asynctune.space import Space
from asynctune.validators import number

__all__ = ["HyperbandBracket", "HyperbandOracle", "HyperbandPlan", "HyperbandRound"]


def _endless(iterations: Any) -> Any:
    """KerasTuner's 0 is None. Not `or None`: False is no number of iterations."""
    return None if type(iterations) is int and iterations == 0 else iterations


@frozen
class HyperbandRound:
    """A round of a bracket.

    Args:
        trials: how many trials it has.
        epochs: the budget of each: the step at which it is over, counted from the beginning of its first ancestor.
    """

    trials: int
    epochs: int


@frozen
class HyperbandBracket:
    """A bracket: its first round has new values, and each later one the best trials of the round before.

    Args:
        number: how many rounds there are after the first.
        rounds: in order.
    """

    number: int
    rounds: tuple[HyperbandRound, ...]

    @property
    def trials(self) -> int:
        """How many trials it has in all."""
        return sum(each.trials for each in self.rounds)

    @property
    def epochs(self) -> int:
        """How many epochs they train in all, when each goes on where its parent ended."""
        first, *_ = self.rounds
        more = sum(later.trials * (later.epochs - earlier.epochs) for earlier, later in pairwise(self.rounds))
        return first.trials * first.epochs + more

    @property
    def epochs_from_scratch(self) -> int:
        """How many they train in all, when the trainable leaves no checkpoints and each begins anew."""
        return sum(each.trials * each.epochs for each in self.rounds)

    def __str__(self) -> str:
        rounds = ", ".join(f"{each.trials} to epoch {each.epochs}" for each in self.rounds)
        return f"bracket {self.number}: {rounds}"


@frozen
class HyperbandPlan:
    """What one iteration of Hyperband runs. As text (`str(plan)`), a line with the totals and one for each bracket.

    Args:
        brackets: in the order in which they are begun.
        iterations: how often all this is done; None for without end.
    """

    brackets: tuple[HyperbandBracket, ...]
    iterations: int | None

    @property
    def trials(self) -> int:
        """How many trials an iteration has."""
        return sum(bracket.trials for bracket in self.brackets)

    @property
    def epochs(self) -> int:
        """How many epochs they train in all, when each goes on where its parent ended."""
        return sum(bracket.epochs for bracket in self.brackets)

    @property
    def epochs_from_scratch(self) -> int:
        """How many they train in all, when the trainable leaves no checkpoints and each begins anew."""
        return sum(bracket.epochs_from_scratch for bracket in self.brackets)

    def __str__(self) -> str:
        often = {None: ", over and over", 1: ""}.get(self.iterations, f", {self.iterations} times")
        total = f"{self.trials} trials, {self.epochs} epochs ({self.epochs_from_scratch} without checkpoints){often}"
        return "\n".join([total, *(f"  {bracket}" for bracket in self.brackets)])


@define
class _Rung:
    """A round as it stands. Whoever ended without a score does not count."""

    size: int
    epochs: int
    started: int = 0
    live: int = 0
    scored: int = 0
    best: list[tuple[float, TrialId]] = field(factory=list)  # a heap: those that have a score and were not promoted

    @property
    def kept(self) -> int:
        return self.live + self.scored

    @property
    def room(self) -> int:
        """How many new trials the first round takes. Those that gave no score are replaced, as many as it has in all: where
        every trial fails, there is an end."""
        return max(0, min(self.size - self.kept, 2 * self.size - self.started))

    def end(self, trial: TrialView, loss: float) -> None:
        self.live -= 1
        if trial.state is State.COMPLETED and math.isfinite(loss):
            self.scored += 1
            heappush(self.best, (loss, trial.id))


@define(kw_only=True, eq=False, slots=False)
class HyperbandOracle(Oracle):
    """Hyperband of Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization" (JMLR 18, 2018), with
    the brackets of KerasTuner's oracle of that name.

    A bracket begins with many trials of few epochs; the best `1/factor` of them go on in the next round for `factor` times as
    many, and so on to `max_epochs`. The first bracket is the one that gives up most trials soonest; the last trains a few from
    the beginning to the end. `plan()` says how many trials and epochs that is, before anything runs.

    To go on is to be a new trial: it has its parent's values, names it (`trial.parent`), starts from its newest checkpoint
    (`trial.restore()`), and is stopped at the step that is its budget (`trial.budget`). A trainable that leaves no checkpoints
    begins anew instead. It must report the objective at each epoch, with the epoch as the step; or end by itself at its budget.

    Nobody waits for a whole round: a trial is promoted as soon as it is certain to be among the best of its round, whatever the
    others will come to. Where nothing can be promoted, the next bracket begins. A trial that fails, or ends without a finite
    score, is never promoted and takes nobody's place: in a first round a new one replaces it (as long as there were fewer than
    twice as many trials as the round has), in a later one the next best of the round before. So a bracket comes to its last
    round whenever enough trials have scores. In a space with fewer combinations than a round has trials, all of them are
    tried, and the best go on to the end.

    Values are drawn at random, and no combination is drawn twice. The draw for trial n depends on the search's seed, on n and
    on what has been tried.

    Args:
        max_epochs: the budget of a last round, in steps; by default 100.
        factor: one of so many trials goes on, for so many times the epochs (η in the paper); by default 3.
        iterations: how often all brackets are run; 1 by default, None or 0 for without end. Each iteration has values of its
            own. (KerasTuner's `hyperband_iterations`.)

    Raises:
        ConfigurationError: if `max_epochs` is below 1, `factor` below 2, `iterations` below 0, or one of them no integer.
    """

    max_epochs: int = field(default=100, validator=number(1, integer=True))
    factor: int = field(default=3, validator=number(2, integer=True))
    iterations: int | None = field(
        default=1,
        converter=_endless,
        validator=number(1, integer=True, optional=True),
    )
    _opened: int = field(init=False, default=0, repr=False)
    # The brackets in which something may still happen, in the order in which they were begun.
    _brackets: list[list[_Rung]] = field(init=False, factory=list, repr=False)
    # Where each trial that has not ended belongs.
    _places: dict[TrialId, tuple[list[_Rung], _Rung]] = field(init=False, factory=dict, repr=False)

    exhaustive: ClassVar[bool] = True
    descends: ClassVar[bool] = True

    def __attrs_post_init__(self) -> None:
        if self.iterations is None:
            its_own(self, exhaustive=False)

    def plan(self) -> HyperbandPlan:
        """What will be run, if no trial fails and there are values enough."""
        return HyperbandPlan(tuple(map(self._bracket, range(self._most, -1, -1))), self.iterations)

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        """Fill a first round, or promote who is certain to be among the best, or begin the next bracket."""
        dry = False  # whether every combination has been tried
        for rungs in self._brackets:
            if not dry and rungs[0].room:
                values = self.known.drawn(trial_id, space.sample)
                if values is not None:
                    return self._start(trial_id, rungs, rungs[0], values)
                dry = True
            for below, rung in _promotions(rungs, dry=dry):
                _, parent = heappop(below.best)
                return self._start(trial_id, rungs, rung, self._values_of(parent, space), parent)
        if not dry and not self._is_last:
            values = self.known.drawn(trial_id, space.sample)
            if values is not None:
                rungs = self._next_bracket()
                return self._start(trial_id, rungs, rungs[0], values)
        return Suggestion.idle() if self._places else Suggestion.exhausted()

    def on_trial_end(self, trial: TrialView) -> None:
        """It may go on, or somebody else may."""
        if trial.id not in self._places:
            return  # somebody else's: enqueued, or of another oracle before this one
        rungs, rung = self._places.pop(trial.id)
        rung.end(trial, math.nan if trial.score is None or trial.violates else self.objective.loss(trial.score))
        is_over = not rungs[0].room and not any(each.live for each in rungs) and not list(_promotions(rungs, dry=False))
        if is_over:
            self._brackets = [each for each in self._brackets if each is not rungs]

    def settings(self) -> Mapping[str, Any]:
        """What makes this oracle answer as it does."""
        return {"max_epochs": self.max_epochs, "factor": self.factor, "iterations": self.iterations}

    # --------------------------------------------------------------------------------------------------- the schedule

    @property
    def _most(self) -> int:
        """The number of the first bracket: how often `max_epochs` can be divided by `factor`, to leave one epoch at least."""
        # In whole numbers: a logarithm of floats is sometimes a little less than it is.
        times = 0
        while self.factor ** (times + 1) <= self.max_epochs:
            times += 1
        return times

    @property
    def _is_last(self) -> bool:
        return self.iterations is not None and self._opened == self.iterations * (self._most + 1)

    def _bracket(self, bracket: int) -> HyperbandBracket:
        # Each bracket takes about as many epochs as any other: bracket 0 has this many trials, all of them to the end.
        whole = 1 + self._most + (self.factor**self._most < self.max_epochs)
        rounds = [
            HyperbandRound(
                trials=_quotient(whole * self.factor**left, bracket + 1), epochs=_quotient(self.max_epochs, self.factor**left)
            )
            for left in range(bracket, -1, -1)
        ]
        return HyperbandBracket(bracket, tuple(rounds))

    # ------------------------------------------------------------------------------------------------------ proposals

    def _next_bracket(self) -> list[_Rung]:
        bracket = self._bracket(self._most - self._opened % (self._most + 1))
        rungs = [_Rung(each.trials, each.epochs) for each in bracket.rounds]
        self._opened += 1
        self._brackets.append(rungs)
        return rungs

    def _start(
        self, trial: TrialId, rungs: list[_Rung], rung: _Rung, values: Values, parent: TrialId | None = None
    ) -> Suggestion:
        rung.started += 1
        rung.live += 1
        self._places[trial] = rungs, rung
        return Suggestion.run(values, parent, rung.epochs)

    def _values_of(self, parent: TrialId, space: Space) -> Values:
        # What it named and is not tuned it will name again, and get what it got.
        return {name: value for name, value in self.known.trials[parent].values.items() if name in space}


def _promotions(rungs: list[_Rung], *, dry: bool) -> Iterator[tuple[_Rung, _Rung]]:
    """The rounds whose best trial is certain to be among those that go on, each with the round that it goes on in."""
    coming = rungs[0].live + (0 if dry else rungs[0].room)  # that may yet have a score in the lower round of the two
    for below, rung in pairwise(rungs):
        if below.best and rung.kept + coming < rung.size:
            yield below, rung
        coming = rung.live + max(0, min(rung.size - rung.kept, len(below.best) + coming))


def _quotient(whole: int, parts: int) -> int:
    """Rounded up."""
    return -(-whole // parts)
