"""Searches whose parameters are there only under conditions, in processes, from the first trial to a resumed journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.seeds import derive
from asynctune.testing import check_history

pytestmark = pytest.mark.process


class Drawn(at.Oracle):
    """Draws each trial from its number."""

    def populate_space(self, trial_id: int, space: at.Space) -> at.Suggestion:
        return at.Suggestion.run(space.sample(derive(self.seed, trial_id)))


def named(hp: Any) -> float:
    """One name in two branches, a scope in a scope, one on a conditional parent opened again, and a loop."""
    kind = hp.Choice("kind", ["cnn", "mlp"])
    with hp.conditional_scope("kind", "cnn"):
        width = hp.Int("width", 1, 3)
        hp.Choice("pool", ["max", "avg"])
        with hp.conditional_scope("pool", "max"):
            hp.Int("size", 2, 3)
    with hp.conditional_scope("kind", "mlp"):
        width = hp.Int("width", 10, 30) or width
    with hp.conditional_scope("pool", "avg"):
        hp.Boolean("ceil")
    for layer in range(hp.Int("layers", 0, 2)):
        with hp.conditional_scope("layers", list(range(layer + 1, 3))):
            hp.Int(f"units_{layer}", 1, 3)
    assert width in (range(1, 4) if kind == "cnn" else range(10, 31))
    return float(width)


def given(trial: at.Trial) -> float:
    """Reads what it is given."""
    config = trial.config
    return float(config["width"] if config["kind"] == "cnn" else config["net"]["rate"])


def whole() -> at.Space:
    space = at.Space()
    for values in ({"layers": 0}, {"layers": 1}, {"layers": 2}):
        hp = at.HyperParameters(space, values)
        named(hp)
        space = space.grow(hp.space)
    return space


async def searched(trainable: Any, storage: Path, trials: int, **options: Any) -> at.Result:
    return await at.search(
        trainable,
        objective=at.Objective("score", "max"),
        oracle=Drawn(),
        executor=at.LocalExecutor(2),
        storage=storage,
        max_trials=trials,
        seed=3,
        **options,
    )


async def test_what_trials_name_under_conditions(tmp_path: Path) -> None:
    """cases 2, 3 and 4: KerasTuner fails every trial of a branch, refuses the scope on `pool`, and gives each trial `units_1`."""
    for trials in (6, 16):
        result = await searched(named, tmp_path / "search", trials)
        check_history(tmp_path / "search")

    assert {trial.state for trial in result.trials.values()} == {at.State.COMPLETED}
    seen = {(trial.values["kind"], trial.values["layers"]) for trial in result.trials.values()}
    assert {kind for kind, _ in seen} == {"cnn", "mlp"}
    assert {layers for _, layers in seen} == {0, 1, 2}
    space = whole()
    for trial in result.trials.values():
        assert space.validate(trial.values) == dict(trial.values)


async def test_what_a_space_declares_under_conditions(tmp_path: Path) -> None:
    space = {
        "kind": at.Choice(["cnn", "mlp"]),
        "width": at.When("kind", "cnn", at.Int(1, 3)),
        "net": at.When("kind", "mlp", {"rate": at.Float(0, 1)}),
    }
    for trials in (3, 8):
        result = await searched(given, tmp_path / "search", trials, space=space)

    assert {trial.state for trial in result.trials.values()} == {at.State.COMPLETED}
    assert {tuple(trial.values) for trial in result.trials.values()} == {("kind", "width"), ("kind", "net/rate")}
    other = {**space, "width": at.When("kind", "mlp", at.Int(1, 3))}
    with pytest.raises(
        at.errors.ResumeError, match=r"'width' was Int\(1 to 3\) when 'kind' is 'cnn' and is Int\(1 to 3\) when"
    ):
        await searched(given, tmp_path / "search", 9, space=other)
