"""What plugins answer, read as what it is to be recorded as."""

from __future__ import annotations

from operator import index
from typing import Any

from asynctune.errors import WireError
from asynctune.records import PAUSE, Exploit, Pause, Reallocate, Stop, TrialId, TrialView, Verdict
from asynctune.wire import decode, encode

__all__ = ["about", "as_id", "as_verdict", "sets_aside"]


def about(trial: TrialView | None) -> str:
    """Which trial a plugin is asked about, for errors."""
    return "" if trial is None else f" (trial {trial.id}, step {trial.step})"


def as_verdict(value: Any) -> Verdict | None:
    """The verdict that `value` is, as it will be read again: what could not be must not be written down."""
    if value is PAUSE or (type(value) is Stop and type(value.reason) is str and value.reason.isascii()):
        return value  # as nearly all are
    try:
        verdict: Verdict = decode(encode(value, Verdict), Verdict)
    except WireError:
        return None
    return verdict


def sets_aside(verdict: Verdict | None) -> bool:
    """Whether a running trial with this verdict runs no more, and may go on later."""
    return isinstance(verdict, Pause | Exploit | Reallocate)


def as_id(value: Any) -> TrialId | None:
    """The id that `value` is, of whatever kind of integer (NumPy's too); a bool is none."""
    try:
        return None if isinstance(value, bool) else int(index(value))
    except TypeError:
        return None
