"""How long a report takes, from the call to the answer, durable; and how long it takes to the first trial.

    python -m bench.report [--turns 5] [--reports 3000] [--ray PYTHON] [--optuna PYTHON]

The floor of a report is a message there and back between an asyncio loop and a blocking child, plus one commit of the same size
to SQLite with a full flush, measured in the same turns. The floor of the start is an interpreter that imports the same modules
and forks.

Optuna's report, and its question whether to go on, are asked and answered in one process: no message is sent. Ray Tune's report
waits until the trial is to go on.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import asynctune as at
from bench.common import Ahead, Pair, ask, peers_parser, percentile, show, show_ahead

_FIRST = """
import sys, time
import asynctune as at
from asynctune.script import run
path = sys.argv[1]
def first(trial):
    with open(path, "w") as file:
        file.write(repr(time.clock_gettime(time.CLOCK_MONOTONIC)))
    return 0.0
run(first, {"x": at.Float(0, 1)}, objective=at.Objective("y", "min"), max_trials=1, display=False, storage=sys.argv[2])
with open(sys.argv[3], "w") as file:
    file.write(" ".join(name for name in sys.modules if not name.startswith("_")))
"""
_FLOOR = """
import importlib, os, sys, time
for name in open(sys.argv[2]).read().split():
    try:
        importlib.import_module(name)
    except ImportError:
        pass
pid = os.fork()
if not pid:
    with open(sys.argv[1], "w") as file:
        file.write(repr(time.clock_gettime(time.CLOCK_MONOTONIC)))
    os._exit(0)
os.waitpid(pid, 0)
"""


def report(count: int) -> list[float]:
    """Seconds that each of `count` reports took, in the trial."""

    def train(trial: at.Trial) -> float:
        import json

        took = []
        for step in range(1, count + 1):
            began = time.perf_counter()
            trial.report(step=step, loss=1.0)
            took.append(time.perf_counter() - began)
        (trial.directory / "took.json").write_text(json.dumps(took))
        return 1.0

    with tempfile.TemporaryDirectory() as directory:

        async def main() -> None:
            await at.search(
                train, {"x": at.Float(0, 1)}, objective=at.Objective("loss", "min"), max_trials=1, storage=directory,
                executor=at.LocalExecutor(1),
            )  # fmt: skip

        asyncio.run(main())
        text = Path(directory, "trials", "0", "took.json").read_text()
        return [float(value) for value in text.strip("[]").split(",")]


class _Timed(asyncio.Protocol):
    """Answers every message at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.gone = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.gone.set_result(None)


def round_trips(count: int) -> list[float]:
    """Seconds that each message of 128 bytes took there and back, from a child to an asyncio loop."""
    mine, theirs = socket.socketpair()
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        mine.close()
        took = []
        for _ in range(count):
            began = time.perf_counter()
            theirs.sendall(b"x" * 128)
            theirs.recv(4096)
            took.append(time.perf_counter() - began)
        theirs.close()
        with os.fdopen(write, "w") as file:
            file.write(" ".join(map(repr, took)))
        os._exit(0)
    theirs.close()
    os.close(write)
    mine.setblocking(False)

    async def main() -> None:
        _, protocol = await asyncio.get_running_loop().create_connection(_Timed, sock=mine)
        await protocol.gone

    asyncio.run(main())
    with os.fdopen(read) as file:
        took = [float(value) for value in file.read().split()]
    os.waitpid(pid, 0)
    return took


def commits(count: int) -> list[float]:
    """Seconds that each commit of one row of 200 bytes took, in the mode that the journal uses."""
    with tempfile.TemporaryDirectory() as directory:
        database = sqlite3.connect(Path(directory, "floor.sqlite"), isolation_level=None)
        database.execute("pragma journal_mode = wal")
        database.execute("pragma synchronous = full")
        database.execute("create table records (seq integer primary key, payload blob)")
        took = []
        for seq in range(count):
            began = time.perf_counter()
            database.execute("begin immediate")
            database.execute("insert into records values (?, ?)", (seq, b"x" * 200))
            database.execute("commit")
            took.append(time.perf_counter() - began)
        database.close()
        return took


def first_trial(directory: Path) -> float:
    """Seconds from the start of an interpreter to the first line of the first trial."""
    stamp = directory / "ours"
    began = time.clock_gettime(time.CLOCK_MONOTONIC)
    arguments = [str(stamp), tempfile.mkdtemp(dir=directory), str(directory / "modules")]
    subprocess.run([sys.executable, "-c", _FIRST, *arguments], check=True)
    return float(stamp.read_text()) - began


def floor_trial(directory: Path) -> float:
    """The same for an interpreter that imports the same modules, and forks."""
    stamp = directory / "floor"
    began = time.clock_gettime(time.CLOCK_MONOTONIC)
    subprocess.run([sys.executable, "-c", _FLOOR, str(stamp), str(directory / "modules")], check=True)
    return float(stamp.read_text()) - began


def peers(ray: str | None, optuna: str | None) -> dict[str, Callable[[], list[float]]]:
    """Those whose interpreters were given; each gives the seconds that each report took."""
    runs: dict[str, Callable[[], list[float]]] = {}
    if optuna:
        for storage, title in (("sqlite", "SQLite"), ("journal", "a journal file")):
            runs[f"Optuna on {title}"] = partial(ask, optuna, "optuna", "report", storage=storage, reports=300)
    if ray:
        runs["Ray Tune"] = partial(ask, ray, "ray", "report", reports=300)
    return runs


def beside(taken: Mapping[str, Sequence[Sequence[float]]], ours: Sequence[Sequence[float]]) -> list[Ahead]:
    """Each peer's p50 and p99 beside ours."""
    rows = []
    for percent in (50, 99):
        mine = [percentile(took, percent) * 1e6 for took in ours]
        for name, turns in taken.items():
            theirs = [percentile(took, percent) * 1e6 for took in turns]
            rows.append(Ahead(f"{name}, p{percent}", "us", theirs, mine, less=True))
    return rows


def measure(turns: int, reports: int, runs: Mapping[str, Callable[[], list[float]]], directory: Path) -> int:
    """In turns: ours, the floors, everybody else."""
    mine, floor, start, floor_start = [], [], [], []
    theirs: dict[str, list[list[float]]] = {name: [] for name in runs}
    report(100), round_trips(100), commits(100)
    first_trial(directory), floor_trial(directory)
    for _ in range(turns):
        mine.append(report(reports))
        floor.append((statistics.median(round_trips(reports)) + statistics.median(commits(reports))) * 1e6)
        start.append(first_trial(directory) * 1e3)
        floor_start.append(floor_trial(directory) * 1e3)
        for name, run in runs.items():
            theirs[name].append(run())
    p50, p99 = ([percentile(took, percent) * 1e6 for took in mine] for percent in (50, 99))
    status = show(
        [
            Pair("report, p50", "us", p50, floor, 3.0, less=True),
            Pair("report, p99", "us", p99, floor, 10.0, less=True),
            Pair("start to first trial", "ms", start, floor_start, 2.0, less=True),
        ]
    )
    return status | show_ahead(beside(theirs, mine)) if runs else status


def main() -> int:
    """Measure, and print the tables."""
    parser = peers_parser(__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--reports", type=int, default=3000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        return measure(given.turns, given.reports, peers(given.ray, given.optuna), Path(directory))


if __name__ == "__main__":
    sys.exit(main())
