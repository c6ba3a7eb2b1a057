"""`data=` is loaded once and mapped into every trial; each has it to itself."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asynctune._runner.orders import Work
from asynctune._runner.parcel import Parcel, _mappings, write_parcel
from asynctune.errors import TrainableError
from asynctune.executors.local import LocalExecutor
from asynctune.executors.trainable import pack_data
from asynctune.objective import Objective
from asynctune.policies import Limits
from tests.process.conftest import Attach, Search, recipe

MEGABYTE = 2**20


def own_memory() -> int:
    """Bytes that this process has to itself: pages of a mapping that it has only read are not."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous")) * 1024


async def test_written_by_one_seen_by_no_other(local: LocalExecutor, attach: Attach) -> None:
    x = np.arange(8 * MEGABYTE, dtype=np.float64)
    kept = x.copy()

    def train(trial: Any) -> dict[str, float]:
        before = own_memory()
        total = float(trial.data["x"].sum())
        read = own_memory() - before
        trial.data["x"][:] = trial.id
        return {"loss": total, "read": read, "y": len(trial.data["y"])}

    async with attach(local, train, {"x": x, "y": ["plain", "things"]}) as search:
        first, second = await search.metrics(0), await search.metrics(1)

    assert first["loss"] == second["loss"] == float(kept.sum())
    assert first["y"] == 2
    assert max(first["read"], second["read"]) < 4 * MEGABYTE
    assert np.array_equal(x, kept)


async def test_what_is_in_main_travels_as_data_too(local: LocalExecutor, attach: Attach) -> None:
    class Local:
        def __init__(self) -> None:
            self.value = 4.0

    async with attach(local, lambda trial: trial.data["it"].value, {"it": Local()}) as search:
        assert await search.metrics() == {"loss": 4.0}


async def test_data_that_cannot_travel(local: LocalExecutor, tmp_path: Path) -> None:
    with pytest.raises(TrainableError, match=r"data= cannot be sent.*the item 'lock' \(lock\)"):
        await local.attach(recipe(len, tmp_path, {"fine": 1, "lock": threading.Lock()}), Search())


def work() -> Work:
    return Work(
        directory="/", objective=Objective("loss", "min"), limits=Limits(), reference=None, cwd="", argv=("a",), sys_path=()
    )


def test_a_parcel_holds_what_was_packed() -> None:
    data: dict[str, Any] = {
        "empty": np.zeros(0),
        "small": np.arange(3),
        "fortran": np.asfortranarray(np.ones((700, 5))),
        "strided": np.arange(20)[::2],
        "text": "x" * 10_000,
        "readonly": np.frombuffer(b"12345678" * 2000),
    }
    descriptor = write_parcel(work(), {"data": pack_data(data).sections}, lambda: True)
    parcel = Parcel(descriptor)
    os.close(descriptor)
    loaded = parcel.load("data")

    assert parcel.work == work()
    assert "data" in parcel
    assert "trainable" not in parcel
    for name, value in data.items():
        assert np.array_equal(loaded[name], value), name
    loaded["fortran"][0] = 7
    # A process that received one keeps its mapping for good. This one only pretended to be such a process.
    del loaded, parcel
    _mappings.clear()


def test_a_parcel_that_is_no_longer_wanted_leaves_nothing() -> None:
    answers = iter([True, True, False])

    with pytest.raises(InterruptedError):
        write_parcel(work(), {"data": pack_data({"x": np.zeros(8 * MEGABYTE)}).sections}, lambda: next(answers))


def test_a_parcel_cannot_be_changed() -> None:
    descriptor = write_parcel(work(), {}, lambda: True)
    try:
        with pytest.raises(PermissionError):
            os.write(descriptor, b"x")
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)
