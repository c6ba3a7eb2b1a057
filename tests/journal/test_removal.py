"""Removing a search: what it made goes, and nothing else is touched, least of all what is somebody else's."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from asynctune._engine.head import HEAD_NAME
from asynctune._engine.journal import DiskJournal
from asynctune._engine.removal import check_ours, check_removable, remove_search
from asynctune.checkpoints import DirectoryStore
from asynctune.errors import JournalCorruptError, SearchLockedError, StorageError
from asynctune.records import CheckpointKey
from tests.journal.written import JOURNAL, marks, read, records_of, write

RECORDS = records_of(3)
LOCK = "journal.lock"
MARKS = marks(RECORDS)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write(tmp_path / "search", RECORDS)
    return tmp_path / "search"


def there(directory: Path) -> set[str]:
    """Every file, by its path."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}


def put(path: Path, text: str = "precious") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_all_that_a_search_made_goes(directory: Path) -> None:
    for made in ("logs/zygote.log", "logs/0-1.log", "logs/12-3.log", "trials/0/model.keras", "trials/12/a/b"):
        put(directory / made)
    store = DirectoryStore(directory / "checkpoints")
    for key in (CheckpointKey(0, 1, 1), CheckpointKey(12, 3, 2)):
        with store.writing(key) as path:
            put(path / "weights")
    put(directory / "checkpoints" / "0" / ".writing-abcd0123" / "half")
    remove_search(directory)
    assert [path.name for path in directory.iterdir()] == [LOCK]
    write(directory, RECORDS[:5])
    assert read(directory) == MARKS[:5]


def test_what_the_user_put_beside_it_stays(directory: Path) -> None:
    mine = ["mine.txt", "logs/mine.log", "logs/0-1.log.bak", "logs/3-1.log/x", "trials/mine", "trials/best/x"]
    mine += ["checkpoints/mine", "checkpoints/0/mine/weights", "checkpoints/latest/weights"]
    for name in (*mine, "logs/0-1.log", "trials/0/x"):
        put(directory / name)
    remove_search(directory)
    assert there(directory) == {LOCK, *mine}


def test_removing_what_is_not_there_does_nothing(tmp_path: Path) -> None:
    put(tmp_path / "logs" / "0-1.log")
    remove_search(tmp_path)
    remove_search(tmp_path / "nonesuch")
    assert there(tmp_path) == {"logs/0-1.log"}


def test_what_is_left_of_a_search_without_its_journal_can_be_removed(directory: Path) -> None:
    (directory / JOURNAL).unlink()
    with pytest.raises(JournalCorruptError, match="the journal ends at record 0"):
        read(directory)
    remove_search(directory)
    assert read(directory) == []


def test_a_search_that_is_being_written_is_not_removed(directory: Path) -> None:
    journal = DiskJournal(directory)
    for refused in (check_removable, remove_search):
        with pytest.raises(SearchLockedError, match="is being written by process"):
            refused(directory)
    assert marks(journal.records()) == MARKS
    journal.close()


def test_a_damaged_journal_of_ours_can_be_removed(directory: Path) -> None:
    (directory / JOURNAL).write_bytes(b"no database at all\0" * 1000)
    remove_search(directory)
    assert there(directory) == {LOCK}


def test_a_journal_that_is_cut_can_be_removed_without_its_head_mark(directory: Path) -> None:
    (directory / HEAD_NAME).unlink()
    whole = (directory / JOURNAL).read_bytes()
    (directory / JOURNAL).write_bytes(whole[:100] + b"\xff" * 8000)
    remove_search(directory)
    assert there(directory) == {LOCK}


@pytest.mark.parametrize("marked", [False, True], ids=["alone", "beside a head mark"])
@pytest.mark.parametrize("kind", ["text", "database", "database with a table called records", "database with a log"])
def test_somebody_elses_file_is_neither_written_nor_removed(tmp_path: Path, directory: Path, kind: str, marked: bool) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    path = theirs / JOURNAL
    if marked:
        shutil.copy(directory / HEAD_NAME, theirs / HEAD_NAME)
    if kind == "text":
        path.write_text("precious\n" * 1000)
    else:
        database = sqlite3.connect(path)
        if "log" in kind:
            database.execute("pragma journal_mode = wal")
        database.execute(f"create table {'records' if 'records' in kind else 'precious'} (x)")
        database.close()
    before = path.read_bytes()
    for refused in (check_ours, check_removable, remove_search, DiskJournal):
        with pytest.raises(StorageError, match=r"somebody else's .*Use another directory"):
            refused(theirs)
    assert there(theirs) == {JOURNAL, *([HEAD_NAME] if marked else [])}
    assert path.read_bytes() == before
