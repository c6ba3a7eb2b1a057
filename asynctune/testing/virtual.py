"""Virtual time: an event loop and threads for which nothing ever waits.

`VirtualLoop` is an ordinary asyncio loop that, where it would sleep until its next timer, is there at once. `VirtualThreads`
are real threads of which only one runs at a time, and only while the loop stands still: each goes on when a callback of the
loop says so, until it waits for something. So what runs on both is the same every time, to the last step.
"""

from __future__ import annotations

import asyncio
import math
import selectors
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Line", "VirtualLoop", "VirtualThreads"]

_TURN = 1e-6  # virtual seconds that a turn of the loop takes: time that stood still could be waited for without end


class _Skipping(selectors.BaseSelector):
    """Looks after files as any selector does, but does not wait for them: the loop's own wake-ups are all there are."""

    def __init__(self, loop: Callable[[], VirtualLoop]) -> None:
        self._real = selectors.DefaultSelector()
        self._loop = loop
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += max(timeout or 0.0, _TURN)
        if timeout is None:
            self._loop().idle()
        return self._real.select(0)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time, which starts at 0.

    Args:
        idle: called when nothing is left that could ever happen. By default that raises RuntimeError out of the loop.
    """

    def __init__(self, idle: Callable[[], object] | None = None) -> None:
        self.idle = idle if idle is not None else _stuck
        self._skipping = _Skipping(lambda: self)
        super().__init__(self._skipping)

    def time(self) -> float:
        """Virtual seconds."""
        return self._skipping.now


class Line:
    """Where things arrive in the order in which they were sent, each as late as it is."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._under_way: deque[Callable[[], object]] = deque()
        self._until = 0.0

    def after(self, seconds: float, arrive: Callable[[], object]) -> float:
        """Have it arrive, `seconds` from now or as soon as all before it have. Returns when that is."""
        self._until = max(self._until, self._loop.time() + seconds)
        self._under_way.append(arrive)
        # Timers of the same moment may ring in any order, so none rings for one thing alone.
        self._loop.call_at(self._until, self._arrived)
        return self._until

    def _arrived(self) -> None:
        self._under_way.popleft()()


def _stuck() -> None:
    raise RuntimeError("nothing can happen any more: what is waited for will never come")


class _Ended(BaseException):
    """Ends a thread that waits, when its simulation is over."""


class VirtualThreads:
    """Threads on a loop's virtual time.

    Args:
        loop: the only one that lets them run.

    Attributes:
        errors: what came out of threads.
    """

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.now = loop.time
        self.running: _Thread | None = None
        self.paused = threading.Semaphore(0)
        self.over = False
        self.errors: list[BaseException] = []
        self._threads: list[_Thread] = []

    def thread(self, run: Callable[[], None], name: str) -> _Thread:
        """A thread that begins in the loop's next turn."""
        thread = _Thread(self, run, name)
        self._threads.append(thread)
        self.loop.call_soon(thread.go_on)
        return thread

    def queue(self) -> _Queue:
        """An empty queue."""
        return _Queue(self)

    def event(self) -> _Event:
        """An event that has not happened."""
        return _Event(self)

    def sleep(self, seconds: float) -> None:
        """Keep the thread that calls this for so long; for ever, if they are infinite.

        Raises:
            RuntimeError: none of these threads has called it.
        """
        if seconds > 0:
            self.wait(seconds)

    def wait(self, seconds: float) -> None:
        """The same, unless somebody wakes it."""
        if self.running is None:
            raise RuntimeError("only a thread of the simulation can wait on its time")
        self.running.wait(seconds)

    def close(self) -> None:
        """End all of them, wherever they wait."""
        self.over = True
        for thread in self._threads:
            while not thread.ended:
                thread.go_on()
            thread.join()


class _Thread:
    def __init__(self, threads: VirtualThreads, run: Callable[[], None], name: str) -> None:
        self.ended = False
        self._threads, self._run = threads, run
        self._turn = threading.Semaphore(0)
        self._wake_ups: list[asyncio.Handle] = []
        self._seconds = math.inf
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    # ------------------------------------------------------------------------------------------- outside the thread

    def go_on(self) -> None:
        """Let it run until it waits."""
        for wake_up in self._wake_ups:  # the first wins, the others come too late
            wake_up.cancel()
        self._wake_ups.clear()
        if self.ended:
            return
        self._threads.running = self
        self._turn.release()
        self._threads.paused.acquire()
        self._threads.running = None
        if not self.ended and math.isfinite(self._seconds) and not self._threads.over:
            self._wake_ups.append(self._threads.loop.call_later(self._seconds, self.go_on))

    def wake(self) -> None:
        """What it waits for is there. From any thread of the simulation."""
        self._wake_ups.append(self._threads.loop.call_soon_threadsafe(self.go_on))

    # ----------------------------------------------------------------------------------------------- in the thread

    def wait(self, seconds: float) -> None:
        if not self._threads.over:
            self._seconds = seconds
            self._threads.paused.release()
            self._turn.acquire()
        if self._threads.over:
            raise _Ended

    def _live(self) -> None:
        self._turn.acquire()
        try:
            if not self._threads.over:
                self._run()
        except _Ended:
            pass
        except BaseException as error:  # noqa: BLE001 -- it is for whoever made the simulation
            self._threads.errors.append(error)
        finally:
            self.ended = True
            self._threads.paused.release()


class _Waited:
    """What one thread at a time waits on."""

    def __init__(self, threads: VirtualThreads) -> None:
        self._threads = threads
        self._waiting: _Thread | None = None

    def _wait(self, seconds: float) -> None:
        self._waiting = self._threads.running
        try:
            self._threads.wait(seconds)
        finally:
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.wake()
            self._waiting = None


class _Queue(_Waited):
    def __init__(self, threads: VirtualThreads) -> None:
        super().__init__(threads)
        self._items: deque[Any] = deque()

    def put(self, item: Any) -> None:
        self._items.append(item)
        self._wake()

    def get(self) -> Any:
        while not self._items or self._threads.over:
            self._wait(math.inf)
        return self._items.popleft()


class _Event(_Waited):
    def __init__(self, threads: VirtualThreads) -> None:
        super().__init__(threads)
        self._happened = False

    def set(self) -> None:
        self._happened = True
        self._wake()

    def is_set(self) -> bool:
        return self._happened

    def wait(self, timeout: float) -> bool:
        if not self._happened:
            self._wait(timeout)
        return self._happened
