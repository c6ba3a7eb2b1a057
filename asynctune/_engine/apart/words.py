"""What comes back from an oracle's process."""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen

from asynctune._engine.caller import Answered
from asynctune.wire import closed_union

__all__ = ["Broken", "FromOracle", "Ready"]


@frozen
class Ready:
    """It is loaded, and has heard what the search is about."""


@frozen
class Broken:
    """The oracle has failed: it raised, or answered what is no answer.

    Args:
        message: which of its methods, and how.
    """

    message: str


FromOracle: TypeAlias = Ready | Answered | Broken
"""The first word; an answer; or the last word."""
closed_union(FromOracle)
