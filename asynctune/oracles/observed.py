"""What earlier searches have found, until it is known whether it fits this one.

Where the space is declared, what does not fit was refused at the door. Where trials name their parameters, nobody can tell
before they have.
"""

from __future__ import annotations

from typing import Any

from attrs import Factory, define, evolve

from asynctune.errors import SpaceError
from asynctune.records import TrialId, TrialView, Value
from asynctune.space import Cases, Space

__all__ = ["Observed", "as_told"]


def as_told(domain: Any, value: Any) -> Value:
    """What a table says, as a value of the domain. It keeps whole numbers as floats where a column has gaps, and as integers
    where floats happen to be whole.

    Raises:
        SpaceError: the domain has no such value.
    """
    other = int(value) if isinstance(value, float) and value.is_integer() else float(value) if type(value) is int else value
    told: Value = domain.coerce(other if domain.contains(other) and not domain.contains(value) else value)
    return told


@define
class Observed:
    """Trials of earlier searches that count for nothing yet: each waits until the space has all parameters that it has.

    Attributes:
        left_out: why one does not count, by its id: for good, where a value is wrong; and otherwise as long as there is no
            parameter of a name that it has.
    """

    left_out: dict[TrialId, str] = Factory(dict)
    _waiting: list[TrialView] = Factory(list)

    def add(self, trial: TrialView) -> None:
        """One more."""
        self._waiting.append(trial)

    def fitting(self, space: Space, *, final: bool) -> list[TrialView]:
        """Those that fit the space, with values of its types; they wait no longer. What they say of inactive parameters counts
        for nothing. `final` is when trials have named parameters, so that a name that is still unknown may be a mistake."""
        if not space:
            return []
        found, waiting = list[TrialView](), list[TrialView]()
        for trial in self._waiting:
            try:
                fitted = _fitted(trial, space)
            except SpaceError as error:
                self.left_out[trial.id] = str(error)
                continue
            unknown = next((name for name in trial.values if name not in space and name not in space.derived), None)
            if unknown is None:
                self.left_out.pop(trial.id, None)
                found.append(fitted)
                continue
            waiting.append(trial)
            if final:
                known = ", ".join(map(repr, space))
                self.left_out.setdefault(trial.id, f"there is no parameter {unknown!r}; known are {known}")
        self._waiting = waiting
        return found

    @property
    def any(self) -> bool:
        """Whether one waits."""
        return bool(self._waiting)


def _fitted(trial: TrialView, space: Space) -> TrialView:
    values: dict[str, Value] = {}
    for name, parameter in space.items():
        domain = parameter.under(values) if isinstance(parameter, Cases) else parameter
        if domain is not None and name in trial.values:
            try:
                values[name] = as_told(domain, trial.values[name])
            except SpaceError as error:
                raise SpaceError(f"parameter {name!r}: {error}") from None
    values |= {name: value for name, value in trial.values.items() if name in space.derived}
    return trial if values == trial.values and _types(values) == _types(trial.values) else evolve(trial, values=values)


def _types(values: Any) -> dict[str, type]:
    return {name: type(value) for name, value in values.items()}
