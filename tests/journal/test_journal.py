"""The journal on the disk: what was committed is there, whole, and whatever was done to it is seen."""

from __future__ import annotations

import errno
import os
import pickle
import random
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from asynctune._engine.database import SCHEMA_VERSION
from asynctune._engine.head import HEAD_NAME, HeadMark, read_head
from asynctune._engine.journal import DiskJournal, MemoryJournal, read_records
from asynctune._engine.lock import SearchLock
from asynctune.errors import JournalCorruptError, JournalError, StorageError
from tests.journal.written import JOURNAL, batches, execute, marks, read, records_of, write

RECORDS = records_of(3)
LOCK = "journal.lock"
MARKS = marks(RECORDS)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write(tmp_path / "search", RECORDS)
    return tmp_path / "search"


def descriptors() -> set[str]:
    return {os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if _is_open(name)}


def _is_open(name: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{name}")


# ----------------------------------------------------------------------------------------------------- written and read


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_what_was_committed_is_there(tmp_path: Path, size: int) -> None:
    write(tmp_path, RECORDS, size)
    assert read(tmp_path) == MARKS
    assert marks(read_records(tmp_path)) == MARKS


def test_a_journal_goes_on_where_it_stood(tmp_path: Path) -> None:
    groups = batches(RECORDS, 5)
    for index, (group, trials) in enumerate(groups):
        journal = DiskJournal(tmp_path)
        assert marks(journal.records()) == MARKS[: index * 5]
        journal.append(group, trials)
        journal.close()
    assert read(tmp_path) == MARKS
    head = read_head(tmp_path)
    assert head is not None
    assert head[0] == len(RECORDS)


def test_a_block_of_records_can_be_read(directory: Path) -> None:
    for after, limit in [(0, 5), (3, 4), (len(RECORDS) - 2, 10), (len(RECORDS), 5), (0, None)]:
        block = read_records(directory, after, limit)
        assert marks(block) == MARKS[after : None if limit is None else after + limit]


def test_a_journal_in_memory_does_the_same() -> None:
    journal = MemoryJournal()
    for group, trials in batches(RECORDS, 7):
        journal.append(group, trials)
    assert list(journal.records()) == RECORDS
    assert journal.read(3, 4) == RECORDS[3:7]
    journal.close()


@pytest.mark.fault(38)
def test_it_is_nobody_elses_business(directory: Path) -> None:
    journal = DiskJournal(directory)
    try:
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    finally:
        journal.close()
    assert modes.keys() == {JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-shm", HEAD_NAME, LOCK}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_every_commit_is_flushed(directory: Path) -> None:
    journal = DiskJournal(directory)
    try:
        assert journal._database.execute("pragma synchronous").fetchone() == (2,)
        assert journal._database.execute("pragma journal_mode").fetchone() == ("wal",)
    finally:
        journal.close()


def test_closing_lets_go_of_everything_and_may_be_done_twice(directory: Path) -> None:
    before = descriptors()
    journal = DiskJournal(directory)
    journal.close()
    journal.close()
    assert descriptors() == before
    DiskJournal(directory).close()


# ---------------------------------------------------------------------------------------------------------- damage seen


@pytest.mark.fault(15)
@pytest.mark.parametrize("column", ["payload", "chain"])
def test_any_byte_that_was_changed_is_seen(tmp_path: Path, column: str) -> None:
    write(tmp_path, RECORDS[:12])
    luck = random.Random(1)
    lengths = execute(tmp_path, f"select seq, length({column}) from records")  # noqa: S608
    for seq, length in lengths:
        assert isinstance(seq, int)
        assert isinstance(length, int)
        for place in range(length) if column == "chain" else [luck.randrange(length) for _ in range(6)]:
            shutil.rmtree(tmp_path / "copy", ignore_errors=True)
            (before,) = execute(tmp_path, f"select {column} from records where seq = ?", seq)  # noqa: S608
            changed = bytearray(before[0])  # type: ignore[call-overload]
            changed[place] ^= 1 << luck.randrange(8)
            execute(tmp_path, f"update records set {column} = ? where seq = ?", bytes(changed), seq)  # noqa: S608
            with pytest.raises(JournalCorruptError, match=f"record {seq} "):
                read(tmp_path)
            with pytest.raises(JournalCorruptError) as refused:
                read_records(tmp_path)
            assert refused.value.last_good == seq - 1
            execute(tmp_path, f"update records set {column} = ? where seq = ?", before[0], seq)  # noqa: S608
    assert read(tmp_path) == MARKS[:12]


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("delete from records where seq = 1", "record 1 is missing; the next is 2"),
        ("delete from records where seq = 5", "record 5 is missing; the next is 6"),
        ("update records set seq = seq + 1000 where seq = 5", "record 5 is missing; the next is 6"),
        ("delete from records where seq > 5", f"the journal ends at record 5, and record {len(RECORDS)} was acknowledged"),
        ("delete from records", f"the journal ends at record 0, and record {len(RECORDS)} was acknowledged"),
        ("drop table records", "its table records is gone"),
    ],
)
def test_records_that_are_missing_are_missed(directory: Path, statement: str, text: str) -> None:
    execute(directory, statement)
    readings: list[Callable[[Path], object]] = [read, read_records]
    for reading in readings:
        with pytest.raises(JournalCorruptError, match=text):
            reading(directory)


def test_two_records_that_changed_places_are_seen(directory: Path) -> None:
    execute(directory, "update records set seq = -1 where seq = 4")
    execute(directory, "update records set seq = 4 where seq = 5")
    execute(directory, "update records set seq = 5 where seq = -1")
    with pytest.raises(JournalCorruptError, match="record 4 was changed"):
        read(directory)


def test_a_database_that_is_none_is_said_to_be_none(directory: Path) -> None:
    for name in ("journal.sqlite-wal", "journal.sqlite-shm"):
        (directory / name).unlink(missing_ok=True)
    (directory / JOURNAL).write_bytes(b"no database at all\0" * 1000)
    before = descriptors()
    with pytest.raises(JournalCorruptError, match=r"journal\.sqlite is not a journal that can be read"):
        DiskJournal(directory)
    with pytest.raises(JournalCorruptError):
        read_records(directory)
    # Nothing is held, and somebody else can repair it.
    assert descriptors() == before
    SearchLock(directory).release()


def test_a_page_that_was_overwritten_is_seen(directory: Path) -> None:
    with (directory / JOURNAL).open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    with pytest.raises(JournalCorruptError):
        read(directory)


# -------------------------------------------------------------------------------------------------------- the head mark


def test_a_journal_that_is_older_than_its_head_mark_is_refused(tmp_path: Path) -> None:
    """A restored copy, or a lost write-ahead log."""
    groups = batches(RECORDS, 10)
    write(tmp_path / "search", RECORDS[:10], 10)
    shutil.copy(tmp_path / "search" / JOURNAL, tmp_path / "copy")
    journal = DiskJournal(tmp_path / "search")
    list(journal.records())
    journal.append(*groups[1])
    journal.close()
    for name in ("journal.sqlite-wal", "journal.sqlite-shm"):
        (tmp_path / "search" / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "copy", tmp_path / "search" / JOURNAL)
    with pytest.raises(JournalCorruptError, match="the journal ends at record 10, and record 20 was acknowledged"):
        read(tmp_path / "search")
    with pytest.raises(JournalCorruptError, match="the journal ends at record 10") as refused:
        read_records(tmp_path / "search")
    assert refused.value.last_good == 10


def test_another_journal_of_the_same_length_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "one", RECORDS[:10])
    write(tmp_path / "other", records_of(4)[:10])
    shutil.copy(tmp_path / "one" / HEAD_NAME, tmp_path / "other" / HEAD_NAME)
    with pytest.raises(JournalCorruptError, match="record 10 is not the one that was acknowledged"):
        read(tmp_path / "other")


@pytest.mark.parametrize("damage", [b"\x00" * 28, b"\xff" * 28, b"torn"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_torn_head_mark_leaves_the_one_before(directory: Path, damage: bytes, place: int) -> None:
    with (directory / HEAD_NAME).open("r+b") as file:
        file.seek(28 * place)
        file.write(damage)
    head = read_head(directory)
    assert head is not None
    assert head[0] <= len(RECORDS)
    assert read(directory) == MARKS


@pytest.mark.parametrize("length", range(0, 57, 7))
def test_a_head_mark_that_was_cut_short_accuses_nobody(directory: Path, length: int) -> None:
    os.truncate(directory / HEAD_NAME, length)
    assert read(directory) == MARKS


def test_the_two_places_of_the_head_mark_are_written_in_turn(tmp_path: Path) -> None:
    """Also when groups of records end at even numbers, and whoever writes it is another."""
    for seq in range(2, 20, 2):
        before = read_head(tmp_path)
        mark = HeadMark(tmp_path)
        mark.write(seq, bytes([seq]) * 16)
        mark.close()
        whole = (tmp_path / HEAD_NAME).read_bytes()
        assert read_head(tmp_path) == (seq, bytes([seq]) * 16)
        newest = 0 if whole.startswith(seq.to_bytes(8)) else 28
        (tmp_path / HEAD_NAME).write_bytes(whole[:newest] + b"\xff" * 28 + whole[newest + 28 :])
        assert read_head(tmp_path) == before
        (tmp_path / HEAD_NAME).write_bytes(whole)


def test_without_a_head_mark_the_chain_still_holds(directory: Path) -> None:
    (directory / HEAD_NAME).unlink()
    assert read(directory) == MARKS
    execute(directory, "delete from records where seq = 5")
    with pytest.raises(JournalCorruptError, match="record 5 is missing"):
        read(directory)


# -------------------------------------------------------------------------------------------------------------- versions


@pytest.mark.fault(28)
@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 2**31 - 1])
def test_a_newer_schema_is_refused_by_name(directory: Path, version: int) -> None:
    execute(directory, f"pragma user_version = {version}")
    with pytest.raises(JournalError, match=f"newer asynctune \\(schema {version}, this one knows {SCHEMA_VERSION}\\)"):
        DiskJournal(directory)
    with pytest.raises(JournalError, match=f"schema {version}"):
        read_records(directory)
    SearchLock(directory).release()


def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    execute(tmp_path, "create table records (theirs text)")
    execute(tmp_path, "insert into records values ('precious')")
    with pytest.raises(StorageError, match="somebody else"):
        DiskJournal(tmp_path)
    assert execute(tmp_path, "select theirs from records") == [("precious",)]


def test_an_error_travels_with_all_that_it_says() -> None:
    error = JournalCorruptError("m", errno=5, free=7, last_good=3)
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.errno, copied.free, copied.last_good) == ("m", 5, 7, 3)


# ------------------------------------------------------------------------------------------------------- what cannot be


@pytest.mark.parametrize("name", [JOURNAL, HEAD_NAME, LOCK])
@pytest.mark.parametrize("what", ["directory", "link"])
def test_what_stands_in_the_way_is_a_storage_error(tmp_path: Path, name: str, what: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"precious")
    directory = tmp_path / "search"
    directory.mkdir()
    if what == "directory":
        (directory / name).mkdir()
    else:
        (directory / name).symlink_to(elsewhere)
    before = descriptors()
    with pytest.raises(StorageError, match=str(directory)):
        DiskJournal(directory)
    assert elsewhere.read_bytes() == b"precious"
    assert descriptors() == before


def test_a_file_where_the_directory_should_be_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match="cannot be used for a search"):
            DiskJournal(directory)


def test_there_is_nothing_to_read_where_there_is_no_search(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "nonesuch"):
        with pytest.raises(StorageError, match="there is no search in"):
            read_records(directory)
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------------------------------- commits that fail


@pytest.mark.parametrize("table", ["records", "trials", "reports"])
@pytest.mark.fault(13)
def test_a_commit_that_fails_leaves_nothing_behind_and_can_be_tried_again(tmp_path: Path, table: str) -> None:
    groups = batches(RECORDS, 20)
    journal = DiskJournal(tmp_path)
    list(journal.records())
    journal.append(*groups[0])
    head = read_head(tmp_path)
    execute(tmp_path, f"create trigger t before insert on {table} begin select raise(abort, 'the disk says no'); end")
    for _ in range(2):
        with pytest.raises(JournalError, match=r"record 21 could not be written: the disk says no"):
            journal.append(*groups[1])
        assert len(read_records(tmp_path)) == 20
        assert read_head(tmp_path) == head
    execute(tmp_path, "drop trigger t")
    for group in groups[1:]:
        journal.append(*group)
    journal.close()
    assert read(tmp_path) == MARKS


@pytest.mark.fault(13)
def test_a_full_disk_is_an_error_and_when_there_is_room_again_it_goes_on(small_disk: Path) -> None:
    directory, filler = small_disk / "search", small_disk / "filler"
    journal = DiskJournal(directory)
    list(journal.records())
    groups = batches(RECORDS, 1)
    for group in groups[:5]:
        journal.append(*group)
    fill(filler)
    written = 5
    with pytest.raises(JournalError, match=r"record \d+ could not be written: database or disk is full") as refused:  # noqa: PT012
        for group in groups[5:]:
            journal.append(*group)
            written += 1
    assert refused.value.errno == errno.ENOSPC
    assert refused.value.free is not None
    assert f"(ENOSPC: No space left on device, and {refused.value.free:,} bytes are free there)" in str(refused.value)
    filler.unlink()
    for group in groups[written:]:
        journal.append(*group)
    journal.close()
    assert read(directory) == MARKS


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)


@pytest.mark.fault(13)
def test_a_disk_that_turned_read_only_is_an_error_that_says_so(small_disk: Path) -> None:
    directory = small_disk / "search"
    write(directory, RECORDS[:10])
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        with pytest.raises(StorageError, match=str(directory)):
            DiskJournal(directory)
        assert marks(read_records(directory)) == MARKS[:10]
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert read(directory) == MARKS[:10]


def test_a_head_mark_that_cannot_be_written_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    groups = batches(RECORDS, 10)
    journal = DiskJournal(tmp_path)
    list(journal.records())
    journal.append(*groups[0])
    os.close(journal._head._descriptor)
    try:
        journal.append(*groups[1])
    finally:
        journal._head._descriptor = os.open(tmp_path / HEAD_NAME, os.O_RDWR)
    assert "the head mark could not be written" in caplog.text
    journal.append(*groups[2])
    journal.close()
    assert read(tmp_path) == MARKS[:30]


# ------------------------------------------------------------------------------------------------------ read while written

READER = """
import sys
from pathlib import Path
from asynctune._engine.journal import read_records
seen, told = [], int(sys.argv[2])
print("ready", flush=True)
while len(seen) < told:
    seen += read_records(Path(sys.argv[1]), len(seen), 50)
assert [record.seq for record in seen] == list(range(1, told + 1))
print("read", flush=True)
"""


@pytest.mark.fault(16)
def test_others_read_while_it_is_written(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path)
    list(journal.records())
    command = [sys.executable, "-c", READER, str(tmp_path), str(len(RECORDS))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        for group, trials in batches(RECORDS, 1):
            journal.append(group, trials)
        assert reader.stdout.readline() == "read\n"
    assert reader.returncode == 0
    journal.close()


def test_a_reader_changes_nothing(directory: Path) -> None:
    before = {path: path.read_bytes() for path in directory.iterdir()}
    read_records(directory)
    assert {path: path.read_bytes() for path in before} == before


def test_a_reader_leaves_nothing_behind_where_nobody_writes(directory: Path) -> None:
    before = sorted(os.listdir(directory))
    for after in (0, 3, len(RECORDS)):
        assert marks(read_records(directory, after)) == MARKS[after:]
        assert sorted(os.listdir(directory)) == before


def test_a_killed_writers_records_are_read_too(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path / "search")
    list(journal.records())
    for group, trials in batches(RECORDS, 10):
        journal.append(group, trials)
    shutil.copytree(tmp_path / "search", tmp_path / "copy")  # as a kill would leave it: not all is in the database
    journal.close()
    assert (tmp_path / "copy" / f"{JOURNAL}-wal").stat().st_size > 0
    assert marks(read_records(tmp_path / "copy")) == MARKS


WRITER = """
import sys
from pathlib import Path
from asynctune._engine.journal import DiskJournal
from tests.journal.written import batches, records_of
for group, trials in batches(records_of(3), 1):
    journal = DiskJournal(Path(sys.argv[1]))
    list(journal.records())
    journal.append(group, trials)
    journal.close()
"""


def test_a_reader_is_not_deceived_by_writers_that_come_and_go(tmp_path: Path) -> None:
    """Each opens, writes and closes: the reader meets a journal at rest, one that is written, and all that is between."""
    DiskJournal(tmp_path / "search").close()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "search")], env=environment) as writer:
        while writer.poll() is None:
            found = marks(read_records(tmp_path / "search"))
            assert found == MARKS[: len(found)]
    assert writer.returncode == 0
    assert marks(read_records(tmp_path / "search")) == MARKS


def test_a_reader_needs_no_right_to_write_where_nobody_writes(directory: Path) -> None:
    os.chmod(directory / JOURNAL, 0o400)
    assert marks(read_records(directory)) == MARKS


def test_killed_in_the_middle_of_writing_it_has_every_acknowledged_record(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from asynctune._engine.journal import DiskJournal
from tests.journal.written import batches, records_of
journal = DiskJournal(Path(sys.argv[1]))
list(journal.records())
for group, trials in batches(records_of(3), 1):
    journal.append(group, trials)
    print(group[-1].seq, flush=True)
sys.stdin.read()
"""
    for acknowledged in (1, 13, len(RECORDS)):
        directory = tmp_path / str(acknowledged)
        command = [sys.executable, "-c", program, str(directory)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            while int(writer.stdout.readline()) < acknowledged:
                pass
            writer.kill()
        kept = read(directory)
        assert len(kept) >= acknowledged
        assert kept == MARKS[: len(kept)]
