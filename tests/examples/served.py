"""A server in a process of its own, and what a client of its streams needs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from attrs import frozen

import asynctune as at

EXAMPLES = Path(__file__).parents[2] / "examples"
RUNNING = re.compile(r"running on (http://\S+)")


@frozen
class Server:
    """A server that answers. `mark` is in the environment of each of its processes."""

    address: str
    process: subprocess.Popen[bytes]
    mark: str


@contextmanager
def serving(program: Path, directory: Path) -> Iterator[Server]:
    """Run the program in the directory, on a port that the system chooses, until the block is left."""
    path = os.pathsep.join([str(EXAMPLES), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "SERVED": str(directory), "PYTHONPATH": path}
    command = [sys.executable, str(program), "0"]
    process = subprocess.Popen(command, cwd=directory, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        said = list[str]()
        while (found := RUNNING.search(said[-1] if said else "")) is None:
            said.append(process.stderr.readline().decode())
            assert said[-1], "".join(said)  # the end: it is gone
        yield Server(found[1], process, f"SERVED={directory}")
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


async def followed(client: httpx.AsyncClient, name: str, after: int = 0) -> AsyncGenerator[tuple[int, Any], None]:
    """What happened in a search behind event number `after`, each time with its number, until the stream says that it ended."""
    number, ended = 0, False
    async with client.stream("GET", f"/searches/{name}/events", headers={"Last-Event-ID": str(after)}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        async for line in lines:
            assert not ended or not line, line
            if line.startswith("id: "):
                number = int(line.removeprefix("id: "))
            elif line == "event: end":
                assert await anext(lines) == "data: {}"
                ended = True
            elif line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "), parse_constant=_refused)
                assert at.Event.from_dict(event).seq == number
                yield number, event["happened"]
    assert ended


def _refused(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")
