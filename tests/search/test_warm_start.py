"""What is known before a search begins, through the front door: earlier searches, tables, and what is to be tried first."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.events import Finished
from asynctune.oracles import Oracle
from asynctune.records import Suggestion, TrialId, TrialView
from asynctune.space import Space
from asynctune.testing import check_history
from asynctune.tune import sample_from

pd = pytest.importorskip("pandas")
LOSS = at.Objective("loss", "min")
SPACE = {"x": at.Int(0, 100), "net": {"kind": at.Choice(["a", "b"])}}
ROWS = [{"x": 1, "net": {"kind": "a"}, "loss": 4.0}, {"x": 2, "net/kind": "b", "score": math.nan}]
SEEN = [(-1, {"x": 1, "net/kind": "a"}, 4.0), (-2, {"x": 2, "net/kind": "b"}, None)]


class Climbs(Oracle):
    """One above the best that is known."""

    heard: list[tuple[int, Mapping[str, Any], float | None]]

    def set_search(self, *, objective: Any, seed: int) -> None:
        super().set_search(objective=objective, seed=seed)
        self.heard = HEARD

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        best = self.known.best
        highest = 10 if space["x"] == at.Int(0, 10) else 100
        return Suggestion.run({} if best is None else {**best.values, "x": min(highest, int(best.values["x"] or 0) + 1)})

    def on_trial_end(self, trial: TrialView) -> None:
        self.heard.append((trial.id, dict(trial.values), trial.score))


HEARD: list[tuple[int, Mapping[str, Any], float | None]] = []


@pytest.fixture(autouse=True)
def _nothing_heard() -> None:
    HEARD.clear()


async def train(trial: at.AsyncTrial) -> dict[str, float]:
    return {"loss": 100.0 - trial.values["x"]}


async def searched(space: Any = SPACE, **options: Any) -> at.Result:
    settings = {"objective": LOSS, "oracle": Climbs(), "max_trials": 3, "seed": 0, "executor": at.InlineExecutor(1)}
    return await at.search(train, space, **{**settings, **options})


@pytest.mark.parametrize(
    "table", [ROWS, [], pd.DataFrame([{"x": 1.0, "net/kind": "a", "loss": 4.0}])], ids=["rows", "no", "frame"]
)
async def test_the_oracle_knows_of_the_rows_of_a_table(table: Any) -> None:
    result = await searched(warm_start=table)
    assert HEARD[: len(table)] == SEEN[: len(table)]
    assert list(result.trials) == [0, 1, 2]
    if len(table):
        assert result.trials[0].values == {"x": 2, "net/kind": "a"}
    assert result.best_trial is not None
    assert result.best_trial.id >= 0


async def test_a_result_its_dicts_its_frame_and_its_directory_say_the_same(tmp_path: Path) -> None:
    first = await searched(storage=tmp_path / "first", max_trials=4)
    told = [(-1 - place, dict(view.values), view.score) for place, view in enumerate(first.trials.values())]
    for warm in (first, first.to_dicts(), first.to_dataframe(), tmp_path / "first", str(tmp_path / "first")):
        HEARD.clear()
        await searched(warm_start=warm)
        assert HEARD[:4] == told


async def test_rows_of_a_search_with_another_direction_are_refused() -> None:
    first = await searched(max_trials=2)
    for table in (first.to_dicts(), first.to_dataframe()):
        with pytest.raises(at.errors.ConfigurationError) as caught:
            await searched(objective=at.Objective("loss", "max"), warm_start=table)
        told = "row 0: its score is of Objective(loss, min), and this search wants Objective(loss, max)"
        assert str(caught.value).startswith(f"warm_start=: 2 of 2 do not fit this search: {told}; row 1: ")


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ([{"x": 1, "val_loss": 2.0}], "it has neither 'loss' nor 'score'; it has 'x', 'val_loss'. None fits"),
        ([{"x": 1, "id": 7, "loss": 2.0}], "there is no parameter 'id'; known are 'x', 'net/kind'. None fits"),
    ],
)
async def test_columns_that_do_not_fit_are_named(table: Any, why: str) -> None:
    with pytest.raises(at.errors.ConfigurationError, match=why):
        await searched(warm_start=table)


async def test_a_search_that_runs_can_be_learned_from_and_is_not_disturbed(tmp_path: Path) -> None:
    async with at.Search(
        train, SPACE, objective=LOSS, max_trials=2, storage=tmp_path / "live", executor=at.InlineExecutor(1)
    ) as live:
        async for event in live.events():
            if any(isinstance(one, Finished) for one in event.happened):
                break
        await searched(warm_start=tmp_path / "live")
        assert HEARD[0][0] == -1
        assert len((await live.result()).trials) == 2


async def test_what_was_recorded_counts_when_it_is_resumed(tmp_path: Path) -> None:
    await searched(warm_start=ROWS, try_first=[{"x": 9}], storage=tmp_path, max_trials=2)
    HEARD.clear()
    again = await searched(warm_start=tmp_path / "not there", try_first=[{"x": 50}], storage=tmp_path, max_trials=3)
    assert HEARD[:2] == SEEN
    assert again.trials[0].values["x"] == 9
    assert [view.values["x"] for view in again.trials.values()].count(50) == 0
    check_history(tmp_path, oracle=Climbs())


async def test_an_overwritten_search_can_be_learned_from(tmp_path: Path) -> None:
    first = await searched(storage=tmp_path, max_trials=2)
    HEARD.clear()
    await searched(storage=tmp_path, overwrite=True, warm_start=tmp_path)
    assert [heard[1] for heard in HEARD[:2]] == [view.values for view in first.trials.values()]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"x": 1, "loss": 1}, "there is no value for 'net/kind'"),
        ({"x": 101, "net/kind": "a", "loss": 1}, r"parameter 'x': Int\(0 to 100\) .* not 101"),
        ({"x": 1.5, "net/kind": "a", "loss": 1}, "parameter 'x': .* not 1.5"),
        ({"x": 1, "net/kind": "c", "loss": 1}, "parameter 'net/kind': .* not 'c'"),
        ({"x": 1, "net/kind": "a", "y": 1, "loss": 1}, "there is no parameter 'y'; known are 'x', 'net/kind'"),
        ({"x": 1, "net/kind": "a"}, "it has neither 'loss' nor 'score'"),
        ({"x": 1, "net/kind": "a", "loss": "low"}, "its 'loss' is 'low', which is no number"),
        ({"x": 1, "net/kind": "a", "loss": True}, "its 'loss' is True, which is no number"),
        ({"x": None, "net/kind": "a", "loss": 1}, "there is no value for 'x'"),
        ([1, 2], "it is no dict"),
        ({1: 2}, "it takes a dict from names to values, and 1 is no name"),
    ],
)
def test_rows_that_do_not_fit_are_named_with_their_reasons(row: Any, why: str) -> None:
    good = {"x": 1, "net/kind": "a", "loss": 1}
    with pytest.raises(at.errors.ConfigurationError, match=f"warm_start=: 1 of 3 do not fit this search: row 1: {why}"):
        at.Search(train, SPACE, objective=LOSS, max_trials=1, warm_start=[good, row, good])


def test_of_many_rows_that_do_not_fit_the_first_are_told_and_how_many_there_are() -> None:
    with pytest.raises(at.errors.ConfigurationError, match=r"20 of 20 do not fit .*row 4: [^;]*; and 15 more"):
        at.Search(train, {"x": at.Int(0, 9)}, objective=LOSS, max_trials=1, warm_start=[{"x": 10, "loss": 1}] * 20)


@pytest.mark.parametrize("given", [3, "", {"x": 1}, b"runs", object(), {1, 2}])
def test_what_is_no_warm_start_is_refused(given: Any) -> None:
    with pytest.raises(at.errors.ConfigurationError, match="warm_start= takes a search's directory, a Result, or a table"):
        at.Search(train, SPACE, objective=LOSS, max_trials=1, warm_start=given)


async def test_a_directory_without_a_search_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(at.errors.ConfigurationError, match=r"warm_start=.*nothing"):
        await searched(warm_start=tmp_path / "nothing", storage=tmp_path / "new")
    assert list((await searched(storage=tmp_path / "new", warm_start=ROWS)).trials) == [0, 1, 2]
    assert HEARD[:2] == SEEN


async def test_scores_under_another_objective_are_refused(tmp_path: Path) -> None:
    first = await searched(storage=tmp_path)
    for warm in (first, tmp_path):
        with pytest.raises(at.errors.ConfigurationError, match="different objectives cannot be mixed"):
            await searched(warm_start=warm, objective=at.Objective("loss", "max"))


async def test_trials_of_earlier_searches_that_failed_are_told_as_such(tmp_path: Path) -> None:
    async def fails(trial: at.AsyncTrial) -> None:
        raise at.errors.FailedTrialError("no")

    first = await at.search(fails, SPACE, objective=LOSS, max_trials=2, executor=at.InlineExecutor(1), storage=tmp_path, seed=0)
    for warm in (first, first.to_dicts(), tmp_path):
        told = at.Search(train, SPACE, objective=LOSS, max_trials=1, warm_start=warm)._request.observed()
        assert [(each.state, each.score) for each in told] == [(at.State.FAILED, None)] * 2


# ------------------------------------------------------------------------------------------------------------- tried first


async def test_what_is_to_be_tried_first_is() -> None:
    result = await searched(try_first=[{"x": 50}, {"net": {"kind": "b"}}])
    assert result.trials[0].values["x"] == 50
    assert result.trials[1].values["net/kind"] == "b"
    assert all(view.values.keys() == {"x", "net/kind"} for view in result.trials.values())
    again = await searched(try_first=[{"x": 50}, {"net": {"kind": "b"}}])
    assert [view.values for view in again.trials.values()] == [view.values for view in result.trials.values()]


RULED = Space({"x": at.Int(0, 10), "k": at.Choice(["a", "b"])}, forbidden=[{"x": 7, "k": "a"}])
DOUBLE = {"x": at.Int(0, 10), "k": at.Choice(["a", "b"]), "twice": sample_from(lambda config: 2 * config["x"])}


async def test_what_is_tried_first_and_enqueued_keeps_the_rules(tmp_path: Path) -> None:
    for seed in range(4):
        result = await searched(RULED, oracle=at.oracles.RandomSearch(), try_first=[{"x": 7}, {}], seed=seed)
        assert result.trials[0].values == {"x": 7, "k": "b"}
    with pytest.raises(at.errors.ConfigurationError, match=r"try_first\[1\]: it is forbidden that 'x' is 7 and 'k' is 'a'"):
        at.Search(train, RULED, objective=LOSS, max_trials=3, try_first=[{}, {"x": 7, "k": "a"}])
    asked = asyncio.Event()

    async def waits(trial: at.AsyncTrial) -> dict[str, float]:
        await asked.wait()
        return await train(trial)

    async with at.Search(waits, RULED, objective=LOSS, max_trials=2, executor=at.InlineExecutor(1)) as search:
        await search.enqueue({"x": 7})
        with pytest.raises(at.errors.ConfigurationError, match=r"enqueue\(\): it is forbidden that"):
            await search.enqueue({"x": 7, "k": "a"})
        asked.set()
        result = await search.result()
    assert {"x": 7, "k": "b"} in [dict(view.values) for view in result.trials.values()]


async def test_what_is_computed_is_computed_for_every_trial_and_row(tmp_path: Path) -> None:
    """Also case 14: a value that follows from others tells no trials apart."""
    random = at.oracles.RandomSearch()
    result = await searched(DOUBLE, oracle=random, try_first=[{"x": 7}, {}], max_trials=None, storage=tmp_path)
    assert len(result.trials) == 22
    assert result.trials[0].values["x"] == 7
    assert all(view.values["twice"] == 2 * int(view.values["x"] or 0) for view in result.trials.values())
    await searched(DOUBLE, warm_start=tmp_path, max_trials=1)
    assert [heard[1] for heard in HEARD[:22]] == [view.values for view in result.trials.values()]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([{"x": 101}], r"try_first\[0\]: parameter 'x': Int\(0 to 100\)"),
        ([{}, {"y": 1}], r"try_first\[1\]: there is no parameter 'y'; there are 'x', 'net/kind'"),
        ([3], r"try_first\[0\] takes a dict from names to values"),
        ([{3: 3}], r"try_first\[0\] takes a dict from names to values, and 3 is no name"),
        ({"x": 1}, "try_first= takes a list of dicts"),
        ("x", "try_first= takes a list of dicts"),
        ([{}] * 4, "try_first= has 4 trials, and max_trials is 3"),
    ],
)
def test_what_cannot_be_tried_first_is_refused(given: Any, why: str) -> None:
    with pytest.raises(at.errors.ConfigurationError, match=why):
        at.Search(train, SPACE, objective=LOSS, max_trials=3, try_first=given)


async def test_with_nothing_declared_any_name_may_be_tried_first() -> None:
    async def asks(trial: at.AsyncTrial) -> float:
        return float(trial.hp.Int("x", 0, 9))

    result = await at.search(asks, objective=LOSS, max_trials=2, try_first=[{"x": 7}], executor=at.InlineExecutor(1))
    assert result.trials[0].values == {"x": 7}


async def test_a_name_that_no_trial_asks_for_is_said(caplog: pytest.LogCaptureFixture) -> None:
    async def asks(trial: at.AsyncTrial) -> float:
        return float(trial.hp.Int("units", 0, 9) + trial.hp.Float("rate", 0, 1))

    first: list[dict[str, Any]] = [{"units": 7}, {"unit": 3, "rate": 0.5}, {"zzz": 1}]
    result = await at.search(asks, objective=LOSS, max_trials=5, try_first=first, executor=at.InlineExecutor(1))

    assert result.trials[1].values["rate"] == 0.5
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "try_first[1] gives 'unit' a value, and its trial asked for no such parameter; it may mean 'units'",
        "try_first[2] gives 'zzz' a value, and its trial asked for no such parameter; it may mean 'units' or 'rate'",
    ]


async def test_what_is_enqueued_may_be_nested_and_lack_values(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with at.Search(train, SPACE, objective=LOSS, max_trials=2, executor=at.InlineExecutor(1)) as search:
        await search.pause()
        await search.enqueue({"net": {"kind": "b"}})
        with pytest.raises(at.errors.ConfigurationError, match=r"enqueue\(\): parameter 'x'"):
            await search.enqueue({"x": 101})
        with pytest.raises(at.errors.ConfigurationError, match="'y' is not a parameter"):
            await search.enqueue({"y": 101})
        await search.resume()
        result = await search.result()
    assert any(view.values["net/kind"] == "b" for view in result.trials.values())


# -------------------------------------------------------------------------------------------------------------- new entries


@pytest.mark.parametrize("given", ["default", "refuse"])
def test_new_entries_need_a_space(given: Any) -> None:
    """KerasTuner (test_hp_not_provided_for_tune_new_entry_error, ..._allow_...): a ValueError, too."""
    with pytest.raises(at.errors.ConfigurationError, match="needs space="):
        at.Search(train, objective=LOSS, max_trials=3, new_entries=given)


def test_new_entries_takes_three_words() -> None:
    with pytest.raises(at.errors.ConfigurationError, match="new_entries= takes 'tune', 'default', 'refuse', not 'no'"):
        at.Search(train, SPACE, objective=LOSS, max_trials=3, new_entries="no")  # type: ignore[arg-type]


async def test_entries_that_are_not_tuned_do_not_defeat_the_search_for_duplicates() -> None:
    """Case 14. KerasTuner (tune_new_entries=False): a space of 3 points ran 10 trials."""

    async def asks(trial: at.AsyncTrial) -> float:
        return trial.hp.Int("x", 1, 3) + trial.hp.Float("late", 0, 1, default=0.5)

    for oracle in (at.oracles.RandomSearch(), at.oracles.GridSearch()):
        result = await at.search(
            asks, {"x": at.Int(1, 3)}, objective=LOSS, oracle=oracle, new_entries="default", executor=at.InlineExecutor(2)
        )
        assert sorted(int(view.values["x"] or 0) for view in result.trials.values()) == [1, 2, 3]
        assert {view.values["late"] for view in result.trials.values()} == {0.5}


async def test_a_refused_entry_ends_the_search_which_can_go_on(tmp_path: Path) -> None:
    async def asks(trial: at.AsyncTrial) -> float:
        return float(trial.hp.Int("x", 1, 3) + trial.hp.Int("late", 0, 1))

    options: dict[str, Any] = {"objective": LOSS, "storage": tmp_path, "max_trials": 3, "executor": at.InlineExecutor(1)}
    with pytest.raises(at.errors.SpaceError, match="trial 0 asked for 'late'"):
        await at.search(asks, {"x": at.Int(1, 3)}, new_entries="refuse", **options)
    result = await at.search(asks, {"x": at.Int(1, 3)}, new_entries="default", **options)
    assert [view.state for view in result.trials.values()] == [at.State.COMPLETED] * 3


# ----------------------------------------------------------------------------- where trials name what the rows are about

UNDECLARED = [
    {"x": 5, "loss": 1.0},  # x is from 0 to 1
    {"x": 0.25, "n": 3, "loss": 2.0},
    {"x": 1, "n": 4.0, "loss": 3.0},  # as a table with gaps has them
    {"xx": 0.5, "loss": 0.0},
    {"x": 0.75, "n": "three", "loss": 0.1},
]
LEARNING = [
    at.oracles.RegularizedEvolution(population_size=3),
    *([at.oracles.BayesianOptimization(num_initial_points=1)] if find_spec("sklearn") else []),
    *([at.oracles.CMAES()] if find_spec("cmaes") else []),
    *([at.oracles.TPE(n_startup_trials=0)] if find_spec("optuna") else []),
    at.oracles.Repeater(at.oracles.RegularizedEvolution(population_size=3), times=2),
    at.oracles.ConcurrencyLimiter(at.oracles.RegularizedEvolution(population_size=3), 1),
]


async def names_its_own(trial: at.AsyncTrial) -> dict[str, float]:
    return {"loss": trial.hp.Float("x", 0, 1) + trial.hp.Int("n", 1, 9)}


class Listens(at.oracles.RandomSearch):
    """Keeps what it is told of."""

    ahead = 0

    async def on_trial_end(self, trial: TrialView) -> None:
        HEARD.append((trial.id, dict(trial.values), trial.score))


class Remembers(Listens):
    """Its state knows how much it was told."""

    heard = 0

    async def on_trial_end(self, trial: TrialView) -> None:
        await super().on_trial_end(trial)
        self.heard += 1

    def get_state(self) -> Mapping[str, Any]:
        return {"heard": self.heard}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.heard = state["heard"]


@pytest.mark.parametrize("oracle", LEARNING, ids=lambda oracle: type(oracle).__name__)
async def test_rows_that_do_not_fit_what_trials_name_are_left_out_and_said_once(
    oracle: Oracle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {"objective": LOSS, "oracle": oracle, "seed": 0, "storage": tmp_path}
    first = at.search(names_its_own, executor=at.InlineExecutor(1), max_trials=5, warm_start=UNDECLARED, **options)
    assert len((await first).trials) == 5
    told = [record.getMessage() for record in caplog.records if "warm_start=" in record.getMessage()]
    assert "row 1 (trial -1): parameter 'x': Float(0.0 to 1.0) takes one of its values, not 5" in " ".join(told)
    assert sum(message.count("row 5 (trial -5): parameter 'n'") for message in told) == 1
    assert sum(message.count("row 4 (trial -4): there is no parameter 'xx'; known are 'x', 'n'") for message in told) == 1
    assert "(trial -2)" not in " ".join(told)
    assert "(trial -3)" not in " ".join(told)
    again = at.search(names_its_own, executor=at.InlineExecutor(1), max_trials=8, **options)
    assert len((await again).trials) == 8


@pytest.mark.parametrize("oracle", [Listens(), Remembers()], ids=["told again", "restored"])
async def test_rows_that_fit_what_trials_name_are_told_when_they_do(oracle: Oracle, tmp_path: Path) -> None:
    options: dict[str, Any] = {"objective": LOSS, "oracle": oracle, "seed": 0, "storage": tmp_path}
    await at.search(names_its_own, executor=at.InlineExecutor(1), max_trials=4, warm_start=UNDECLARED, **options)
    rows = [each for each in HEARD if each[0] < 0]
    assert rows == [(-2, {"x": 0.25, "n": 3}, 2.0), (-3, {"x": 1.0, "n": 4}, 3.0)]
    assert [type(rows[1][1][name]) for name in "xn"] == [float, int]
    HEARD.clear()
    await at.search(names_its_own, executor=at.InlineExecutor(1), max_trials=6, **options)
    assert [each for each in HEARD if each[0] < 0] == ([] if isinstance(oracle, Remembers) else rows)
    await asyncio.to_thread(check_history, tmp_path, oracle=type(oracle)())  # it awaits, in a loop of its own
