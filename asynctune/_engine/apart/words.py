"""What comes back from an oracle's process."""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen

from asynctune._engine.caller import Answered
from asynctune.wire import closed_union

__all__ = ["Broken", "FromOracle"]


@frozen
class Broken:
    """The oracle has failed: it raised, or answered what is no answer.

    Args:
        message: which of its methods, and how.
    """

    message: str


FromOracle: TypeAlias = Answered | Broken
"""An answer; or the last word."""
closed_union(FromOracle)
