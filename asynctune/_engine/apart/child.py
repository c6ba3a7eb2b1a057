"""What runs in an oracle's process: it takes one call after the other from the socket, makes it, and says what was answered.

The calls are pickled by our parent, the only one who can write to this socket. What goes back is typed.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import select
import socket
import sys
import traceback
from collections import deque
from typing import Any, NoReturn, TypeAlias

from asynctune._engine.apart.process import LENGTH
from asynctune._engine.apart.words import Broken, FromOracle, Ready
from asynctune._engine.caller import Answered, Caller
from asynctune._runner.forking import register_hooks
from asynctune._runner.framing import frame
from asynctune._runner.surroundings import start_single_threaded
from asynctune._runner.weights import Weights
from asynctune.errors import PluginError, WireError
from asynctune.records import Suggestion
from asynctune.secret import redacted
from asynctune.wire import encode

__all__ = ["serve"]

_Call: TypeAlias = tuple[str, tuple[Any, ...], dict[str, Any]]


def serve(guard: int, control: socket.socket) -> NoReturn:
    """Run as an oracle's process. Never returns.

    Args:
        guard: the pid of the guard.
        control: the socket to the search.
    """
    faulthandler.enable(file=2)
    register_hooks()  # the guard has set them aside, and an oracle may fork
    start_single_threaded()
    calls = _Calls(control)
    with contextlib.suppress(EOFError, OSError):  # the search has gone, and with it everybody who could want an answer
        _stand_where_the_search_stands(guard, **pickle.loads(calls.take()))  # noqa: S301 -- our parent's, see above
        try:
            _work(calls)
        except PluginError as error:
            if error.__cause__ is not None:  # whose traceback nobody else will see: here, it goes to the log
                traceback.print_exception(error.__cause__)
            calls.say(Broken(str(error)))
            calls.wait_for_the_end()
    os._exit(0)


def _stand_where_the_search_stands(guard: int, *, cwd: str, argv: list[str], path: list[str], nice: int) -> None:
    os.nice(nice)
    weights = Weights(nice)
    weights.add(guard)  # which leads our session
    weights.settle_now({guard})
    with contextlib.suppress(OSError):
        os.chdir(cwd)
    sys.argv[:] = argv
    sys.path[:] = path
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # what a log is for, if this is killed


def _work(calls: _Calls) -> NoReturn:
    caller = _loaded(calls.take())
    while True:
        method, arguments, named = calls.next()
        answer = getattr(caller, method)(*arguments, **named)
        if method == "begin":
            calls.say(Ready())
        elif method == "ask":
            try:
                calls.say(answer)
            except WireError as error:
                raise PluginError(f"{caller.name} answered what cannot be sent: {error}") from error


def _loaded(pickled: bytes) -> Caller:
    try:
        return Caller(pickle.loads(pickled))  # noqa: S301 -- our parent's, see above
    except BaseException as error:
        message = f"the oracle cannot be loaded in a process of its own: {type(error).__name__}: {error}"
        raise PluginError(redacted(message)) from error


class _Calls:
    """The calls, in the order in which they came. An ask that nobody waits for any more is left out, once that is known: what
    has become of its trial is then among the calls behind it."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._waiting = deque[_Call]()

    def next(self) -> _Call:
        """The next call, waiting for it."""
        while True:
            while not self._waiting or select.select([self._control], [], [], 0)[0]:
                self._waiting.append(pickle.loads(self.take()))  # noqa: S301 -- our parent's, see above
            method, arguments, _ = call = self._waiting.popleft()
            if method == "ask" and self._is_late(arguments[0].number):
                self.say(Answered(arguments[0].number, Suggestion.idle(), None))
            elif method != "never_mind":
                return call

    def _is_late(self, ask: int) -> bool:
        return any(method == "never_mind" and arguments == (ask,) for method, arguments, _ in self._waiting)

    def take(self) -> bytes:
        """What was sent next, whole."""
        return self._exactly(LENGTH.unpack(self._exactly(LENGTH.size))[0])

    def _exactly(self, count: int) -> bytes:
        data = bytearray(count)
        view = memoryview(data)
        while view:
            got = self._control.recv_into(view)
            if not got:
                raise EOFError
            view = view[got:]
        return bytes(data)

    def say(self, word: FromOracle) -> None:
        """Say it, waiting until it is taken."""
        self._control.sendall(frame(encode(word, FromOracle)))

    def wait_for_the_end(self) -> None:
        """Until the other end is gone."""
        while True:
            self.take()
