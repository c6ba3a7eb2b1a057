"""Contract tests: every oracle that is shipped keeps what all of them promise."""

from __future__ import annotations

from asynctune.oracles import GridSearch, Oracle, RandomSearch
from asynctune.testing.contracts import OracleContract


class TestRandomSearch(OracleContract):
    exhausts = True

    def make(self) -> Oracle:
        return RandomSearch()


class TestGridSearch(OracleContract):
    exhausts = True

    def make(self) -> Oracle:
        return GridSearch(points=3)
