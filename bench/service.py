"""How long `examples/service.py` takes to answer while it trains: 50 requests a second beside two Keras searches.

    python -m bench.service [--seconds 20] [--rate 50]

Requests are sent when they are due, whether those before have been answered or not, and timed from when they were due. Then
the same once more without a search, beside two processes that compute: what the machine alone makes of it.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from bench.common import busy_cores, headline, percentile, table

SERVICE = Path(__file__).parents[1] / "examples" / "service.py"
TARGET = 50.0  # milliseconds, the 99th percentile


async def until_it_trains(client: httpx.AsyncClient, name: str) -> None:
    """Start a search that goes on for longer than we measure, and wait for its first report."""
    (await client.post(f"/searches/{name}", params={"max_trials": 10_000})).raise_for_status()
    async with client.stream("GET", f"/searches/{name}/events") as events:
        async for line in events.aiter_lines():
            if "Reported" in line:
                return
    raise RuntimeError(f"search {name} ended without a report")


async def measure(address: str, seconds: float, rate: float, *names: str) -> list[float]:
    """Milliseconds from when each request was due to its answer, while searches of these names train."""

    async def ask(due: float) -> float:
        await asyncio.sleep(due - time.perf_counter())
        (await client.get("/searches")).raise_for_status()
        return (time.perf_counter() - due) * 1000

    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        for name in names:
            await until_it_trains(client, name)
        began = time.perf_counter() + 0.1
        took = await asyncio.gather(*(ask(began + number / rate) for number in range(int(seconds * rate))))
        states = (await client.get("/searches")).json()
        if list(states.values()) != ["running"] * len(names):
            raise RuntimeError(f"a search ended while it was measured: {states}")
    return took


@contextmanager
def serving() -> Iterator[str]:
    """The service, and its address."""
    command = [sys.executable, str(SERVICE), "0"]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryDirectory() as directory,
        subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=pipe, text=True) as server,
    ):
        try:
            found = (re.search(r"running on (http://\S+)", line) for line in server.stderr or ())
            yield next(each[1] for each in found if each)
        finally:
            server.terminate()
            server.communicate()


def row(name: str, took: Sequence[float]) -> list[str]:
    """A row of the table."""
    return [name, *(f"{milliseconds:.1f} ms" for milliseconds in (percentile(took, 50), percentile(took, 99), max(took)))]


def main() -> int:
    """Measure, and print what it was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=float, default=50)
    given = parser.parse_args()
    with serving() as address, busy_cores():
        alone = asyncio.run(measure(address, given.seconds, given.rate))
    with serving() as address:
        took = asyncio.run(measure(address, given.seconds, given.rate, "one", "two"))
    headline()
    print(f"{len(took)} requests, {given.rate:g} a second; target: p99 <= {TARGET:g} ms while two searches train")
    table(["while", "p50", "p99", "longest"], [row("two Keras searches train", took), row("two processes compute", alone)])
    return 0 if percentile(took, 99) <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
