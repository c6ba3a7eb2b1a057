"""Oracles propose the values of trials."""

from __future__ import annotations

from asynctune.oracles.base import Oracle
from asynctune.oracles.bayesian import BayesianOptimization
from asynctune.oracles.cmaes import CMAES
from asynctune.oracles.grid import GridSearch
from asynctune.oracles.random import RandomSearch
from asynctune.oracles.through_optuna import GP, NSGAII, TPE, OptunaOracle

__all__ = ["CMAES", "GP", "NSGAII", "TPE", "BayesianOptimization", "GridSearch", "OptunaOracle", "Oracle", "RandomSearch"]
