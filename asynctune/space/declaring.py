"""The words that declare a parameter and give its value, with KerasTuner's arguments: `hp.Int(...)`, `hp.Float(...)`, ...

The methods are named for what they declare; in here the classes are domains.Int, domains.Float, ...
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import EllipsisType
from typing import Any, TypeVar, cast

from asynctune.records import Value
from asynctune.space import domains
from asynctune.space.domains import Domain, Sampling

__all__ = ["Declaring"]

V = TypeVar("V", bound=Value)
C = TypeVar("C")


class Declaring(ABC):
    """Who is asked for parameters by these words."""

    @abstractmethod
    def _ask_if(
        self, parent_name: str | None, parent_values: Value | Sequence[Value], name: str, declare: Callable[[], Domain]
    ) -> Any:
        """Declare a parameter, under a condition if a parent is named, and give its value; None if it is inactive."""

    def Int(  # noqa: N802, PLR0917 -- KerasTuner's words
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: Sampling | None = "linear",
        default: int | None = None,
        parent_name: str | None = None,
        parent_values: Value | Sequence[Value] = None,
        *,
        quantum: int | None = None,
    ) -> int:
        """The value of a whole number from `min_value` to `max_value`; see `asynctune.Int`.

        `parent_name` and `parent_values` are those of a `conditional_scope` for this parameter alone.

        Raises:
            SpaceError: for a wrong argument; or if the name is known with another range, naming both.
        """
        return cast(
            "int",
            self._ask_if(
                parent_name, parent_values, name, lambda: domains.Int(min_value, max_value, step, sampling, default, quantum)
            ),
        )

    def Float(  # noqa: N802, PLR0917
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: Sampling | None = "linear",
        default: float | None = None,
        parent_name: str | None = None,
        parent_values: Value | Sequence[Value] = None,
        *,
        quantum: float | None = None,
    ) -> float:
        """The value of a number from `min_value` to `max_value`; see `asynctune.Float`.

        `parent_name` and `parent_values` are those of a `conditional_scope` for this parameter alone.

        Raises:
            SpaceError: for a wrong argument; or if the name is known with another range, naming both.
        """
        return cast(
            "float",
            self._ask_if(
                parent_name, parent_values, name, lambda: domains.Float(min_value, max_value, step, sampling, default, quantum)
            ),
        )

    def Normal(  # noqa: N802, PLR0917
        self,
        name: str,
        mean: float,
        sd: float,
        step: float | None = None,
        default: float | None = None,
        parent_name: str | None = None,
        parent_values: Value | Sequence[Value] = None,
    ) -> float:
        """The value of a number that is normally distributed; see `asynctune.Normal`.

        `parent_name` and `parent_values` are those of a `conditional_scope` for this parameter alone.

        Raises:
            SpaceError: for a wrong argument; or if the name is known as something else, naming both.
        """
        return cast("float", self._ask_if(parent_name, parent_values, name, lambda: domains.Normal(mean, sd, step, default)))

    def Choice(  # noqa: N802, PLR0917
        self,
        name: str,
        values: Sequence[C] | Mapping[str, C],
        ordered: bool | None = None,
        default: C | None | EllipsisType = ...,
        parent_name: str | None = None,
        parent_values: Value | Sequence[Value] = None,
        *,
        grid: bool = False,
    ) -> C:
        """The value that was chosen among `values`; see `asynctune.Choice`.

        `parent_name` and `parent_values` are those of a `conditional_scope` for this parameter alone.

        Raises:
            SpaceError: for a wrong argument; or if the name is known with other values, naming both.
        """
        return cast("C", self._ask_if(parent_name, parent_values, name, lambda: domains.Choice(values, ordered, default, grid)))

    def Boolean(  # noqa: N802
        self,
        name: str,
        default: bool = False,
        parent_name: str | None = None,
        parent_values: Value | Sequence[Value] = None,
    ) -> bool:
        """True or False; see `asynctune.Boolean`.

        `parent_name` and `parent_values` are those of a `conditional_scope` for this parameter alone.

        Raises:
            SpaceError: for a wrong argument; or if the name is known as something else, naming both.
        """
        return cast("bool", self._ask_if(parent_name, parent_values, name, lambda: domains.Boolean(default)))

    def Fixed(  # noqa: N802
        self,
        name: str,
        value: V,
        parent_name: str | None = None,
        parent_values: Value | Sequence[Value] = None,
    ) -> V:
        """`value`, put on record; see `asynctune.Fixed`.

        `parent_name` and `parent_values` are those of a `conditional_scope` for this parameter alone.

        Raises:
            SpaceError: for a wrong argument; or if the name is known as something else, naming both.
        """
        return cast("V", self._ask_if(parent_name, parent_values, name, lambda: domains.Fixed(value)))
