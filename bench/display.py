"""What the display costs: a search of short trials on a terminal, with the live view and without.

    python -m bench.display [--turns 5] [--trials 4000]

Processes are used again. "Paced": each trial sleeps for 14 ms on 16 slots, so about a thousand end in a second. "As fast as it
goes": trials that do nothing, on 8. The terminal is a pseudo-terminal of 120 columns, which a thread reads.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import struct
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TextIO

import asynctune as at
from asynctune.observers import Display
from bench.common import Pair, in_turns, show

LEAST_LEFT = 0.95
_PACE = 0.014
_COLUMNS, _LINES = 120, 40


@contextmanager
def terminal() -> Iterator[TextIO]:
    """A terminal that somebody reads."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))

    def read() -> None:
        try:
            while os.read(master, 65536):
                pass
        except OSError:  # the other end is closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with os.fdopen(slave, "w") as stream:
            yield stream
    finally:
        reader.join()
        os.close(master)


def rate(trials: int, slots: int, seconds: float, *, shown: bool) -> float:
    """Trials per second of a search, from its start to its result."""

    def train(trial: at.Trial) -> float:
        time.sleep(seconds)
        return trial.hp.Float("x", 0, 1)

    async def main(stream: TextIO) -> float:
        with tempfile.TemporaryDirectory() as directory:
            async with at.LocalExecutor(slots, isolation="worker") as executor:
                began = time.perf_counter()
                result = await at.search(
                    train, {"x": at.Float(0, 1)}, objective=at.Objective("y", "min"), max_trials=trials, seed=0,
                    storage=directory, executor=executor, observers=[Display(stream=stream)] if shown else [],
                )  # fmt: skip
                took = time.perf_counter() - began
        if len(result.trials) != trials:
            raise RuntimeError(f"not every trial was run: {result}")
        return trials / took

    with terminal() as stream:
        return asyncio.run(main(stream))


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--trials", type=int, default=4000)
    given = parser.parse_args()
    pairs = []
    for name, slots, seconds in (("paced, 16 slots", 16, _PACE), ("as fast as it goes, 8 slots", 8, 0.0)):
        with_it, without = in_turns(
            given.turns,
            partial(rate, given.trials, slots, seconds, shown=True),
            partial(rate, given.trials, slots, seconds, shown=False),
        )
        pairs.append(Pair(name, "/s", with_it, without, LEAST_LEFT))
    return show(pairs)


if __name__ == "__main__":
    sys.exit(main())
