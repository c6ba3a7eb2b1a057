"""`run()`: a search in a loop of its own, for scripts. It shows its progress, and handles Ctrl-C, SIGTERM and SIGHUP."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Unpack

from asynctune import observers
from asynctune.errors import ConfigurationError
from asynctune.results import Result
from asynctune.search import Search, SearchOptions, check_names

__all__ = ["run"]

_HEARD_OUT = 2  # times that Ctrl-C ends the search, with grace and without; then it ends whatever is going on


def run(trainable: Any, space: Any = None, **options: Unpack[SearchOptions]) -> Result:
    """Search, and return what was found. Takes what `Search` takes, for scripts; inside an event loop, await `search()`.

    It shows what goes on (`Display`): a live view on a terminal, lines anywhere else, a table at the end. `display=False` does
    not; nor is a second one made when there is a `Display` among the observers.

    Ctrl-C, SIGTERM or SIGHUP (the terminal was closed) ends every trial (after `Limits.grace`; a second one, at once) and the
    program, with a word on how to go on. A SIGHUP that is ignored, as under nohup, stays so.

    Raises:
        ConfigurationError: an argument cannot work, or an event loop is running already; nothing was started.
        StorageError, SearchError, FatalError: as `search()` does.
        KeyboardInterrupt, SystemExit: after Ctrl-C, or with 143 after SIGTERM and 129 after SIGHUP.
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
    received: list[signal.Signals] = []
    try:
        return asyncio.run(_awaited(search, _free(), received))
    except (KeyboardInterrupt, asyncio.CancelledError):
        storage = options.get("storage")
        again = f"Run it again to go on from {storage}." if storage else "Give storage= a directory to be able to go on."
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"\nThe search was interrupted. {again}\n")
    # Raised out here, it comes without the traceback of a loop that was only waiting.
    ended_by = next((signum for signum in received if signum is not signal.SIGINT), None)
    raise SystemExit(128 + ended_by) if ended_by is not None else KeyboardInterrupt


def _displays(given: Any) -> bool:
    return isinstance(given, list | tuple) and any(isinstance(each, observers.Display) for each in given)


def _free() -> list[signal.Signals]:
    """The signals that end a script, as far as nobody has other plans: nohup ignores SIGHUP, a handler of yours stays."""
    if threading.current_thread() is not threading.main_thread():
        return []
    free = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        free.append(signal.SIGHUP)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        free.append(signal.SIGINT)
    return free


async def _awaited(search: Search, free: list[signal.Signals], received: list[signal.Signals]) -> Result:
    with _heard(free, received):
        async with search:
            return await search.result()


@contextlib.contextmanager
def _heard(free: list[signal.Signals], received: list[signal.Signals]) -> Iterator[None]:
    """Each of these signals cancels the current task, each time that it comes.

    For the first Ctrl-C alone, `asyncio.run` would do so. From the second on it would wait for every task there is, also for
    one that the search gives up.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None  # noqa: S101

    def cancel(signum: signal.Signals) -> None:
        received.append(signum)
        task.cancel()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        # Heard also when something keeps the loop from running; that is what more of them are for.
        if received.count(signal.SIGINT) == _HEARD_OUT:
            raise KeyboardInterrupt
        received.append(signal.SIGINT)
        loop.call_soon_threadsafe(task.cancel)

    before = {signum: signal.getsignal(signum) for signum in free}
    for signum in free:
        if signum is signal.SIGINT:
            signal.signal(signum, interrupt)
        else:
            loop.add_signal_handler(signum, cancel, signum)
    try:
        yield
    finally:
        for signum in free:
            if signum is not signal.SIGINT:
                loop.remove_signal_handler(signum)
            if before[signum] is not None:  # one that no Python code has set cannot be set by it
                signal.signal(signum, before[signum])
