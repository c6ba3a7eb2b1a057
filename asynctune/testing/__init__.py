"""What we test with, you test with: contracts for plugins, rehearsals that drive one by hand, whole simulated searches, an
executor that is as unreliable as a network, and damage to files.

Each name is fetched from its module when it is first asked for: the contracts need pytest, and nothing else here does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynctune.lazy import lazy

if TYPE_CHECKING:
    from asynctune.testing.contracts import OracleContract, SchedulerContract
    from asynctune.testing.damage import cut, flipped
    from asynctune.testing.faults import Faults
    from asynctune.testing.rehearsal import OracleRehearsal, SchedulerRehearsal
    from asynctune.testing.runners import Behaviour
    from asynctune.testing.simulation import SimulatedSearch
    from asynctune.testing.unreliable import UnreliableExecutor
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "Behaviour": "runners",
            "Faults": "faults",
            "OracleContract": "contracts",
            "OracleRehearsal": "rehearsal",
            "SchedulerContract": "contracts",
            "SchedulerRehearsal": "rehearsal",
            "SimulatedSearch": "simulation",
            "UnreliableExecutor": "unreliable",
            "cut": "damage",
            "flipped": "damage",
        },
    )

__all__ = [
    "Behaviour",
    "Faults",
    "OracleContract",
    "OracleRehearsal",
    "SchedulerContract",
    "SchedulerRehearsal",
    "SimulatedSearch",
    "UnreliableExecutor",
    "cut",
    "flipped",
]
