"""What may be tried, as a whole: an ordered mapping from flat names to parameters, that never changes and can only be grown."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

from asynctune.errors import SpaceError
from asynctune.records import Value, Values
from asynctune.space.allowing import check_any, combinations
from asynctune.space.checks import sound_name
from asynctune.space.conditions import Cases, Parameter, cases_of, joined
from asynctune.space.counting import count
from asynctune.space.derived import Derived, Listed, Pending, resolved
from asynctune.space.domains import Domain
from asynctune.space.encoding import draw
from asynctune.space.hyperparameters import HyperParameters
from asynctune.space.leaves import parameters_in
from asynctune.space.nesting import Unfolded
from asynctune.space.order import check_each_can_be, ordered
from asynctune.space.rules import Rules
from asynctune.space.shape import Shape, objects_of
from asynctune.space.summary import summary, table

__all__ = ["Space"]


def _checked(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    for name, parameter in parameters.items():
        if not isinstance(parameter, Parameter):
            raise SpaceError(f"parameter {sound_name(name)!r} takes a domain such as Int(1, 10), not {parameter!r}")
    return ordered({sound_name(name): parameter for name, parameter in parameters.items()})


def _by_name(derived: Mapping[str, Derived]) -> tuple[tuple[str, Derived], ...]:
    return tuple(sorted(derived.items(), key=lambda item: item[0]))


_COUNTED = 1_000_000  # combinations, at most, that are tried one by one against the rules


@frozen(repr=False, init=False)
class Space(Mapping[str, Parameter]):
    """The parameters of a search, in order, each after those that it depends on. Two spaces are equal if their parameters are,
    in the same order, and their rules.

    Args:
        parameters: for each flat name a domain, or the `Cases` of a parameter that is there only under conditions; the names of
            a group are joined with "/". Or a dict of domains, of plain values (which become `Fixed`), of such dicts and lists,
            and of `When`, for what is there only under conditions. Or another space, whose rules are kept; the parameters of a
            `HyperParameters`; or None, for a space that is found while trials run.
        forbidden: combinations that are never tried: a list of dicts from flat names to a value, or to a list of values. One
            forbids what agrees with it in all of its names.
        feasible: functions that say whether a combination may be tried, called where the oracle is, and on the event loop for
            what is enqueued: they must be quick. Each gets the values, nested, with objects for labels; it returns a bool.

    Attributes:
        rules: what is forbidden, and what must be feasible.
        derived: the values that are computed from the others, by flat name; they are no parameters.
        lists: the flat names of the groups that were declared as lists.

    Raises:
        SpaceError: naming the parameter, by its path; also for one that depends on what there is not, or on what it cannot be,
            or on itself. Or the clause that speaks of what there is not; the function that failed when it was tried on the
            defaults; or the rules, where they allow nothing: what clauses forbid is always found out, and what functions
            refuse where 100,000 combinations or fewer are left to be tried.
    """

    # The order counts: it is the order in which a grid is walked.
    _parameters: dict[str, Parameter] = field(factory=dict, converter=_checked, eq=lambda each: tuple(each.items()))
    rules: Rules = field(factory=Rules)
    derived: Mapping[str, Derived] = field(factory=dict, eq=_by_name)
    lists: frozenset[str] = field(default=frozenset(), eq=False)
    #: Whether some parameters are there only under conditions.
    is_conditional: bool = field(init=False, eq=False)

    @is_conditional.default
    def _(self) -> bool:
        return any(isinstance(parameter, Cases) for parameter in self._parameters.values())

    def __init__(
        self,
        parameters: Space | HyperParameters | Mapping[str, Any] | None = None,
        *,
        forbidden: Sequence[Any] = (),
        feasible: Sequence[Any] = (),
    ) -> None:
        given = parameters.space if isinstance(parameters, HyperParameters) else {} if parameters is None else parameters
        if not isinstance(given, Mapping):
            raise SpaceError(f"Space() takes a dict, a Space or a HyperParameters, not {parameters!r}")
        rules = Rules()
        if isinstance(given, Space):
            rules = given.rules
            self.__attrs_init__(dict(given), derived=given.derived, lists=given.lists)
        elif all(isinstance(parameter, Parameter) for parameter in given.values()):
            self.__attrs_init__(dict(given))
        else:
            each = Unfolded.of(given)
            self.__attrs_init__(parameters_in(each.declared), derived=each.derived, lists=frozenset(each.lists))
        if not isinstance(parameters, Space | HyperParameters):  # those can be found while trials run, and have more cases then
            check_each_can_be(self)
        self._rule(rules.joined(Rules.of(self._parameters, forbidden, feasible)))

    def _rule(self, rules: Rules) -> None:
        object.__setattr__(self, "rules", rules)
        if not rules and not self.derived:
            return
        # What would fail in every trial fails here, at the line that declares it.
        if self.objection(defaults := self.defaults()) is None:
            self.derive(defaults)
        else:
            check_any(self._parameters, rules, self.objection)

    @classmethod
    def of(cls, declared: Space | HyperParameters | Mapping[str, Any] | None) -> Space:
        """The space that was declared: itself, or what `Space(declared)` makes of anything else.

        Raises:
            SpaceError: see `Space`.
        """
        if isinstance(declared, Space):
            return declared
        if declared is not None and not isinstance(declared, HyperParameters | Mapping):
            raise SpaceError(f"space= takes a dict, a Space or a HyperParameters, not {declared!r}")
        return cls(declared)

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The domain, or the cases, of each flat name, read only."""
        return MappingProxyType(self._parameters)

    @property
    def size(self) -> int | None:
        """How many sets of values there are, exactly; None if there is no end of them. Where there are rules, those that they
        allow; also None, if there would be more than a million without them."""
        return count(self._parameters) if not self.rules else self._allowed

    @property
    def is_finite(self) -> bool:
        """Whether no parameter, in any of its cases, has values without end; there may still be too many to be counted."""
        return all(case.domain.size is not None for parameter in self.values() for case in cases_of(parameter))

    @cached_property
    def _allowed(self) -> int | None:
        size = count(self._parameters)
        if size is None or size > _COUNTED:
            return None
        return sum(self.objection(values) is None for values in combinations(self._parameters))

    @cached_property
    def shape(self) -> Shape:
        """How a trial sees its values."""
        return Shape(objects_of(self._parameters), self.lists, frozenset(self.derived))

    def __getitem__(self, name: str) -> Parameter:
        return self._parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __contains__(self, name: object) -> bool:
        return name in self._parameters

    def __repr__(self) -> str:
        named = [*self._parameters.items(), *self.derived.items()]
        return f"Space({', '.join([*(f'{name}: {each.describe()}' for name, each in named), *self.rules.describe()])})"

    def active(self, values: Values) -> dict[str, Domain]:
        """The parameters that are there under `values`, in order, each with the domain that it has there.

        `values` may be too few or too many: what depends on a value that is missing is not there, and what they say of inactive
        or unknown parameters counts for nothing. They are taken as they are; `validate` makes 1.0 of 1.
        """
        found: dict[str, Domain] = {}
        known: dict[str, Value] = {}
        for name, parameter in self._parameters.items():
            domain = parameter.under(known) if isinstance(parameter, Cases) else parameter
            if domain is not None:
                found[name] = domain
                if name in values:
                    known[name] = values[name]
        return found

    def domain(self, name: str, values: Values) -> Domain | None:
        """The domain that the parameter `name` has under `values`; None where it is inactive, or not a parameter."""
        parameter = self._parameters.get(name)
        return self.active(values).get(name) if isinstance(parameter, Cases) else parameter

    def complete(self, values: Values, fill: Callable[[str, Domain], Value]) -> dict[str, Value]:
        """A value for every parameter that is there: that of `values`, or what `fill` gives for its name and its domain. What
        `values` say of inactive or unknown parameters is left out.

        Raises:
            SpaceError: naming the active parameter whose value is not one of its domain.
        """
        done: dict[str, Value] = {}
        for name, parameter in self._parameters.items():
            domain = parameter.under(done) if isinstance(parameter, Cases) else parameter
            if domain is not None:
                done[name] = _coerced(name, domain, values[name]) if name in values else fill(name, domain)
        return done

    @property
    def terms(self) -> dict[str, Any]:
        """What is recorded beside the parameters: `derived`, `forbidden` and `feasible`, with names for functions."""
        derived = {name: each.name for name, each in self.derived.items()}
        feasible = tuple(predicate.name for predicate in self.rules.feasible)
        return {"derived": derived, "forbidden": self.rules.forbidden, "feasible": feasible}

    def is_allowed(self, values: Values) -> bool:
        """Whether the rules let these values be tried; see `objection`."""
        return not self.rules or self.objection(values) is None

    def objection(self, values: Values) -> str | None:
        """Why the rules do not let these values be tried; None if they do.

        Args:
            values: of all parameters that are there, of their types.

        Raises:
            SpaceError: a function of `feasible=` raised, or answered neither True nor False.
        """
        broken = self._broken(values)
        return None if broken is None else broken[1]

    def blamed(self, values: Values) -> Collection[str] | None:
        """If the rules do not let these values be tried, names such that whatever agrees with them there may not be either; see
        `objection`."""
        broken = self._broken(values) if self.rules else None
        return None if broken is None else broken[0]

    def _broken(self, values: Values) -> tuple[Collection[str], str] | None:
        return self.rules.broken(values, lambda: self.nest(self.derive(values)))

    def derive(self, values: Values) -> dict[str, Value]:
        """`values` and those that are computed from them.

        Raises:
            SpaceError: a function of `sample_from()` raised, or returned what is no plain value; or two depend on one another.
        """
        given = {name: value for name, value in values.items() if name not in self.derived}
        if not self.derived:
            return given
        shown = {**self.shape.values(given), **{name: Pending(name) for name in self.derived}}
        return given | resolved(self.derived, self.shape.nest(shown, Listed))

    def summary(self) -> list[dict[str, Any]]:
        """The parameters as data, ready for JSON: a dict for each, or for each of its cases, with its `name`, its `kind`
        ("Int"), the arguments that its domain was declared with, its `default`, and its `conditions`, a list of dicts with
        `parent` and `values`. Then a dict for each value that is computed, with its `name`, "Derived" as its `kind`, and the
        name of its `function`. The rules are in `terms`."""
        return summary(self._parameters, self.derived)

    def describe(self) -> str:
        """The parameters and the values that are computed as a table to be read, below how many there are, and how many
        combinations; then the rules, a line for each. It is what `str` gives."""
        return table(self._parameters, self.derived, self.rules.describe(), (count(self._parameters), self.size))

    def __str__(self) -> str:
        return self.describe()

    def defaults(self) -> dict[str, Value]:
        """The default of each parameter that is there when its parents have theirs."""
        return self.complete({}, lambda _, domain: domain.default)

    def sample(self, seed: int) -> dict[str, Value]:
        """A value for each parameter, drawn from hash(`seed`, name): so the other parameters and the order change nothing, but
        for whether it is there."""
        return self.complete({}, lambda name, domain: draw(domain, seed, name))

    def validate(self, values: Values) -> dict[str, Value]:
        """`values` as they are to be: one for each parameter that is there, in its order, of its type.

        Raises:
            SpaceError: naming the parameter whose value is missing or wrong, or which is unknown or inactive.
        """
        done = self.coerce(values)
        for name in self.active(done):
            if name not in done:
                raise SpaceError(f"parameter {name!r} has no value; {self._told()}")
        return done

    def coerce(self, values: Values) -> dict[str, Value]:
        """`values` in the order of the space, each of its type; there may be none for some parameters.

        Raises:
            SpaceError: naming the parameter whose value is wrong, or which is unknown or inactive.
        """
        for name in values:
            if name in self.derived:
                raise SpaceError(f"{name!r} is computed from the others, by {self.derived[name].name}: leave it out")
            if name not in self._parameters:
                raise SpaceError(f"{name!r} is not a parameter; {self._told()}")
        done: dict[str, Value] = {}
        for name, parameter in self._parameters.items():
            if name in values:
                domain = parameter.under(done) if isinstance(parameter, Cases) else parameter
                if domain is None:
                    raise SpaceError(f"parameter {name!r} has a value, and is not there: it is {parameter.describe()}")
                done[name] = _coerced(name, domain, values[name])
        return done

    def _told(self) -> str:
        return f"the parameters are {', '.join(map(repr, self._parameters)) or 'none'}"

    def grow(self, new: Mapping[str, Parameter]) -> Space:
        """This space and what `new` has beyond it: its parameters, and its cases of parameters that are in both.

        Raises:
            SpaceError: if a name is in both with different domains under conditions that can be met at once, naming both.
        """
        known = self._parameters
        both = {name: joined(name, known[name], parameter) for name, parameter in new.items() if name in known}
        more = {name: parameter for name, parameter in new.items() if known.get(name) != both.get(name, parameter)}
        if not more:
            return self
        grown = object.__new__(Space)
        grown.__attrs_init__({**known, **more, **both}, self.rules, self.derived, self.lists)
        return grown

    def fingerprint(self) -> str:
        """32 hexadecimal digits, the same for equal spaces only, on every machine."""
        lines = [f"{name}\n{parameter.describe()}" for name, parameter in self._parameters.items()]
        lines += [f"{name}\n{derived.describe()}" for name, derived in _by_name(self.derived)]
        return hashlib.blake2b("\n".join([*lines, *self.rules.describe()]).encode(), digest_size=16).hexdigest()

    def nest(self, values: Values) -> dict[str, Any]:
        """`values` as a trial gets them, by groups; see `asynctune.space.shape.Shape`."""
        return self.shape.nest(self.shape.values(values))


def _coerced(name: str, domain: Domain, value: object) -> Value:
    try:
        return domain.coerce(value)
    except SpaceError as error:
        raise SpaceError(f"parameter {name!r}: {error}") from None
