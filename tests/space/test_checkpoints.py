"""Checkpoints are whole or not there, whoever is killed, and nothing outside the store is touched."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from asynctune.checkpoints import CheckpointStore, DirectoryStore
from asynctune.errors import StorageError
from asynctune.records import CheckpointKey

KEY = CheckpointKey(trial=3, step=10, launch=2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "search" / "checkpoints"


@pytest.fixture
def store(root: Path) -> CheckpointStore:
    return DirectoryStore(root)


def write(store: CheckpointStore, key: CheckpointKey, text: str = "x") -> None:
    with store.writing(key) as directory:
        (directory / "state").write_text(text)


def fail(store: CheckpointStore, key: CheckpointKey, error: BaseException) -> None:
    with store.writing(key) as directory:
        (directory / "half").mkdir()
        raise error


def read(store: CheckpointStore, key: CheckpointKey) -> str:
    return (store.path(key) / "state").read_text()


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_a_checkpoint_is_there_when_its_block_has_ended(store: CheckpointStore, root: Path) -> None:
    with store.writing(KEY) as directory:
        assert list(directory.iterdir()) == []
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        (directory / "model").mkdir()
        (directory / "model" / "weights").write_bytes(b"\x00\x01")
        (directory / "state").write_text("x")
        assert not store.exists(KEY)
        assert store.keys() == []

    assert store.exists(KEY)
    assert store.keys() == [KEY]
    assert store.path(KEY) == root / "3" / "10-2"
    assert (store.path(KEY) / "model" / "weights").read_bytes() == b"\x00\x01"
    assert not directory.exists()


def test_an_empty_checkpoint_is_one(store: CheckpointStore) -> None:
    with store.writing(KEY):
        pass

    assert list(store.path(KEY).iterdir()) == []


@pytest.mark.parametrize("error", [ValueError("x"), OSError("x"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
@pytest.mark.fault(14)
def test_a_block_that_raises_leaves_nothing(store: CheckpointStore, root: Path, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        fail(store, KEY, error)

    assert caught.value is error
    assert not store.exists(KEY)
    assert everything(root) == {"3"}


def test_a_key_that_is_written_again_is_replaced(store: CheckpointStore, root: Path) -> None:
    write(store, KEY, "old")
    with store.writing(KEY) as directory:
        (directory / "state").write_text("new")
        assert read(store, KEY) == "old"

    assert read(store, KEY) == "new"
    assert everything(root) == {"3", "3/10-2", "3/10-2/state"}


@pytest.mark.fault(14)
def test_a_key_that_fails_to_be_written_again_stays(store: CheckpointStore) -> None:
    write(store, KEY, "old")
    with pytest.raises(ZeroDivisionError):
        fail(store, KEY, ZeroDivisionError())

    assert read(store, KEY) == "old"


def test_a_directory_that_is_gone_at_the_end_is_an_error(store: CheckpointStore) -> None:
    write(store, KEY, "old")
    with pytest.raises(StorageError, match="checkpoint of trial 3 after step 10"), store.writing(KEY) as directory:
        shutil.rmtree(directory)

    assert read(store, KEY) == "old"


def test_what_is_missing_has_no_path(store: CheckpointStore, root: Path) -> None:
    with pytest.raises(StorageError) as caught:
        store.path(KEY)

    assert str(caught.value) == (
        f"the checkpoint of trial 3 after step 10 (launch 2) is not in {root}: it was deleted, or was never finished"
    )


def test_delete(store: CheckpointStore, root: Path) -> None:
    other = CheckpointKey(3, 11, 2)
    write(store, KEY)
    write(store, other)
    store.delete(KEY)
    store.delete(KEY)

    assert store.keys() == [other]
    assert everything(root) == {"3", "3/11-2", "3/11-2/state"}


def test_keys_are_in_order(store: CheckpointStore) -> None:
    keys = [CheckpointKey(*numbers) for numbers in [(2, 1, 1), (10, 1, 1), (2, 10, 1), (2, 9, 2), (2, 9, 1), (0, 0, 1)]]
    for key in keys:
        write(store, key)

    found = store.keys()
    assert [(key.trial, key.step, key.launch) for key in found] == [
        (0, 0, 1),
        (2, 1, 1),
        (2, 9, 1),
        (2, 9, 2),
        (2, 10, 1),
        (10, 1, 1),
    ]


@pytest.mark.parametrize("key", [CheckpointKey(-1, 1, 1), CheckpointKey(1, -1, 1), CheckpointKey(1, 1, 0)])
@pytest.mark.fault(37)
def test_keys_that_name_nothing(store: CheckpointStore, root: Path, key: CheckpointKey) -> None:
    with pytest.raises(StorageError, match="names no checkpoint"):
        write(store, key)
    for use in (store.exists, store.path, store.delete):
        with pytest.raises(StorageError, match="names no checkpoint"):
            use(key)
    assert not root.exists()


def test_looking_makes_nothing(store: CheckpointStore, root: Path) -> None:
    assert store.keys() == []
    assert not store.exists(KEY)
    store.delete(KEY)
    assert store.sweep([KEY]) == []
    assert not root.parent.exists()


FOREIGN = (
    "notes 3/readme 3/10-2.bak 03/1-1 3/010-2 3/10-0 3/-1-1 x/1-1 3/.git 3/.writing- 3/\N{ARABIC-INDIC DIGIT ONE}-1".split()
)


def test_what_is_not_the_stores_is_left_alone(store: CheckpointStore, root: Path) -> None:
    write(store, KEY)
    for name in FOREIGN:
        (root / name).mkdir(parents=True)
    (root / "3" / "4-1").write_text("a file")

    assert store.keys() == [KEY]
    assert store.sweep([]) == [KEY]
    assert {*FOREIGN, "3/4-1"} <= everything(root)


def test_sweep_keeps_what_is_asked_for_and_nothing_unfinished(store: CheckpointStore, root: Path) -> None:
    kept, swept, alone = CheckpointKey(1, 1, 1), CheckpointKey(1, 2, 1), CheckpointKey(2, 1, 1)
    for key in (kept, swept, alone):
        write(store, key)
    for left_over in (".writing-abcd_123", ".deleted-abcd_123"):
        (root / "1" / left_over / "deep").mkdir(parents=True)

    assert store.sweep([kept, CheckpointKey(9, 9, 9)]) == [swept, alone]
    assert everything(root) == {"1", "1/1-1", "1/1-1/state"}
    assert store.sweep([kept]) == []


def test_an_unfinished_writing_looks_like_a_left_over(store: CheckpointStore, root: Path) -> None:
    # What sweep takes for a left-over is what writing makes.
    writing = store.writing(KEY)
    writing.__enter__()
    assert store.sweep([]) == []
    assert everything(root) == set()

    with pytest.raises(StorageError):
        writing.__exit__(None, None, None)


def test_several_can_write_and_delete_at_once(store: CheckpointStore) -> None:
    keys = [CheckpointKey(trial, step, 1) for trial in range(3) for step in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: write(store, key, repr(key)), keys))
        assert store.keys() == keys
        assert [read(store, key) for key in keys] == list(map(repr, keys))
        list(pool.map(store.delete, keys * 3))

    assert store.keys() == []


# ------------------------------------------------------------------------------------------------------ links and pipes


def test_a_root_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    store = DirectoryStore(tmp_path / "link")
    write(store, KEY)

    assert store.keys() == [KEY]
    assert (tmp_path / "disk" / "3" / "10-2" / "state").exists()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    (outside / "10-2").mkdir(parents=True)
    (outside / "10-2" / "state").write_text("precious")
    (outside / ".writing-abcd_123").mkdir()
    return outside


@pytest.mark.fault(37)
def test_a_link_in_the_place_of_a_trial_is_not_followed(store: CheckpointStore, root: Path, outside: Path) -> None:
    root.mkdir(parents=True)
    (root / "3").symlink_to(outside)
    before = everything(outside)

    assert store.keys() == []
    assert not store.exists(KEY)
    with pytest.raises(StorageError):
        store.path(KEY)
    with pytest.raises(StorageError, match="is a symbolic link, which is not followed"):
        write(store, KEY)
    store.delete(KEY)
    assert store.sweep([]) == []
    assert everything(outside) == before


@pytest.mark.fault(37)
def test_a_link_in_the_place_of_a_checkpoint_is_not_followed(store: CheckpointStore, root: Path, outside: Path) -> None:
    (root / "3").mkdir(parents=True)
    (root / "3" / "10-2").symlink_to(outside / "10-2")
    before = everything(outside)

    assert store.keys() == []
    assert not store.exists(KEY)
    with pytest.raises(StorageError):
        store.path(KEY)
    with pytest.raises(StorageError, match="cannot be written"):
        write(store, KEY)
    store.delete(KEY)
    assert store.sweep([]) == []
    assert everything(outside) == before
    assert everything(root) == {"3", "3/10-2"}


def test_links_and_pipes_inside_a_checkpoint_are_neither_followed_nor_opened(store: CheckpointStore, outside: Path) -> None:
    with store.writing(KEY) as directory:
        (directory / "cache").symlink_to(outside)
        (directory / "nowhere").symlink_to("no such file")
        os.mkfifo(directory / "pipe")
    assert (store.path(KEY) / "cache").is_symlink()

    store.delete(KEY)
    assert (outside / "10-2" / "state").read_text() == "precious"


# -------------------------------------------------------------------------------------------------- disks that refuse


def test_a_root_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = DirectoryStore(tmp_path / "file" / "checkpoints")

    with pytest.raises(StorageError, match=r"the checkpoint of trial 3 after step 10 \(launch 2\) cannot be written to .*file"):
        write(store, KEY)
    assert store.keys() == []


def test_a_trial_that_is_a_file(store: CheckpointStore, root: Path) -> None:
    root.mkdir(parents=True)
    (root / "3").write_text("")

    with pytest.raises(StorageError, match="cannot be written"):
        write(store, KEY)
    assert not store.exists(KEY)
    store.delete(KEY)


# -------------------------------------------------------------------------------------------------------------- crashes

WRITER = """
import sys
from pathlib import Path
from asynctune.checkpoints import DirectoryStore
from asynctune.records import CheckpointKey

store = DirectoryStore(Path(sys.argv[1]))
for number in range(100_000):
    key = CheckpointKey(number % 2, number % 5, 1)
    with store.writing(key) as directory:
        for part in range(20):
            (directory / str(part)).write_text(f"{number}")
    print(number, flush=True)
"""


@pytest.mark.process
@pytest.mark.parametrize("after", [0, 1, 7, 23])
def test_a_writer_that_is_killed_leaves_whole_checkpoints(root: Path, after: int) -> None:
    command = [sys.executable, "-c", WRITER, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) >= after:
                break
        writer.send_signal(signal.SIGKILL)
    store = DirectoryStore(root)
    keys = store.keys()

    # Ten keys are written in turn. The one that is being replaced may be in its moment of absence; no other may be missing.
    assert len(keys) >= min(after + 1, 10) - 1
    for key in keys:
        parts = [path.read_text() for path in store.path(key).iterdir()]
        assert len(parts) == 20
        assert len(set(parts)) == 1
    store.sweep(keys)
    assert everything(root) == {
        str(path.relative_to(root)) for key in keys for path in (store.path(key), *store.path(key).iterdir())
    } | {str(key.trial) for key in keys}


# ---------------------------------------------------------------------------------------------------------------- model


class StoreModel(RuleBasedStateMachine):
    """A store is a dict of what was written, whatever is done to it in whatever order."""

    keys = st.builds(CheckpointKey, st.integers(0, 2), st.integers(0, 2), st.integers(1, 2))

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.store: CheckpointStore = DirectoryStore(self.root / "checkpoints")
        self.model: dict[CheckpointKey, str] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    @rule(key=keys, text=st.text("ab", max_size=3))
    def write(self, key: CheckpointKey, text: str) -> None:
        write(self.store, key, text)
        self.model[key] = text

    @rule(key=keys)
    def write_and_fail(self, key: CheckpointKey) -> None:
        with pytest.raises(ZeroDivisionError):
            fail(self.store, key, ZeroDivisionError())

    @rule(key=keys)
    def delete(self, key: CheckpointKey) -> None:
        self.store.delete(key)
        self.model.pop(key, None)

    @rule(keep=st.sets(keys))
    def sweep(self, keep: set[CheckpointKey]) -> None:
        assert set(self.store.sweep(keep)) == self.model.keys() - keep
        self.model = {key: text for key, text in self.model.items() if key in keep}

    @invariant()
    def is_the_model(self) -> None:
        keys = self.store.keys()
        assert {key: read(self.store, key) for key in keys} == self.model


TestStoreModel = StoreModel.TestCase
TestStoreModel.settings = settings(max_examples=settings().max_examples // 4)  # each write waits for the disk
