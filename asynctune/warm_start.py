"""What is known before a search begins: what earlier searches have found (`warm_start=`), and what the user wants tried first
(`try_first=`). Whatever does not fit is refused, with every reason at once, before anything starts.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from attrs import define, field, frozen

from asynctune._engine.journal import read_records
from asynctune._engine.retelling import retold
from asynctune.errors import ConfigurationError, SpaceError, StorageError
from asynctune.objective import Goal
from asynctune.observers.rows import SCORES, VALUES
from asynctune.oracles.observed import as_told
from asynctune.records import Observation, State, TrialId, TrialView, Value, Values
from asynctune.results import Result
from asynctune.seeds import derive, fill_seed
from asynctune.space import Domain, Fill, FillRule, Space
from asynctune.space.checks import plain

__all__ = ["Unasked", "WarmStart", "completed", "completed_points", "given_values", "points"]

_logger = logging.getLogger("asynctune.search")
_WANTED: Final = "a search's directory, a Result, or a table (a list of dicts, or a data frame)"
_TOLD: Final = 5  # reasons in one error
_DRAWS: Final = 1000  # before the rules are taken to allow nothing
_ENDED: Final = {state.value: state for state in State if state.ended}
_SCALAR: Final = bool | int | float | str | None


@frozen
class WarmStart:
    """Where the observations come from.

    Args:
        directory: of a search, which may still run; or None.
        observations: those that are known already.
    """

    directory: Path | None = None
    observations: tuple[Observation, ...] = ()

    @classmethod
    def of(cls, given: Any, space: Space, objective: Goal) -> WarmStart:
        """The one that is meant. A table, or a result, is read here; a directory by `read`.

        Raises:
            ConfigurationError: it is none, or does not fit.
        """
        if given is None:
            return cls()
        if isinstance(given, Result):
            _check_objective("the result's", given.objective, objective)
            return cls(None, _of_trials(given.trials.values(), space))
        if isinstance(given, str | Path):
            if not str(given) or "\0" in str(given):
                raise ConfigurationError(f"warm_start= takes {_WANTED}, not {given!r}")
            return cls(Path(given).expanduser().absolute())
        return cls(None, _of_rows(_rows(given), space, objective))

    def read(self, space: Space, objective: Goal) -> tuple[Observation, ...]:
        """The observations. Reads the directory's journal, beside whoever writes it.

        Raises:
            ConfigurationError: there is no search, or what it found does not fit.
        """
        if self.directory is None:
            return self.observations
        try:
            found = retold(read_records(self.directory))
        except StorageError as error:
            raise ConfigurationError(f"warm_start={str(self.directory)!r}: {error}") from error
        if found.settings is not None:
            _check_objective(f"that of {self.directory}", found.settings.objective, objective)
        return _of_trials(found.trials, space)


def points(given: Any, space: Space, most: int | None) -> tuple[Values, ...]:
    """What is to be tried first, flat and checked; what is not given is drawn later.

    Raises:
        ConfigurationError: it is no list of dicts, there are more than `max_trials`, or (SpaceError) one is not in the space.
    """
    if isinstance(given, str | Mapping) or not isinstance(given, Sequence):
        raise ConfigurationError(f'try_first= takes a list of dicts, such as [{{"units": 64}}], not {given!r}')
    if most is not None and len(given) > most:
        raise ConfigurationError(f"try_first= has {len(given)} trials, and max_trials is {most}: they count as trials")
    found = tuple(_point(values, space, f"try_first[{place}]") for place, values in enumerate(given))
    completed_points(found, space, 0)  # whether they can be
    return found


def completed_points(given: Sequence[Values], space: Space, seed: int) -> tuple[Values, ...]:
    """What is to be tried first, whole: what is missing is drawn by hash(`seed`, trial). In an empty space, it is as it is.

    Raises:
        ConfigurationError: see `completed`.
    """
    if not space:
        return tuple(given)
    whole = (completed(values, space, fill_seed(seed, trial), f"try_first[{trial}]") for trial, values in enumerate(given))
    return tuple(whole)


def completed(given: Values, space: Space, luck: int, what: str) -> Values:
    """The values, with those that are missing drawn by hash(`luck`, name) until the rules allow them, and those that are
    computed.

    Raises:
        ConfigurationError: the rules do not allow them, whatever was drawn; or (SpaceError) a function failed on them.
    """
    for again in range(_DRAWS):
        whole = space.complete(given, Fill(FillRule.DRAW, derive(luck, again) if again else luck).value)
        objection = space.objection(whole)
        if objection is None:
            return space.derive(whole)
    raise ConfigurationError(f"{what}: {objection}; the values were {whole}")


def _point(given: Any, space: Space, what: str) -> dict[str, Value]:
    values = given_values(given, space, what)
    unknown = [name for name in values if space and name not in space]
    if unknown:
        raise SpaceError(f"{what}: there is no parameter {unknown[0]!r}; there are {', '.join(map(repr, space))}")
    return values


def given_values(given: Any, space: Space, what: str) -> dict[str, Value]:
    """Values that the user gives, nested or flat, by flat name; those that the space has are of its types.

    Raises:
        ConfigurationError: they are no dict from names to values. (SpaceError: one is wrong, or inactive.)
    """
    if not isinstance(given, Mapping):
        raise ConfigurationError(f'{what} takes a dict from names to values, such as {{"units": 64}}, not {given!r}')
    values = _flattened(given, what)
    for name, value in values.items():
        if name not in space and name not in space.derived and not isinstance(value, _SCALAR):
            raise ConfigurationError(f"{what} takes a dict from names to values: {name!r} is {value!r}, which is none")
    try:
        known = {name: value for name, value in values.items() if name in space or name in space.derived}
        return {**values, **space.coerce(known)}
    except SpaceError as error:
        raise SpaceError(f"{what}: {error}") from None


def _flattened(given: Mapping[Any, Any], what: str, path: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"{what} takes a dict from names to values, and {name!r} is no name")
        if isinstance(value, Mapping):
            values |= _flattened(value, what, f"{path}{name}/")
        else:
            values[path + name] = plain(value)
    return values


@define(eq=False)
class Unasked:
    """Says, once for each, which names of `try_first=` nobody asked for. With `space=` they were checked at the door; without
    it only the trials know, and what such a name says is lost.

    Args:
        first: what is tried first, as trials 0, 1, ...
        trials: all there are so far.
    """

    first: Sequence[Values]
    trials: Mapping[TrialId, TrialView]
    _open: list[TrialId] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._open = [trial for trial, values in enumerate(self.first) if values]

    def look(self) -> None:
        """Look at those that have ended since."""
        if not self._open:
            return
        ended = [trial for trial in self._open if trial in self.trials and self.trials[trial].state.ended]
        if not ended:
            return
        self._open = [trial for trial in self._open if trial not in ended]
        known = list(dict.fromkeys(name for trial in self.trials.values() for name in trial.values))
        for trial in ended:
            # Who asks for nothing by name may have read what it was given.
            for name in self.first[trial] if self.trials[trial].values else ():
                if name not in known:
                    close = get_close_matches(name, known) or known
                    told = "try_first[%d] gives %r a value, and its trial asked for no such parameter; it may mean %s"
                    _logger.warning(told, trial, name, " or ".join(map(repr, close)))


# ------------------------------------------------------------------------------------------------------ what was found


def _check_objective(whose: str, found: Goal, wanted: Goal) -> None:
    if found != wanted:
        message = f"warm_start=: the objective is {wanted}, and {whose} is {found}"
        raise ConfigurationError(f"{message}: scores under different objectives cannot be mixed")


def _of_trials(trials: Iterable[TrialView], space: Space) -> tuple[Observation, ...]:
    ended = [trial for trial in trials if trial.state.ended]
    return _fitting(ended, lambda trial: f"trial {trial.id}", lambda trial: _observed(trial, space))


def _observed(trial: TrialView, space: Space) -> Observation:
    return Observation(_fitted(trial.values, space), _finite(trial.score), trial.state, trial.scores, trial.violates)


def _of_rows(rows: Sequence[Any], space: Space, objective: Goal) -> tuple[Observation, ...]:
    ended = [(place, row) for place, row in enumerate(rows) if not _is_open(row)]
    return _fitting(ended, lambda each: f"row {each[0]}", lambda each: _row(each[1], space, objective))


def _rows(given: Any) -> Sequence[Any]:
    """The rows of a table: a list of dicts, or a data frame (of pandas, or one that has `to_dicts()`)."""
    if hasattr(given, "columns"):
        given = given.to_dicts() if hasattr(given, "to_dicts") else given.to_dict("records")
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Sequence):
        raise ConfigurationError(f"warm_start= takes {_WANTED}, not {given!r}")
    return given


def _fitting(given: Sequence[Any], called: Callable[[Any], str], made: Callable[[Any], Observation]) -> tuple[Observation, ...]:
    """What is made of each, if all of them fit."""
    observations, wrong = list[Observation](), list[str]()
    for each in given:
        try:
            observations.append(made(each))
        except ConfigurationError as error:
            wrong.append(f"{called(each)}: {error}")
    if wrong:
        more = f"; and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
        count = f"{len(wrong)} of {len(given)} do not fit this search"
        hint = "Leave them out: a table, a list of dicts, can be of the others only"
        if len(wrong) == len(given):
            hint = "None fits: a table has a column for each parameter, one for the objective of this search, and no others"
        raise ConfigurationError(f"warm_start=: {count}: {'; '.join(wrong[:_TOLD])}{more}. {hint}.")
    return tuple(observations)


def _is_open(row: Any) -> bool:
    """Whether it is a row of `Result.to_dicts()`, of a trial that has not ended."""
    return _is_told(row) and row.get("state", "COMPLETED") not in _ENDED


def _is_told(row: Any) -> bool:
    """Whether it is a row as `Result.to_dicts()` makes them."""
    return isinstance(row, Mapping) and any(isinstance(name, str) and name.startswith(VALUES) for name in row)


def _row(row: Any, space: Space, objective: Goal) -> Observation:
    if not isinstance(row, Mapping):
        raise ConfigurationError(f"it is no dict: {row!r}")
    state, names = State.COMPLETED, [each.name for each in objective.each]
    columns = ["score", *names, *(f"{SCORES}{name}" for name in names)]
    if _is_told(row):
        if row.get("objective", str(objective)) != str(objective):
            raise ConfigurationError(f"its score is of {row['objective']}, and this search wants {objective}")
        state = _ENDED[row.get("state", "COMPLETED")]
        found = {name: value for name, value in row.items() if name in columns}
        values = {name.removeprefix(VALUES): value for name, value in row.items() if name.startswith(VALUES)}
    else:
        values = _flattened(row, "it")
        found = {name: values.pop(name) for name in columns if name in values and name not in space}
    told = row.get("violates") if _is_told(row) else None
    violates = tuple(told.split(", ")) if isinstance(told, str) and told else ()
    scored = _scored(found, objective, state, values)  # first: a misspelt objective would be an unknown parameter
    return Observation(_fitted(values, space), *scored, violates)


def _scored(
    found: Mapping[str, Any], objective: Goal, state: State, others: Mapping[str, Any]
) -> tuple[float | None, State, tuple[float, ...]]:
    """What a row says of its trial's score, and of its scores where there are several. `others` are its other columns."""
    if len(objective.each) == 1:
        column = objective.name if objective.name in found else "score"
        if column not in found:
            raise ConfigurationError(f"it has neither {objective.name!r} nor 'score'; it has {_listed(others)}")
        return _score(column, plain(found[column])), state, ()
    scores = list[float | None]()
    for each in objective.each:
        column = each.name if each.name in found else f"{SCORES}{each.name}"
        if column not in found:
            raise ConfigurationError(f"it has no {each.name!r}; it has {_listed([*found, *others])}")
        scores.append(_score(column, plain(found[column])))
    whole = tuple(score for score in scores if score is not None)
    if len(whole) < len(scores):
        return None, state, ()
    return objective.of({each.name: score for each, score in zip(objective.each, whole, strict=True)}), state, whole


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "nothing"


def _score(column: str, value: Any) -> float | None:
    if _is_blank(value):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(f"its {column!r} is {value!r}, which is no number")
    return _finite(value)


def _finite(score: float | None) -> float | None:
    return float(score) if score is not None and math.isfinite(score) else None


def _is_blank(value: Any) -> bool:
    """Whether it stands for nothing: None, NaN, or what pandas writes for it."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and math.isnan(value))


def _fitted(values: Mapping[str, Any], space: Space) -> dict[str, Value]:
    """The values, as a trial of this search would have them. What is said of inactive parameters counts for nothing."""
    if not space:
        found = {name: plain(value) for name, value in values.items() if not _is_blank(value)}
        for name, value in found.items():
            if not isinstance(value, _SCALAR):
                raise ConfigurationError(f"{name!r} is {value!r}, which is no number, string, True or False")
        return found
    unknown = [name for name in values if name not in space and name not in space.derived]
    if unknown:
        raise SpaceError(f"there is no parameter {unknown[0]!r}; known are {_listed(space)}")
    return space.derive(space.complete({}, lambda name, domain: _cell(name, domain, values)))


def _cell(name: str, domain: Domain, values: Mapping[str, Any]) -> Value:
    value = plain(values.get(name))
    if _is_blank(value):
        if name in values and domain.contains(None):
            return None
        raise SpaceError(f"there is no value for {name!r}")
    try:
        return as_told(domain, value)
    except SpaceError as error:
        raise SpaceError(f"parameter {name!r}: {error}") from None
