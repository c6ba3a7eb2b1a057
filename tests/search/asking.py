"""A search whose launches are asked for, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from asynctune._engine.decider import Committed
from asynctune._engine.loop import OracleCoroutine
from asynctune._machine.stimuli import Settings
from asynctune.executors.base import Attachment, Recipe
from asynctune.executors.external import External, ExternalAttachment
from asynctune.policies import Resources
from asynctune.testing import Behaviour, SimulatedSearch
from asynctune.testing.runners import Script

Caller = Callable[[ExternalAttachment], Coroutine[Any, Any, None]]


@define(kw_only=True)
class AskedSearch(SimulatedSearch):
    """`callers` are each a task of the simulated loop; `asyncio.sleep` takes virtual seconds there."""

    callers: Sequence[Caller]
    lease: float | None = None
    script: Script = lambda _order, _hp: Behaviour()
    _executor: External = field(init=False)
    _asked: ExternalAttachment | None = field(init=False, default=None)
    _tasks: list[asyncio.Task[None]] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._executor = External(self.lease, self.workers)
        self._pool = self._executor.pool

    def settings(self) -> Settings:
        return evolve(super().settings(), ahead=0)

    def _publish(self, committed: Committed) -> None:
        if self._asked is not None:
            self._asked.recorded(committed.records)

    async def _runners(self, coroutine: OracleCoroutine) -> Attachment:
        recipe = Recipe(
            trainable=None,
            data={},
            directory=Path("nowhere"),
            objective=self.objective,
            resources=Resources(),
            limits=self.limits,
        )
        await self._executor.open()
        self._asked = await self._executor.attach(recipe, coroutine)
        for caller in self.callers:
            task = self._loop.create_task(caller(self._asked))
            task.add_done_callback(self._done)
            self._tasks.append(task)
        return self._asked

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)
