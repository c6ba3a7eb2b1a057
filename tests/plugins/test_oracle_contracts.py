"""Contract tests: every oracle that is shipped keeps what all of them promise."""

from __future__ import annotations

from asynctune.oracles import (
    ConcurrencyLimiter,
    GridSearch,
    Oracle,
    QuasiRandom,
    RandomSearch,
    RegularizedEvolution,
    Repeater,
)
from asynctune.testing.contracts import OracleContract


class TestRandomSearch(OracleContract):
    exhausts = True

    def make(self) -> Oracle:
        return RandomSearch()


class TestGridSearch(OracleContract):
    exhausts = True

    def make(self) -> Oracle:
        return GridSearch(points=3)


class TestQuasiRandom(OracleContract):
    exhausts = True

    def make(self) -> Oracle:
        return QuasiRandom()


class TestHalton(OracleContract):
    exhausts = True

    def make(self) -> Oracle:
        return QuasiRandom(sequence="halton", scramble=False)


class TestRegularizedEvolution(OracleContract):
    exhausts = True

    def make(self) -> Oracle:
        return RegularizedEvolution(population_size=8)


class TestRepeater(OracleContract):
    def make(self) -> Oracle:
        return Repeater(RegularizedEvolution(population_size=4), times=2)


class TestRepeatedGrid(OracleContract):
    def make(self) -> Oracle:
        return Repeater(GridSearch(points=3))


class TestConcurrencyLimiter(OracleContract):
    exhausts = True

    def make(self) -> Oracle:
        return ConcurrencyLimiter(RandomSearch(), 2)


class TestBatches(OracleContract):
    exhausts = True

    def make(self) -> Oracle:
        return ConcurrencyLimiter(GridSearch(points=3), 3, batch=True)
