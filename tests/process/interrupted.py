"""A report that is cut short while it waits for its answer, as an alarm of the trial's own does it."""

from __future__ import annotations

import signal
from typing import Any


def report_interrupted(trial: Any) -> None:
    """Report, and be interrupted. Runs in the trial's process.

    Raises:
        TimeoutError: the report was sent, and its answer was not waited for.
    """

    def ring(*_: object) -> None:
        if trial._account.is_waiting:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise TimeoutError

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    trial.report(loss=1.0)
