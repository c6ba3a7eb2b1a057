"""Oracles propose the values of trials."""

from __future__ import annotations

from asynctune.oracles.base import Oracle
from asynctune.oracles.bayesian import BayesianOptimization
from asynctune.oracles.bohb import BOHB
from asynctune.oracles.cmaes import CMAES
from asynctune.oracles.evolution import RegularizedEvolution
from asynctune.oracles.grid import GridSearch
from asynctune.oracles.hyperband import HyperbandBracket, HyperbandOracle, HyperbandPlan, HyperbandRound
from asynctune.oracles.limiter import ConcurrencyLimiter
from asynctune.oracles.quasi_random import QuasiRandom
from asynctune.oracles.random import RandomSearch
from asynctune.oracles.repeater import Group, Repeater, grouped
from asynctune.oracles.through_optuna import GP, NSGAII, TPE, OptunaOracle

__all__ = [
    "BOHB",
    "CMAES",
    "GP",
    "NSGAII",
    "TPE",
    "BayesianOptimization",
    "ConcurrencyLimiter",
    "GridSearch",
    "Group",
    "HyperbandBracket",
    "HyperbandOracle",
    "HyperbandPlan",
    "HyperbandRound",
    "OptunaOracle",
    "Oracle",
    "QuasiRandom",
    "RandomSearch",
    "RegularizedEvolution",
    "Repeater",
    "grouped",
]
