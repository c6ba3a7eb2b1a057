"""Native oracles in whole searches, with a journal on the disk: killed, resumed, and given more trials."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune._engine.journal import read_records
from asynctune._engine.retelling import retold
from asynctune.oracles import (
    ConcurrencyLimiter,
    GridSearch,
    Oracle,
    QuasiRandom,
    RandomSearch,
    RegularizedEvolution,
    Repeater,
)
from asynctune.testing import check_history

SPACE = {"a": at.Int(1, 3), "b": at.Choice(["x", "y"]), "c": at.Boolean()}
# Found on the way: 1 + 3 + 9 combinations.
SCRIPT = """
import contextlib, sys
import asynctune as at
from asynctune.testing.killing import killed_at

storage, name, times = sys.argv[1:]
oracles = {"grid": at.oracles.GridSearch(), "evolution": at.oracles.RegularizedEvolution(population_size=4)}

async def train(trial):
    return {"loss": float(sum(trial.hp.Int(f"units_{i}", 1, 3) for i in range(trial.hp.Int("layers", 0, 2))))}

with killed_at("written", int(times)) if int(times) else contextlib.nullcontext():
    at.run(
        train, objective=at.Objective("loss", "min"), oracle=oracles[name], storage=storage, display=False,
        seed=1, executor=at.InlineExecutor(1), max_trials=40,
    )
"""


def trials_of(storage: Path) -> list[str]:
    return [repr(sorted(trial.values.items())) for trial in retold(read_records(storage)).trials]


def run(storage: Path, name: str, times: int) -> int:
    command = [sys.executable, "-c", SCRIPT, str(storage), name, str(times)]
    return subprocess.run(command, check=False, timeout=120).returncode


@pytest.mark.process
@pytest.mark.parametrize(("name", "oracle"), [("grid", GridSearch()), ("evolution", RegularizedEvolution(population_size=4))])
def test_case_5_killed_over_and_over_it_goes_on_where_it_was(tmp_path: Path, name: str, oracle: Oracle) -> None:
    """Case 5: killed in the middle of a commit, again and again, a search comes to the same end as one that never was.
    KerasTuner's grid raises KeyError '0002' when it is resumed."""
    storage, whole, kills = tmp_path / "killed", tmp_path / "whole", 0
    while run(storage, name, 12) == -signal.SIGKILL:
        kills += 1
        assert kills < 30, "it does not come to its end"
    assert kills > 2
    assert run(whole, name, 0) == 0
    assert trials_of(storage) == trials_of(whole)
    if name == "grid":
        assert len(trials_of(storage)) == len(set(trials_of(storage))) == 13
    check_history(storage, oracle=oracle)


async def train(trial: at.AsyncTrial) -> dict[str, float]:
    return {"loss": float(str(trial.values["a"])) + bool(trial.values["c"])}


async def searched(storage: Path | None, oracle: Oracle, most: int | None, workers: int = 1) -> at.Result:
    options: dict[str, Any] = {"space": SPACE, "objective": at.Objective("loss", "min"), "seed": 1}
    executor = at.InlineExecutor(workers)
    return await at.search(train, **options, oracle=oracle, max_trials=most, storage=storage, executor=executor)


def values_of(result: at.Result) -> list[str]:
    return [repr(trial.values) for trial in result.trials.values()]


@pytest.mark.parametrize(
    "oracle",
    [
        GridSearch(),
        RandomSearch(),
        QuasiRandom(),
        QuasiRandom(sequence="halton"),
        RegularizedEvolution(population_size=3),
        ConcurrencyLimiter(RegularizedEvolution(population_size=3), 2, batch=True),
        Repeater(RegularizedEvolution(population_size=3), times=2),
    ],
    ids=repr,
)
async def test_case_5_more_trials_than_before(tmp_path: Path, oracle: Oracle) -> None:
    """Case 5: a search that has ended is given more trials, and goes on as if it had always had them. KerasTuner's grid is
    STOPPED at once when its limit is raised."""
    for most in (3, 4, 9):
        result = await searched(tmp_path / "grown", oracle, most)
        assert len(result.trials) == most
    whole = await searched(tmp_path / "whole", oracle, 9)
    assert values_of(result) == values_of(whole)
    check_history(tmp_path / "grown", oracle=oracle)


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize(
    "oracle", [GridSearch(), RandomSearch(), QuasiRandom(), RegularizedEvolution(population_size=3)], ids=repr
)
async def test_a_whole_search_of_a_finite_space_ends_by_itself(oracle: Oracle, workers: int) -> None:
    result = await searched(None, oracle, None, workers)
    assert len(result.trials) == len(set(values_of(result))) == 12


@pytest.mark.parametrize("oracle", [GridSearch(), RandomSearch(), QuasiRandom()], ids=repr)
async def test_what_does_not_learn_proposes_the_same_to_any_number_of_workers(oracle: Oracle) -> None:
    one, many = [await searched(None, oracle, 10, workers) for workers in (1, 8)]
    assert values_of(one) == values_of(many)
