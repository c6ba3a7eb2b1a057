"""Grid search: the order, the last combination, and parameters that turn up late."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from asynctune.errors import ConfigurationError, SpaceError
from asynctune.oracles import GridSearch
from asynctune.records import SuggestionStatus, Value, Values
from asynctune.seeds import generator
from asynctune.space import Boolean, Choice, Fixed, Float, HyperParameters, Int, Space
from asynctune.testing import OracleRehearsal
from tests.plugins.spaces import BRANCHES, TWINS, everything
from tests.plugins.trainables import SEARCHES, effective, same

RUN, IDLE, EXHAUSTED = SuggestionStatus.RUNNING, SuggestionStatus.IDLE, SuggestionStatus.EXHAUSTED


def walk(space: Any, **settings: int) -> list[tuple[Any, ...]]:
    """Everything that is proposed, one after the other."""
    rehearsal = OracleRehearsal(GridSearch(**settings), space=space)
    while (suggestion := rehearsal.ask()).status is RUN:
        rehearsal.finish(len(rehearsal.trials) - 1)
    assert suggestion.status is EXHAUSTED
    return [tuple(view.values.values()) for view in rehearsal.trials.values()]


def search(rehearsal: OracleRehearsal, workers: int, seed: int = 0) -> list[Values]:
    """Everything that is run, with so many at a time that end in an order drawn from `seed`."""
    rng = generator(seed)
    while True:
        while len(rehearsal.live()) < workers and rehearsal.ask().status is RUN:
            pass
        if not rehearsal.live():
            return [view.values for view in rehearsal.trials.values()]
        rehearsal.finish(rng.choice(rehearsal.live()))


@pytest.mark.parametrize("points", [1, 0, 2.5, True, None, "10", 10_001, 10**18])
def test_points(points: Any) -> None:
    wanted = r"GridSearch\(points=\.\.\.\) takes an integer of at least 2 and at most 10,000, not"
    with pytest.raises(ConfigurationError, match=wanted):
        GridSearch(points=points)


@pytest.mark.parametrize(
    ("domain", "first"),
    [
        (Int(0, 10**15, default=2), [2, 0, 1, 3]),
        (Int(-(2**63), 2**63 - 1), [-(2**63), -(2**63) + 1, -(2**63) + 2, -(2**63) + 3]),
        (Int(0, 10**15, step=7, default=7), [7, 0, 14, 21]),
        (Float(0, 1e9, step=0.125, default=0.25), [0.25, 0.0, 0.125, 0.375]),
        (Choice([0, *range(2, 50_000)]), [0, 2, 3, 4]),
    ],
)
def test_an_axis_may_be_longer_than_any_list(domain: Any, first: list[float]) -> None:
    rehearsal = OracleRehearsal(GridSearch(), space={"x": domain, "y": Int(0, 10**12)})
    assert rehearsal.ask().values == {"x": first[0], "y": 0}
    rehearsal = OracleRehearsal(GridSearch(), space={"y": Fixed(0), "x": domain})
    found = []
    for _ in first:
        found.append(rehearsal.ask().values["x"])
        rehearsal.finish(len(rehearsal.trials) - 1)
    assert found == first
    assert list(map(type, found)) == list(map(type, first))


@pytest.mark.parametrize("default", range(5))
def test_a_stepped_axis_is_walked_to_its_end_from_any_default(default: int) -> None:
    for domain in (Int(0, 8, step=2, default=2 * default), Float(0, 1, step=0.25, default=default / 4)):
        others = [value for value in domain.values if value != domain.default]
        assert [value for (value,) in walk({"x": domain})] == [domain.default, *others]


def test_settings() -> None:
    assert GridSearch().settings() == {"points": 10}
    assert repr(GridSearch(points=3)) == "GridSearch(points=3)"


# --------------------------------------------------------------------------------------------------------------- order


def test_the_default_comes_first_and_the_last_parameter_turns_fastest() -> None:
    space = {"a": Choice([1, 2, 3], default=2), "b": Boolean()}
    assert walk(space) == [(2, False), (2, True), (1, False), (1, True), (3, False), (3, True)]


def test_the_guide_of_keras_tuner() -> None:
    space = {"units_1": Int(10, 40, step=10), "units_2": Int(10, 30, step=10)}
    assert walk(space) == list(product((10, 20, 30, 40), (10, 20, 30)))


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (Int(1, 5), [1, 2, 3, 4, 5]),
        (Int(1, 20, default=7), [7, *range(1, 7), *range(8, 21)]),
        (Int(1, 9, step=4), [1, 5, 9]),
        (Int(1, 1000, sampling="log"), [1, 10, 100, 1000]),
        (Int(2, 32, step=2, sampling="log", default=8), [8, 2, 4, 16, 32]),
        (Float(0, 1, step=0.25, default=0.5), [0.5, 0.0, 0.25, 0.75, 1.0]),
        (Float(0, 3), [0.0, 1.0, 2.0, 3.0]),
        (Float(0, 3, default=2.5), [2.5, 0.0, 1.0, 2.0, 3.0]),
        (Float(0, 3, default=2.0), [2.0, 0.0, 1.0, 3.0]),
        (Float(7, 7), [7.0]),
        (Choice([1, 1.0, True], default=1.0), [1.0, 1, True]),
        (Choice(["a", None], default=None), [None, "a"]),
        (Boolean(default=True), [True, False]),
        (Fixed("x"), ["x"]),
    ],
)
def test_the_values_of_one_parameter(domain: Any, values: list[Any]) -> None:
    found = [value for (value,) in walk({"x": domain}, points=4)]
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


# ------------------------------------------------------------------------------------------------------ all of them


@pytest.mark.parametrize("workers", [1, 2, 5, 100])
@pytest.mark.parametrize(
    ("space", "count"),
    [
        ({"a": Choice([1, 2, 3]), "b": Boolean(), "c": Int(1, 4)}, 24),
        ({"int": Int(1, 5), "float": Float(1, 2, default=1.23)}, 5 * (10 + 1)),
        ({"fixed": Fixed(3)}, 1),
        ({"group": {"a": Int(1, 2), "b": {"c": Int(1, 2)}}, "d": Int(1, 2)}, 8),
    ],
)
def test_each_combination_once(space: Any, count: int, workers: int) -> None:
    tried = [same(values) for values in search(OracleRehearsal(GridSearch(), space=space), workers)]
    assert len(tried) == len(set(tried)) == count


def test_failed_trials_keep_their_place() -> None:
    rehearsal = OracleRehearsal(GridSearch(), space={"units_1": Int(10, 40, step=10), "units_2": Int(10, 30, step=10)})
    while rehearsal.ask().status is RUN:
        trial = len(rehearsal.trials) - 1
        values = rehearsal.trials[trial].values
        if math.prod(int(str(value)) for value in values.values()) > 300:
            rehearsal.fail(trial)
        else:
            rehearsal.finish(trial)
    assert [tuple(view.values.values()) for view in rehearsal.trials.values()] == list(product((10, 20, 30, 40), (10, 20, 30)))


# ------------------------------------------------------------------------------------ found on the way (define-by-run)


@pytest.mark.parametrize("trainable", SEARCHES)
def test_one_at_a_time_nothing_is_repeated(trainable: Callable[[HyperParameters], float]) -> None:
    tried = [same(values) for values in search(OracleRehearsal(GridSearch(), trainable), workers=1)]
    assert len(tried) == len(set(tried))
    assert set(tried) == effective(trainable)


@pytest.mark.parametrize("trainable", SEARCHES)
@pytest.mark.parametrize("seed", range(5))
def test_many_at_a_time_nothing_is_left_out(trainable: Callable[[HyperParameters], float], seed: int) -> None:
    tried = Counter(same(values) for values in search(OracleRehearsal(GridSearch(), trainable), workers=4, seed=seed))
    assert set(tried) == effective(trainable)
    # What is repeated was running when it could not be known to be the same.
    assert tried.total() <= 4 * len(tried)


def test_how_many_there_are_to_find() -> None:
    assert [len(effective(trainable)) for trainable in SEARCHES] == [6, 6, 8, 13, 24, 8, 1]


def test_while_nothing_is_known_the_first_runs_alone() -> None:
    rehearsal = OracleRehearsal(GridSearch(), lambda hp: float(hp.Int("a", 1, 3)))
    assert [rehearsal.ask().status for _ in range(3)] == [RUN, IDLE, IDLE]
    assert rehearsal.trials[0].values == {}
    rehearsal.run(0)
    assert [rehearsal.ask().status for _ in range(3)] == [RUN, RUN, EXHAUSTED]
    assert [view.values for view in rehearsal.trials.values()] == [{"a": 1}, {"a": 2}, {"a": 3}]


@pytest.mark.parametrize("fails", [True, False])
def test_a_trainable_without_parameters_runs_once(fails: bool) -> None:
    rehearsal = OracleRehearsal(GridSearch())
    rehearsal.ask()
    if fails:
        rehearsal.fail(0)
    else:
        rehearsal.finish(0)
    assert rehearsal.ask().status is EXHAUSTED
    assert len(rehearsal.trials) == 1


def test_what_turns_up_late_is_tried_with_what_has_run() -> None:
    rehearsal = OracleRehearsal(GridSearch(), space={"a": Int(1, 3)})
    for _ in range(2):
        rehearsal.ask()
    # The first trial asks for `b`, with its default; the second has not come so far.
    rehearsal._trainable = lambda hp: float(hp.Int("a", 1, 3) + hp.Choice("b", [5, 6], default=6))
    rehearsal.run(0)
    for _ in range(5):
        rehearsal.ask()
    proposed = [tuple(view.values.values()) for view in rehearsal.trials.values()]
    assert proposed == [(1, 6), (2,), (1, 5), (2, 5), (3, 6), (3, 5)]
    rehearsal.run(1)
    assert tuple(rehearsal.trials[1].values.values()) == (2, 6)


def test_in_between_before_the_later_ones_have_ended() -> None:
    """Five at a time; what one finds late is combined with what the others are running."""

    def late(hp: HyperParameters) -> float:
        a = hp.Choice("a", [0, 1])
        return float(hp.Choice("b", [0, 1]) if a == 1 else 0)

    rehearsal = OracleRehearsal(GridSearch(), late)
    assert [rehearsal.ask().status for _ in range(2)] == [RUN, IDLE]
    rehearsal.run(0)
    assert [rehearsal.ask().status for _ in range(2)] == [RUN, EXHAUSTED]
    rehearsal.finish(1)
    # `b` is known now. That trial 0 will never ask for it is not, for it still runs: (0, 1) might be something new.
    assert [rehearsal.ask().status for _ in range(3)] == [RUN, RUN, EXHAUSTED]
    assert [view.values for view in rehearsal.trials.values()] == [
        {"a": 0},
        {"a": 1, "b": 0},
        {"a": 0, "b": 1},
        {"a": 1, "b": 1},
    ]


def test_what_a_trial_never_asked_for_is_not_varied() -> None:
    rehearsal = OracleRehearsal(
        GridSearch(), lambda hp: float(sum(hp.Int(f"units_{i}", 1, 9) for i in range(hp.Int("n", 0, 1))))
    )
    search(rehearsal, workers=1)
    assert Counter(view.values["n"] for view in rehearsal.trials.values()) == {0: 1, 1: 9}


def test_a_trial_that_was_stopped_stands_for_what_it_never_asked_for() -> None:
    rehearsal = OracleRehearsal(
        GridSearch(), lambda hp: float(hp.Int("units", 1, 9)) if hp.Boolean("deep", default=True) else 0.0
    )
    while rehearsal.ask().status is RUN:
        trial = len(rehearsal.trials) - 1
        rehearsal.report(trial, rehearsal.run(trial))
        rehearsal.complete(trial, None, stop_reason="10 steps")
    assert Counter(view.values["deep"] for view in rehearsal.trials.values()) == {True: 9, False: 1}


def test_a_trial_that_failed_stands_for_itself_alone() -> None:
    rehearsal = OracleRehearsal(GridSearch(), space={"a": Int(1, 2), "b": Int(1, 2)})
    rehearsal.ask()
    rehearsal.fail(0)
    assert [rehearsal.ask().status for _ in range(4)] == [RUN, RUN, RUN, EXHAUSTED]


# ------------------------------------------------------------------------------------------------- conditions and rules


@pytest.mark.parametrize("space", [BRANCHES, TWINS], ids=["branches", "twins"])
def test_children_are_exhausted_before_their_parent_goes_on(space: Space) -> None:
    """Default first, the last parameter fastest, and what is not there is left out: KerasTuner's order (2.10)."""

    def ordered(known: dict[str, Value], names: list[str]) -> list[dict[str, Value]]:
        if not names:
            return [known]
        domain = space.active(known).get(names[0])
        if domain is None:
            return ordered(known, names[1:])
        default, exact = domain.default, [(type(value), value) for value in domain.values]
        first = exact.index((type(default), default))
        values = [default, *domain.values[:first], *domain.values[first + 1 :]]
        return [each for value in values for each in ordered({**known, names[0]: value}, names[1:])]

    rehearsal = OracleRehearsal(GridSearch(), space=space)
    while rehearsal.ask().status is RUN:
        rehearsal.finish(len(rehearsal.trials) - 1)
    found = [same(view.values) for view in rehearsal.trials.values()]
    assert found == [same(values) for values in ordered({}, list(space))]


@pytest.mark.parametrize("space", [BRANCHES, TWINS], ids=["branches", "twins"])
@pytest.mark.parametrize("workers", [1, 3, 8])
def test_case_2_one_name_in_two_branches(space: Space, workers: int) -> None:
    """Case 2: each combination once, also with one name in two branches. KerasTuner fails a whole branch with a KeyError."""
    found = [same(values) for values in search(OracleRehearsal(GridSearch(), space=space), workers)]
    assert len(found) == len(set(found)) == space.size
    assert set(found) == {same(values) for values in everything(space)}


@pytest.mark.parametrize("workers", [1, 8])
def test_case_13_two_hundred_of_two_hundred(workers: int) -> None:
    """Case 13: a space of 200 is walked to the last, with no duplicate, also by many at a time."""
    space = {"a": Int(1, 10), "b": Choice(list("abcdefghij")), "c": Boolean()}
    found = [same(values) for values in search(OracleRehearsal(GridSearch(), space=space), workers)]
    assert len(found) == len(set(found)) == 200


def test_case_12_the_end_of_a_range_is_part_of_the_grid_and_without_noise() -> None:
    """Case 12: Float(0, 1, step=0.2) ends at 1. KerasTuner's ends at 0.8, and has a 0.6000000000000001."""
    assert walk({"x": Float(0, 1, step=0.2)}) == [(0.0,), (0.2,), (0.4,), (0.6,), (0.8,), (1.0,)]
    assert walk({"x": Float(0, 0.6, step=0.1)}) == [(0.0,), (0.1,), (0.2,), (0.3,), (0.4,), (0.5,), (0.6,)]


def test_clauses_are_walked_over_at_once() -> None:
    """A clause blames only what it speaks of: 5e11 combinations behind the first values of `a` and `b` are not looked at."""
    later = {f"unused_{place}": Int(1, 50) for place in range(7)}
    space = Space({"a": Int(1, 3), "b": Int(1, 2), **later}, forbidden=[{"a": [1, 2]}, {"a": 3, "b": 1}])
    rehearsal = OracleRehearsal(GridSearch(), space=space)
    assert rehearsal.ask().values == {"a": 3, "b": 2, **dict.fromkeys(later, 1)}


@pytest.mark.parametrize("workers", [1, 4])
def test_what_the_rules_forbid_is_left_out_and_the_order_stays(workers: int) -> None:
    space = Space({"a": Int(1, 4), "b": Int(1, 4)}, forbidden=[{"a": 2}], feasible=[lambda values: values["a"] != values["b"]])
    found = [tuple(values.values()) for values in search(OracleRehearsal(GridSearch(), space=space), workers)]
    assert found == [(a, b) for a, b in product(range(1, 5), range(1, 5)) if a not in (2, b)]


def test_a_predicate_that_never_holds_is_an_error_before_long() -> None:
    space = Space({f"p{place}": Int(1, 10) for place in range(9)}, feasible=[never])
    with pytest.raises(SpaceError, match=r"hardly any combination is allowed by the rules .*never.* Declare narrower ranges"):
        OracleRehearsal(GridSearch(), space=space).ask()


def never(values: dict[str, Any]) -> bool:
    return False


# ------------------------------------------------------------------- KerasTuner's gridsearch_test, by its meaning (Apache-2.0)


def test_that_exhaustive_space_is_explored() -> None:
    """24 combinations, each present (KerasTuner: 24)."""
    space = {"units": Int(2, 10, step=4), "layers": Choice([1, 2]), "rate": Float(0.1, 0.3, step=0.1)}
    # KerasTuner's range of three floats ends before its last one; ours has it.
    found = walk({**space, "rate": Float(0.1, 0.4, step=0.1)})
    assert sorted(found) == list(product((2, 6, 10), (1, 2), (0.1, 0.2, 0.3, 0.4)))


def test_int_and_float() -> None:
    """A range without a step has ten places and its default: 5 * (10 + 1) = 55 (KerasTuner: 55)."""
    assert len(set(walk({"int": Int(1, 5), "float": Float(1, 2, default=1.23)}))) == 55


def test_new_hp() -> None:
    """Two parameters that turn up in one branch each. KerasTuner runs 3 + 3 * 3 = 12, each in the other's branch too; here what
    a trial never asked for is not varied, so 3 + 3."""

    def trainable(hp: HyperParameters) -> float:
        return float(hp.Choice("choice_1", [0, 1, 2]) if hp.Boolean("bool") else hp.Choice("choice_2", [3, 4, 5]))

    assert len(search(OracleRehearsal(GridSearch(), trainable), workers=1)) == 6


def test_hp_in_fit() -> None:
    """A parameter that is named only when the first trial runs: 3 (KerasTuner: 3)."""
    found = search(OracleRehearsal(GridSearch(), lambda hp: float(hp.Choice("late", [1, 2, 3]))), workers=1)
    assert [values["late"] for values in found] == [1, 2, 3]


@pytest.mark.parametrize("workers", [1, 4])
def test_conditional_scope(workers: int) -> None:
    """Two switches, each with three values behind it: 4 * 4 = 16 (KerasTuner: 16)."""

    def trainable(hp: HyperParameters) -> float:
        for name in ("one", "two"):
            switch = hp.Boolean(name)
            with hp.conditional_scope(name, [True]):
                if switch:
                    hp.Choice(f"{name}_choice", [1, 2, 3])
        return 0.0

    found = Counter(same(values) for values in search(OracleRehearsal(GridSearch(), trainable), workers))
    assert len(found) == 16
    assert found.total() == 16 or workers > 1  # what runs at a time may turn out to be the same


def test_exhaust_trials_in_between_before_the_latter_finishes() -> None:
    """What a trial finds late is walked before those that were proposed after it have ended. (KerasTuner hands out one
    successor for each trial that has ended, and is IDLE between; here nobody waits who could run something.)"""

    def late(hp: HyperParameters) -> float:
        return float(hp.Int("b", 0, 1) if hp.Int("a", 0, 2) == 0 else 0)

    rehearsal = OracleRehearsal(GridSearch(), late, space={"a": Int(0, 2)})
    assert [rehearsal.ask().status for _ in range(4)] == [RUN, RUN, RUN, EXHAUSTED]
    rehearsal.finish(0)
    assert rehearsal.ask().values == {"a": 0, "b": 1}
    for trial in (3, 1, 2):
        rehearsal.finish(trial)
    assert rehearsal.ask().status is EXHAUSTED
    assert [view.values for view in rehearsal.trials.values()][3] == {"a": 0, "b": 1}


def test_case_4_a_loop_over_what_was_chosen() -> None:
    """Case 4: `for i in range(hp.Int("layers", 0, 2))`. KerasTuner ends with a KeyError; there are 1 + 3 + 9 = 13."""

    def loop(hp: HyperParameters) -> float:
        return float(sum(hp.Int(f"units_{i}", 1, 3) for i in range(hp.Int("layers", 0, 2))))

    found = [same(values) for values in search(OracleRehearsal(GridSearch(), loop), workers=1)]
    assert len(found) == len(set(found)) == 13
    assert set(search_of(loop, workers=4)) == set(found)


def search_of(trainable: Callable[[HyperParameters], float], workers: int) -> list[str]:
    return [same(values) for values in search(OracleRehearsal(GridSearch(), trainable), workers)]
