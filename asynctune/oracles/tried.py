"""What need not be tried again, and the walk to the next combination that does.

A trial stands for every combination that agrees with it on what it asked for: had it been given one of those, it would have
asked the same questions and got the same answers. So a trial that asked for `layers` alone, and got 0, stands for `layers` = 0
with any number of units in layers that are not there.

This room does not know who wants the next combination, nor what a trial's score was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, Protocol

from attrs import Factory, define, field

from asynctune.records import State, TrialId, TrialView, Value, Values
from asynctune.seeds import derive, fill_seed
from asynctune.space import Domain, Fill, FillRule, Space, draw

__all__ = ["Odometer", "Tried", "Wheel", "left"]

_LISTED: Final = 100_000  # values, at most, that a parameter can have for each of them to be looked at

_NOTHING: Values = {}  # for all trials without values there is one

# The type of each value, then the value: 1, 1.0 and True are equal in Python, and three values here.
_Exact = tuple[type | Value, ...]


@define
class _Combinations:
    # Partial combinations, filed by the names that they give a value to; the fewest names first.
    _filed: dict[tuple[str, ...], set[_Exact]] = Factory(dict)

    def add(self, values: Values) -> None:
        names = tuple(sorted(values))
        if names not in self._filed:
            self._filed[names] = set()
            self._filed = dict(sorted(self._filed.items(), key=lambda item: (len(item[0]), item[0])))
        self._filed[names].add(_exactly(names, values))

    def discard(self, values: Values) -> None:
        names = tuple(sorted(values))
        self._filed.get(names, set()).discard(_exactly(names, values))

    def covering(self, values: Values) -> Collection[str] | None:
        for names, filed in self._filed.items():
            if all(name in values for name in names) and _exactly(names, values) in filed:
                return names
        return None

    def values_of(self, name: str) -> set[_Exact]:
        filed_under = ((2 * names.index(name), filed) for names, filed in self._filed.items() if name in names)
        return {values[place : place + 2] for place, filed in filed_under for values in filed}


def _exactly(names: Sequence[str], values: Values) -> _Exact:
    return tuple(part for name in names for part in (type(values[name]), values[name]))


@define
class Tried:
    """The combinations that have been tried, or are being tried.

    A trial that ended by itself, or that was stopped after a report, stands for everything that agrees with what it asked for:
    what it had not asked for by then could not have changed what it reported. Until then, and if it fails (perhaps by accident)
    or asks for nothing at all, a trial stands for what was proposed to it and nothing else. A parameter that was not known then
    has the value there that its runner gives it.

    Args:
        rule: how runners fill in what was not proposed.
        seed: of the search.
    """

    rule: FillRule
    seed: int
    # What was last seen.
    _space: Space = Factory(Space)
    _settled: _Combinations = Factory(_Combinations)
    # The trials that stand for one combination alone, and those combinations as they are in the space as it is.
    _open: dict[TrialId, Values] = Factory(dict)
    _single: _Combinations = Factory(_Combinations)

    def see(self, space: Space) -> bool:
        """The space as it is now. Returns whether it has grown, in which case everything was looked at again."""
        if len(space) == len(self._space):
            return False
        self._space = space
        self._single = _Combinations()
        for trial, values in self._open.items():
            self._file(trial, values)
        return True

    def propose(self, trial: TrialId, values: Values) -> None:
        """This trial is going to be run."""
        self._open[trial] = values or _NOTHING
        self._file(trial, values)

    def end(self, trial: TrialView) -> None:
        """This trial, proposed here or not, has ended."""
        proposed = self._open.pop(trial.id, None)
        if trial.values and trial.state is State.COMPLETED and (trial.stop_reason is None or trial.reports):
            self._settled.add(trial.values)
            combination = None if proposed is None else self._combination(trial.id, proposed)
            if combination is not None and self._settled.covering(combination) is not None:
                self._single.discard(combination)  # there may be as many as there are trials, and once is enough
        else:
            self.propose(trial.id, {**(proposed or {}), **trial.values})

    def covering(self, values: Values) -> Collection[str] | None:
        """If the whole combination `values` need not be tried: names such that whatever agrees with it there need not be
        either. Otherwise None."""
        names = self._settled.covering(values)
        return self._single.covering(values) if names is None else names

    def fresh(self, name: str, candidates: Iterable[Value]) -> Value:
        """The first of the values that no combination gives to `name`; the last one, if there is none. Looks at everything."""
        used = self._settled.values_of(name) | self._single.values_of(name)
        value: Value = None
        for value in candidates:
            if (type(value), value) not in used:
                break
        return value

    def _file(self, trial: TrialId, values: Values) -> None:
        self._single.add(self._combination(trial, values))

    def _combination(self, trial: TrialId, values: Values) -> Values:
        """The whole combination, in the space as it is, that this trial stands for."""
        fill = Fill(self.rule, fill_seed(self.seed, trial))
        known = self._space.items()
        return {name: values[name] if name in values else fill.value(name, domain) for name, domain in known}


class Wheel(Protocol):
    """The values of a parameter, in the order in which they are to be taken; at least one."""

    def __len__(self) -> int: ...
    def __getitem__(self, place: int, /) -> Value: ...


@define
class Odometer:
    """Walks the combinations of `wheels` in order, the last one turning fastest, over whatever is covered.

    A covered combination names the wheels that make it so, and the walk turns the last of those at once: the wheels after it
    cannot help. A wheel that has come round is told which earlier wheels were to blame, and the walk goes back to the last of
    these, not simply to the one before (conflict-directed backjumping: Prosser, "Hybrid Algorithms for the Constraint
    Satisfaction Problem", 1993). So wheels that do not matter cost nothing, however many values they have.

    Args:
        wheels: the values of each parameter, by name, in the order in which they are to be taken; none is empty.
    """

    wheels: Mapping[str, Wheel]
    _places: dict[str, int] = field(init=False)
    _turned: list[int] = field(init=False)
    # For each wheel: the earlier wheels on which it depends that its values up to this one are covered.
    _blamed: list[set[int]] = field(init=False)
    _done: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self._places = {name: place for place, name in enumerate(self.wheels)}
        self._turned = [0] * len(self.wheels)
        self._blamed = [set() for _ in self.wheels]

    def next(self, tried: Tried) -> dict[str, Value] | None:
        """The first combination from here on that is not covered, where the walk then stands; None when there is none.

        What was covered must stay so, from one call to the next."""
        while not self._done:
            values = {name: wheel[turned] for (name, wheel), turned in zip(self.wheels.items(), self._turned, strict=True)}
            names = tried.covering(values)
            if names is None:
                return values
            self._done = not self._turn({self._places[name] for name in names})
        return None

    def _turn(self, blamed: set[int]) -> bool:
        wheels = tuple(self.wheels.values())
        while blamed:
            place = max(blamed)
            self._blamed[place] |= blamed - {place}
            self._turned[place] += 1
            for later in range(place + 1, len(wheels)):
                self._turned[later] = 0
                self._blamed[later] = set()
            if self._turned[place] < len(wheels[place]):
                return True
            blamed = self._blamed[place]
        return False


def left(tried: Tried, space: Space, seed: int) -> dict[str, Value] | None:
    """Some combination of `space` that has not been tried; None when there is none. Drawn by hash(`seed`, name):
    each parameter's values are looked at from a place of its own on, so that what comes first is no corner of the space."""
    wheels = {name: _wheel(tried, name, domain, derive(seed, name)) for name, domain in space.items()}
    return Odometer(wheels).next(tried)


def _wheel(tried: Tried, name: str, domain: Domain, luck: int) -> Sequence[Value]:
    if domain.size is not None and domain.size <= _LISTED:
        start = luck % domain.size
        return domain.values[start:] + domain.values[:start]
    # Among so many there are values that no trial has had, and one of them stands for all: nothing tried tells them apart.
    return (tried.fresh(name, (draw(domain, luck, again) for again in range(_LISTED))),)
