"""The runner: the process that runs a trial, from the fork (or the exec) to its last frame.

Nothing here trusts the trainable to behave, and nothing is done after the trainable that need not be: the last frame is sent
when all else is done, and the process is gone at once, so that its end follows its last words immediately.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, NoReturn

from asynctune._runner.account import Account, only_stops
from asynctune._runner.failures import failure_of, message_of, no_result, traceback_of
from asynctune._runner.framing import Line, sendable
from asynctune._runner.linux import flush_c_stdio
from asynctune._runner.loading import Loaded, load_data, load_trainable
from asynctune._runner.logs import redirect_output
from asynctune._runner.orders import Broken, Hello, Ready
from asynctune._runner.parcel import Parcel
from asynctune._runner.pulse import Pulse
from asynctune._runner.quick import pack, unpack
from asynctune._runner.results import InvalidResult, outcome_of
from asynctune._runner.surroundings import seed_generators, set_threads
from asynctune.errors import WireError
from asynctune.messages import FromRunner, RunTrial, TrialRaised, TrialReturned
from asynctune.records import log_name
from asynctune.wire import encode

__all__ = ["Runner"]


class Runner:
    """Runs trials: one, or, where runners are reused, one after the other. Made in the zygote, once for all its forks.

    Args:
        parcel: what the search sent.
        loaded: the trainable, if the zygote has loaded it.
        data: the search's data, if the zygote has loaded it.
        reuse: whether to wait for another trial when one has ended.
    """

    def __init__(self, parcel: Parcel, *, loaded: Loaded | None, data: Mapping[str, Any] | None, reuse: bool) -> None:
        self._line = Line()
        self._parcel = parcel
        self._work = parcel.work
        self._loaded = loaded
        self._data = data
        self._reuse = reuse
        self._pulse: Pulse | None = None

    def shows(self, pulse: Pulse) -> None:
        """Show how it goes, for there are limits."""
        self._pulse = pulse

    def connect(self, channel: int) -> None:
        """Use the socket of this descriptor."""
        self._line.connect(channel)

    def run(self, order: RunTrial | None = None) -> NoReturn:
        """Run `order`, and whatever comes, until there is nothing more to run; and leave the process."""
        if order is None and self._pulse is not None:
            self._pulse.rests()
        while True:
            last = self._launch(order if order is not None else self._next_order())
            order = None
            if not self._reuse:
                self._leave(last)
            self._flush()
            if self._pulse is not None:
                self._pulse.rests()  # before the search hears that it has ended, and may send another one
            self._line.send(*last)

    def load(self) -> None:
        """Load the trainable in this process, and say how that went."""
        started = time.monotonic()
        try:
            data = self._data if self._data is not None else load_data(self._parcel)
            self._loaded = load_trainable(self._parcel, data)
            hello: Hello = Ready(seconds=time.monotonic() - started)
        except BaseException as error:  # noqa: BLE001 -- the user's modules may raise anything, SystemExit too
            hello = Broken(message=message_of(error), traceback=traceback_of(error))
        self._line.send(encode(hello, Hello))
        if self._loaded is None:
            self._leave([])

    def _next_order(self) -> RunTrial:
        # An answer or a halt that comes now was meant for the launch before.
        while True:
            try:
                message = unpack(self._line.receive())
            except (EOFError, OSError):
                if self._loaded is not None:
                    with contextlib.suppress(BaseException):  # nobody is left to hear of it
                        self._loaded.rest()
                self._leave([])
            if isinstance(message, RunTrial):
                return message

    def _launch(self, order: RunTrial) -> list[bytes]:
        """Run the trial; the frames that end its launch."""
        log = log_name(order.trial, order.launch)
        account = Account(order, self._line, self._pulse, policy=self._work.checkpoints)
        if self._pulse is not None:
            self._pulse.begins(order.trial, order.launch)
        try:
            redirect_output(f"{self._work.directory}/{log}")
            set_threads(order.resources.cpu)
            if self._loaded is None:
                self.load()
            seed_generators(order.seed)  # after whatever modules seed when they are imported
            assert self._loaded is not None  # noqa: S101
            if self._pulse is not None:
                self._pulse.calls()
            last: FromRunner = self._returned(account, self._loaded.run(account, self._work.directory, keep=self._reuse), log)
        except BaseException as error:  # noqa: BLE001 -- whatever it is, it is the trial's, and travels as text
            if only_stops(error):
                last = account.left
            else:
                last = TrialRaised(trial=order.trial, launch=order.launch, failure=failure_of(error, log))
        try:
            return [sendable(pack(message)) for message in (*account.declared(), last)]
        except WireError as error:
            failure = no_result(f"its result cannot be sent: {error}", log)
            return [encode(TrialRaised(trial=order.trial, launch=order.launch, failure=failure), FromRunner)]

    def _returned(self, account: Account, result: object, log: str) -> FromRunner:
        trial, launch = account.order.trial, account.order.launch
        if account.stop is not None:  # it saw that it was to stop: what it returns is no result of a finished trial
            return account.left
        try:
            outcome = outcome_of(result, self._work.objective, reported=account.has_reported)
        except InvalidResult as error:
            return TrialRaised(trial=trial, launch=launch, failure=no_result(str(error), log))
        return TrialReturned(
            trial=trial,
            launch=launch,
            metrics=outcome.metrics,
            executions=outcome.executions,
            step=outcome.step,
            checkpoint=account.written,
            size=account.size if account.written is not None else None,
        )

    def _leave(self, last: list[bytes]) -> NoReturn:
        # `os._exit` runs nothing and flushes nothing, so both are done here, and the last frame comes after both.
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()  # noqa: SLF001 -- the one way to run them without ending the interpreter
        self._flush()
        with contextlib.suppress(OSError):
            if last:
                self._line.send(*last)
        os._exit(0)

    def _flush(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BaseException:  # noqa: BLE001, S112 -- the trial may have replaced or closed it
                continue
        flush_c_stdio()
