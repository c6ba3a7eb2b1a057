"""What we test with, you test with: contracts for plugins, rehearsals that drive one by hand, and whole simulated searches.

Each name is fetched from its module when it is first asked for: the contracts need pytest, and nothing else here does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynctune.lazy import lazy

if TYPE_CHECKING:
    from asynctune.testing.contracts import OracleContract, SchedulerContract
    from asynctune.testing.history import HistoryError, HistoryRule, check_history
    from asynctune.testing.rehearsal import OracleRehearsal, SchedulerRehearsal
    from asynctune.testing.simulation import Behaviour, SimulatedSearch
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "Behaviour": "simulation",
            "HistoryError": "history",
            "HistoryRule": "history",
            "OracleContract": "contracts",
            "OracleRehearsal": "rehearsal",
            "SchedulerContract": "contracts",
            "SchedulerRehearsal": "rehearsal",
            "SimulatedSearch": "simulation",
            "check_history": "history",
        },
    )

__all__ = [
    "Behaviour",
    "HistoryError",
    "HistoryRule",
    "OracleContract",
    "OracleRehearsal",
    "SchedulerContract",
    "SchedulerRehearsal",
    "SimulatedSearch",
    "check_history",
]
