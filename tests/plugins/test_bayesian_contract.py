"""Contract test: Bayesian optimisation keeps what all oracles promise."""

from __future__ import annotations

import pytest

from asynctune.oracles import BayesianOptimization, Oracle
from asynctune.testing.contracts import OracleContract


class TestBayesianOptimization(OracleContract):
    exhausts = True
    many = 100

    def make(self) -> Oracle:
        return BayesianOptimization()


class Longer(TestBayesianOptimization):
    many = 500


@pytest.mark.many
def test_more_trials_than_the_model_takes_in() -> None:
    Longer().test_a_vast_space_costs_no_more_than_its_trials()
