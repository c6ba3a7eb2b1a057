"""Contract tests: every oracle that is shipped keeps what all of them promise."""

from __future__ import annotations

from asynctune.oracles import GridSearch, HyperbandOracle, Oracle, RandomSearch
from asynctune.testing.contracts import OracleContract


class TestRandomSearch(OracleContract):
    exhausts = True

    def make(self) -> Oracle:
        return RandomSearch()


class TestGridSearch(OracleContract):
    exhausts = True

    def make(self) -> Oracle:
        return GridSearch(points=3)


class TestHyperbandOracle(OracleContract):
    """Over and over, for a contract also plays searches of thousands of trials."""

    def make(self) -> Oracle:
        return HyperbandOracle(max_epochs=9, factor=3, iterations=None)
