"""Quasi-random search: even points, by their number alone."""

from __future__ import annotations

from typing import Any

import pytest
from scipy.stats import qmc

from asynctune.errors import ConfigurationError
from asynctune.oracles import Oracle, QuasiRandom, RandomSearch
from asynctune.records import SuggestionStatus
from asynctune.space import Boolean, Choice, Float, HyperParameters, Int, Space
from asynctune.testing import OracleRehearsal
from tests.plugins.spaces import BRANCHES, TWINS, everything

RUN = SuggestionStatus.RUNNING
PLANE = {"x": Float(0, 1), "y": Float(0, 1)}
KINDS = [QuasiRandom(), QuasiRandom(scramble=False), QuasiRandom(sequence="halton"), QuasiRandom(sequence="halton", scramble=False)]


def points(oracle: Oracle, count: int, *, space: Any = None, seed: int = 0) -> list[list[float]]:
    rehearsal = OracleRehearsal(oracle, space=PLANE if space is None else space, seed=seed)
    return [[float(str(value)) for value in rehearsal.ask().values.values()] for _ in range(count)]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"sequence": "sobel"}, r"QuasiRandom\(sequence=\.\.\.\) takes 'sobol' or 'halton', not 'sobel'"),
        ({"sequence": None}, r"QuasiRandom\(sequence=\.\.\.\) takes 'sobol' or 'halton', not None"),
        ({"scramble": 1}, r"QuasiRandom\(scramble=\.\.\.\) takes True or False, not 1"),
    ],
)
def test_arguments(arguments: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ConfigurationError, match=wanted):
        QuasiRandom(**arguments)


def test_settings() -> None:
    assert QuasiRandom().settings() == {"sequence": "sobol", "scramble": True}
    assert repr(QuasiRandom(scramble=False)) == "QuasiRandom(sequence='sobol', scramble=False)"


@pytest.mark.parametrize("oracle", KINDS)
def test_they_are_scipys_points_also_far_on(oracle: QuasiRandom) -> None:
    engine = {"sobol": qmc.Sobol, "halton": qmc.Halton}[oracle.sequence](2, scramble=False)
    found = points(QuasiRandom(sequence=oracle.sequence, scramble=False), 1000)
    expected = engine.random(1024)[:1000].tolist()
    assert all(one == pytest.approx(other, abs=1e-9) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("oracle", KINDS)
def test_they_are_more_even_than_chance(oracle: QuasiRandom) -> None:
    """The first 2**m of them, for several m; by the centred discrepancy of what is proposed."""
    for count in (32, 128, 512):
        chance = sorted(qmc.discrepancy(points(RandomSearch(), count, seed=seed)) for seed in range(9))[4]
        assert qmc.discrepancy(points(oracle, count)) < chance / 4


def test_the_seed_scrambles_them() -> None:
    assert points(QuasiRandom(), 8, seed=0) == points(QuasiRandom(), 8, seed=0)
    assert points(QuasiRandom(), 8, seed=0) != points(QuasiRandom(), 8, seed=1)
    plain = QuasiRandom(scramble=False)
    assert points(plain, 8, seed=0) == points(QuasiRandom(scramble=False), 8, seed=1)


@pytest.mark.parametrize("oracle", KINDS)
def test_a_point_goes_by_its_number_and_not_by_the_order_of_things(oracle: QuasiRandom) -> None:
    space = Space.of(PLANE)
    whole = points(oracle, 600)
    oracle.set_search(objective=OracleRehearsal(RandomSearch()).objective, seed=0)
    for number in (599, 0, 300, 255, 256, 511, 512, 1):
        answer = oracle.populate_space(number, space)
        assert list(answer.values.values()) == whole[number]


def test_while_nothing_is_known_it_proposes_nothing() -> None:
    rehearsal = OracleRehearsal(QuasiRandom(), lambda hp: hp.Float("rate", 0, 1))
    assert [rehearsal.ask().values for _ in range(3)] == [{}, {}, {}]
    rehearsal.finish(0)
    assert set(rehearsal.ask().values) == {"rate"}


def test_the_parameters_may_be_too_many_for_sobol() -> None:
    space = Space({f"p{place}": Boolean() for place in range(21_202)})
    with pytest.raises(ConfigurationError, match=r"at most 21,201 dimensions, and there are 21,202 .*sequence=\"halton\""):
        OracleRehearsal(QuasiRandom(), space=space).ask()


@pytest.mark.parametrize("space", [BRANCHES, TWINS], ids=["branches", "twins"])
@pytest.mark.parametrize("workers", [1, 8])
def test_under_conditions_everything_is_tried_once(space: Space, workers: int) -> None:
    rehearsal = OracleRehearsal(QuasiRandom(), space=space)
    while rehearsal.ask().status is RUN:
        if len(rehearsal.live()) == workers:
            rehearsal.finish(rehearsal.live()[0])
    found = [repr(view.values) for view in rehearsal.trials.values()]
    assert len(found) == len(set(found)) == space.size
    assert set(found) == {repr(values) for values in everything(space)}


def test_each_branch_has_dimensions_of_its_own() -> None:
    """A first half of Sobol' points is even in each branch by itself."""

    def branch(hp: HyperParameters) -> None:
        kind = hp.Choice("kind", ["a", "b"])
        with hp.conditional_scope("kind", ["a"]):
            if kind == "a":
                hp.Float("x", 0, 1)
        with hp.conditional_scope("kind", ["b"]):
            if kind == "b":
                hp.Float("x", 10, 20)

    hp = HyperParameters()
    branch(hp)
    hp = HyperParameters(hp.space, {"kind": "b"})
    branch(hp)
    rehearsal = OracleRehearsal(QuasiRandom(scramble=False), space=hp)
    drawn = [rehearsal.ask().values for _ in range(64)]
    assert [sum(values["kind"] == kind for values in drawn) for kind in ("a", "b")] == [32, 32]
    low = sorted(float(str(values["x"])) for values in drawn if values["kind"] == "a")
    high = sorted(float(str(values["x"])) for values in drawn if values["kind"] == "b")
    assert [sum(place / 4 <= x < (place + 1) / 4 for x in low) for place in range(4)] == [8, 8, 8, 8]
    assert all(10 <= x <= 20 for x in high)


def test_choices_and_integers_are_proposed_in_their_own_types() -> None:
    rehearsal = OracleRehearsal(QuasiRandom(), space={"n": Int(1, 9), "kind": Choice(["x", None]), "wide": Boolean()})
    for _ in range(16):
        assert list(map(type, rehearsal.ask().values.values())) in ([int, str, bool], [int, type(None), bool])
