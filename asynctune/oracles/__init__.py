"""Oracles propose the values of trials."""

from __future__ import annotations

from asynctune.oracles.base import Oracle
from asynctune.oracles.bayesian import BayesianOptimization
from asynctune.oracles.grid import GridSearch
from asynctune.oracles.random import RandomSearch

__all__ = ["BayesianOptimization", "GridSearch", "Oracle", "RandomSearch"]
