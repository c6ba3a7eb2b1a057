"""Declared spaces in a search: choices of objects, lists, derived values, rules."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.errors import ConfigurationError, PluginError, ResumeError, SpaceError
from asynctune.oracles import GridSearch
from asynctune.records import Suggestion, TrialId

LOSS = at.Objective("loss", "min")


def double(x: int) -> int:
    return 2 * x


def square(x: int) -> int:
    return x * x


class Layer:
    def __init__(self, units: int) -> None:
        self.units = units


def space() -> dict[str, Any]:
    return {
        "f": at.Choice({"double": double, "lambda": lambda x: x + 100}),
        "kind": at.Choice([Layer, double]),
        "layers": [{"units": at.Int(3, 4)}, at.Int(5, 5), [at.Choice([(1, 2), (3,)])]],
        "n": 7,
    }


def sees_objects(trial: at.Trial) -> float:
    f, config = trial.values["f"], trial.config
    assert f is trial.hp["f"] is config["f"] is trial.hp.values["f"]
    assert trial.values["kind"] in (Layer, double)
    assert isinstance(config["layers"], list)
    assert [type(layer) for layer in config["layers"]] == [dict, int, list]
    assert trial.values["layers/2/0"] in ((1, 2), (3,))
    assert config["layers"][2][0] is trial.values["layers/2/0"]
    return float(f(config["layers"][0]["units"]))


@pytest.mark.parametrize("isolation", ["trial", "worker"])
async def test_a_trial_gets_the_objects_of_choices_and_lists(isolation: Any) -> None:
    executor = at.LocalExecutor(max_workers=2, isolation=isolation)
    result = await at.search(sees_objects, space(), objective=LOSS, oracle=GridSearch(), executor=executor)

    assert len(result.trials) == 16
    scores = {(each.values["f"], each.values["layers/0/units"]): each.score for each in result.trials.values()}
    # results keep the labels
    assert scores == {("double", 3): 6.0, ("double", 4): 8.0, ("lambda", 3): 103.0, ("lambda", 4): 104.0}
    assert {each.values["kind"] for each in result.trials.values()} == {"Layer", "double"}
    assert {each.values["layers/2/0"] for each in result.trials.values()} == {"(1, 2)", "(3,)"}


async def test_so_does_a_trial_in_the_same_process() -> None:
    unpicklable = (lambda x: x, open)

    async def train(config: dict[str, Any]) -> float:
        assert config["f"] is unpicklable
        return float(config["layers"][0])

    declared = {"f": at.Choice({"both": unpicklable}), "layers": [at.Int(1, 2)]}
    result = await at.search(train, declared, objective=LOSS, oracle=GridSearch(), executor=at.InlineExecutor())

    assert sorted(each.score or 0 for each in result.trials.values()) == [1.0, 2.0]


def chooses(hp: at.HyperParameters) -> float:
    f = hp.Choice("f", {"double": double, "square": square})
    assert f is hp["f"]
    return float(f(5))


async def test_define_by_run_has_objects_too() -> None:
    result = await at.search(chooses, objective=LOSS, oracle=GridSearch(), executor=at.LocalExecutor(max_workers=1))

    assert {each.values["f"]: each.score for each in result.trials.values()} == {"double": 10.0, "square": 25.0}


async def test_an_object_that_cannot_travel_is_named() -> None:
    declared = {"f": at.Choice({"lock": threading.Lock()})}
    with pytest.raises(at.errors.TrainableError, match=r"a choice of the space cannot be sent .* because of .*'lock'"):
        await at.search(sees_objects, declared, objective=LOSS, max_trials=1)


# --------------------------------------------------------------------------------------------------------- derived values


def total(config: Mapping[str, Any]) -> int:
    return int(config["batch"]) * 10


def sees_derived(config: dict[str, Any]) -> float:
    assert config["group"]["total"] == config["batch"] * 10
    assert config["more"] == config["group"]["total"] + 1
    return float(config["more"])


def asks_for_derived(hp: at.HyperParameters) -> float:
    return float(hp["group/total"]) + float(hp.get("more"))


async def test_derived_values_are_there_for_who_asks() -> None:
    result = await at.search(asks_for_derived, derived_space(), objective=LOSS, executor=at.LocalExecutor(max_workers=1))

    assert {each.values["batch"]: each.score for each in result.trials.values()} == {1: 21.0, 2: 41.0, 3: 61.0}


def derived_space() -> dict[str, Any]:
    return {
        "more": at.tune.sample_from(lambda spec: spec.config.group.total + 1),
        "batch": at.Int(1, 3),
        "group": {"total": at.tune.sample_from(total)},
    }


async def test_derived_values_are_recorded_and_count_for_nothing(tmp_path: Path) -> None:
    options: Any = {"objective": LOSS, "storage": tmp_path, "executor": at.LocalExecutor(max_workers=1)}
    result = await at.search(sees_derived, derived_space(), **options)

    assert len(result.trials) == 3  # exhausted: what is derived makes no further combinations
    assert {each.values["more"]: each.score for each in result.trials.values()} == {11: 11.0, 21: 21.0, 31: 31.0}
    assert at.Space.of(derived_space()).size == 3

    again = await at.search(sees_derived, derived_space(), **{**options, "executor": at.LocalExecutor(max_workers=1)})
    assert [each.values for each in again.trials.values()] == [each.values for each in result.trials.values()]
    other = {**derived_space(), "group": {"total": at.tune.sample_from(lambda config: config["batch"] * 10)}}
    with pytest.raises(ResumeError, match=r"the recorded space is another one: what is derived was \{.*total'\} and is "):
        await at.search(sees_derived, other, **{**options, "executor": at.LocalExecutor(max_workers=1)})


async def test_derived_values_of_what_is_enqueued() -> None:
    async with at.Search(sees_derived, derived_space(), objective=LOSS, max_trials=1) as search:
        with pytest.raises(ConfigurationError, match=r"'more' is computed from the others, by .*: leave it out"):
            await search.enqueue({"batch": 1, "more": 3})
        await search.enqueue({"batch": 2})
        result = await search.result()
    assert {"batch": 2, "group/total": 20, "more": 21} in [dict(each.values) for each in result.trials.values()]


# ------------------------------------------------------------------------------------------------------------------- rules


class InOrder(at.Oracle):
    """Proposes what is allowed, first things first."""

    exhaustive = True

    def populate_space(self, trial_id: TrialId, space: at.Space) -> Suggestion:
        allowed = [a for a in (1, 2, 3, 4) if space.is_allowed({"a": a})]
        return Suggestion.run({"a": allowed[trial_id]}) if trial_id < len(allowed) else Suggestion.exhausted()


def not_three(values: Mapping[str, Any]) -> bool:
    return bool(values["a"] != 3)


def scores_a(config: dict[str, Any]) -> float:
    return float(config["a"])


async def test_an_oracle_is_given_the_rules(tmp_path: Path) -> None:
    ruled = at.Space({"a": at.Int(1, 4)}, forbidden=[{"a": 2}], feasible=[not_three])
    options: Any = {"objective": LOSS, "storage": tmp_path, "oracle": InOrder()}
    result = await at.search(scores_a, ruled, **options)

    assert [each.values["a"] for each in result.trials.values()] == [1, 4]
    for other, what in (
        (
            at.Space({"a": at.Int(1, 4)}, forbidden=[{"a": 3}], feasible=[not_three]),
            r"what is forbidden was \[.*2.*\] and is \[.*3",
        ),
        (at.Space({"a": at.Int(1, 4)}, forbidden=[{"a": 2}]), "what must be feasible was .*not_three'] and is nothing"),
    ):
        with pytest.raises(ResumeError, match=what):
            await at.search(scores_a, other, **options)


async def test_what_is_forbidden_is_not_enqueued() -> None:
    ruled = at.Space({"a": at.Int(1, 4)}, forbidden=[{"a": [2, 4]}], feasible=[not_three])
    async with at.Search(scores_a, ruled, objective=LOSS, oracle=InOrder()) as search:
        with pytest.raises(ConfigurationError, match=r"enqueue\(\): it is forbidden that 'a' is 2 or 4; the values were "):
            await search.enqueue({"a": 4})
        with pytest.raises(ConfigurationError, match=r"enqueue\(\): .*not_three finds them infeasible"):
            await search.enqueue({"a": 3})
        await search.result()


# --------------------------------------------------------------------------------------------------------------- bad input


def total2(config: Mapping[str, Any]) -> int:
    return len(config)


def _always(values: Mapping[str, Any]) -> bool:
    return "a" in values


def _raises(values: Mapping[str, Any]) -> bool:
    raise ZeroDivisionError("oh")


BAD: list[tuple[Any, str]] = [
    (lambda: at.Int(1, 5, default=6), "default"),
    (lambda: at.Choice([]), "at least one value"),
    (lambda: at.Float(0, 1, sampling="log"), "above 0"),
    (lambda: at.tune.quniform(0, 1, 0.3), "a multiple of q"),
    (lambda: at.tune.loguniform(0, 1), "above 0"),
    (
        lambda: at.Space({"a": at.tune.sample_from(lambda c: c["b"]), "b": at.tune.sample_from(lambda c: c["a"])}),
        r"depend on one another: 'a' reads 'b' reads 'a'",
    ),
    (lambda: at.Space({"a": at.tune.sample_from(lambda c: c["a"])}), r"depend on one another: 'a' reads 'a'"),
    (lambda: at.Space({"b": at.tune.sample_from(lambda c: c["a"])}), r"computes parameter 'b', raised KeyError: .*no 'a' here"),
    (lambda: at.Space({"b": at.tune.sample_from(lambda c: c.a)}), r"raised AttributeError: there is no 'a' here"),
    (lambda: at.Space({"b": at.tune.sample_from(lambda: [1])}), r"computed \[1\] for parameter 'b': it must return a finite"),
    (lambda: at.Space({"a": at.When("k", 1, at.tune.sample_from(max)), "k": at.Int(1, 2)}), "cannot stand under a condition"),
    (lambda: at.Space({"a": at.Int(1, 2)}, forbidden=[{"b": 1}]), "forbidden= speaks of 'b', which is not a parameter"),
    (lambda: at.Space({"a": at.Int(1, 2)}, forbidden=[{"a": 3}]), r"forbidden= speaks of 3, which is not a value of 'a', Int"),
    (lambda: at.Space({"a": at.Int(1, 2)}, forbidden={"a": 1}), "forbidden= takes a list of dicts"),  # type: ignore[arg-type]
    (lambda: at.Space({"a": at.Int(1, 2)}, forbidden=[{}]), "forbidden= takes a list of dicts"),
    (lambda: at.Space({"a": at.Int(1, 2)}, feasible=not_three), "feasible= takes a list of functions"),  # type: ignore[arg-type]
    (lambda: at.Space({"a": at.Int(1, 2)}, feasible=[3]), "feasible= takes a list of functions of one argument"),
    (
        lambda: at.Space({"a": at.Int(1, 2)}, feasible=[_raises]),
        r"_raises, of feasible=, raised ZeroDivisionError: oh; .*'a': 1",
    ),
    (lambda: at.Space({"a": at.Int(1, 2)}, feasible=[lambda v: v["a"]]), "answered 1, and not True or False"),
    (lambda: at.Space({"a": [1, 2]}), r"parameter 'a' is a list: write Choice\(\[\.\.\.\]\)"),
    (lambda: at.Space({"a": {"b": at.Space({"x": at.Int(1, 2)}, feasible=[lambda _: True])}}), "'a/b' is a space with rules"),
]


@pytest.mark.parametrize(("declare", "message"), BAD)
def test_what_is_wrong_is_said_at_the_line_that_declares_it(declare: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message) as caught:
        declare()

    ours = [frame for frame in traceback.extract_tb(caught.value.__traceback__) if frame.filename == __file__]
    assert ours[-1].name == "<lambda>"


def test_spaces_are_equal_if_their_rules_are() -> None:
    def ruled(value: Any) -> at.Space:
        return at.Space(
            {"a": at.Choice([1, True]), "b": at.tune.sample_from(total2)}, forbidden=[{"a": value}], feasible=[_always]
        )

    assert ruled(1) == ruled(1)
    assert hash(ruled(1)) == hash(ruled(1))
    assert ruled(1) != ruled(True)
    assert ruled(1).fingerprint() != ruled(True).fingerprint()
    assert ruled(1).grow({"c": at.Int(1, 2)}).objection({"a": 1, "c": 1}) == "it is forbidden that 'a' is 1"
    assert ruled(1).grow({"c": at.Int(1, 2)}).size == 2


def test_the_exact_size_under_rules() -> None:
    ruled = at.Space({"a": at.Int(1, 10), "b": at.Int(1, 10)}, forbidden=[{"a": 1}], feasible=[lambda v: v["a"] >= v["b"]])
    assert ruled.size == sum(a >= b for a in range(2, 11) for b in range(1, 11))
    assert at.Space({"a": at.Int(1, 10**7)}, forbidden=[{"a": 1}]).size is None  # too many to look at
    assert at.Space({"a": at.Float(0, 1)}, feasible=[lambda v: v["a"] < 0.5]).size is None
    under = at.Space({"k": at.Int(1, 2), "u": at.When("k", 1, at.Int(1, 5))}, forbidden=[{"k": 1, "u": [1, 2]}])
    assert under.size == 4


def test_lists_may_hold_conditions() -> None:
    declared = at.Space({"n": at.Int(1, 2), "layers": [at.Int(1, 1), at.When("n", 2, {"units": at.Int(2, 2)})]})

    assert declared.nest({"n": 1, "layers/0": 1}) == {"n": 1, "layers": [1]}
    assert declared.nest({"n": 2, "layers/0": 1, "layers/1/units": 2}) == {"n": 2, "layers": [1, {"units": 2}]}
    assert at.Space({"net": declared}).nest({"net/layers/0": 1}) == {"net": {"layers": [1]}}


async def of_nothing(_: at.AsyncTrial) -> float:
    return 1.0


@pytest.mark.parametrize("oracle", [at.oracles.RandomSearch(), at.oracles.GridSearch(), at.oracles.RegularizedEvolution()])
async def test_a_rule_that_fails_is_named_and_not_the_oracle(oracle: Any) -> None:
    asked = []

    def picky(values: Any) -> bool:
        asked.append(values)
        if len(asked) > 3:
            raise RuntimeError("cannot say")
        return True

    with pytest.raises(PluginError) as caught:
        await at.search(
            of_nothing,
            at.Space({"x": at.Int(0, 9)}, feasible=[picky]),
            objective=at.Objective("loss", "min"),
            oracle=oracle,
            executor=at.InlineExecutor(1),
            max_trials=9,
        )
    assert "picky, of feasible=, raised RuntimeError: cannot say; the values were" in str(caught.value)
    assert "populate_space" not in str(caught.value)


async def chooses_a(config: dict[str, Any]) -> float:
    return scores_a(config)


def refused(values: Mapping[str, Any]) -> bool:
    return False


async def test_a_search_in_which_nothing_was_allowed_says_so() -> None:
    # In a space without end nobody can know at the door that there is nothing.
    space = at.Space({"a": at.Float(0, 1)}, feasible=[refused])
    result = await at.search(chooses_a, space, objective=LOSS, oracle=GridSearch(), executor=at.InlineExecutor(1))

    assert not result.trials
    assert result.reason == "there was nothing to try: GridSearch proposed nothing at all, and the space has rules"


def test_a_space_in_which_nothing_is_allowed_is_refused_at_the_door() -> None:
    with pytest.raises(
        SpaceError, match="the rules of this space allow nothing, so no trial could ever run: forbidden: 'a' is 1"
    ):
        at.Search(scores_a, at.Space({"a": at.Fixed(1)}, forbidden=[{"a": 1}]), objective=LOSS)
