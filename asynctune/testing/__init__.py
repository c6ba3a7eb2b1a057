"""What we test with, you test with: contracts for plugins, rehearsals that drive one by hand, whole simulated searches, a
simulator that is made for speed, an executor that is as unreliable as a network, and damage to files; a checker for what a
search has recorded; and ways to cancel and kill a program that searches, wherever that could hurt.

Each name is fetched from its module when it is first asked for: the contracts need pytest, and nothing else here does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynctune.lazy import lazy

if TYPE_CHECKING:
    from asynctune.testing.breach import HistoryError, HistoryRule
    from asynctune.testing.cancelling import cancel_at_await
    from asynctune.testing.comparing import Comparison, Outcome, compare
    from asynctune.testing.conditions import Conditions
    from asynctune.testing.contracts import OracleContract, SchedulerContract
    from asynctune.testing.curves import read_lcbench, read_table, read_taskset, read_workloads
    from asynctune.testing.damage import cut, flipped
    from asynctune.testing.faults import Faults
    from asynctune.testing.fuzzing import FuzzError, fuzz_scheduler
    from asynctune.testing.history import check_history
    from asynctune.testing.killing import KILL_POINTS, kill_repeatedly, killed_at
    from asynctune.testing.leftovers import Snapshot, nothing_left, snapshot
    from asynctune.testing.rehearsal import OracleRehearsal
    from asynctune.testing.runners import Behaviour
    from asynctune.testing.scheduler_rehearsal import SchedulerRehearsal
    from asynctune.testing.simulation import SimulatedSearch
    from asynctune.testing.simulator import Simulation, Simulator
    from asynctune.testing.unreliable import UnreliableExecutor
    from asynctune.testing.workloads import Curve, Synthetic, Table, Workload
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "KILL_POINTS": "killing",
            "Behaviour": "runners",
            "Comparison": "comparing",
            "Conditions": "conditions",
            "Curve": "workloads",
            "Faults": "faults",
            "FuzzError": "fuzzing",
            "HistoryError": "breach",
            "HistoryRule": "breach",
            "OracleContract": "contracts",
            "OracleRehearsal": "rehearsal",
            "Outcome": "comparing",
            "SchedulerContract": "contracts",
            "SchedulerRehearsal": "scheduler_rehearsal",
            "SimulatedSearch": "simulation",
            "Simulation": "simulator",
            "Simulator": "simulator",
            "Snapshot": "leftovers",
            "Synthetic": "workloads",
            "Table": "workloads",
            "UnreliableExecutor": "unreliable",
            "Workload": "workloads",
            "cancel_at_await": "cancelling",
            "check_history": "history",
            "compare": "comparing",
            "cut": "damage",
            "flipped": "damage",
            "fuzz_scheduler": "fuzzing",
            "kill_repeatedly": "killing",
            "killed_at": "killing",
            "nothing_left": "leftovers",
            "read_lcbench": "curves",
            "read_table": "curves",
            "read_taskset": "curves",
            "read_workloads": "curves",
            "snapshot": "leftovers",
        },
    )

__all__ = [
    "KILL_POINTS",
    "Behaviour",
    "Comparison",
    "Conditions",
    "Curve",
    "Faults",
    "FuzzError",
    "HistoryError",
    "HistoryRule",
    "OracleContract",
    "OracleRehearsal",
    "Outcome",
    "SchedulerContract",
    "SchedulerRehearsal",
    "SimulatedSearch",
    "Simulation",
    "Simulator",
    "Snapshot",
    "Synthetic",
    "Table",
    "UnreliableExecutor",
    "Workload",
    "cancel_at_await",
    "check_history",
    "compare",
    "cut",
    "flipped",
    "fuzz_scheduler",
    "kill_repeatedly",
    "killed_at",
    "nothing_left",
    "read_lcbench",
    "read_table",
    "read_taskset",
    "read_workloads",
    "snapshot",
]
