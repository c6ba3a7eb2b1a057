"""Observers that write files and logs: each thing once, whatever became of the search or the file."""

from __future__ import annotations

import csv
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.errors import ConfigurationError
from asynctune.observers import CSV, JSONLines, Logging
from tests.observers.searches import search, third_fails


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["seq"] for line in path.read_text().splitlines()]


async def test_a_line_for_each_event(tmp_path: Path) -> None:
    path = tmp_path / "new" / "events.jsonl"
    await search(third_fails, observers=[JSONLines(path)])
    assert numbers(path) == list(range(1, len(numbers(path)) + 1))
    last = json.loads(path.read_text().splitlines()[-1])
    ended: object = {"type": "SearchEnded", "reason": "every trial has ended", "error": None, "failures": {}}
    assert last["happened"][-1] == ended


async def test_what_is_not_finite_is_strict_json_too(tmp_path: Path) -> None:
    async def train(trial: at.AsyncTrial) -> float:
        await trial.report(step=1, loss=float("nan"), other=float("-inf"))
        return 1.0

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    await search(train, max_trials=1, observers=[JSONLines(tmp_path / "events")])
    lines = [json.loads(line, parse_constant=refuse) for line in (tmp_path / "events").read_text().splitlines()]
    reported = [what for line in lines for what in line["happened"] if what["type"] == "Reported"]
    assert reported[0]["metrics"] == {"loss": "nan", "other": "-inf"}


@pytest.mark.parametrize("keep", [0, 1, 57, -1, -2, -30])
async def test_a_torn_file_goes_on_where_it_was_whole(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    await search(observers=[JSONLines(path)], storage=tmp_path / "search", max_trials=2)
    data = path.read_bytes()
    path.write_bytes(data[:keep])
    await search(observers=[JSONLines(path)], storage=tmp_path / "search", max_trials=4)
    assert numbers(path) == list(range(1, len(numbers(path)) + 1))
    assert path.read_bytes().startswith(data)


SCRIPT = """
import asyncio, os, signal, sys
import asynctune as at

async def train(trial):
    x = trial.hp.Float("x", 0.0, 1.0)
    for step in range(1, 4):
        await trial.report(step=step, loss=x)
    if trial.id == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)

class Quick(at.observers.JSONLines):
    interval = 0.0

at.run(
    train, objective=at.Objective("loss", "min"), max_trials=30, executor=at.InlineExecutor(2), seed=0, storage="search",
    observers=[Quick("events.jsonl")], display=False,
)
"""


@pytest.mark.process
def test_killed_and_resumed_it_has_each_event_once(tmp_path: Path) -> None:
    for victim in (5, 11, 17):
        done = subprocess.run([sys.executable, "-c", SCRIPT, str(victim)], cwd=tmp_path, timeout=60, check=False)
        assert done.returncode == -signal.SIGKILL
    subprocess.run([sys.executable, "-c", SCRIPT, "-1"], cwd=tmp_path, timeout=60, check=True)
    written = numbers(tmp_path / "events.jsonl")
    assert written == list(range(1, len(written) + 1))
    opened = [line for line in (tmp_path / "events.jsonl").read_text().splitlines() if '"SearchOpened"' in line]
    assert len(opened) == 4


FULL = """
import asyncio, resource, logging
import asynctune as at
from asynctune.observers import CSV, JSONLines
from tests.observers.searches import search

logging.basicConfig(format="%(name)s %(message)s")
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
result = asyncio.run(search(observers=[JSONLines("events.jsonl"), CSV("trials.csv")], max_trials=40))
print(len(result.best_trials(100)))
"""


@pytest.mark.process
def test_a_full_disk_cuts_it_off_and_nothing_else(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", FULL]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "40\n", done.stderr
    for name in ("JSONLines", "CSV"):
        assert f"asynctune.observers observer {name} is cut off after 3 failures in a row" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["events.jsonl", "trials.csv"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


async def test_a_row_for_each_trial_that_has_ended(tmp_path: Path) -> None:
    async def train(trial: at.AsyncTrial) -> float:
        kind = trial.hp.Choice("kind", ["a,b", 'c"\nd'])
        name = trial.hp.Int(f"only {trial.id % 3}", 1, 9)
        if trial.id == 2:
            raise ValueError("no")
        return float(name + len(str(kind)))

    path = tmp_path / "trials.csv"
    results = [
        await search(train, observers=[CSV(path)], storage=tmp_path / "search", max_trials=count, failure=at.FailurePolicy())
        for count in (3, 7)
    ]
    expected = {trial["id"]: trial for trial in results[-1].to_dicts()}
    assert sorted(int(row["id"]) for row in rows(path)) == list(range(7))
    for row in rows(path):
        given = expected[int(row["id"])]
        assert {name: value for name, value in row.items() if value} == {
            name: str(value) for name, value in given.items() if value is not None and name != "objective"
        }
    assert sorted(os.listdir(tmp_path)) == ["search", "trials.csv"]


async def test_parents_and_budgets_are_columns_where_there_are_any(tmp_path: Path) -> None:
    async def train(trial: at.AsyncTrial) -> None:
        await trial.report(step=trial.budget, loss=float(trial.id))

    path = tmp_path / "trials.csv"
    for _ in range(2):  # the second time it is taken for what it is
        options: dict[str, Any] = {"oracle": at.oracles.HyperbandOracle(max_epochs=2, factor=2), "space": {"x": at.Int(0, 9)}}
        options |= {"executor": at.InlineExecutor(1), "max_trials": None}
        await search(train, observers=[CSV(path)], storage=tmp_path / "search", **options)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["parent"], row["budget"]) for row in rows][2] == ("2", "0", "2")
    assert [row["parent"] for row in rows if row["id"] != "2"] == [""] * 4


async def test_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="mine")
    await search(third_fails, observers=[Logging("mine")])
    said = [(record.levelname, record.message) for record in caplog.records if record.name == "mine"]
    assert said[0][1].startswith("search opened in ")
    assert said[-1] == ("INFO", "search ended: every trial has ended")
    assert sum(level == "INFO" and ": finished: loss " in text for level, text in said) == 5
    assert sum(level == "DEBUG" and ": step " in text for level, text in said) == 18
    assert next(text for level, text in said if level == "ERROR").startswith(
        "trial 2: FAILED: raised: ValueError: the third one ?[31m"
    )


@pytest.mark.parametrize("make", [JSONLines, CSV, Logging])
@pytest.mark.parametrize("given", [None, 3, b"x"])
def test_what_is_no_path_and_no_logger(make: Any, given: Any) -> None:
    with pytest.raises(ConfigurationError, match=make.__name__):
        make(given)
