"""The floor of `keras_digits`: import TensorFlow once, then fork a child for each trial, and wait. Nothing is written or
said. It stands back behind whatever else the machine does just as our runners do, so that this disturbs both alike."""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from bench.digits import PRELOAD, fit


def child(values: dict[str, float], epochs: int) -> None:
    """One trial, with the thread settings that asynctune gives a trial of one core."""
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    fit(values, epochs, [])
    os._exit(0)


def stand_back() -> None:
    """As `LocalExecutor(nice=5)` has its runners do, and their sessions."""
    os.setsid()
    nice = os.nice(5)
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(nice))


def main() -> None:
    """Run every trial, `workers` at a time."""
    stand_back()
    epochs, workers, trials = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    began = time.perf_counter()
    for name in PRELOAD:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    ready = time.perf_counter()
    running = 0
    for values in trials:
        if running == workers:
            os.wait()
            running -= 1
        if not os.fork():
            child(values, epochs)
        running += 1
    while running:
        os.wait()
        running -= 1
    print(json.dumps({"took": time.perf_counter() - ready, "start": ready - began}))


if __name__ == "__main__":
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    main()
