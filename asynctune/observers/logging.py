"""A search in the log of the program around it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from asynctune.errors import ConfigurationError
from asynctune.events import (
    AttemptFailed,
    CheckpointGone,
    Event,
    Finished,
    GaveUp,
    Happening,
    ParkedGone,
    Paused,
    Reported,
    SearchEnded,
    SearchOpened,
    Started,
    Stopped,
)
from asynctune.observers.base import Observer, Watched
from asynctune.observers.console import culprit, scored, shown, shown_values

__all__ = ["Logging"]


class Logging(Observer):
    """Logs what happens: starts, reports and pauses as DEBUG, ends as INFO, a failure that is tried again, and a
    checkpoint that is gone, as WARNING, a failure that is not, and a search that ends badly, as ERROR.

    Args:
        logger: to log with, or its name.

    Raises:
        ConfigurationError: it is no logger and no name.
    """

    def __init__(self, logger: logging.Logger | logging.LoggerAdapter[logging.Logger] | str = "asynctune.trials") -> None:
        if not isinstance(logger, str | logging.Logger | logging.LoggerAdapter):
            raise ConfigurationError(f"Logging(...) takes a logger, or the name of one, not {logger!r}")
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger

    def on_events(self, events: Sequence[Event], search: Watched) -> None:
        """Log them."""
        for event in events:
            for what in event.happened:
                self._log(what, search)

    def _log(self, what: Happening, search: Watched) -> None:
        log, name = self._logger.log, search.objective.name
        match what:
            case SearchOpened(times=times):
                log(logging.INFO, "search %s in %s", "opened" if times == 1 else "resumed", search.directory)
            case CheckpointGone(trial=trial, checkpoint=key):
                log(logging.WARNING, "trial %s: its checkpoint of step %s (launch %s) is gone", trial, key.step, key.launch)
            case Started(trial=trial, step=step, parked=True):
                log(logging.DEBUG, "trial %s: goes on where it was parked, behind step %s", trial, step)
            case Started(trial=trial, launch=launch):
                values = shown_values(search.trials[trial].values)
                log(logging.DEBUG, "trial %s: launch %s started: %s", trial, launch, values)
            case Reported(trial=trial, step=step, metrics=metrics):
                log(logging.DEBUG, "trial %s: step %s: %s", trial, step, shown_values(metrics))
            case Paused(trial=trial, reason=reason, parked=parked):
                log(logging.DEBUG, "trial %s: %s: %s", trial, "parked" if parked else "set aside", shown(reason, 200))
            case ParkedGone(trial=trial, reason=reason):
                log(logging.DEBUG, "trial %s: is no longer parked: %s", trial, shown(reason, 200))
            case Finished(trial=trial):
                values = shown_values(search.trials[trial].values)
                log(logging.INFO, "trial %s: finished: %s: %s", trial, _scored(name, what), values)
            case Stopped(trial=trial, reason=reason):
                log(logging.INFO, "trial %s: stopped: %s: %s", trial, _scored(name, what), shown(reason, 200))
            case AttemptFailed(trial=trial, failure=failure):
                log(logging.WARNING, "trial %s: failed, will be tried again: %s", trial, culprit(failure))
            case GaveUp(trial=trial, failure=failure):
                log(logging.ERROR, "trial %s: FAILED: %s", trial, culprit(failure))
            case SearchEnded(reason=reason, error=error):
                ended = reason if error is None else f"{error}: {reason}"
                log(logging.INFO if error is None else logging.ERROR, "search ended: %s", shown(ended, 200))


def _scored(name: str, what: Finished | Stopped) -> str:
    score = scored(what.score, what.scores)
    broken = f", which breaks the constraint on {', '.join(what.violates)}" if what.violates else ""
    return f"{name} {score}{broken}" if score else "no score"
