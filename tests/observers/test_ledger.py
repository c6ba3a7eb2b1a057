"""A directory of runs: whose it is, what a kill leaves of it, and what is not believed of it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asynctune.errors import ConfigurationError
from asynctune.observers import TensorBoard
from asynctune.observers.ledger import Ledger
from asynctune.observers.tfevents import Records
from tests.observers.boards import Board
from tests.observers.searches import search
from tests.observers.test_tensorboard import agrees

FILES = re.compile("([a-c]/)?x")
REFUSED = "holds the trials of another search"


def event(seq: int) -> dict[str, Any]:
    return {"seq": seq, "at": 0.5}


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


# ------------------------------------------------------------------------------------------------------------ a ledger


@pytest.mark.parametrize("torn", range(0, 12, 3))
def test_a_batch_that_was_cut_off_leaves_nothing(torn: int, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "ledger", FILES)
    assert ledger.open() is None
    ledger.append({"a/x": b"one", "b/x": b"two"}, event(3))
    second = {"a/x": b"ONE", "b/x": b"TWO", "c/x": b"NEW"}
    (tmp_path / "ledger").write_text(json.dumps({"last": event(3), "lengths": {"a/x": 3, "b/x": 3, "c/x": 0}}))
    left = torn
    for name, data in second.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with (tmp_path / name).open("ab") as file:
            file.write(data[:left])
        left = max(0, left - len(data))
    page = ledger.open()
    assert page is not None
    assert (page.last, page.seq) == (event(3), 3)
    assert {path.parent.name: path.read_bytes() for path in tmp_path.glob("*/x")} == {"a": b"one", "b": b"two"}
    ledger.append(second, event(5))
    page = Ledger(tmp_path, "ledger", FILES).open()
    assert page is not None
    assert page.seq == 5
    assert (tmp_path / "c/x").read_bytes() == b"NEW"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"seq": 1, "lengths": {}}',
        '{"last": 1, "lengths": {}}',
        '{"last": {}, "lengths": {}}',
        '{"last": {"seq": 0}, "lengths": {}}',
        '{"last": {"seq": true}, "lengths": {}}',
        '{"last": {"seq": 1}, "lengths": {"x": "b"}}',
        '{"last": {"seq": 1}, "lengths": {"x": -1}}',
    ],
)
def test_a_ledger_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text(text)
    (tmp_path / "x").write_text("kept")
    assert Ledger(tmp_path, "ledger", FILES).open() is None
    assert (tmp_path / "x").read_text() == "kept"


@pytest.mark.parametrize("name", ["{there}/victim", "../victim", "a/../../victim", "./x", "a//x", "d/x", "x\n", ""])
def test_a_ledger_that_names_what_we_do_not_write_is_none(name: str, tmp_path: Path) -> None:
    board = tmp_path / "board"
    (board / "a").mkdir(parents=True)
    kept = [tmp_path / "victim", board / "x"]
    for path in kept:
        path.write_text("kept")
    lengths = {name.replace("{there}", str(tmp_path)): 0, "x": 0}
    (board / "ledger").write_text(json.dumps({"last": event(1), "lengths": lengths}))
    assert Ledger(board, "ledger", FILES).open() is None
    assert [path.read_text() for path in kept] == ["kept", "kept"]


async def test_a_board_from_somebody_else_removes_nothing(tmp_path: Path) -> None:
    victim, board = tmp_path / "victim", tmp_path / "board"
    await search(observers=[TensorBoard(board)])
    victim.write_text("kept")
    (board / "asynctune.json").write_text(json.dumps({"last": None, "lengths": {str(victim): 0}}))
    with pytest.raises(ConfigurationError, match=REFUSED):
        await search(observers=[TensorBoard(board)])
    assert victim.read_text() == "kept"


@pytest.mark.parametrize("tail", [b"\0" * 64, b"\x05", b"abcdefgh" * 4, None])
def test_a_run_that_is_torn_is_not_gone_on_with(tail: bytes | None) -> None:
    records = Records()
    whole = records.head(1.0) + records.scalars(1.0, 3, {"loss": 1.0})
    assert records.read(whole).step == 3
    with pytest.raises(ConfigurationError, match="there is no record at byte"):
        records.read(whole[:-3] if tail is None else whole + tail)


# ------------------------------------------------------------------------------------------------------------ whose it is


async def test_another_searchs_trials_are_left_alone(tmp_path: Path) -> None:
    first = await search(observers=[TensorBoard(tmp_path)])
    before = contents(tmp_path)
    with pytest.raises(ConfigurationError, match=REFUSED):
        await search(observers=[TensorBoard(tmp_path)], max_trials=9, seed=1)
    assert contents(tmp_path) == before
    agrees(Board(tmp_path), first)
    shutil.rmtree(tmp_path / "trial_00003")
    (tmp_path / "asynctune.json").unlink()
    with pytest.raises(ConfigurationError, match=REFUSED):
        await search(observers=[TensorBoard(tmp_path)])
    assert not (tmp_path / "trial_00003").exists()


async def test_another_searchs_trials_are_left_alone_by_one_that_is_resumed(tmp_path: Path) -> None:
    board = tmp_path / "board"
    first = await search(storage=tmp_path / "a", observers=[TensorBoard(board)])
    before = contents(board)
    for count in (2, 20, 30):  # fewer events than the other had, and more
        await search(storage=tmp_path / "b", max_trials=count)
        with pytest.raises(ConfigurationError, match=REFUSED):
            await search(storage=tmp_path / "b", max_trials=count + 1, observers=[TensorBoard(board)])
        assert contents(board) == before
    agrees(Board(board), first)
    result = await search(storage=tmp_path / "a", max_trials=9, observers=[TensorBoard(board)])
    agrees(Board(board), result)


async def test_what_is_overwritten_is_overwritten_here_too(tmp_path: Path) -> None:
    await search(storage=tmp_path, observers=[TensorBoard()], max_trials=9)
    (tmp_path / "tensorboard" / "trial_00007" / "mine").touch()
    result = await search(storage=tmp_path, observers=[TensorBoard()], max_trials=3, seed=1, overwrite=True)
    agrees(Board(tmp_path / "tensorboard"), result)
    assert (tmp_path / "tensorboard" / "trial_00007" / "mine").exists()


@pytest.mark.parametrize("trials", [2, 20])
async def test_what_was_overwritten_while_nobody_watched(trials: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await search(storage=tmp_path, observers=[TensorBoard()])
    await search(storage=tmp_path, max_trials=trials, seed=1, overwrite=True)
    result = await search(storage=tmp_path, max_trials=trials + 2, seed=1, observers=[TensorBoard()])
    agrees(Board(tmp_path / "tensorboard"), result)
    assert caplog.text == ""


OVERWRITING = """
import os, signal, sys
import asynctune as at
from asynctune.observers import TensorBoard

def count(event, arguments, left=[int(sys.argv[1])]):
    if event in ("os.remove", "os.rename") and "tensorboard" in str(arguments[0]):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)

async def train(trial):
    await running.wait()  # for ever: this search ends when its board is half cleared

class Late(TensorBoard):
    def on_start(self, search):
        opened.wait(20)  # the next start is a resumed one
        return super().on_start(search)

import asyncio, threading
running, opened = asyncio.Event(), threading.Event()

async def main():
    async with at.Search(
        train, objective=at.Objective("loss", "min"), executor=at.InlineExecutor(4), seed=0, storage=sys.argv[2], max_trials=6,
        observers=[Late()], overwrite=True,
    ) as search:
        async for event in search.events():
            opened.set()

asyncio.run(main())
"""


@pytest.mark.process
@pytest.mark.parametrize("nth", [1, 2, 3, 5, 8])
def test_killed_while_it_makes_room_it_loses_nothing(nth: int, tmp_path: Path) -> None:
    asyncio.run(search(storage=tmp_path, observers=[TensorBoard()]))
    done = subprocess.run([sys.executable, "-c", OVERWRITING, str(nth), str(tmp_path)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    result = asyncio.run(search(storage=tmp_path, observers=[TensorBoard()]))
    agrees(Board(tmp_path / "tensorboard"), result)
