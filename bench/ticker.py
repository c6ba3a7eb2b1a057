"""How late an event loop is: a ticker of 5 ms that runs while something else does. Imports nothing of ours, as the peers use
it too."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Sequence
from typing import Any

__all__ = ["PERIOD", "QUANTILES", "lateness", "quantiles"]

PERIOD = 0.005
QUANTILES = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}


async def lateness(work: Coroutine[Any, Any, Any]) -> list[float]:
    """Milliseconds by which each tick came too late, from the start of `work` to its end."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    late = []
    while not task.done():
        due = loop.time() + PERIOD
        await asyncio.sleep(PERIOD)
        late.append((loop.time() - due) * 1e3)
    await task  # raises what it raised
    return late


def quantiles(late: Sequence[float]) -> dict[str, float]:
    """The values below or at which these shares of the ticks lie, in milliseconds."""
    ordered = sorted(late)
    return {name: ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] for name, percent in QUANTILES.items()}
