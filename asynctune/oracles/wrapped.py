"""What an oracle takes over from the one that it wraps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from asynctune.errors import ConfigurationError
from asynctune.oracles.base import Oracle

__all__ = ["its_own", "settings_of", "take_over"]

_LIKE_THE_OTHER: Final = ("ahead", "learns", "apart", "fill", "exhaustive", "several", "descends", "deadline", "patience")


def its_own(oracle: Oracle, **attributes: Any) -> None:
    """Give this one oracle other class attributes (`ahead`, `fill`, ...) than its class has."""
    vars(oracle).update(attributes)


def take_over(wrapper: Oracle, oracle: Any, *more: str) -> None:
    """Make the wrapper's class attributes, and `more` of them, those of the oracle that it wraps.

    Raises:
        ConfigurationError: if what it wraps is no oracle.
    """
    if not isinstance(oracle, Oracle):
        name = type(wrapper).__name__
        raise ConfigurationError(f"{name}(oracle=...) takes an oracle such as RandomSearch(), not {oracle!r}")
    its_own(wrapper, **{each: getattr(oracle, each) for each in (*_LIKE_THE_OTHER, *more)})


def settings_of(oracle: Oracle) -> Mapping[str, Any]:
    """What makes the wrapped oracle propose as it does, for the wrapper's own settings."""
    return {"class": type(oracle).__qualname__, "settings": dict(oracle.settings())}
