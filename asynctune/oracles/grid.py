"""Grid search: every combination, one after the other."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from attrs import define, field, frozen

from asynctune.oracles.base import Oracle
from asynctune.oracles.odometer import Odometer, Wheel
from asynctune.records import Suggestion, TrialId, TrialView, Value
from asynctune.space import Domain, FillRule, Float, Int, Space
from asynctune.space.scales import part
from asynctune.validators import number

__all__ = ["GridSearch"]

_MOST_POINTS: Final = 10_000


@frozen
class _Wheel:
    """The default, then the other values in their order. Each is worked out when its turn comes, for there may be too many to
    list: `place` is that of the default, and `size` where it is not among the values."""

    default: Value
    place: int
    size: int
    values: Wheel

    def __len__(self) -> int:
        return min(self.size + (self.place == self.size), sys.maxsize)  # nobody will get there

    def __getitem__(self, turned: int) -> Value:
        return self.default if turned == 0 else self.values[turned - (turned <= self.place)]


@frozen
class _Steps:
    """The values of a domain that are too many to list."""

    domain: Float
    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, place: int) -> float:
        return self.domain.from_unit((place + 0.5) / self.size)


@frozen
class _Multiples:
    """The multiples of a quantum."""

    domain: Float
    quantum: float
    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, place: int) -> float:
        return self.domain.coerce(self.domain.min_value + place * self.quantum)


@define(kw_only=True, eq=False, slots=False)
class GridSearch(Oracle):
    """Every combination of the parameters' values, in the order of KerasTuner: the last parameter changes fastest, and each one
    takes its default first, then its other values in their order. So the first trial is all defaults.

    Whole numbers are taken in steps of 1 where no step is given, as long as their scale is linear; of a quantum, all multiples
    are. A range without a step otherwise is taken at `points` places, evenly along its scale and both ends included, and at its
    default.

    Parameters that a trial names for the first time have their default in the trials before it. Every combination with their
    other values is then tried too, before the walk goes on, and what has run already is not repeated. A trial stands for all
    combinations that differ from it only in what it never asked for: after one with `layers` = 0, those with other `units_0`
    are left out, if it did not ask for `units_0`. What is running meanwhile cannot be known to be the same, and may be repeated
    in this way. A trial that failed stands for its own combination only.

    A parameter that is there only under conditions has all its values tried before one that it depends on goes on, and is no
    part of the combinations where it is not. What the space's rules forbid is left out.

    It is exhausted when each has been proposed. While no parameter is known, the first trial runs alone.

    Args:
        points: how many values are taken of a range without a step; from 2 to 10,000, by default 10.

    Raises:
        ConfigurationError: if `points` is no such integer.
    """

    # Asked as late as possible: what is known by then of the space and of the trials saves repetitions.
    ahead: ClassVar[int] = 0
    fill: ClassVar[FillRule] = FillRule.DEFAULT
    exhaustive: ClassVar[bool] = True
    several: ClassVar[bool] = True

    points: int = field(default=10, validator=number(2, integer=True, most=_MOST_POINTS))
    # The walk, over what was known of the space when it began.
    _walk: Odometer | None = field(init=False, repr=False, default=None)
    # The trial that was proposed before anything was known, and whether it still runs.
    _first: TrialId | None = field(init=False, repr=False, default=None)
    _alone: bool = field(init=False, repr=False, default=False)

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        """The next combination."""
        if not space:
            return self._before_anything_is_known(trial_id)
        if self._walk is None or (space is not self._walk.space and space != self._walk.space):
            # Combinations that were behind us have others beside them now.
            self._walk = Odometer(space, self._wheel)
        values = self._walk.next(self.known.tried)
        return Suggestion.exhausted() if values is None else Suggestion.run(values)

    def on_trial_end(self, trial: TrialView) -> None:
        """The first one is known."""
        if trial.id == self._first:
            self._alone = False

    def _before_anything_is_known(self, trial_id: TrialId) -> Suggestion:
        if self._first is not None:
            return Suggestion.idle() if self._alone else Suggestion.exhausted()
        self._first, self._alone = trial_id, True
        return Suggestion.run({})

    def _wheel(self, _: str, domain: Domain) -> Wheel:
        values: Sequence[Value]
        if isinstance(domain, Int) and (domain.sampling == "linear" or domain.quantum is not None):
            values = range(domain.min_value, domain.max_value + 1, domain.step or domain.quantum or 1)
            place = values.index(domain.default)
            size = (values[-1] - values[0]) // values.step + 1  # len() of a range ends at 63 bits
            return _Wheel(domain.default, place, size, values)
        if isinstance(domain, Float) and domain.size is not None:
            size = domain.size
            if domain.quantum is not None:
                place = round((domain.default - domain.min_value) / domain.quantum)
                return _Wheel(domain.default, place, size, _Multiples(domain, domain.quantum, size))
            place = part(domain.to_unit(domain.default), size)
            return _Wheel(domain.default, place, size, _Steps(domain, size))
        values = domain.grid(self.points)
        # Compared as they are: among the values of a Choice, 1, 1.0 and True are three.
        found = (place for place, value in enumerate(values) if (type(value), value) == (type(domain.default), domain.default))
        return _Wheel(domain.default, next(found, len(values)), len(values), values)

    def settings(self) -> Mapping[str, Any]:
        """What makes it propose as it does."""
        return {"points": self.points}
