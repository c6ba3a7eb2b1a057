"""How a process ended, in words."""

from __future__ import annotations

import contextlib
import signal

__all__ = ["how"]


def how(exit_code: int | None, signum: int | None) -> str:
    """The same as a predicate; exactly one of the two is given."""
    if signum is None:
        return f"exited with code {exit_code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(signum).name}"
    return f"was killed by signal {signum}"
