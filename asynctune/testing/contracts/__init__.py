"""Contracts: what every plugin promises, as tests that its author subclasses.

::

    class TestMine(SchedulerContract):
        def make(self) -> Scheduler:
            return Mine(patience=3)

The plugin is driven directly, with views made by hand. Everything drawn is drawn from the seed in the test's name, so that a
failure can be run again alone. Needs pytest.
"""

from __future__ import annotations

import pytest

# Before they are imported: so that a failed assertion in them shows its values, as it would in a test file.
pytest.register_assert_rewrite("asynctune.testing.contracts.oracles", "asynctune.testing.contracts.schedulers")

from asynctune.testing.contracts.oracles import OracleContract  # noqa: E402
from asynctune.testing.contracts.schedulers import SchedulerContract  # noqa: E402

__all__ = ["OracleContract", "SchedulerContract"]
