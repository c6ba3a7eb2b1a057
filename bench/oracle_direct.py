"""Libraries used directly, without asynctune: what our oracles through them are held against."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from bench.oracle_problems import Problem, regrets

__all__ = ["DIRECT", "Played", "playable"]

Played = tuple[list[float], list[float]]
"""The regret after each trial, and the seconds that each proposal took."""


def playable(name: str, problem: Problem) -> bool:
    """Whether a library can play it: cmaes knows numbers only."""
    return name != "cmaes" or all(given["kind"] != "choice" for given in problem.parameters)


def _suggested(trial: Any, given: Mapping[str, Any]) -> Any:
    name, log = given["name"], bool(given.get("log"))
    if given["kind"] == "choice":
        return trial.suggest_categorical(name, given["values"])
    suggest = trial.suggest_int if given["kind"] == "int" else trial.suggest_float
    return suggest(name, given["low"], given["high"], log=log)


def optuna_tpe(problem: Problem, trials: int, seed: int, luck: random.Random) -> Played:
    """Optuna's TPE sampler, as it comes."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    observed, true, seconds = list[float](), list[float](), list[float]()
    for _ in range(trials):
        began, values = time.perf_counter(), dict[str, Any]()
        trial = study.ask()
        for given in problem.parameters:
            if "parent" not in given or values.get(given["parent"]) in given["parent_values"]:
                values[given["name"]] = _suggested(trial, given)
        seconds.append(time.perf_counter() - began)
        true.append(problem.true(values))
        observed.append(problem.observed(values, luck))
        study.tell(trial, observed[-1])
    return regrets(problem, observed, true), seconds


def _stretched(given: Mapping[str, Any], unit: float) -> Any:
    low, high = given["low"], given["high"]
    if given["kind"] == "int":
        high += 1
    value = low * (high / low) ** unit if given.get("log") else low + (high - low) * unit
    return min(int(value), given["high"]) if given["kind"] == "int" else value


def cmaes(problem: Problem, trials: int, seed: int, luck: random.Random) -> Played:
    """The cmaes library over [0, 1] along the scale of each number, from the middle, and anew when it has converged."""
    import cmaes as library
    import numpy as np

    places = len(problem.parameters)
    bounds = np.array([[0.0, 1.0]] * places)

    def begun(run: int, size: int | None) -> Any:
        start = np.full(places, 0.5) if run == 0 else np.random.default_rng([seed, run]).uniform(size=places)
        return library.CMA(mean=start, sigma=1 / 6, bounds=bounds, seed=seed * 1000 + run, population_size=size)

    run, optimizer, asked = 0, begun(0, None), []
    observed, true, seconds = list[float](), list[float](), list[float]()
    for _ in range(trials):
        began = time.perf_counter()
        point = optimizer.ask()
        values = {given["name"]: _stretched(given, float(unit)) for given, unit in zip(problem.parameters, point, strict=True)}
        seconds.append(time.perf_counter() - began)
        true.append(problem.true(values))
        observed.append(problem.observed(values, luck))
        asked.append((point, observed[-1]))
        if len(asked) == optimizer.population_size:
            optimizer.tell(asked)
            asked = []
            if optimizer.should_stop():
                run += 1
                optimizer = begun(run, 2 * optimizer.population_size)
    return regrets(problem, observed, true), seconds


DIRECT: Mapping[str, Callable[[Problem, int, int, random.Random], Played]] = {"Optuna's TPE": optuna_tpe, "cmaes": cmaes}
