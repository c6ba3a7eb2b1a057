"""`run()`: a search in a loop of its own, for scripts. It shows its progress, and handles Ctrl-C, SIGTERM and SIGHUP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn, Unpack

from asynctune import observers
from asynctune.errors import ConfigurationError
from asynctune.results import Result
from asynctune.search import Search, SearchOptions, check_names

__all__ = ["run"]

_HEARD_OUT = 2  # signals that end the search, one with grace and one without; the next one ends whatever is going on
_BLOCKED = 0.25  # seconds in which a loop that is not blocked has come round to a signal


def run(trainable: Any, space: Any = None, **options: Unpack[SearchOptions]) -> Result:
    """Search, and return what was found. Takes what `Search` takes, for scripts; inside an event loop, await `search()`.

    It shows what goes on (`Display`): a live view on a terminal, lines anywhere else, a table at the end. `display=False` does
    not; nor is a second one made when there is a `Display` among the observers.

    Ctrl-C, SIGTERM or SIGHUP (the terminal was closed) ends every trial (after `Limits.grace`; a second one, at once) and the
    program, with a word on how to go on. A second one that finds the event loop blocked, and a third one in any case, ends the
    process there and then, as `kill -9` would, and with the same exit code: what was recorded is kept, and no trial is left
    behind. A signal that is ignored, as SIGHUP is under nohup, stays so, and one that you handle is yours.

    Raises:
        ConfigurationError: an argument cannot work, or an event loop is running already; nothing was started.
        StorageError, SearchError, FatalError: as `search()` does.
        KeyboardInterrupt: after Ctrl-C. Where nobody catches it, the program exits with 130.
        SystemExit: with 143 after SIGTERM and 129 after SIGHUP.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise ConfigurationError("run() makes an event loop, and one is running already: write `await asynctune.search(...)`")
    if options.get("display") is None:
        options["display"] = not _displays(options.get("observers"))
    check_names("run()", options)
    search = Search(trainable, space, **options)
    storage = options.get("storage")
    again = f"Run it again to go on from {storage}." if storage else "Give storage= a directory to be able to go on."
    words = f"\nThe search was interrupted. {again}\n"
    received: list[signal.Signals] = []
    try:
        result = asyncio.run(_awaited(search, _free(), received, words))
        if not received:
            return result  # a signal that came as it ended is a signal all the same, though nothing was interrupted
    except (KeyboardInterrupt, asyncio.CancelledError):
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(words)
    # Raised out here, it comes without the traceback of a loop that was only waiting.
    ended_by = next((signum for signum in received if signum is not signal.SIGINT), None)
    if ended_by is not None:
        raise SystemExit(128 + ended_by)
    raise KeyboardInterrupt if hasattr(sys, "ps1") else _Interrupted(128 + signal.SIGINT)


class _Interrupted(KeyboardInterrupt, SystemExit):
    """Ctrl-C in a script: can be caught as what it is, and is no traceback but an exit code where it is not. At a prompt, which
    it would end, it is not raised."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _displays(given: Any) -> bool:
    return isinstance(given, list | tuple) and any(isinstance(each, observers.Display) for each in given)


def _free() -> list[signal.Signals]:
    """The signals that end a script, as far as nobody has other plans: nohup ignores SIGHUP, a handler of yours stays."""
    if threading.current_thread() is not threading.main_thread():
        return []
    plain = {signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    return [signum for signum, handler in plain.items() if signal.getsignal(signum) is handler]


async def _awaited(search: Search, free: list[signal.Signals], received: list[signal.Signals], words: str) -> Result:
    with _heard(free, received, words):
        async with search:
            return await search.result()


@contextlib.contextmanager
def _heard(free: list[signal.Signals], received: list[signal.Signals], words: str) -> Iterator[None]:
    """Each of these signals cancels the current task, the first two times; or ends the process, when the loop is blocked.

    For the first Ctrl-C alone, `asyncio.run` would do so. From the second on it would wait for every task there is, also for
    one that the search gives up. And a handler of the loop's own is not heard while the loop is blocked.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None  # noqa: S101
    unheard: list[float] = []

    def cancel() -> None:
        unheard.clear()
        task.cancel()

    def interrupt(number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if len(received) == _HEARD_OUT or (unheard and now - unheard[0] > _BLOCKED):
            _exit(number, words)
        received.append(signal.Signals(number))
        unheard.append(now)
        loop.call_soon_threadsafe(cancel)

    before = {signum: signal.getsignal(signum) for signum in free}
    for signum in free:
        signal.signal(signum, interrupt)
    try:
        yield
    finally:
        for signum in free:
            if before[signum] is not None:  # one that no Python code has set cannot be set by it
                signal.signal(signum, before[signum])


def _exit(number: int, words: str) -> NoReturn:
    """End here. The journal withstands that, and whoever holds the runners ends them."""
    with contextlib.suppress(OSError):
        os.write(2, words.encode())
    os._exit(128 + number)
