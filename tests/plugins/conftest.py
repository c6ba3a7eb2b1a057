"""The seeds of the contracts: the first of them every time, all of them in `nox -s many`."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from asynctune.testing import OracleContract, SchedulerContract

SEEDS = 1


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and issubclass(item.cls or object, (OracleContract, SchedulerContract)):
            seed = item.callspec.params.get("seed") if hasattr(item, "callspec") else None
            if isinstance(seed, int) and seed >= SEEDS:
                item.add_marker(pytest.mark.many)
