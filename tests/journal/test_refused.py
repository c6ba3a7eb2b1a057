"""A search that cannot be opened is refused before anything is written: every byte, and the list of files, is as it was."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.__main__ import main
from asynctune._engine.database import SCHEMA_VERSION
from asynctune._engine.journal import DiskJournal
from asynctune.errors import JournalCorruptError, JournalError, ResumeError, SearchLockedError, StorageError
from tests.journal.damaged import contents
from tests.journal.written import JOURNAL, execute, read
from tests.observers.searches import LOSS, descend, search

SPACE = {"lr": at.Float(1e-4, 1e-1, sampling="log")}


async def recorded(directory: Path, *, killed: bool) -> None:
    """Write a search; `killed`: with what a process leaves that did not end by itself."""
    options: dict[str, Any] = {"space": SPACE, "storage": directory / "whole" if killed else directory}
    if not killed:
        await search(descend, **options)
        return
    async with at.Search(descend, objective=LOSS, executor=at.InlineExecutor(2), seed=0, max_trials=6, **options) as running:
        async for event in running.events():
            if event.seq > 20:
                break
        shutil.copytree(directory / "whole", directory, dirs_exist_ok=True)
    shutil.rmtree(directory / "whole")
    assert (directory / f"{JOURNAL}-wal").stat().st_size > 0


def newer(directory: Path) -> None:
    # As a newer version leaves it that was killed: with a log.
    database = sqlite3.connect(directory / JOURNAL)
    database.execute(f"pragma user_version = {SCHEMA_VERSION + 1}")
    database.commit()
    copied = {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}
    database.close()
    for name, data in copied.items():
        (directory / name).write_bytes(data)


def changed(directory: Path) -> None:
    execute(directory, "update records set payload = x'00' where seq = 7")


def text(directory: Path) -> None:
    for path in list(directory.iterdir()):
        path.unlink()
    (directory / JOURNAL).write_text("precious\n" * 1000)


def nothing(directory: Path) -> None:
    pass


def state(directory: Path) -> dict[str, tuple[bytes, int, int]]:
    return {
        name: (data, (directory / name).stat().st_mtime_ns, (directory / name).stat().st_mode)
        for name, data in contents(directory).items()
    }


@pytest.mark.fault(28)
@pytest.mark.fault(29)
@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize(
    ("prepare", "options", "refused"),
    [
        (newer, {}, (JournalError, f"newer asynctune .schema {SCHEMA_VERSION + 1}")),
        (changed, {}, (JournalCorruptError, "record 7 was changed")),
        (text, {}, (StorageError, "somebody else's file")),
        (nothing, {"objective": at.Objective("loss", "max")}, (ResumeError, "objective")),
        (nothing, {"space": {"lr": at.Float(1e-3, 1e-1, sampling="log")}}, (ResumeError, "'lr' was")),
        (nothing, {"scheduler": at.schedulers.ASHA(max_steps=9)}, (ResumeError, "scheduler")),
        (nothing, {"seed": 7}, (ResumeError, "seed")),
        (nothing, {"resume": "never"}, (ResumeError, "overwrite")),
    ],
)
async def test_what_is_refused_is_untouched(
    tmp_path: Path,
    killed: bool,
    prepare: Callable[[Path], None],
    options: dict[str, Any],
    refused: tuple[type[Exception], str],
) -> None:
    await recorded(tmp_path, killed=killed)
    prepare(tmp_path)
    before = state(tmp_path)
    with pytest.raises(refused[0], match=refused[1]):
        await search(descend, **{"space": SPACE, "storage": tmp_path, **options})
    assert state(tmp_path) == before


async def test_what_a_killed_process_left_is_gone_on_with(tmp_path: Path) -> None:
    """The look itself costs nothing: the log is still taken in."""
    await recorded(tmp_path, killed=True)
    result = await search(descend, space=SPACE, storage=tmp_path)
    assert len(result.trials) == 6


def test_must_finds_nothing_and_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ResumeError, match="there is no search"):
        at.run(descend, objective=LOSS, executor=at.InlineExecutor(1), storage=tmp_path / "new", resume="must", max_trials=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault(16)
def test_a_search_that_is_being_written_is_refused_untouched(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(SearchLockedError, match=f"is being written by process {os.getpid()}"):
        DiskJournal(tmp_path)
    assert contents(tmp_path) == before
    journal.close()


# --------------------------------------------------------------------------------------------------- whose directory it is


@pytest.mark.fault(38)
@pytest.mark.parametrize(("mode", "warned"), [(0o700, False), (0o755, False), (0o777, True), (0o1777, False)])
def test_a_directory_that_everybody_can_write_is_warned_of(
    tmp_path: Path, mode: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "search"
    directory.mkdir()
    directory.chmod(mode)
    with caplog.at_level(logging.WARNING):
        assert read(directory) == []
    assert ("can be written by every user" in caplog.text) is warned


@pytest.mark.fault(38)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = tmp_path / "search"
    directory.mkdir()
    os.chown(directory, 65534, 65534)
    assert read(directory) == []
    assert "belongs to another user" in caplog.text


def link(path: Path) -> None:
    path.symlink_to("elsewhere")


@pytest.mark.fault(16)
@pytest.mark.fault(38)
@pytest.mark.parametrize("name", [JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-shm", "journal.head", "journal.lock"])
@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: os.symlink("elsewhere", path)], ids=["pipe", "folder", "link"]
)
async def test_what_is_no_file_where_one_should_be_is_refused_and_not_waited_for(
    tmp_path: Path, name: str, make: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    await recorded(tmp_path, killed=False)
    (tmp_path / name).unlink(missing_ok=True)
    make(tmp_path / name)
    before = sorted(os.listdir(tmp_path))
    for command in ("show", "events", "doctor", "repair"):
        assert main([command, str(tmp_path)]) != 0, command
        assert f"{name} is a " in capsys.readouterr().err, command
    for overwrite in (False, True):
        with pytest.raises(StorageError, match=f"{name} is a "):
            await search(descend, space=SPACE, storage=tmp_path, overwrite=overwrite)
    assert sorted(os.listdir(tmp_path)) == before


async def test_a_head_mark_that_is_gone_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await recorded(tmp_path, killed=False)
    for made, text in ((b"nonsense", "cannot be read"), (None, "is not there")):
        head = tmp_path / "journal.head"
        head.unlink() if made is None else head.write_bytes(made)
        assert main(["doctor", str(tmp_path)]) == 0
        assert f"head mark:   {text}" in capsys.readouterr().out
