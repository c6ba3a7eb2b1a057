"""What need not be tried again.

A trial stands for every combination that agrees with it on what it asked for: had it been given one of those, it would have
asked the same questions and got the same answers. So a trial that asked for `layers` alone, and got 0, stands for `layers` = 0
with any number of units in layers that are not there.

This room does not know who asks, nor what a trial's score was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from attrs import Factory, define

from asynctune.records import State, TrialId, TrialView, Value, Values
from asynctune.seeds import fill_seed
from asynctune.space import Cases, Fill, FillRule, Space

__all__ = ["Tried"]

_NOTHING: Values = {}  # for all trials without values there is one

# The values, then the type of each: 1, 1.0 and True are equal in Python, and three values here.
_Exact = tuple[type | Value, ...]


@define
class _Combinations:
    # Combinations, filed by the names that they give a value to; the fewest names first.
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

    def has(self, values: Values) -> bool:
        """Whether this very combination is here."""
        names = tuple(sorted(values))
        return names in self._filed and _exactly(names, values) in self._filed[names]

    def covering(self, values: Values) -> Collection[str] | None:
        """The names of a combination that is here, and with which `values` agree."""
        for names, filed in self._filed.items():
            if all(name in values for name in names) and _exactly(names, values) in filed:
                return names
        return None

    def values_of(self, name: str) -> set[_Exact]:
        under = ((names.index(name), len(names), filed) for names, filed in self._filed.items() if name in names)
        return {(values[place], values[count + place]) for place, count, filed in under for values in filed}


def _exactly(names: Sequence[str], values: Values) -> _Exact:
    found = [values[name] for name in names]
    return (*found, *map(type, found))


@define
class Tried:
    """The combinations that have been tried, or are being tried.

    A trial that ended by itself, or that was stopped after a report, stands for everything that agrees with what it asked for:
    what it had not asked for by then could not have changed what it reported. Until then, and if it fails (perhaps by accident)
    or asks for nothing at all, a trial stands for what was proposed to it and nothing else. A parameter that was not known then
    has the value there that its runner gives it. What is not there under a combination's conditions is no part of it.

    Args:
        rule: how runners fill in what was not proposed.
        seed: of the search.
    """

    rule: FillRule
    seed: int
    # What was last seen.
    _space: Space = Factory(Space)
    # What ended trials asked for, where there was more to ask for than that: each stands for all that agree with it.
    _partial: _Combinations = Factory(_Combinations)
    # The combinations that have a value for everything that is there under them, which are looked up however many there are:
    # what other ended trials asked for (it is partial once the space has grown), and what the trials that stand for one
    # combination alone have in the space as it is.
    _whole: _Combinations = Factory(_Combinations)
    _asked: list[Values] = Factory(list)
    _open: dict[TrialId, Values] = Factory(dict)

    def see(self, space: Space) -> bool:
        """The space as it is now. Returns whether it has grown, in which case everything was looked at again."""
        if space is self._space or space == self._space:
            return False
        self._space = space
        self._whole = _Combinations()
        asked, self._asked = self._asked, []
        for values in asked:
            self._settle(values)
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
            if self._settle(trial.values) or proposed is None:
                return
            combination = self._combination(trial.id, proposed)
            if self._partial.covering(combination) is not None:
                self._whole.discard(combination)  # there may be as many as there are trials, and once is enough
        else:
            self.propose(trial.id, {**(proposed or {}), **trial.values})

    def covering(self, values: Values) -> Collection[str] | None:
        """If the whole combination `values` need not be tried: names such that whatever agrees with it there need not be
        either. Otherwise None."""
        names = self._partial.covering(values)
        return tuple(values) if names is None and self._whole.has(values) else names

    def fresh(self, name: str, candidates: Iterable[Value]) -> Value:
        """The first of the values that no combination gives to `name`; the last one, if there is none. Looks at everything."""
        used = self._partial.values_of(name) | self._whole.values_of(name)
        value: Value = None
        for value in candidates:
            if (value, type(value)) not in used:
                break
        return value

    def _settle(self, values: Values) -> bool:
        """File what stands for everything that agrees with it. Returns whether that is one combination, so far."""
        whole = values.keys() == self._space.active(values).keys()
        if whole:
            self._asked.append(values)
            self._whole.add(values)
        else:
            self._partial.add(values)
        return whole

    def _file(self, trial: TrialId, values: Values) -> None:
        self._whole.add(self._combination(trial, values))

    def _combination(self, trial: TrialId, values: Values) -> Values:
        """The whole combination, in the space as it is, that this trial stands for."""
        if not self._space.is_conditional and values.keys() == self._space.keys():
            return values
        fill = Fill(self.rule, fill_seed(self.seed, trial))
        combination: dict[str, Value] = {}
        for name, parameter in self._space.items():
            domain = parameter.under(combination) if isinstance(parameter, Cases) else parameter
            if domain is not None:
                combination[name] = values[name] if name in values else fill.value(name, domain)
        return combination
