"""`asynctune doctor` says what is wrong, `asynctune repair` keeps what is good, and the original is there beside it."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from attrs import evolve

import asynctune as at
from asynctune.__main__ import main
from asynctune._engine.checkup import checkup
from asynctune._engine.database import SCHEMA_VERSION
from asynctune._engine.head import HEAD_NAME, read_head
from asynctune._engine.journal import DiskJournal, read_records
from asynctune._engine.looking import look
from asynctune._engine.repair import repair
from asynctune._engine.retelling import retold
from asynctune.checkpoints import DirectoryStore
from asynctune.errors import JournalCorruptError, JournalError, SearchLockedError, StorageError
from asynctune.records import CheckpointKey
from asynctune.testing import flipped
from tests.journal.damaged import DATABASE, LOG, Left, contents, left, many_records, opened, rows_of
from tests.journal.written import JOURNAL, execute, marks
from tests.observers.searches import descend, search

pytestmark = pytest.mark.fault(15)
WHOLE = marks(many_records())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Left:
    return left(tmp_path_factory.mktemp("repair"), many_records())


@pytest.fixture
def it(made: Left, tmp_path: Path) -> Left:
    shutil.copytree(made.directory, tmp_path / "search")
    return evolve(made, directory=tmp_path / "search")


# ---------------------------------------------------------------------------------------------------------------- repair


def check_repaired(it: Left, kept: int, damaged: dict[str, bytes]) -> None:
    """What is kept can be opened, and is what was there; the original is, too."""
    found = marks(read_records(it.directory))
    assert found == WHOLE[:kept]
    beside = {
        path.name.replace(".damaged-1", ""): path.read_bytes() for path in it.directory.iterdir() if ".damaged-1" in path.name
    }
    assert beside == {name: data for name, data in damaged.items() if name != "journal.lock"}
    assert {path.name for path in it.directory.iterdir() if ".damaged" not in path.name} == {JOURNAL, HEAD_NAME, "journal.lock"}
    assert read_head(it.directory) == (kept, it.chains[kept])
    number, rows = opened(it, it.directory.with_name("copy"))
    assert number == kept
    assert rows == rows_of(it.directory), "the tables were made as a search makes them"


@pytest.mark.parametrize("name", [DATABASE, LOG])
def test_what_was_flipped_is_kept_up_to_there(it: Left, name: str) -> None:
    luck, done = random.Random(name), 0
    pristine = it.directory.with_name("pristine")
    shutil.copytree(it.directory, pristine)
    while done < 12:
        shutil.rmtree(it.directory)
        shutil.copytree(pristine, it.directory)
        byte = luck.randrange(4096, (it.directory / name).stat().st_size)
        with flipped(it.directory / name, byte, luck.randrange(8)):
            try:
                look(it.directory)
            except JournalCorruptError as error:
                good = error.last_good
            else:
                continue
            if not good:
                with pytest.raises(StorageError, match=r"no record .* is good"):
                    repair(it.directory)
                continue
            said = repair(it.directory)
        assert said is not None
        assert (said.kept, said.original.name) == (good, f"{JOURNAL}.damaged-1")
        assert said.known >= it.acknowledged
        assert good is not None
        assert marks(read_records(it.directory)) == WHOLE[:good]
        assert opened(it, it.directory.with_name("copy"))[0] == good
        done += 1


def test_a_lost_end(it: Left, capsys: pytest.CaptureFixture[str]) -> None:
    log = it.directory / LOG
    data = log.read_bytes()
    log.write_bytes(data[: len(data) // 2])
    damaged = contents(it.directory)
    assert main(["repair", str(it.directory)]) == 0
    said = capsys.readouterr().out
    kept = len(read_records(it.directory))
    assert 100 < kept < it.acknowledged
    assert f"records 1 to {kept} are kept\nrecords {kept + 1} to {it.acknowledged} are lost" in said
    check_repaired(it, kept, damaged)
    assert main(["repair", str(it.directory)]) == 0
    assert capsys.readouterr().out == f"{it.directory}: there is nothing to repair\n"


def test_a_record_that_was_changed(it: Left) -> None:
    opened(it, it.directory.with_name("closed"))
    closed = evolve(it, directory=it.directory.with_name("closed"))
    execute(closed.directory, "update records set chain = x'00' where seq = 200")
    damaged = contents(closed.directory)
    done = repair(closed.directory)
    assert done is not None
    assert (done.kept, done.known) == (199, it.total)
    assert "record 200 was changed" in done.reason
    check_repaired(closed, 199, damaged)


def test_a_second_repair_keeps_the_first_original(it: Left) -> None:
    opened(it, it.directory.with_name("closed"))
    directory = it.directory.with_name("closed")
    for number, seq in ((1, 200), (2, 100)):
        execute(directory, "update records set chain = x'00' where seq = ?", seq)
        done = repair(directory)
        assert done is not None
        assert done.original == directory / f"{JOURNAL}.damaged-{number}"
        assert done.original.exists()
        assert len(read_records(directory)) == seq - 1
    assert (directory / f"{JOURNAL}.damaged-1").exists()


def test_a_table_that_cannot_be_made_sense_of_costs_no_record(it: Left) -> None:
    directory = it.directory.with_name("closed")
    opened(it, directory)
    execute(directory, "drop table reports")
    with pytest.raises(JournalCorruptError, match="its table reports is gone") as refused:
        DiskJournal(directory)
    assert refused.value.last_good == it.total
    done = repair(directory)
    assert done is not None
    assert (done.kept, done.known) == (it.total, it.total)
    assert marks(read_records(directory)) == WHOLE


CUT_OFF = """
import os, sys
from pathlib import Path
from asynctune._engine.repair import repair
from asynctune._engine.retelling import retold
from asynctune.checkpoints import DirectoryStore
left = int(sys.argv[2])
def count(event, arguments):
    global left
    if event in {"os.rename", "os.link", "os.remove", "os.rmdir"} and "closed" in str(arguments[0]):
        left -= 1
        if left < 0:
            os._exit(9)
sys.addaudithook(count)
repair(Path(sys.argv[1]))
"""


@pytest.mark.process
def test_cut_off_anywhere_it_is_done_again(it: Left) -> None:
    """Killed before the n-th change to the directory, for every n: no good record is lost, and nothing opens by mistake."""
    pristine, directory = it.directory.with_name("pristine"), it.directory.with_name("closed")
    shutil.copytree(it.directory, pristine)
    log = pristine / LOG
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
    with pytest.raises(JournalCorruptError) as refused:
        look(pristine)
    kept, codes = refused.value.last_good, list[int]()
    while 0 not in codes:
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(pristine, directory)
        command = [sys.executable, "-c", CUT_OFF, str(directory), str(len(codes))]
        codes.append(subprocess.run(command, check=False, env={"PYTHONPATH": ":".join(sys.path)}).returncode)
        done = repair(directory)
        if done is not None:
            assert done.kept == kept
        assert len(read_records(directory)) == kept
        assert (directory / f"{LOG.replace(JOURNAL, JOURNAL + '.damaged-1')}").read_bytes() == log.read_bytes()
        assert opened(evolve(it, directory=directory), it.directory.with_name("copy"))[0] == kept
    assert set(codes) == {9, 0}
    assert len(codes) > 6


@pytest.mark.process
def test_a_journal_that_was_put_in_the_place_of_one_under_repair_is_repaired_itself(it: Left, tmp_path: Path) -> None:
    other, directory = it.directory, tmp_path / "closed"
    log = other / LOG
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
    for changes in count():
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(other, directory)
        command = [sys.executable, "-c", CUT_OFF, str(directory), str(changes)]
        assert subprocess.run(command, check=False, env={"PYTHONPATH": ":".join(sys.path)}).returncode == 9
        if (directory / f"{JOURNAL}.damaged-1").exists():
            break
    # A copy from elsewhere, damaged too, takes its place.
    (directory / LOG).unlink(missing_ok=True)
    for name in (JOURNAL, LOG):
        shutil.copy2(other / name, directory / f"new-{name}")
        (directory / f"new-{name}").replace(directory / name)
    precious = (directory / JOURNAL).read_bytes()
    done = repair(directory)
    assert done is not None
    assert done.original.read_bytes() == precious
    assert done.original.name == f"{JOURNAL}.damaged-2"


def test_what_is_not_repaired(it: Left, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no journal"):
        repair(tmp_path / "nonesuch")
    opened(it, tmp_path / "closed")
    before = contents(tmp_path / "closed")
    assert repair(tmp_path / "closed") is None
    assert contents(tmp_path / "closed") == before
    execute(tmp_path / "closed", f"pragma user_version = {SCHEMA_VERSION + 1}")
    before = contents(tmp_path / "closed")
    with pytest.raises(JournalError, match="newer"):
        repair(tmp_path / "closed")
    assert contents(tmp_path / "closed") == before
    (it.directory / JOURNAL).write_bytes(b"")
    before = contents(it.directory)
    with pytest.raises(StorageError, match=r"no record .* is good"):
        repair(it.directory)
    assert {name: data for name, data in contents(it.directory).items() if name != "journal.lock"} == before
    journal = DiskJournal(tmp_path / "new")
    with pytest.raises(SearchLockedError):
        repair(tmp_path / "new")
    journal.close()


# ---------------------------------------------------------------------------------------------------------------- doctor


async def test_a_sound_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await search(descend, storage=tmp_path)
    before = contents(tmp_path)
    assert main(["doctor", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{tmp_path}: sound\n  journal:     ")
    for words in (
        " records, all good",
        "schema 1, sound",
        "6 trials, 18 reports and 0 failures, as the records say",
        "free: nobody writes",
    ):
        assert words in said
    assert f"by asynctune {at.__version__} (1)" in said
    assert "keeps 6 COMPLETED trials; the search ended: " in said
    assert contents(tmp_path) == before


def test_an_interrupted_search(it: Left) -> None:
    before = contents(it.directory)
    found = checkup(it.directory)
    assert [problem for problem in found.problems if "unfinished trials" not in problem] == []  # no checkpoints were made
    said = "\n".join(found.lines)
    assert f"{it.total} records, all good" in said
    assert "did not end by itself; its log is taken in" in said
    assert contents(it.directory) == before


def test_a_search_that_is_written(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path)
    list(journal.records())
    journal.append(many_records()[:50], ())
    found = checkup(tmp_path)
    said = "\n".join(found.lines)
    assert "50 records, all good" in said
    assert "held by process " in said
    assert "is not possible while it is written" in said or found.problems
    journal.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("update records set chain = x'00' where seq = 7", "record 7 was changed since it was written"),
        ("delete from records where seq > 200", "the journal ends at record 200, and record"),
        ("update trials set step = step + 1 where id = 2", "they do not say what the records say"),
        ("drop table trials", "its table trials is gone"),
    ],
)
def test_a_damaged_search(it: Left, change: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    directory = it.directory.with_name("closed")
    opened(it, directory)
    execute(directory, change)
    before = contents(directory)
    assert main(["doctor", str(directory)]) == 1
    said = capsys.readouterr().out
    assert said.startswith(f"{directory}: damaged\n")
    assert words in said
    assert contents(directory) == before


def test_checkpoints(it: Left) -> None:
    told = {key for record in many_records() for event in record.happened if (key := getattr(event, "checkpoint", None))}
    store = DirectoryStore(it.directory / "checkpoints")
    for key in (*told, CheckpointKey(999, 1, 1)):
        with store.writing(key) as path:
            (path / "weights").write_text("w")
    found = checkup(it.directory)
    assert found.problems == []
    assert f"{len(told) + 1} are there, 1 of them in no record" in "\n".join(found.lines)
    open_ones = [trial for trial in retold(many_records()).trials if trial.checkpoint is not None and not trial.state.ended]
    if open_ones:
        store.sweep(())
        assert "that unfinished trials would go on from" in checkup(it.directory).problems[0]


def test_nothing_to_look_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    for command in ("doctor", "repair"):
        for name in ("nonesuch", "file"):
            assert main([command, str(tmp_path / name)]) == 1
            assert "there is no" in capsys.readouterr().err
    (tmp_path / JOURNAL).write_text("precious" * 1000)
    for command in ("doctor", "repair"):
        assert main([command, str(tmp_path)]) == 1
        assert "somebody else's file" in capsys.readouterr().err
    assert (tmp_path / JOURNAL).read_text() == "precious" * 1000
