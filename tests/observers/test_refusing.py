"""What an observer refuses, it refuses before the search begins; and what is there already is left alone."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune import listening
from asynctune.errors import ConfigurationError
from asynctune.observers import CSV, Display, JSONLines, TensorBoard, Watched
from asynctune.testing.leftovers import nothing_left, snapshot
from tests.observers.searches import LOSS, Keeping, descend, search

FILES: list[Any] = [CSV, JSONLines]
BEGUN = list[int]()


async def begun(trial: at.AsyncTrial) -> float:
    BEGUN.append(trial.id)
    return trial.hp.Float("x", 0.0, 1.0)


async def refused(observer: at.Observer, said: str, *others: at.Observer, **options: Any) -> None:
    """Whether the search is not opened for this observer's sake, and nothing was started."""
    before, other = snapshot(), Keeping()
    BEGUN.clear()
    with pytest.raises(ConfigurationError, match=said):
        await search(begun, observers=[other, *others, observer], **options)
    nothing_left(before)
    assert BEGUN == []
    assert other.calls == []


# ------------------------------------------------------------------------------------------- what is there already


@pytest.mark.parametrize("make", FILES)
@pytest.mark.parametrize(
    "content",
    [b"mine\n", b"mine", b"id,name\n1,me\n", b'{"a": 1}\n', b'{"seq": 1}\n', b"\0\xff" * 100, b'"' * 1000, b"1\n2\n3\nrest"],
)
@pytest.mark.parametrize("resumed", [False, True])
async def test_a_file_of_somebody_elses(make: Any, content: bytes, resumed: bool, tmp_path: Path) -> None:
    path, storage = tmp_path / "mine.csv", tmp_path / "search"
    if resumed:
        await search(begun, storage=storage, max_trials=2)
    path.write_bytes(content)
    await refused(make(path), "mine.csv is not a file of (trials|events)", storage=storage)
    assert path.read_bytes() == content
    assert sorted(os.listdir(tmp_path)) == ["mine.csv", "search"]


@pytest.mark.parametrize("make", FILES)
async def test_another_searchs_file(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "file"
    await search(observers=[make(path)])
    data = path.read_bytes()
    await refused(make(path), r"file holds the (trials|events) of another search: use another file, or remove this one")
    assert path.read_bytes() == data
    path.write_bytes(data[: len(data) // 2])
    await refused(make(path), "of another search")
    assert path.read_bytes() == data[: len(data) // 2]


async def test_another_searchs_trials_do_not_go_on_in_a_resumed_one(tmp_path: Path) -> None:
    path, storage = tmp_path / "trials.csv", tmp_path / "search"
    await search(observers=[CSV(path)], seed=5)
    await search(begun, storage=storage)
    data = path.read_bytes()
    await refused(CSV(path), "holds the trials of another search", storage=storage, max_trials=9)
    assert path.read_bytes() == data


async def test_events_that_are_ahead_of_the_search_are_anothers(tmp_path: Path) -> None:
    path, storage = tmp_path / "events", tmp_path / "search"
    await search(begun, storage=storage, max_trials=1, observers=[JSONLines(path)])
    *lines, last = path.read_text().splitlines()
    path.write_text("".join(f"{line}\n" for line in [*lines, json.dumps({**json.loads(last), "at": 1e9})]))
    await refused(JSONLines(path), "holds the events of another search", storage=storage)


@pytest.mark.parametrize("make", FILES)
async def test_what_is_not_to_be_replaced_is_not_removed_with_the_search(make: Any, tmp_path: Path) -> None:
    path, storage = tmp_path / "file", tmp_path / "search"
    first = await search(begun, storage=storage, observers=[make(path)])
    await refused(make(path), "of another search", storage=storage, overwrite=True)
    assert (await search(begun, storage=storage)).to_dicts() == first.to_dicts()


async def test_another_searchs_board(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    await search(observers=[TensorBoard(tmp_path / "board")])
    await refused(TensorBoard(tmp_path / "board"), "board holds the trials of another search: use another directory")


# ------------------------------------------------------------------------------------------------------- places


@pytest.mark.parametrize("make", FILES)
async def test_what_is_no_regular_file(make: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "directory")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    before = {name: os.lstat(tmp_path / name) for name in sorted(os.listdir(tmp_path))}
    await refused(make(tmp_path / "pipe"), "pipe is no regular file")
    await refused(make(tmp_path / "directory"), "directory is a directory: name a file")
    await refused(make(tmp_path / "link"), "link is a directory: name a file")
    await refused(make(tmp_path / "round"), "cannot write .*round: Too many levels of symbolic links")
    await refused(make("/dev/full"), "/dev/full is no regular file")
    await refused(make("/dev/null/none"), "cannot write /dev/null/none: Not a directory.")
    await refused(make("/proc/none/at/all"), "cannot write /proc/none/at/all: ")
    assert {name: os.lstat(tmp_path / name).st_mode for name in sorted(os.listdir(tmp_path))} == {
        name: found.st_mode for name, found in before.items()
    }
    assert os.listdir(tmp_path / "directory") == []


async def test_what_is_no_directory(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    (tmp_path / "file").write_text("mine")
    await refused(TensorBoard(tmp_path / "file"), "file is none: name a directory")
    await refused(TensorBoard(tmp_path / "file" / "below"), "cannot write .*: Not a directory")
    await refused(TensorBoard("/proc/none"), "cannot write /proc/none: ")


@pytest.mark.parametrize("make", [*FILES, TensorBoard])
async def test_directories_are_made_once_it_begins(make: Any, tmp_path: Path) -> None:
    if make is TensorBoard:
        pytest.importorskip("tensorboard", reason="needs tensorboard")
    path = tmp_path / "some" / "where" / "it"
    await refused(JSONLines("/dev/full"), "no regular file", make(path))
    assert os.listdir(tmp_path) == []
    await search(begun, observers=[make(path)])
    assert path.exists()


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("make", FILES)
async def test_a_link_is_followed(make: Any, there: bool, tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    if there:
        target.touch(0o640)
    link.symlink_to(target)
    inode = target.stat().st_ino if there else None
    await search(begun, observers=[make(link)])
    assert link.is_symlink()
    assert len(target.read_text().splitlines()) > 6
    assert sorted(os.listdir(tmp_path)) == ["link", "target"]
    if there:
        assert (target.stat().st_ino, target.stat().st_mode & 0o777) == (inode, 0o640)


async def test_a_torn_file_of_trials_is_written_anew(tmp_path: Path) -> None:
    path, storage = tmp_path / "trials.csv", tmp_path / "search"
    await search(begun, observers=[CSV(path)], storage=storage, max_trials=3)
    data = path.read_bytes()
    for keep in [*range(0, len(data), 5), len(data) - 1]:
        path.write_bytes(data[:keep])
        await search(begun, observers=[CSV(path)], storage=storage, max_trials=3)
        assert path.read_bytes() == data


# ---------------------------------------------------------------------------------------------------- an observer's own


class Refusing(Keeping):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def check(self, search: Watched) -> None:
        self.views.append(search)
        raise self.error


async def test_it_is_shown_what_is_there_before_it_is_opened(tmp_path: Path) -> None:
    storage = tmp_path / "search"
    observers = [Refusing(ConfigurationError("no")) for _ in range(3)]
    await refused(observers[0], "^no$", storage=storage)
    await search(begun, storage=storage, max_trials=2)
    await refused(observers[1], "^no$", storage=storage)
    await refused(observers[2], "^no$", storage=storage, overwrite=True)
    views = [observer.views[0] for observer in observers]
    assert [(view.resumed, len(view.trials)) for view in views] == [(False, 0), (True, 2), (False, 0)]
    assert len((await search(begun, storage=storage, max_trials=2)).trials) == 2


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), at.errors.StorageError("no")])
async def test_what_else_it_raises_hurts_nobody(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    observer = Refusing(error)
    assert (await search(observers=[observer])).best_trial is not None
    assert observer.calls[-1] == "end"
    assert [record.message for record in caplog.records] == ["observer Refusing raised; the search goes on"]


class Slow(Keeping):
    """Does not come back from its check until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.loop, self.asked, self.released = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def check(self, search: Watched) -> None:
        self.loop.call_soon_threadsafe(self.asked.set)
        self.released.wait()


async def test_a_search_that_is_cancelled_while_an_observer_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "DEADLINE", 0.1)
    before, slow = snapshot(), Slow()
    task = asyncio.create_task(search(begun, observers=[slow]))
    try:
        await slow.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    finally:
        slow.released.set()
    nothing_left(before, within=2)
    assert slow.calls == []


class AsyncEvents(at.Observer):
    async def on_events(self, events: Any, search: Watched) -> None: ...


class AsyncStart(Keeping):
    async def on_start(self, search: Watched) -> None: ...  # type: ignore[override]


class AsyncEnd(Keeping):
    async def on_end(self, search: Watched) -> AsyncIterator[None]:  # type: ignore[override]
        yield None


class Generating(Keeping):
    def on_events(self, events: Any, search: Watched) -> Iterator[None]:  # type: ignore[override]
        yield None


@pytest.mark.parametrize(
    ("make", "name"), [(AsyncEvents, "on_events"), (AsyncStart, "on_start"), (AsyncEnd, "on_end"), (Generating, "on_events")]
)
def test_a_method_that_would_never_be_run(make: Any, name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{make.__name__}.{name}\(\) is `async def`.*plain functions"):
        at.Search(descend, objective=LOSS, max_trials=1, observers=[make()])


def test_a_stream_that_was_opened_to_be_read() -> None:
    with open("/dev/null") as stream, pytest.raises(ConfigurationError, match="open for writing"):
        Display(stream=stream)
