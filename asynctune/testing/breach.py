"""How a history is said to be none."""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["HistoryError", "HistoryRule"]

HistoryRule: TypeAlias = Literal[
    "order",
    "openings",
    "law",
    "ends",
    "attempts",
    "launches",
    "fencing",
    "steps",
    "checkpoints",
    "parents",
    "lineage",
    "budgets",
    "slots",
    "parking",
    "rules",
    "replay",
    "decisions",
    "acknowledged",
]
"""What a history can break; `check_history` says what each asks for."""


class HistoryError(AssertionError):
    """A history that cannot have been.

    Args:
        rule: which rule it breaks, see `check_history`.
        seq: the number of the first record that does; None when it is not the doing of one.
        message: what is wrong.
    """

    def __init__(self, rule: HistoryRule, seq: int | None, message: str) -> None:
        super().__init__(f"{rule}: {message}" + (f" (record {seq})" if seq is not None else ""))
        self.rule = rule
        self.seq = seq
