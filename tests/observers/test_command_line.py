"""What the command line shows of a search, over or not."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

import asynctune as at
from asynctune.__main__ import main
from tests.observers.searches import LOSS, descend, search, third_fails


async def test_a_trial_with_all_that_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await search(third_fails, storage=tmp_path)
    (tmp_path / "logs").mkdir(exist_ok=True)
    (tmp_path / "logs" / "2-1.log").write_text("said")
    assert main(["show", str(tmp_path), "--trial", "2"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("trial 2: failed\n")
    assert "  lr = 0.0" in shown
    assert shown.count("  step ") == 3
    assert "in third_fails" in shown
    assert f"log: {tmp_path}/logs/2-1.log" in shown
    assert main(["show", str(tmp_path), "--trial", "0"]) == 0
    assert capsys.readouterr().out.startswith("trial 0: completed, score ")


async def test_a_trial_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await search(storage=tmp_path)
    assert main(["show", str(tmp_path), "--trial", "6"]) == 1
    assert "has no trial 6: they are numbered from 0 to 5" in capsys.readouterr().err


async def test_events_as_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await search(storage=tmp_path)
    for arguments, first in (([], 1), (["--from", "5"], 5), (["--follow", "--from", "7"], 7)):
        assert main(["events", str(tmp_path), *arguments]) == 0
        seen = [json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines()]
        assert seen == list(range(first, first + len(seen)))
        assert len(seen) > 20
    with pytest.raises(SystemExit):
        main(["events", str(tmp_path), "--from", "0"])


def test_events_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more in ([], ["--follow"]):
        assert main(["events", str(tmp_path), *more]) == 1
        assert "there is no search" in capsys.readouterr().err


@pytest.mark.process
async def test_following_a_search_until_it_ends(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def waits(trial: at.AsyncTrial) -> None:
        await descend(trial)
        await go_on.wait()

    command = [sys.executable, "-m", "asynctune", "events", str(tmp_path), "--follow"]
    async with at.Search(waits, objective=LOSS, executor=at.InlineExecutor(2), max_trials=2, storage=tmp_path) as running:
        following = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert following.stdout is not None
        seen = list[int]()
        while '"step": 3' not in (line := (await following.stdout.readline()).decode()):
            seen.append(json.loads(line)["seq"])
        seen.append(json.loads(line)["seq"])
        assert following.returncode is None
        go_on.set()
        await running.result()
        numbered = [event.seq async for event in running.events()]
    rest, _ = await following.communicate()
    assert [*seen, *(json.loads(line)["seq"] for line in rest.decode().splitlines())] == numbered
    assert following.returncode == 0


@pytest.mark.process
def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    asyncio.run(search(storage=tmp_path, max_trials=20))
    command = [sys.executable, "-m", "asynctune", "events", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=30) == 0
