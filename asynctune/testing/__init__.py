"""What we test with, you test with: contracts for plugins, rehearsals that drive one by hand, and whole simulated searches.

Each name is fetched from its module when it is first asked for: the contracts need pytest, and nothing else here does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from asynctune.testing.contracts import OracleContract, SchedulerContract
    from asynctune.testing.rehearsal import OracleRehearsal, SchedulerRehearsal
    from asynctune.testing.simulation import Behaviour, SimulatedSearch

__all__ = [
    "Behaviour",
    "OracleContract",
    "OracleRehearsal",
    "SchedulerContract",
    "SchedulerRehearsal",
    "SimulatedSearch",
]

_HOME: Final = {
    "Behaviour": "simulation",
    "OracleContract": "contracts",
    "OracleRehearsal": "rehearsal",
    "SchedulerContract": "contracts",
    "SchedulerRehearsal": "rehearsal",
    "SimulatedSearch": "simulation",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'asynctune.testing' has no attribute {name!r}")
    value = getattr(import_module(f"asynctune.testing.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
