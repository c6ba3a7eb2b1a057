"""What the command line shows of a search, over or not."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path
from typing import Any

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
    assert re.match(r"trial 2: failed\ncreated \d+\.\d s, started \d+\.", shown)
    assert shown.splitlines()[1].endswith(" s into the search")
    assert "reports (at h:m:s into the search):\n  00:00:0" in shown
    assert "  lr = 0.0" in shown
    assert shown.count("  step ") == 3
    assert "in third_fails" in shown
    assert f"log: {tmp_path}/logs/2-1.log" in shown
    assert main(["show", str(tmp_path), "--trial", "0"]) == 0
    assert capsys.readouterr().out.startswith("trial 0: completed, score ")


async def test_what_failed_before_and_what_was_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    began = asyncio.Event()

    async def train(trial: at.AsyncTrial) -> float:
        if trial.attempt == 1:
            raise ValueError("one\n\x1b[31mtwo")
        if not began.is_set():
            began.set()
            await asyncio.Event().wait()
        return 1.0

    policy = at.FailurePolicy(max_retries_per_trial=1)
    options: dict[str, Any] = {"failure": policy, "max_trials": 1, "seed": 0, "storage": tmp_path}
    limits, executor = at.Limits(grace=0.0), at.InlineExecutor(1)
    async with at.Search(train, objective=LOSS, executor=executor, limits=limits, **options):
        await began.wait()
    await search(train, **options)
    (tmp_path / "logs").mkdir(exist_ok=True)
    (tmp_path / "logs" / "0-1.log").write_text("first\n")
    (tmp_path / "logs" / "0-3.log").write_text("third\n")
    assert main(["show", str(tmp_path), "--trial", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("what failed, or was lost (at h:m:s into the search):")
    raised, *rest = lines[start + 1 :]
    assert raised.endswith("  attempt 1, launch 1: raised: ValueError: one")
    assert rest[:2] == ["    ?[31mtwo", "    Traceback (most recent call last):"]
    at_log = rest.index(f"    log: {tmp_path}/logs/0-1.log")
    lost, other = rest[at_log + 1 :]
    assert lost.endswith("  attempt 2, launch 2: lost: the search was left")
    assert other == f"log: {tmp_path}/logs/0-3.log"


async def test_where_a_trial_comes_from_and_when_it_is_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def train(trial: at.AsyncTrial) -> None:
        await trial.report(step=trial.budget, loss=float(trial.id))

    oracle, executor = at.oracles.HyperbandOracle(max_epochs=2, factor=2), at.InlineExecutor(1)
    await search(train, storage=tmp_path, oracle=oracle, executor=executor, max_trials=None)
    assert main(["show", str(tmp_path), "--trial", "2"]) == 0
    assert "\nparent: trial 0\nbudget: 2 steps\nstopped: its budget of 2 steps is used\n" in capsys.readouterr().out
    assert main(["show", str(tmp_path), "--trial", "0"]) == 0
    assert "step 1\nbudget: 1 step\nstopped: " in capsys.readouterr().out


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
    assert main(["events", str(tmp_path)]) == main(["events", str(tmp_path), "--from", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]


async def test_a_number_that_is_none_and_one_behind_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await search(storage=tmp_path)
    for wrong in ("x", "-1", "1.5", "", "9" * 19):
        assert main(["events", str(tmp_path), "--from", wrong]) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.endswith(f"argument --from: takes the number of an event (the first is number 1), not {wrong!r}")
    assert main(["events", str(tmp_path)]) == 0
    last = len(capsys.readouterr().out.splitlines())
    for more in ([], ["--follow"]):
        assert main(["events", str(tmp_path), "--from", str(last + 1), *more]) == 0
        assert capsys.readouterr() == ("", f"asynctune: there is nothing to print: the search ended at event {last}\n")


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"asynctune {at.__version__}\n"


@pytest.mark.process
@pytest.mark.parametrize("command", ["show {}", "show --trial 0 {}", "events {}", "--help", "--version"])
@pytest.mark.parametrize("to", [">/dev/full", ">&-"])
def test_an_output_that_takes_nothing(command: str, to: str, tmp_path: Path) -> None:
    asyncio.run(search(storage=tmp_path))
    line = f"exec {sys.executable} -m asynctune {command.format(tmp_path)} {to}"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(line, shell=True, env=buffered, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    if command.startswith("--") and to == ">&-":  # argparse turns to standard error
        assert done.returncode == 0
    else:
        reason = "No space left on device" if "full" in to else "it is closed"
        assert (done.returncode, done.stderr) == (1, f"asynctune: standard output cannot be written: {reason}\n")


@pytest.mark.process
def test_when_even_the_error_cannot_be_said(tmp_path: Path) -> None:
    for to in ("2>/dev/full", "2>&-", ">/dev/full 2>/dev/full", ">&- 2>&-"):
        line = f"exec {sys.executable} -m asynctune show {tmp_path}/none {to}"
        assert subprocess.run(line, shell=True, timeout=60, check=False).returncode == 1


async def test_somebody_elses_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "theirs"
    await search(storage=directory)
    directory.chmod(0)
    me = os.geteuid()
    try:
        if me == 0:  # who may read anything
            os.seteuid(65534)
        for command in ("show", "events"):
            assert main([command, str(directory)]) == 1
            said = capsys.readouterr()
            assert (said.out, said.err) == ("", f"asynctune: {directory} cannot be read: Permission denied\n")
    finally:
        os.seteuid(me)
        directory.chmod(0o700)


async def test_looking_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await search(storage=tmp_path)
    before = sorted(os.listdir(tmp_path))
    for command in (["show"], ["show", "--trial", "0"], ["events"], ["events", "--follow"]):
        assert main([*command, str(tmp_path)]) == 0
        assert sorted(os.listdir(tmp_path)) == before


def terminal(columns: int) -> tuple[int, int]:
    reader, writer = os.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    return reader, writer


def read(reader: int) -> list[str]:
    """What was written to the terminal, once nobody has it open for writing."""
    data = b""
    with suppress(OSError):
        while block := os.read(reader, 4096):
            data += block
    os.close(reader)
    return data.decode().splitlines()


async def wordy(trial: at.AsyncTrial) -> float:
    for name in ("first", "second", "third"):
        trial.hp.Choice(f"a parameter with a long name, the {name}", ["and a long value"])
    if trial.id:
        raise ValueError("a message that is longer than the terminal is wide, at least if it is a narrow one")
    return 1.0


@pytest.mark.process
@pytest.mark.parametrize("columns", [120, 60, 20])
def test_a_table_fits_the_terminal(columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    reader, writer = terminal(columns)
    with os.fdopen(writer, "w") as stream:
        asyncio.run(search(wordy, storage=tmp_path, max_trials=2, observers=[at.observers.Display(stream=stream, verbose=1)]))
    ended = [line for line in read(reader) if line.startswith(("trial  ", "0  ", "1  "))]
    reader, writer = terminal(columns)
    command = [sys.executable, "-m", "asynctune", "show", str(tmp_path)]
    subprocess.run(command, stdout=writer, timeout=60, check=True)
    os.close(writer)
    _, *shown = read(reader)
    for lines in (ended, shown):
        assert [len(line) <= columns for line in lines] == [True] * 3
        assert [line[0] for line in lines] == list("t01")
        if columns == 120:
            assert lines[1].endswith("...")
            assert "a message that" in lines[2]
    piped = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert piped.count("the third=and a long value") == 2


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


@pytest.mark.parametrize("reason", ["", "\x1b]0;yours\x07 enough", " \n"])
async def test_whatever_the_reason_a_terminal_can_show_it(
    reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def train(trial: at.AsyncTrial) -> float:
        await trial.report(loss=1.0)
        raise ValueError(reason)

    async with at.Search(
        train, objective=LOSS, max_trials=1, storage=tmp_path, executor=at.InlineExecutor(), failure=at.FailurePolicy()
    ) as held:
        await held.stop(reason=reason)
        await held.result()
    for arguments in (["show", str(tmp_path)], ["show", str(tmp_path), "--trial", "0"]):
        main(arguments)
    said = capsys.readouterr().out
    assert "ended: " in said
    assert all(each.isprintable() or each == "\n" for each in said)
