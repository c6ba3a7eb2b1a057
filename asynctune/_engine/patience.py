"""Waiting for the engine's thread, and for whatever else must be waited for: to the end, but not for a plugin that hangs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from asynctune._engine.decider import Decider, Opened
from asynctune.errors import PluginError

__all__ = ["MOMENT", "PLUGIN_DEADLINE", "persist", "until_ended", "until_opened"]

_logger = logging.getLogger("asynctune.search")
PLUGIN_DEADLINE = 60.0  # seconds that a plugin may take for one answer before the search is given up, naming it
MOMENT = 0.5  # seconds that it has to come back when nobody waits for its answer any more
_LOOK = 1.0


async def persist(wait: Callable[[], Awaitable[object]]) -> None:
    """Wait to the end, whoever cancels."""
    while True:
        try:
            await wait()
        except asyncio.CancelledError:
            continue
        return


async def until_opened(decider: Decider) -> Opened:
    """What its thread has opened. What is recorded is told to the plugins again meanwhile.

    Raises:
        PluginError: one of them does not come back.
    """
    while not decider.opened.done():
        await asyncio.wait([decider.opened], timeout=_LOOK)
        asked = decider.asking()
        if asked is not None and asked[1] > PLUGIN_DEADLINE and not decider.opened.done():
            raise PluginError(f"{asked[0]} has not returned for {PLUGIN_DEADLINE:g} s")
    return decider.opened.result()


async def until_ended(decider: Decider) -> None:
    """Stop its thread and wait for it, whoever cancels; one that a plugin holds is left behind."""
    ended = decider.stop()
    while not ended.done():
        await persist(lambda: asyncio.wait([ended], timeout=MOMENT))
        asked = decider.asking()
        if asked is not None and asked[1] >= MOMENT and not ended.done():
            _logger.warning("%s has not returned; its thread is left behind until it does, and holds the journal", asked[0])
            return
    decider.join()
