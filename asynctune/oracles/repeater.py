"""Repeats: the same values in several trials, and their mean for whoever proposed them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, ClassVar

from attrs import define, evolve, field, frozen

from asynctune.errors import ConfigurationError, PluginError
from asynctune.objective import Goal
from asynctune.oracles.base import Oracle
from asynctune.oracles.hyperband import HyperbandOracle
from asynctune.oracles.proposer import Proposer
from asynctune.oracles.wrapped import its_own, settings_of, take_over
from asynctune.records import Metrics, State, Suggestion, SuggestionStatus, TrialId, TrialView, Values
from asynctune.seeds import fill_seed
from asynctune.space import Fill, Space
from asynctune.validators import number

__all__ = ["Group", "Repeater", "grouped"]


@frozen
class Group:
    """Trials that had the same values.

    Args:
        values: which they had.
        trials: their ids, in order.
        scores: of those that have a finite one, in the same order.
    """

    values: Values
    trials: tuple[TrialId, ...]
    scores: tuple[float, ...]

    @property
    def mean(self) -> float | None:
        """Of the scores; None if there is none."""
        return fmean(self.scores) if self.scores else None

    @property
    def std(self) -> float | None:
        """The sample standard deviation of the scores (divided by n - 1); None if there are fewer than two."""
        return stdev(self.scores) if len(self.scores) > 1 else None


def grouped(trials: Iterable[TrialView]) -> list[Group]:
    """Trials by their values: the mean and the spread of what was repeated.

    Args:
        trials: such as `result.trials.values()`.

    Returns:
        A group for each set of values, in the order of its first trial. 1, 1.0 and True are three values.

    Raises:
        ConfigurationError: for what are no trials.
    """
    given: Any = trials
    listed = list(given) if isinstance(given, Iterable) else [given]
    if not all(isinstance(each, TrialView) for each in listed):
        raise ConfigurationError(f"grouped(trials=...) takes trials, such as result.trials.values(), not {given!r}")
    found: dict[frozenset[tuple[str, type, object]], list[TrialView]] = {}
    for trial in sorted(listed, key=lambda trial: trial.id):
        found.setdefault(frozenset((name, type(value), value) for name, value in trial.values.items()), []).append(trial)
    return [Group(same[0].values, tuple(trial.id for trial in same), _scores(same)) for same in found.values()]


@define
class _Open:
    """What is being repeated: what was proposed, how often it is to run, the trials that it was given to, and those of them
    that have ended."""

    suggestion: Suggestion
    size: int
    members: list[TrialId] = field(factory=list)
    ended: list[TrialView] = field(factory=list)


@define(eq=False, slots=False)
class Repeater(Oracle):
    """Each proposal of another oracle is run several times, and the other oracle is told the mean. For objectives that depend
    on luck: initial weights, folds, the order of the data (Ray Tune's wrapper of that name).

    Each repeat is a trial of its own, with a `trial.seed` of its own; repeats run at the same time, where there are workers.
    When all of a proposal have ended, the other oracle hears of one trial: its score and its metrics are the means over the
    repeats that have one, and `<objective>_std` among the metrics is the sample standard deviation of the score. Repeats that
    failed are left out; if all of them failed, so did the proposal. What a repeat reports on its way is not passed on.

    The search's own trials stay as they are: `max_trials` counts repeats, and the best trial is the best single one. Use
    `grouped(result.trials.values())` for the mean and the spread of each proposal.

    What was enqueued runs once, and is told as a proposal with one repeat. While no parameter is known, the first trial runs
    alone; later ones of the same proposal take over what it asked for. Only where a trial names a parameter that was unknown
    while others with the same values were running already, these can differ in it.

    The other oracle is asked again for its proposals when the search is resumed, also if it gives a state.

    Args:
        oracle: proposes.
        times: how often each proposal is run, from 1 to 1,000; by default 3.

    Raises:
        ConfigurationError: for another argument.
    """

    repeats: ClassVar[bool] = True

    oracle: Oracle = field()
    times: int = field(default=3, validator=number(1, integer=True, most=1000))
    _inner: Proposer = field(init=False, repr=False)
    # What has not ended, by the number that the other oracle knows it by; the group of each trial in it; the next number.
    _open: dict[int, _Open] = field(init=False, repr=False, factory=dict)
    _group_of: dict[TrialId, int] = field(init=False, repr=False, factory=dict)
    _next: int = field(init=False, repr=False, default=0)

    def __attrs_post_init__(self) -> None:
        take_over(self, self.oracle)
        its_own(self, several=False)  # what the other oracle is told is a mean of scores
        if isinstance(self.oracle, HyperbandOracle):
            message = (
                "Repeater(oracle=...): trials of HyperbandOracle go on from one another's checkpoints, which repeats cannot"
            )
            raise ConfigurationError(f"{message}: return a list of results from each trial instead")

    @property
    def is_exhaustible(self) -> bool:
        """It repeats each combination so many times, and no more."""
        return self.oracle.is_exhaustible

    def set_search(self, *, objective: Goal, seed: int) -> None:
        """Called once, before everything else."""
        super().set_search(objective=objective, seed=seed)
        self._inner = Proposer(self.oracle)
        self._inner.set_search(objective=objective, seed=seed, space=self.known.space, tuned=self.known.tuned)

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion | Awaitable[Suggestion]:
        """One more of what has not been repeated often enough; then what the other oracle proposes."""
        for trial, values in self.known.pending.items():
            if trial not in self._group_of:
                self._other(trial, values)
        number = next((number for number, group in self._open.items() if len(group.members) < group.size), None)
        if number is not None:
            group = self._open[number]
            if not space and len(group.ended) < len(group.members):
                return Suggestion.idle()
            values = self._values(group, space)
            self._join(trial_id, number, group)
            return evolve(group.suggestion, values=values)
        answer = self._inner.populate_space(self._next, space)
        return self._begun(trial_id, answer) if isinstance(answer, Suggestion) else self._awaited(trial_id, answer)

    async def _awaited(self, trial_id: TrialId, answer: Awaitable[Suggestion]) -> Suggestion:
        return self._begun(trial_id, await answer)

    def _begun(self, trial_id: TrialId, answer: Suggestion) -> Suggestion:
        if answer.parent is not None:
            name = type(self.oracle).__name__
            raise PluginError(f"{name} proposed a trial that goes on from another one, which Repeater cannot repeat")
        if answer.status is SuggestionStatus.RUNNING:
            self._begin(trial_id, answer, self.times)
        return answer

    def _begin(self, trial_id: TrialId, suggestion: Suggestion, size: int) -> int:
        number, self._next = self._next, self._next + 1
        self._open[number] = _Open(suggestion, size)
        self._join(trial_id, number, self._open[number])
        return number

    def _join(self, trial_id: TrialId, number: int, group: _Open) -> None:
        group.members.append(trial_id)
        self._group_of[trial_id] = number

    def _other(self, trial_id: TrialId, values: Values) -> int:
        """A trial that was not proposed here: a group of its own."""
        number = self._begin(trial_id, Suggestion.run(values), 1)
        self._inner.on_trial_add(number, values)
        return number

    def _values(self, group: _Open, space: Space) -> Values:
        """What the first of the group has, as far as that is known: what it has been given in the record, what it asked for,
        and otherwise what its runner gives it when it asks."""
        first = group.members[0]
        values = self.known.trials[first].values if first in self.known.trials else self.known.pending[first]
        known = {name: value for name, value in values.items() if name in space}
        return space.complete(known, Fill(self.known.fill, fill_seed(self.seed, first)).value)

    def on_trial_end(self, trial: TrialView) -> Awaitable[None] | None:
        """Tell the other oracle, if it was the last one of its group."""
        if trial.id < 0:  # of an earlier search
            return self._inner.on_trial_end(trial)
        number = self._group_of.pop(trial.id, None)
        if number is not None and not self._is_of(trial, self._open[number]):
            self._open[number].members.remove(trial.id)  # something else was run, and one more is owed to the group
            number = None
        number = self._other(trial.id, trial.values) if number is None else number
        self._group_of.pop(trial.id, None)
        group = self._open[number]
        group.ended.append(trial)
        if len(group.ended) < group.size:
            return None
        del self._open[number]
        return self._inner.on_trial_end(_as_one(number, group.ended, self.objective))

    def _is_of(self, trial: TrialView, group: _Open) -> bool:
        """Whether a trial was given what the first of its group was."""
        first = group.members[0]
        if first == trial.id:
            return True
        others = self.known.trials[first].values if first in self.known.trials else self.known.pending[first]
        names = [name for name in group.suggestion.values if name in trial.values and name in others]
        return all(trial.values[name] == others[name] for name in names)

    def settings(self) -> Mapping[str, Any]:
        """What makes it propose as it does."""
        return {"oracle": settings_of(self.oracle), "times": self.times}


def _as_one(number: int, ended: Sequence[TrialView], objective: Goal) -> TrialView:
    """The trial that the other oracle is told of: the first that was completed, with the means of all; or the last failure."""
    done = sorted((trial for trial in ended if trial.state is State.COMPLETED), key=lambda trial: trial.id)
    if not done:
        return evolve(ended[-1], id=number)
    group = Group(done[0].values, tuple(trial.id for trial in done), _scores(done))
    metrics = _means([trial.metrics for trial in done if trial.metrics is not None])
    if group.std is not None:
        metrics[f"{objective.name}_std"] = group.std
    violates = tuple(dict.fromkeys(name for trial in done for name in trial.violates))
    return evolve(done[0], id=number, score=group.mean, metrics=metrics or None, violates=violates)


def _scores(trials: Iterable[TrialView]) -> tuple[float, ...]:
    scores = (trial.score for trial in trials)
    return tuple(score for score in scores if score is not None and math.isfinite(score))


def _means(found: Sequence[Metrics]) -> dict[str, float]:
    names = dict.fromkeys(name for metrics in found for name in metrics)
    return {name: fmean(metrics[name] for metrics in found if name in metrics) for name in names}
