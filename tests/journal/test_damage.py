"""A journal that was cut, or has a bit flipped: it opens whole, or without a tail that nobody was told of, or is refused.

Each test prints its seed, and takes a sample; the whole of it is run by `nox -s soak`.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve, frozen

from asynctune._engine.journal import DiskJournal, read_records
from asynctune.errors import JournalCorruptError, JournalError
from asynctune.testing import cut, flipped
from tests.journal.damaged import DATABASE, LEAST, LOG, Left, Rows, left, many_records, opened, rows_of, seen
from tests.journal.written import JOURNAL, marks

pytestmark = pytest.mark.fault(15)


@frozen
class Base:
    """The journal, a place to open copies in, and the query tables as they follow from its records."""

    it: Left
    copy: Path
    rows: dict[int, Rows]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    directory = tmp_path_factory.mktemp("damage")
    it = left(directory, many_records())
    assert it.total >= LEAST
    rows = {it.total: opened(it, directory / "copy")[1]}
    log = it.directory / LOG
    with cut(log, log.stat().st_size - 1):  # a commit that was not written to its end
        number, without = opened(it, directory / "copy")
    assert number == it.acknowledged < it.total
    rows[number] = without
    return Base(it, directory / "copy", rows)


@pytest.fixture
def luck() -> random.Random:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


def check(base: Base, *, fully: bool = True) -> int | None:
    """What is found; if it can be opened, it is."""
    number = seen(base.it)
    if number is not None and fully:
        assert opened(base.it, base.copy) == (number, base.rows[number])
    return number


def size_of(base: Base, name: str) -> int:
    return (base.it.directory / name).stat().st_size


# ------------------------------------------------------------------------------------------------------------------- cut


def lengths(size: int, luck: random.Random, count: int) -> list[int]:
    """Of a file that is cut: what begins and ends, and anywhere."""
    edges = {0, 1, 16, 31, 32, 33, 56, 99, 100, 101, 4095, 4096, 4097, size // 2, size - 4096, size - 1}
    return sorted({each for each in edges if 0 <= each < size} | {luck.randrange(size) for _ in range(count)})


@pytest.mark.parametrize("name", [DATABASE, LOG])
def test_cut_anywhere(base: Base, luck: random.Random, name: str) -> None:
    found = set()
    for length in lengths(size_of(base, name), luck, 60):
        with cut(base.it.directory / name, length):
            found.add(check(base))
    assert None in found


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", [DATABASE, LOG])
def test_cut_at_every_byte(base: Base, name: str) -> None:
    found = dict[int | None, int]()
    before: int | None = None
    for length in range(size_of(base, name)):
        with cut(base.it.directory / name, length):
            number = check(base, fully=length % 997 == 0)
            if number is not None and number != before:
                check(base)
        found[number], before = found.get(number, 0) + 1, number
    print(found)
    # Of the database's last pages the log may have newer ones, and then nothing is lost with them.
    assert found.keys() - {base.it.total if name == DATABASE else base.it.acknowledged} == {None}


# ---------------------------------------------------------------------------------------------------------- bits flipped


def flips(base: Base, name: str, luck: random.Random, count: int) -> Iterator[int | None]:
    size = size_of(base, name)
    for _ in range(count):
        byte, bit = luck.randrange(size), luck.randrange(8)
        with flipped(base.it.directory / name, byte, bit):
            yield check(base)


@pytest.mark.parametrize("name", [DATABASE, LOG])
def test_a_bit_flipped_anywhere(base: Base, luck: random.Random, name: str) -> None:
    assert None in set(flips(base, name, luck, 120))


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("name", "count"), [(DATABASE, 4000), (LOG, 3000)])
def test_thousands_of_bits_flipped(base: Base, luck: random.Random, name: str, count: int) -> None:
    found = list(flips(base, name, luck, count))
    print({number: found.count(number) for number in set(found)})
    assert None in found


def test_a_bit_of_every_byte_of_the_database_header(base: Base, luck: random.Random) -> None:
    for byte in range(100):
        with flipped(base.it.directory / DATABASE, byte, luck.randrange(8)):
            check(base)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_bit_of_the_database_header(base: Base) -> None:
    for byte in range(100):
        for bit in range(8):
            with flipped(base.it.directory / DATABASE, byte, bit):
                check(base)


# -------------------------------------------------------------------------------------------------------- query tables


def flipped_value(value: float | bytes, luck: random.Random) -> tuple[str, object]:
    """The value with a bit flipped, and how SQL is to write it."""
    if isinstance(value, int):
        return "?", value ^ (1 << luck.randrange(62))
    kind = "real" if isinstance(value, float) else "text"
    data = bytearray(struct.pack("<d", value) if isinstance(value, float) else value)
    data[luck.randrange(len(data))] ^= 1 << luck.randrange(8)
    if kind == "real":
        return "?", struct.unpack("<d", data)[0]
    return "cast(? as text)", bytes(data)  # which may be no text any more


def change_a_value(directory: Path, luck: random.Random) -> str:
    """Flip a bit of one value in a query table, behind everybody's back; returns what was changed."""
    database = sqlite3.connect(directory / JOURNAL, isolation_level=None)
    database.text_factory = bytes
    try:
        while True:
            table, keys = luck.choice([("trials", ["id"]), ("reports", ["trial", "launch", "step"])])
            columns = [row[1].decode() for row in database.execute(f"pragma table_info({table})")]
            rows = database.execute(f"select * from {table}").fetchall()  # noqa: S608
            row, column = luck.choice(rows), luck.randrange(len(columns))
            if row[column] is None or row[column] == b"":
                continue
            how, value = flipped_value(row[column], luck)
            where = " and ".join(f"{key} = {row[columns.index(key)]}" for key in keys)
            try:
                statement = f'update {table} set "{columns[column]}" = {how} where {where}'  # noqa: S608
                database.execute(statement, (value,))
            except sqlite3.IntegrityError:  # a NaN, or a key that is there already
                continue
            if database.execute(f"select * from {table}").fetchall() != rows:  # noqa: S608 -- zero has a sign only in Python
                return f"{statement} {value!r}"
    finally:
        database.close()


def values_flipped(base: Base, luck: random.Random, count: int, caplog: pytest.LogCaptureFixture) -> None:
    closed = base.copy.with_name("closed")
    opened(base.it, closed)
    for _ in range(count):
        changed = base.copy.with_name("changed")
        shutil.rmtree(changed, ignore_errors=True)
        shutil.copytree(closed, changed)
        what = change_a_value(changed, luck)
        caplog.clear()
        assert opened(evolve(base.it, directory=changed), base.copy) == (base.it.total, base.rows[base.it.total]), what
        assert "the query tables did not say what the records say" in caplog.text, what


def test_a_value_of_a_query_table_flipped(base: Base, luck: random.Random, caplog: pytest.LogCaptureFixture) -> None:
    values_flipped(base, luck, 60, caplog)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_thousands_of_values_of_query_tables_flipped(base: Base, luck: random.Random, caplog: pytest.LogCaptureFixture) -> None:
    values_flipped(base, luck, 3000, caplog)


# --------------------------------------------------------------------------------------------------------- who only reads


@pytest.mark.parametrize("name", [DATABASE, LOG])
def test_who_only_reads_is_told_the_truth_too(base: Base, luck: random.Random, name: str) -> None:
    whole = marks(many_records())
    for _ in range(60):
        shutil.rmtree(base.copy, ignore_errors=True)
        shutil.copytree(base.it.directory, base.copy)
        byte, bit = luck.randrange(size_of(base, name)), luck.randrange(8)
        with flipped(base.copy / name, byte, bit):
            try:
                found = marks(read_records(base.copy))
            except JournalError as error:
                assert error.last_good is not None, error  # noqa: PT017 -- it may also be read
            else:
                assert len(found) >= base.it.acknowledged
                assert found == whole[: len(found)]


def test_an_empty_database_does_not_cost_its_log(base: Base) -> None:
    """SQLite would delete the log: here it is still what a repair, or a copy of the database, can be mended with."""
    shutil.rmtree(base.copy, ignore_errors=True)
    shutil.copytree(base.it.directory, base.copy)
    (base.copy / DATABASE).write_bytes(b"")
    readings: list[Callable[[Path], object]] = [read_records, DiskJournal]
    for reading in readings:
        with pytest.raises(JournalCorruptError, match="the journal ends at record 0") as refused:
            reading(base.copy)
        assert refused.value.last_good == 0
    assert (base.copy / LOG).read_bytes() == (base.it.directory / LOG).read_bytes()


def test_damage_is_undone_whatever_happens(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with pytest.raises(KeyError), cut(path, 4):  # noqa: PT012
        assert path.read_bytes() == b"0123"
        raise KeyError
    with pytest.raises(KeyError), flipped(path, 3, 0):  # noqa: PT012
        assert path.read_bytes() == b"0122456789"
        raise KeyError
    assert path.read_bytes() == b"0123456789"
    for length in (-1, 10, 11):
        with pytest.raises(ValueError, match=f"has 10 bytes, and cannot be cut to {length}"), cut(path, length):
            pass
    for byte, bit in ((-1, 0), (10, 0), (0, 8), (0, -1)):
        with pytest.raises(ValueError, match=f"no bit {bit} of byte {byte}"), flipped(path, byte, bit):
            pass
    with pytest.raises(FileNotFoundError), cut(tmp_path / "nonesuch", 0):
        pass


def test_the_rows_are_compared_with_what_is_there(base: Base) -> None:
    """The test itself: what it holds copies against is what the records say, not nothing."""
    trials, reports, failures = base.rows[base.it.total]
    assert len(trials) > 10
    assert len(reports) > 50
    assert failures
    opened(base.it, base.copy)
    assert rows_of(base.copy) == (trials, reports, failures)
