"""Contract test: Bayesian optimisation keeps what all oracles promise."""

from __future__ import annotations

from asynctune.oracles import BayesianOptimization, Oracle
from asynctune.testing.contracts import OracleContract


class TestBayesianOptimization(OracleContract):
    exhausts = True
    many = 500

    def make(self) -> Oracle:
        return BayesianOptimization()
