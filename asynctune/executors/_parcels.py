"""Writing a search's parcel, in a thread: pickling and copying a gigabyte takes a second, and the loop does not wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from asynctune._runner.orders import Work
from asynctune._runner.parcel import write_parcel
from asynctune.executors.base import Recipe
from asynctune.executors.trainable import pack_data, pack_shape, pack_trainable

__all__ = ["parcel_of"]


async def parcel_of(recipe: Recipe, keep: Callable[[int], None]) -> None:
    """Write the parcel of this search.

    Cancelled, the thread stops within one chunk of its copying, and what it has written is freed.

    Args:
        recipe: of the search.
        keep: is given the parcel's descriptor, on the loop, before this returns.

    Raises:
        TrainableError: if the trainable or the data cannot travel.
    """
    loop = asyncio.get_running_loop()
    written: asyncio.Future[None] = loop.create_future()
    unwanted = threading.Event()

    def deliver(descriptor: int | None, error: BaseException | None) -> None:
        if written.cancelled():
            if descriptor is not None:
                os.close(descriptor)
        elif error is not None:
            written.set_exception(error)
        elif descriptor is not None:
            keep(descriptor)
            written.set_result(None)

    def work() -> None:
        descriptor, problem = None, None
        try:
            descriptor = _write(recipe, lambda: not unwanted.is_set())
        except BaseException as error:  # noqa: BLE001 -- raised again, on the loop
            problem = error
        try:
            loop.call_soon_threadsafe(deliver, descriptor, problem)
        except RuntimeError:  # the loop was closed meanwhile
            if descriptor is not None:
                os.close(descriptor)

    threading.Thread(target=work, name="asynctune-parcel").start()
    try:
        await written
    except asyncio.CancelledError:
        unwanted.set()
        if written.done() and not written.cancelled():
            written.exception()  # seen, and of no interest any more
        raise


def _write(recipe: Recipe, go_on: Callable[[], bool]) -> int:
    trainable = pack_trainable(recipe.trainable)
    pickles: dict[str, Any] = {}
    if trainable.reference is None:
        pickles["trainable"] = trainable.sections
    if recipe.data:
        pickles["data"] = pack_data(recipe.data).sections
    if recipe.shape:
        pickles["shape"] = pack_shape(recipe.shape).sections
    cwd = ""
    with contextlib.suppress(FileNotFoundError):  # it was deleted under us
        cwd = os.getcwd()
    work = Work(
        directory=str(recipe.directory),
        objective=recipe.objective,
        limits=recipe.limits,
        checkpoints=recipe.checkpoints,
        reference=trainable.reference,
        cwd=cwd,
        argv=tuple(map(str, sys.argv)),
        sys_path=tuple(os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)),
    )
    return write_parcel(work, pickles, go_on)
