"""The account of a launch: which step is next, which checkpoint waits for its report, whether the trial was told to stop.

It stands between the trial that your function is handed and the line to the search, and knows nothing of the process around it.
"""

from __future__ import annotations

import time
from typing import Any, NoReturn

from asynctune._runner.framing import Line, sendable
from asynctune._runner.metrics import as_metrics, as_step
from asynctune._runner.pulse import Pulse
from asynctune._runner.quick import pack, unpack
from asynctune.messages import Answer, FromRunner, Halt, MetricsReported, ParametersDeclared, RunTrial, TrialLeft, What
from asynctune.records import CheckpointKey, Metrics
from asynctune.space.hyperparameters import HyperParameters
from asynctune.space.shape import Shape

__all__ = ["Account", "StopTrial", "only_stops"]


class StopTrial(BaseException):
    """Raised inside `report()` and `checkpoint()` when the trial is to stop. Let it pass."""


def only_stops(error: BaseException) -> bool:
    """Whether this is a `StopTrial`, or a group (as task groups raise them) of nothing else."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(StopTrial)[1] is None
    return isinstance(error, StopTrial)


class Account:
    """The account of one launch.

    Args:
        order: what is run.
        line: to the search.
        pulse: shows when it reports, if there are limits.
        shape: how the trial sees its values.
    """

    def __init__(self, order: RunTrial, line: Line, pulse: Pulse | None = None, shape: Shape | None = None) -> None:
        self.order = order
        self.shape = Shape() if shape is None else shape
        self.line = line
        self.pulse = pulse
        self.step = 0
        #: Whether the search wants a checkpoint at the next chance.
        self.save = False
        #: Why the trial is to stop, once it is.
        self.stop: str | None = None
        #: A checkpoint that was written and that no report has carried yet.
        self.written: CheckpointKey | None = None
        self.has_reported = False
        #: Whether a report was sent whose answer has not come. It must come before the next report: whoever was interrupted
        #: while he waited for it (by an alarm, by a timeout) waits on first.
        self.is_waiting = False
        #: Why the trial's values cannot be tried, if it has said so.
        self.infeasible: str | None = None
        self._hp: HyperParameters | None = None

    def __repr__(self) -> str:
        return f"<Account of trial {self.order.trial}, launch {self.order.launch}, step {self.step}>"

    @property
    def hp(self) -> HyperParameters:
        """The trial's parameters; made when they are first asked for, as many trials have no use for them."""
        if self._hp is None:
            space, values = self.shape.known(self.order.space, self.order.values), self.order.values
            self._hp = HyperParameters(space, values, self.order.fill, self.shape.objects)
        return self._hp

    @property
    def values(self) -> dict[str, Any]:
        """The values that the trial has, as it gets them. Who looks has asked for all that were found by other trials."""
        given, found = self.order.values, self.order.found
        if found:
            self.hp.ask_for(found)
            given = {name: value for name, value in given.items() if name not in found}
        return {**self.shape.values(given), **(self._hp.values if self._hp is not None else {})}

    def declared(self) -> list[FromRunner]:
        """What was asked of `hp` since the last time, as messages."""
        parameters, values = self._hp.drain() if self._hp is not None else ({}, {})
        if not parameters and not values:
            return []
        trial, launch = self.order.trial, self.order.launch
        return [ParametersDeclared(trial=trial, launch=launch, parameters=parameters, values=values)]

    # ---------------------------------------------------------------------------------------------------- a report

    def report(self, metrics: Any, step: Any, named: Metrics) -> int:
        """Send a report; the step that it was given.

        Raises:
            StopTrial: if the trial was told to stop meanwhile.
            TypeError, ValueError: for what is no number, no step, or was given twice. Nothing was sent.
            WireError: for more than 8 MiB of metrics. Nothing was sent.
        """
        clock = time.monotonic()
        self.obey()
        message = self._message(metrics, step, named, clock)
        body = sendable(pack(message))  # what cannot be sent must not take along what was declared, which is told once
        try:
            self.line.send(*(sendable(pack(each)) for each in self.declared()), body)
        except OSError as error:
            self._gone(error)
            self.obey()
        self.step, self.written, self.has_reported, self.is_waiting = message.step, None, True, True
        return message.step

    def _message(self, metrics: Any, step: Any, named: Metrics, clock: float) -> MetricsReported:
        numbers = as_metrics(named) if metrics is None else as_metrics(metrics) | as_metrics(named)
        if metrics is not None and len(numbers) < len(metrics) + len(named):
            raise TypeError(f"metric {min(metrics.keys() & named.keys())!r} was given twice to report()")
        if not numbers:
            raise TypeError("report() takes at least one metric, such as report(loss=0.5)")
        number = as_step(step, self.step)
        if self.written is not None and self.written.step != number:
            wanted = self.written.step
            raise ValueError(f"a checkpoint of step {wanted} was written, but step {number} is reported: report step {wanted}")
        trial, launch = self.order.trial, self.order.launch
        return MetricsReported(trial=trial, launch=launch, step=number, metrics=numbers, clock=clock, checkpoint=self.written)

    def is_answered(self, body: bytes) -> bool:
        """Hear `body` while waiting for the answer to the last report; whether the wait is over."""
        answer = self._hear(body)
        if answer is not None and answer.step == self.step:
            self.save = answer.save
            if answer.what is What.STOP:
                self.stop = answer.reason or "told to stop"
            elif answer.what is What.GO:
                self.is_waiting = False
                return True
        return self.stop is not None

    def wait_for_answer(self) -> None:
        """Wait, with the whole process, until the last report is answered with "go"; raises StopTrial if it is not."""
        if self.pulse is not None:
            self.pulse.waits()
        try:
            while not self.is_answered(self.line.receive()):
                pass
        except (EOFError, OSError) as error:
            self._gone(error)
        finally:
            if self.pulse is not None:
                self.pulse.goes_on()  # who was interrupted has its time for itself again, though there was no answer
        self.obey()

    # ----------------------------------------------------------------------------------------------------- an end

    def give_up(self, reason: str) -> NoReturn:
        """End the trial, for its values cannot be tried. Raises StopTrial."""
        self.obey()  # what it was told before goes before what it says now
        self.stop = self.infeasible = reason
        raise StopTrial(reason)

    @property
    def left(self) -> TrialLeft:
        """The last words of a trial that stopped before its end."""
        return TrialLeft(trial=self.order.trial, launch=self.order.launch, infeasible=self.infeasible)

    # ----------------------------------------------------------------------------------------------------- hearing

    def listen(self) -> None:
        """Hear what has arrived, without waiting."""
        try:
            while (body := self.line.receive_nowait()) is not None:
                if self.is_waiting:  # and was interrupted: what it hears here is not said again
                    self.is_answered(body)
                else:
                    self._hear(body)
        except (EOFError, OSError) as error:
            self._gone(error)
        self._look()

    def obey(self) -> None:
        """Raise StopTrial if the trial is to stop."""
        self._look()
        if self.stop is not None:
            raise StopTrial(self.stop)

    def _look(self) -> None:
        """Whoever watches over us tells us too, though the search may be unable to."""
        if self.stop is None and self.pulse is not None and self.pulse.is_told:
            self.stop = "it broke one of its limits"

    def _gone(self, error: EOFError | OSError) -> None:
        if isinstance(error, TimeoutError):  # the line has no time of its own: it is an alarm's, and the trial's affair
            raise error
        self.stop = f"the search is gone: {error}"

    def _hear(self, body: bytes) -> Answer | None:
        message = unpack(body)
        if (message.trial, message.launch) != (self.order.trial, self.order.launch):
            return None
        if isinstance(message, Halt):
            self.stop = message.reason
        return message if isinstance(message, Answer) else None
