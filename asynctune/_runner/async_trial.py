"""The trial as an async function is handed it. Apart from `trial`, so that a runner which does not need asyncio does not import it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from asynctune._runner.trial import NO_METRICS, TrialFace
from asynctune.messages import FromRunner, MetricsReported
from asynctune.wire import encode

__all__ = ["AsyncTrial", "run_async"]


class AsyncTrial(TrialFace):
    """A trial, as an async function is handed it. `report()` is awaited; the rest is as in `Trial`."""

    async def report(self, metrics: Mapping[str, float] = NO_METRICS, /, *, step: int | None = None, **named: float) -> None:
        """Report metrics at a step and await the answer. Takes, raises and does what `Trial.report` does."""
        messages = self._next_report(metrics, step, named)
        report = messages[-1]
        assert isinstance(report, MetricsReported)  # noqa: S101
        try:
            self._line.send(*(encode(message, FromRunner) for message in messages))
            self._sent(report.step)
            over = False
            while not over:
                body = self._line.receive_nowait()
                if body is None:
                    await self._readable()
                else:
                    over = self._heard(body, report.step)
        except (EOFError, OSError) as error:
            self._stop = f"the search is gone: {error}"
        self._obey()

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._line.fileno(), lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_reader(self._line.fileno())


def run_async(function: Callable[[Any], Awaitable[Any]], argument: Any) -> Any:
    """What `function(argument)` returns, in an event loop of its own."""

    async def main() -> Any:
        return await function(argument)

    return asyncio.run(main())
