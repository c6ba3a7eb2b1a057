"""`run()`: a search in a loop of its own, for scripts. It shows its progress, and handles Ctrl-C and SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any, Unpack

from asynctune.errors import ConfigurationError
from asynctune.objective import as_objective
from asynctune.observers.console import Console
from asynctune.results import Result
from asynctune.search import Search, SearchOptions, checked_names

__all__ = ["run"]


def run(trainable: Any, space: Any = None, *, display: bool = True, **options: Unpack[SearchOptions]) -> Result:
    """Search, and return what was found. Takes what `Search` takes, for scripts; inside an event loop, await `search()`.

    Ctrl-C or SIGTERM ends every trial (after `Limits.grace`; a second one, at once) and the program, with a word on how to go
    on.

    Args:
        display: write a line for every trial that ends, and a table at the end.

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
    search = Search(trainable, space, **checked_names(options))
    terminated: list[int] = []
    try:
        return asyncio.run(_shown(search, terminated, display=display, objective=as_objective(options["objective"])))
    except (KeyboardInterrupt, asyncio.CancelledError):
        storage = options.get("storage")
        again = f"Run it again to go on from {storage}." if storage else "Give storage= a directory to be able to go on."
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"\nThe search was interrupted. {again}\n")
    # Raised out here, it comes without the traceback of a loop that was only waiting.
    raise SystemExit(128 + terminated[0]) if terminated else KeyboardInterrupt


async def _shown(search: Search, terminated: list[int], *, display: bool, objective: Any) -> Result:
    with _terminable(terminated):
        async with search:
            if not display:
                return await search.result()
            console = Console(objective, lambda: search.trials)
            followed = asyncio.create_task(console.follow(search.events()))
            try:
                result = await search.result()
            except asyncio.CancelledError:
                followed.cancel()
                raise
            except Exception:
                await followed  # what came before the error is worth reading
                raise
            await followed
        console.summary(result.reason)
        return result


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
