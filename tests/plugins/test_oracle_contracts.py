"""Contract tests: every oracle that is shipped keeps what all of them promise."""

from __future__ import annotations

from asynctune.oracles import (
    BOHB,
    ConcurrencyLimiter,
    GridSearch,
    HyperbandOracle,
    Oracle,
    QuasiRandom,
    RandomSearch,
    RegularizedEvolution,
    Repeater,
)
from asynctune.testing.contracts import OracleContract


class TestRandomSearch(OracleContract):
    exhausts = True
    flat = True

    def make(self) -> Oracle:
        return RandomSearch()


class TestGridSearch(OracleContract):
    exhausts = True
    flat = True

    def make(self) -> Oracle:
        return GridSearch(points=3)


class TestQuasiRandom(OracleContract):
    exhausts = True
    flat = True

    def make(self) -> Oracle:
        return QuasiRandom()


class TestHalton(OracleContract):
    exhausts = True
    flat = True

    def make(self) -> Oracle:
        return QuasiRandom(sequence="halton", scramble=False)


class TestRegularizedEvolution(OracleContract):
    exhausts = True
    flat = True

    def make(self) -> Oracle:
        return RegularizedEvolution(population_size=8)


class TestRepeater(OracleContract):
    flat = True

    def make(self) -> Oracle:
        return Repeater(RegularizedEvolution(population_size=4), times=2)


class TestRepeatedGrid(OracleContract):
    flat = True

    def make(self) -> Oracle:
        return Repeater(GridSearch(points=3))


class TestConcurrencyLimiter(OracleContract):
    exhausts = True
    flat = True

    def make(self) -> Oracle:
        return ConcurrencyLimiter(RandomSearch(), 2)


class TestBatches(OracleContract):
    exhausts = True
    flat = True

    def make(self) -> Oracle:
        return ConcurrencyLimiter(GridSearch(points=3), 3, batch=True)


class TestHyperbandOracle(OracleContract):
    """Over and over, for a contract also plays searches of thousands of trials."""

    def make(self) -> Oracle:
        return HyperbandOracle(max_epochs=9, factor=3, iterations=None)


class TestBOHB(OracleContract):
    exhausts = True
    trials = 24
    many = 100

    def make(self) -> Oracle:
        return BOHB(max_steps=4, factor=2, min_points=3, candidates=8)
