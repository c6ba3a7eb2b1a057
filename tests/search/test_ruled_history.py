"""The history checker judges proposals by the rules of a space, which no record holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune._engine.journal import read_records
from asynctune.errors import ConfigurationError
from asynctune.events import TrialAdded
from asynctune.oracles import RandomSearch
from asynctune.testing import HistoryError, check_history
from asynctune.testing.again import check_rules
from tests.machine.test_history import changed, number_of


def rising(values: Mapping[str, Any]) -> bool:
    return bool(values["x"] < values["y"])


async def by_x(trial: Any) -> float:
    return float(trial.values["x"])


async def test_an_oracle_is_judged_by_the_rules_of_its_space(tmp_path: Path) -> None:
    ruled: dict[str, Any] = {"feasible": [rising], "forbidden": [{"x": 0}]}
    space = at.Space({"x": at.Int(0, 9), "y": at.Int(0, 9), "z": at.tune.sample_from(lambda c: c["x"] + c["y"])}, **ruled)
    options: dict[str, Any] = {"objective": at.Objective("loss", "min"), "executor": at.InlineExecutor(1), "seed": 1}
    await at.search(by_x, space, max_trials=20, storage=tmp_path, **options)
    check_history(tmp_path, oracle=RandomSearch(), space=space)
    with pytest.raises(ConfigurationError, match=r"check_history\(oracle=\.\.\.\): .* give space=, too"):
        check_history(tmp_path, oracle=RandomSearch())
    for other in ({"x": at.Int(0, 9), "y": at.Int(0, 9)}, at.Space(dict(space), **ruled)):
        with pytest.raises(ConfigurationError, match="takes the space that the search was given"):
            check_history(tmp_path, space=other)
    records = read_records(tmp_path)
    broken = changed(records, TrialAdded, trial=3, values={"x": 5, "y": 2, "z": 7})
    where = records[number_of(records, TrialAdded, 3)].seq
    with pytest.raises(HistoryError) as caught:
        check_rules(broken, space)
    assert (caught.value.rule, caught.value.seq) == ("rules", where)
    assert "trial 3 was given {'x': 5, 'y': 2}, and" in str(caught.value)
