"""Cancellation at every await: whatever an async program waits for, being cancelled there must leave nothing behind.

As SQLite fails its n-th call of the system for n = 1, 2, 3, ... until there is none left to fail, `cancel_at_await` cancels the
n-th await. The loop, the tasks and the awaits are the real ones.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any

from asynctune.errors import SearchError

__all__ = ["cancel_at_await"]


def cancel_at_await(number: int, main: Callable[[], Coroutine[Any, Any, Any]]) -> bool:
    """Run `main()` in an event loop of its own. The task that makes the `number`-th await of all that are made in that loop, by
    any task, is cancelled while it waits; what follows from that is up to the program.

    What counts is a wait that the loop is asked for. An await that has its answer already is none.

    Args:
        number: from 1. Try one after the other, until there is none left.
        main: what to run. That it ends with `CancelledError` or `SearchError` is expected; any other error is raised.

    Returns:
        Whether there was such an await.

    Raises:
        ValueError: `number` is below 1.
    """
    if number < 1:
        raise ValueError(f"cancel_at_await(number=...) is counted from 1, not {number}")
    awaits, reached = itertools.count(1), list[asyncio.Task[Any]]()

    def begin(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(_run(_Counted(coroutine, awaits, number, reached)), loop=loop, **options)

    async def begun() -> None:
        asyncio.get_running_loop().set_task_factory(begin)
        with suppress(asyncio.CancelledError, SearchError):
            await asyncio.create_task(main())

    asyncio.run(begun())
    return bool(reached)


async def _run(counted: _Counted) -> Any:
    return await counted


class _Counted:
    """Awaits `coroutine`, and cancels the task that runs it where it makes await number `number`."""

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], awaits: itertools.count[int], number: int, reached: list[asyncio.Task[Any]]
    ) -> None:
        self._coroutine, self._awaits, self._number, self._reached = coroutine, awaits, number, reached

    def __await__(self) -> Generator[Any, Any, Any]:
        value, error = None, None
        while True:
            try:
                waited = self._coroutine.throw(error) if error is not None else self._coroutine.send(value)
            except StopIteration as stop:
                return stop.value
            if next(self._awaits) == self._number:
                task = asyncio.current_task()
                assert task is not None
                self._reached.append(task)
                task.get_loop().call_soon(task.cancel)
            value, error = None, None
            try:
                value = yield waited
            except BaseException as thrown:  # noqa: BLE001 -- handed on to the coroutine that waits
                error = thrown
