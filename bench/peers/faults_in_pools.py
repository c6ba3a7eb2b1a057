"""concurrent.futures and loky: two worker processes, a future for each trial. What they keep, they keep in memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, wait
from typing import Any

from bench.peers import faulty


def _loky() -> Executor:
    import loky

    executor: Executor = loky.get_reusable_executor(2)
    return executor


_POOLS: Mapping[str, Callable[[], Executor]] = {"concurrent.futures": lambda: ProcessPoolExecutor(2), "loky": _loky}


def run(kind: str) -> None:
    """One search, on a pool of this kind."""
    futures: list[Future[Any]] = []
    failed: dict[int, BaseException] = {}

    def search(fault: str, place: str) -> None:
        pool = _POOLS[kind]()
        for number in range(faulty.TRIALS):
            future = pool.submit(faulty.trial, number, fault, place)
            if fault == "callback":
                future.add_done_callback(lambda _: faulty.raise_once(place))
            futures.append(future)
        for number, future in enumerate(futures):
            # Neither has a limit of its own: this is how long the caller waits.
            limit = faulty.TIME_LIMIT + 5 if fault == faulty.ENDLESS else None
            try:
                future.result(limit)
            except Exception as error:  # noqa: BLE001 -- as whoever runs trials would
                failed[number] = error

    def look() -> dict[int, tuple[str, float | None]]:
        wait(futures, timeout=5)
        return {number: _state(future) for number, future in enumerate(futures)}

    faulty.main(search, look)


def _state(future: Future[Any]) -> tuple[str, float | None]:
    if not future.done():
        return "running", None
    if future.cancelled() or future.exception() is not None:
        return "failed", None
    return "completed", future.result()


if __name__ == "__main__":
    run(sys.argv.pop(1))
