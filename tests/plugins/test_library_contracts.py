"""Contract tests: the oracles that other libraries compute for keep what all oracles promise."""

from __future__ import annotations

import optuna

from asynctune.oracles import CMAES, NSGAII, TPE, OptunaOracle, Oracle
from asynctune.testing.contracts import OracleContract


class TestTPE(OracleContract):
    exhausts = True
    trials = 16
    many = 40

    def make(self) -> Oracle:
        return TPE(n_startup_trials=8, n_ei_candidates=4)


class TestNSGAII(OracleContract):
    exhausts = True
    trials = 16
    many = 100

    def make(self) -> Oracle:
        return NSGAII(population_size=4)


class TestOptunaOracle(OracleContract):
    exhausts = True
    trials = 16
    many = 100

    def make(self) -> Oracle:
        return OptunaOracle(optuna.samplers.RandomSampler())


class TestCMAES(OracleContract):
    exhausts = True

    def make(self) -> Oracle:
        return CMAES()
