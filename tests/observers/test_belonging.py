"""Whose file is it: what an observer finds is gone on with when it is this search's, and left alone when it is another's."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.errors import ConfigurationError
from asynctune.observers import JSONLines
from tests.observers.searches import Keeping, descend, search

REFUSED = "holds the events of another search"


async def test_a_search_knows_its_events_again(tmp_path: Path) -> None:
    async def train(trial: at.AsyncTrial) -> float:
        trial.hp.Choice("kind", [None, 3, 2.5, True, "nan"])
        await trial.report(step=1, loss=float("nan"), other=float("-inf"))
        return 1.0

    one, again, other = Keeping(), Keeping(), Keeping()
    await search(train, storage=tmp_path / "a", observers=[one])
    await search(train, storage=tmp_path / "b", observers=[other])
    await search(train, storage=tmp_path / "a", observers=[again], max_trials=7)
    watched = again.views[-1]
    for event in (*one.events, *again.events):
        assert watched.has(json.loads(json.dumps(event.to_dict())))
        assert watched.event(event.seq) is not None
    assert not any(watched.has(event.to_dict()) for event in other.events)
    nothing: list[dict[str, Any]] = [{}, {"seq": "1"}, {"seq": None}, {"seq": True}]
    assert not any(watched.has(said) for said in nothing)
    assert [watched.event(number) for number in (-1, 0, again.events[-1].seq + 1, 10**30)] == [None] * 4


@pytest.mark.parametrize("trials", [2, 20])
async def test_lines_of_the_search_that_was_overwritten(trials: int, tmp_path: Path) -> None:
    storage, path = tmp_path / "search", tmp_path / "events.jsonl"
    await search(storage=storage, observers=[JSONLines(path)])
    data = path.read_bytes()
    await search(storage=storage, max_trials=trials, overwrite=True)
    with pytest.raises(ConfigurationError, match=REFUSED):
        await search(storage=storage, max_trials=trials + 2, observers=[JSONLines(path)])
    assert path.read_bytes() == data


async def test_lines_of_another_search_are_left_alone_by_one_that_is_resumed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.jsonl"
    await search(storage=tmp_path / "a", observers=[JSONLines(path)])
    data = path.read_bytes() + b'{"seq": 1'
    path.write_bytes(data)
    await search(storage=tmp_path / "b", max_trials=2)
    with pytest.raises(ConfigurationError, match=REFUSED):
        await search(storage=tmp_path / "b", max_trials=20, observers=[JSONLines(path)])
    assert path.read_bytes() == data
    caplog.set_level(logging.WARNING)
    await search(storage=tmp_path / "a", max_trials=9, observers=[JSONLines(path)])
    assert caplog.text == ""
    written = [json.loads(line)["seq"] for line in path.read_text().splitlines()]
    assert written == list(range(1, len(written) + 1))


async def test_lines_of_a_search_that_was_killed_before_it_told_anybody(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    await search(descend, observers=[JSONLines(path)])
    data = path.read_bytes()
    await search(descend, storage=tmp_path / "new", max_trials=1)  # `resumed`, from now on
    with pytest.raises(ConfigurationError, match=REFUSED):
        await search(descend, storage=tmp_path / "new", max_trials=9, observers=[JSONLines(path)])
    assert path.read_bytes() == data
