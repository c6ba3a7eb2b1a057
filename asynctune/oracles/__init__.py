"""Oracles propose the values of trials."""

from __future__ import annotations

from asynctune.oracles.base import Oracle
from asynctune.oracles.grid import GridSearch
from asynctune.oracles.hyperband import HyperbandBracket, HyperbandOracle, HyperbandPlan, HyperbandRound
from asynctune.oracles.random import RandomSearch

__all__ = [
    "GridSearch",
    "HyperbandBracket",
    "HyperbandOracle",
    "HyperbandPlan",
    "HyperbandRound",
    "Oracle",
    "RandomSearch",
]
