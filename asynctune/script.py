"""`run()`: a search in a loop of its own, for scripts. It shows its progress, and handles Ctrl-C and SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any, Unpack

from asynctune import observers
from asynctune.errors import ConfigurationError
from asynctune.results import Result
from asynctune.search import Search, SearchOptions, checked_names

__all__ = ["run"]


def run(trainable: Any, space: Any = None, **options: Unpack[SearchOptions]) -> Result:
    """Search, and return what was found. Takes what `Search` takes, for scripts; inside an event loop, await `search()`.

    It shows what goes on (`Display`): a live view on a terminal, lines anywhere else, a table at the end. `display=False` does
    not; nor is a second one made when there is a `Display` among the observers.

    Ctrl-C or SIGTERM ends every trial (after `Limits.grace`; a second one, at once) and the program, with a word on how to go
    on.

    Raises:
        ConfigurationError: an argument cannot work, or an event loop is running already; nothing was started.
        StorageError, SearchError, FatalError: as `search()` does.
        KeyboardInterrupt, SystemExit: after Ctrl-C, or with 143 after SIGTERM.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise ConfigurationError("run() makes an event loop, and one is running already: write `await asynctune.search(...)`")
    if options.get("display") is None:
        options["display"] = not _displays(options.get("observers"))
    search = Search(trainable, space, **checked_names(options))
    terminated: list[int] = []
    try:
        return asyncio.run(_awaited(search, terminated))
    except (KeyboardInterrupt, asyncio.CancelledError):
        storage = options.get("storage")
        again = f"Run it again to go on from {storage}." if storage else "Give storage= a directory to be able to go on."
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"\nThe search was interrupted. {again}\n")
    # Raised out here, it comes without the traceback of a loop that was only waiting.
    raise SystemExit(128 + terminated[0]) if terminated else KeyboardInterrupt


def _displays(given: Any) -> bool:
    return isinstance(given, list | tuple) and any(isinstance(each, observers.Display) for each in given)


async def _awaited(search: Search, terminated: list[int]) -> Result:
    with _terminable(terminated):
        async with search:
            return await search.result()


@contextlib.contextmanager
def _terminable(terminated: list[int]) -> Iterator[None]:
    """SIGTERM cancels the current task. Ctrl-C does so by itself, under `asyncio.run`."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    if task is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def cancel() -> None:
        terminated.append(signal.SIGTERM)
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
