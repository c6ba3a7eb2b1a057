"""The trial as an async function is handed it. Apart from `trial`: who needs no asyncio does not pay for importing it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from asynctune._runner.account import Account
from asynctune._runner.pulse import Pulse
from asynctune._runner.trial import TrialFace

__all__ = ["AsyncTrial"]


class AsyncTrial(TrialFace):
    """A trial, as an async function is handed it. `report()` is awaited; the rest is as in `Trial`."""

    def __init__(self, account: Account, directory: str, data: Mapping[str, Any]) -> None:
        super().__init__(account, directory, data)
        self._one_report = asyncio.Lock()
        self._ready: asyncio.Future[None] | None = None
        self._waits = False

    def run(self, function: Callable[[Any], Awaitable[Any]]) -> Any:
        """What a function of this trial returns, called and awaited in an event loop of its own."""

        async def main() -> Any:
            return await function(self)

        if self._account.pulse is None:
            return asyncio.run(main())
        # Time that passes while a report is not answered is excused, but only when nothing else has it: a task that blocks the
        # loop would never be found out, if another one waited meanwhile.
        selector = _Showing(self._account.pulse, lambda: self._waits)
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
            return runner.run(main())

    async def report(self, metrics: Mapping[str, float] | None = None, /, *, step: int | None = None, **named: float) -> None:
        """Report metrics at a step and await the answer. Takes, raises and does what `Trial.report` does."""
        async with self._one_report:
            account = self._account
            if account.is_waiting and account.stop is None:
                await self._answered()
            self._take_back()
            account.report(metrics, step, named)
            await self._answered()

    async def _answered(self) -> None:
        account = self._account
        self._waits = True
        try:
            await asyncio.sleep(0)  # the answer may be here already; whoever awaits gives way all the same
            while account.is_waiting and account.stop is None:
                body = account.line.receive_nowait()
                if body is not None:
                    account.is_answered(body)
                else:
                    await self._readable()
        except (EOFError, OSError) as error:
            account.stop = f"the search is gone: {error}"
        finally:
            self._waits = False
            if account.pulse is not None:
                account.pulse.goes_on()
        account.obey()

    async def _readable(self) -> None:
        loop, descriptor = asyncio.get_running_loop(), self._account.line.fileno()
        self._ready = ready = loop.create_future()
        loop.add_reader(descriptor, _set, ready)
        try:
            await ready
        finally:
            loop.remove_reader(descriptor)
            self._ready = None

    def _listen(self) -> None:
        super()._listen()
        if self._ready is not None:
            _set(self._ready)  # what that task waits for may have been heard just now


class _Showing(selectors.DefaultSelector):
    """Shows when the loop has nothing to do while a report is not answered."""

    def __init__(self, pulse: Pulse, waits: Callable[[], bool]) -> None:
        super().__init__()
        self._pulse, self._waits = pulse, waits

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As it is, and shown."""
        if not self._waits():
            return super().select(timeout)
        self._pulse.waits()
        try:
            return super().select(timeout)
        finally:
            self._pulse.goes_on()


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
