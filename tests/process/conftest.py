"""Real processes. What all tests here share: a census of processes and descriptors, and a search as small as can be."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

from asynctune.errors import ExecutorError
from asynctune.executors.base import Attachment, Executor, Recipe
from asynctune.executors.local import LocalExecutor
from asynctune.messages import (
    Answer,
    Breach,
    Ending,
    Fill,
    FillRule,
    MetricsReported,
    ParametersDeclared,
    RunTrial,
    TrialReturned,
    Weight,
    What,
)
from asynctune.objective import Objective
from asynctune.policies import Limits, Resources
from asynctune.records import CheckpointKey, Values

# Nothing here takes long. Who waits for more than this waits for ever.
PATIENCE = 20.0


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if "tests/process" in item.path.as_posix():
            item.add_marker(pytest.mark.process)


def descriptors() -> dict[str, str]:
    """The open descriptors of this process, by number, as what they are."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
    return found


def descendants() -> set[int]:
    """Every process below this one, zombies too."""
    return {process.pid for process in psutil.Process().children(recursive=True)}


def alive(pid: int) -> bool:
    """Whether this process runs: a zombie does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def until(condition: Callable[[], Any]) -> None:
    """Wait until the condition is true. For what no event tells: processes that are not our children."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.fixture(autouse=True)
def _census() -> Iterator[None]:
    """Whatever a test does: afterwards no process, descriptor or thread is left of it."""
    before, processes, threads = descriptors(), descendants(), threading.active_count()
    yield
    assert descendants() - processes == set()
    left = {number: target for number, target in descriptors().items() if number not in before}
    assert left == {}
    assert threading.active_count() == threads


class Search:
    """As much of a search as an executor needs: it starts launches, answers reports, and keeps what it hears.

    Args:
        answer: what to do after each report.
    """

    def __init__(self, answer: Callable[[MetricsReported], What] = lambda report: What.GO) -> None:
        self.attachment: Attachment
        self.heard_of: list[ParametersDeclared | MetricsReported] = []
        self.failures: list[ExecutorError] = []
        self.endings: list[Ending] = []
        self.breaches: list[Breach] = []
        self.weights: list[Weight] = []
        self._answer = answer
        self._over: dict[tuple[int, int], asyncio.Future[Ending]] = {}
        self._reported: dict[int, asyncio.Future[MetricsReported]] = {}

    @property
    def reports(self) -> list[MetricsReported]:
        return [message for message in self.heard_of if isinstance(message, MetricsReported)]

    def heard(self, message: ParametersDeclared | MetricsReported) -> None:
        self.heard_of.append(message)
        if isinstance(message, MetricsReported):
            what = self._answer(message)
            answer = Answer(trial=message.trial, launch=message.launch, step=message.step, what=what)
            self.attachment.send(answer)
            waiting = self._reported.pop(message.trial, None)
            if waiting is not None:
                waiting.set_result(message)

    def broke(self, breach: Breach) -> None:
        self.breaches.append(breach)

    def weighed(self, weight: Weight) -> None:
        self.weights.append(weight)

    def ended(self, ending: Ending) -> None:
        self.endings.append(ending)
        over = self._over[ending.trial, ending.launch]
        assert not over.done() or over.cancelled(), f"a second ending: {ending}"
        if not over.cancelled():
            over.set_result(ending)

    def failed(self, error: ExecutorError) -> None:
        self.failures.append(error)

    def forget(self) -> None:
        """Let go of what was heard, and of the launches that are over: what memory is taken then is the executor's."""
        self.heard_of.clear()
        self.endings.clear()
        self._over = {launch: over for launch, over in self._over.items() if not over.done()}

    def start(
        self,
        trial: int = 0,
        values: Values | None = None,
        *,
        launch: int = 1,
        restore: CheckpointKey | None = None,
        resources: Resources | None = None,
    ) -> asyncio.Future[Ending]:
        """Start a launch; the future is its ending."""
        self._over[trial, launch] = over = _soon()
        self.attachment.start(
            RunTrial(
                trial=trial,
                launch=launch,
                attempt=1,
                values=values or {},
                space={},
                fill=Fill(FillRule.DRAW, trial),
                seed=1000 + trial,
                resources=resources or Resources(),
                restore=restore,
                step=0 if restore is None else restore.step,
            )
        )
        return over

    def report_of(self, trial: int = 0) -> asyncio.Future[MetricsReported]:
        """The next report of this trial."""
        self._reported[trial] = _soon()
        return self._reported[trial]

    async def run(self, trial: int = 0, values: Values | None = None, *, launch: int = 1) -> Ending:
        """Start a launch and wait for its ending."""
        return await self.start(trial, values, launch=launch)

    async def metrics(self, trial: int = 0, values: Values | None = None, *, launch: int = 1) -> Mapping[str, float]:
        """What a launch that must end well returns."""
        ending = await self.run(trial, values, launch=launch)
        assert isinstance(ending, TrialReturned), ending
        return ending.metrics or {}


def _soon() -> asyncio.Future[Any]:
    """A future that fails by itself when nothing happens."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def give_up() -> None:
        if not future.done():
            future.set_exception(TimeoutError(f"nothing happened for {PATIENCE:g} s"))

    timer = loop.call_later(PATIENCE, give_up)
    future.add_done_callback(lambda _: timer.cancel())
    return future


class Attach(Protocol):
    """The `attach` fixture."""

    def __call__(
        self,
        executor: Executor,
        trainable: Any,
        data: Mapping[str, Any] | None = None,
        *,
        search: Search | None = None,
        limits: Limits | None = None,
    ) -> AbstractAsyncContextManager[Search]: ...


@pytest.fixture
def attach(tmp_path: Path) -> Attach:
    """A search that is attached to an executor while the block runs."""

    @asynccontextmanager
    async def attached(
        executor: Executor,
        trainable: Any,
        data: Mapping[str, Any] | None = None,
        *,
        search: Search | None = None,
        limits: Limits | None = None,
    ) -> AsyncIterator[Search]:
        search = search or Search()
        async with asyncio.timeout(PATIENCE):
            search.attachment = await executor.attach(recipe(trainable, tmp_path, data, limits=limits), search)
        try:
            yield search
        finally:
            search.attachment.close()
            await asyncio.wait_for(search.attachment.wait_closed(), PATIENCE)

    return attached


def recipe(
    trainable: Any,
    directory: Path,
    data: Mapping[str, Any] | None = None,
    resources: Resources | None = None,
    limits: Limits | None = None,
) -> Recipe:
    return Recipe(
        trainable=trainable,
        data=data or {},
        directory=directory,
        objective=Objective("loss", "min"),
        resources=resources or Resources(),
        limits=limits or Limits(),
    )


@pytest.fixture
async def local() -> AsyncIterator[LocalExecutor]:
    """An open executor with two workers."""
    async with LocalExecutor(max_workers=2) as executor:
        yield executor
