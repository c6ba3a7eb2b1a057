"""Hyperband: its schedule, its promotions, and what it does when trials fail. Ports KerasTuner's tests of its oracle by meaning
(keras_tuner/src/tuners/hyperband_test.py, Apache-2.0)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctune.errors import ConfigurationError
from asynctune.messages import RunTrial
from asynctune.objective import Objective
from asynctune.oracles import HyperbandOracle
from asynctune.policies import FailurePolicy
from asynctune.records import CheckpointKey, State, Suggestion, SuggestionStatus, TrialId, TrialView
from asynctune.request import fingerprint
from asynctune.schedulers import FIFO
from asynctune.seeds import generator
from asynctune.space import Boolean, Float, HyperParameters
from asynctune.testing import Behaviour, SimulatedSearch, check_history
from asynctune.testing.rehearsal import OracleRehearsal

LINE = {"x": Float(0.0, 1.0)}
RUNNING, IDLE, EXHAUSTED = SuggestionStatus.RUNNING, SuggestionStatus.IDLE, SuggestionStatus.EXHAUSTED


def played(oracle: HyperbandOracle, space: Any = LINE, *, seed: int = 0) -> OracleRehearsal:
    """A rehearsal whose scores are minimised."""
    return OracleRehearsal(oracle, space=space, objective=Objective("loss", "min"), seed=seed)


def fill(rehearsal: OracleRehearsal) -> tuple[list[TrialId], SuggestionStatus]:
    """Ask until nothing more is proposed: which trials were, and what was said at last."""
    before = len(rehearsal.trials)
    while (said := rehearsal.ask()).status is RUNNING:
        pass
    return list(rehearsal.trials)[before:], said.status


def one_by_one(rehearsal: OracleRehearsal, score: Callable[[TrialView], float | None] = lambda trial: float(trial.id)) -> None:
    """One worker, to the end. A trial without a score fails."""
    while rehearsal.ask().status is RUNNING:
        (trial,) = rehearsal.live()
        value = score(rehearsal.trials[trial])
        if value is None:
            rehearsal.fail(trial)
        else:
            rehearsal.complete(trial, value)


def budgets(trials: Iterable[TrialView]) -> Mapping[int | None, int]:
    return dict(Counter(trial.budget for trial in trials))


def rungs(rehearsal: OracleRehearsal) -> list[list[list[TrialView]]]:
    """The trials by bracket (told by the budget of its first round) and round."""
    plan = {bracket.rounds[0].epochs: bracket for bracket in rehearsal.oracle.plan().brackets}  # type: ignore[attr-defined]
    found: dict[int, list[list[TrialView]]] = {first: [[] for _ in bracket.rounds] for first, bracket in plan.items()}
    for trial in rehearsal.trials.values():
        depth, root = 0, trial
        while root.parent is not None:
            depth, root = depth + 1, rehearsal.trials[root.parent]
        assert root.budget is not None
        assert trial.budget == plan[root.budget].rounds[depth].epochs
        assert root.values == trial.values
        found[root.budget][depth].append(trial)
    return list(found.values())


# --------------------------------------------------------------------------------------------------------- the schedule


@pytest.mark.parametrize(
    ("max_epochs", "factor", "brackets", "trials"),
    [
        (9, 3, [[(9, 1), (3, 3), (1, 9)], [(5, 3), (2, 9)], [(3, 9)]], 23),
        (8, 2, [[(8, 1), (4, 2), (2, 4), (1, 8)], [(6, 2), (3, 4), (2, 8)], [(4, 4), (2, 8)], [(4, 8)]], 36),
        (4, 2, [[(4, 1), (2, 2), (1, 4)], [(3, 2), (2, 4)], [(3, 4)]], 15),
        (1, 3, [[(1, 1)]], 1),
    ],
)
def test_brackets(max_epochs: int, factor: int, brackets: list[list[tuple[int, int]]], trials: int) -> None:
    """KerasTuner's test_hyperband_oracle_bracket_configs: the same sizes and epochs."""
    plan = HyperbandOracle(max_epochs=max_epochs, factor=factor).plan()
    assert [[(each.trials, each.epochs) for each in bracket.rounds] for bracket in plan.brackets] == brackets
    assert plan.trials == trials


def test_the_plan_of_the_defaults() -> None:
    plan = HyperbandOracle().plan()
    assert (plan.trials, plan.epochs, plan.epochs_from_scratch) == (254, 2672, 3324)
    assert str(plan).splitlines() == [
        "254 trials, 2672 epochs (3324 without checkpoints)",
        "  bracket 4: 98 to epoch 2, 33 to epoch 4, 11 to epoch 12, 4 to epoch 34, 2 to epoch 100",
        "  bracket 3: 41 to epoch 4, 14 to epoch 12, 5 to epoch 34, 2 to epoch 100",
        "  bracket 2: 18 to epoch 12, 6 to epoch 34, 2 to epoch 100",
        "  bracket 1: 9 to epoch 34, 3 to epoch 100",
        "  bracket 0: 6 to epoch 100",
    ]


def test_the_plan_of_the_paper() -> None:
    """Its Table 1 has one trial more or less here and there, for it rounds elsewhere; these are KerasTuner's."""
    plan = HyperbandOracle(max_epochs=81, factor=3, iterations=2).plan()
    assert [each.trials for each in plan.brackets[0].rounds] == [81, 27, 9, 3, 1]
    assert plan.trials == 211
    assert str(plan).splitlines()[0].endswith(", 2 times")
    assert str(HyperbandOracle(iterations=None).plan()).splitlines()[0].endswith(", over and over")


@pytest.mark.parametrize("factor", [2, 3, 5, 10])
@pytest.mark.parametrize("power", [1, 2, 3, 5])
def test_powers_are_exact(factor: int, power: int) -> None:
    """KerasTuner takes a logarithm of floats, by which 125 is a little more than 5 to the third: one trial too many."""
    plan = HyperbandOracle(max_epochs=factor**power, factor=factor).plan()
    assert [each.epochs for each in plan.brackets[0].rounds] == [factor**each for each in range(power + 1)]
    assert plan.brackets[0].rounds[0].trials == factor**power
    assert plan.brackets[-1].trials == power + 1


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"factor": 1}, r"HyperbandOracle\(factor=...\) takes an integer of at least 2, not 1"),
        ({"factor": 2.5}, r"HyperbandOracle\(factor=...\) takes an integer of at least 2, not 2.5"),
        ({"max_epochs": 0}, r"HyperbandOracle\(max_epochs=...\) takes an integer of at least 1, not 0"),
        ({"max_epochs": True}, r"HyperbandOracle\(max_epochs=...\) takes an integer of at least 1, not True"),
        ({"iterations": -1}, r"HyperbandOracle\(iterations=...\) takes an integer of at least 1 or None, not -1"),
        ({"iterations": False}, r"HyperbandOracle\(iterations=...\) takes an integer of at least 1 or None, not False"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], text: str) -> None:
    """KerasTuner's test_factor_less_than_2_error; it takes any max_epochs, and none of 0."""
    with pytest.raises(ConfigurationError, match=text):
        HyperbandOracle(**changes)


def test_its_settings_are_its_fingerprint_and_it_ends_unless_told_not_to() -> None:
    assert fingerprint(HyperbandOracle()) == 'HyperbandOracle({"factor": 3, "iterations": 1, "max_epochs": 100})'
    assert HyperbandOracle().exhaustive
    assert HyperbandOracle(iterations=0).iterations is None
    assert not HyperbandOracle(iterations=0).exhaustive


# ----------------------------------------------------------------------------------------------------------- the sweep


def test_one_sweep_with_one_worker() -> None:
    """KerasTuner's test_hyperband_oracle_one_sweep_single_thread: rounds fill in order, then it is STOPPED."""
    rehearsal = played(HyperbandOracle(max_epochs=9, factor=3))
    one_by_one(rehearsal, lambda trial: -float(trial.id))
    assert [trial.budget for trial in rehearsal.trials.values()] == [1] * 9 + [3] * 3 + [9] + [3] * 5 + [9] * 2 + [9] * 3
    assert [trial.parent for trial in rehearsal.trials.values()][9:13] == [8, 7, 6, 11]
    assert rehearsal.ask().status is EXHAUSTED


def test_one_sweep_with_any_number_of_workers() -> None:
    """KerasTuner's test_hyperband_oracle_one_sweep_parallel: 10 in the first rounds of all three brackets, IDLE, 4, IDLE, 1,
    IDLE, STOPPED."""
    rehearsal = played(HyperbandOracle(max_epochs=4, factor=2))
    for wanted in (10, 4, 1):
        trials, status = fill(rehearsal)
        assert (len(trials), status) == (wanted, IDLE)
        for trial in trials:
            rehearsal.complete(trial, rehearsal.trials[trial].values["x"])  # type: ignore[arg-type]
    assert fill(rehearsal) == ([], EXHAUSTED)


def test_the_best_go_on_in_the_direction_of_the_objective() -> None:
    for direction, chosen in (("min", [0, 1, 2]), ("max", [8, 7, 6])):
        rehearsal = OracleRehearsal(
            HyperbandOracle(max_epochs=9, factor=3),
            space=LINE,
            objective=Objective("score", direction),  # type: ignore[arg-type]
        )
        one_by_one(rehearsal)
        assert [rehearsal.trials[trial].parent for trial in (9, 10, 11)] == chosen


def test_whoever_is_certain_goes_on_at_once() -> None:
    """Of nine, three go on: as soon as seven have ended, the best of them does."""
    rehearsal = played(HyperbandOracle(max_epochs=9, factor=3))
    for _ in range(9):
        rehearsal.ask()
    for trial in range(6):
        rehearsal.complete(trial, float(trial))
    assert rehearsal.ask() == Suggestion.run(rehearsal.trials[9].values, None, 3), "the next bracket begins"
    rehearsal.complete(6, 6.0)
    assert rehearsal.ask() == Suggestion.run(rehearsal.trials[0].values, 0, 3)
    rehearsal.ask()
    assert rehearsal.trials[11].parent is None


def test_brackets_follow_each_other_over_and_over() -> None:
    rehearsal = played(HyperbandOracle(max_epochs=2, factor=2, iterations=0))
    for _ in range(30):
        rehearsal.ask()
        (trial,) = rehearsal.live()
        rehearsal.complete(trial, float(trial))
    assert [trial.budget for trial in rehearsal.trials.values()] == [1, 1, 2, 2, 2] * 6
    twice = played(HyperbandOracle(max_epochs=2, factor=2, iterations=2))
    one_by_one(twice)
    assert len(twice.trials) == 10


def test_nothing_is_drawn_twice_but_what_goes_on() -> None:
    rehearsal = played(HyperbandOracle(max_epochs=9, factor=3), {name: Boolean() for name in "wxyz"})
    one_by_one(rehearsal)
    new = [repr(sorted(trial.values.items())) for trial in rehearsal.trials.values() if trial.parent is None]
    assert len(new) == len(set(new)) == 16


def test_trials_of_others_take_no_place() -> None:
    rehearsal = played(HyperbandOracle(max_epochs=2, factor=2))
    rehearsal.oracle.on_trial_end(TrialView(id=77, state=State.COMPLETED, values={"x": 0.5}, score=-1.0))
    one_by_one(rehearsal)
    assert budgets(rehearsal.trials.values()) == {1: 2, 2: 3}


# --------------------------------------------------------------------------------------- failures, and very small spaces


def test_case_15_one_failure_does_not_suppress_the_last_round() -> None:
    """case 15: with one failed trial among nine, KerasTuner's rounds are [9, 2, 0]: nothing is trained to the end."""
    rehearsal = played(HyperbandOracle(max_epochs=9, factor=3))
    one_by_one(rehearsal, lambda trial: None if trial.id == 3 else float(trial.id))
    assert [len(rung) for rung in rungs(rehearsal)[0]] == [10, 3, 1], "a tenth trial replaces the failed one"


def test_case_15_failures_in_any_round() -> None:
    """case 15: with three failures, KerasTuner's are [9, 0, 0]."""
    rehearsal = played(HyperbandOracle(max_epochs=9, factor=3))
    one_by_one(rehearsal, lambda trial: None if trial.id < 3 or trial.id == 12 else float(trial.id))
    first, second, third = rungs(rehearsal)[0]
    assert (len(first), len(second), len(third)) == (12, 4, 1)
    assert [trial.parent for trial in second] == [3, 4, 5, 6], "the next best replaces the one that failed"


def test_where_everything_fails_there_is_an_end() -> None:
    rehearsal = played(HyperbandOracle(max_epochs=9, factor=3))
    one_by_one(rehearsal, lambda trial: None)
    assert [[len(rung) for rung in bracket] for bracket in rungs(rehearsal)] == [[18, 0, 0], [10, 0], [6]]


@pytest.mark.parametrize("score", [None, math.nan, math.inf, -math.inf])
def test_what_has_no_finite_score_is_never_promoted(score: float | None) -> None:
    rehearsal = played(HyperbandOracle(max_epochs=9, factor=3))
    while rehearsal.ask().status is RUNNING:
        (trial,) = rehearsal.live()
        rehearsal.complete(trial, score if trial % 2 else 1.0, stop_reason="infeasible: too large" if trial % 4 == 1 else None)
    assert all(trial.parent is None or trial.parent % 2 == 0 for trial in rehearsal.trials.values())
    assert all(rungs(rehearsal)[0])


def test_case_15_a_tiny_space_runs_its_best_to_the_end() -> None:
    """case 15: KerasTuner tries both values for one epoch, and is STOPPED (test_exhausted_values_during_init_bracket)."""
    rehearsal = played(HyperbandOracle(max_epochs=9, factor=3), {"x": Boolean()})
    one_by_one(rehearsal)
    terms = [(trial.parent, trial.budget) for trial in rehearsal.trials.values()]
    assert terms == [(None, 1), (None, 1), (0, 3), (1, 3), (2, 9)]
    endless = played(HyperbandOracle(max_epochs=9, factor=3, iterations=None), {"x": Boolean()})
    one_by_one(endless)
    assert len(endless.trials) == 5


def test_a_tiny_space_with_many_workers_waits_for_its_best() -> None:
    """KerasTuner is IDLE, then STOPPED."""
    rehearsal = played(HyperbandOracle(max_epochs=9, factor=3), {"x": Boolean()})
    assert fill(rehearsal) == ([0, 1], IDLE)
    rehearsal.complete(0, 1.0)
    assert fill(rehearsal) == ([2], IDLE), "of two, three go on"
    rehearsal.fail(1)
    rehearsal.complete(2, 1.0)
    assert fill(rehearsal) == ([3], IDLE)
    rehearsal.complete(3, 1.0)
    assert fill(rehearsal) == ([], EXHAUSTED)


def test_nothing_to_tune() -> None:
    """KerasTuner proposes nothing at all."""
    rehearsal = played(HyperbandOracle(max_epochs=4, factor=2), None)
    one_by_one(rehearsal)
    assert budgets(rehearsal.trials.values()) == {1: 4, 2: 5, 4: 6}


@given(
    schedule=st.sampled_from([(9, 3), (8, 2), (4, 2), (7, 2), (1, 2), (10, 4)]),
    workers=st.integers(1, 12),
    seed=st.integers(0, 2**32),
    trouble=st.sampled_from([0.0, 0.1, 0.5, 0.95, 1.0]),
    tiny=st.booleans(),
)
def test_any_order_of_ends_failures_and_metrics_that_are_no_numbers(
    schedule: tuple[int, int], workers: int, seed: int, trouble: float, tiny: bool
) -> None:
    """Never stuck; each trial has the budget of its round; and every round has as many scores as planned, if there were as many
    in the round before."""
    oracle, luck = HyperbandOracle(max_epochs=schedule[0], factor=schedule[1]), generator(seed)
    rehearsal = played(oracle, {"x": Boolean(), "y": Boolean()} if tiny else LINE, seed=seed)
    while True:
        while len(rehearsal.live()) < workers and (said := rehearsal.ask()).status is RUNNING:
            pass
        if not rehearsal.live():
            assert said.status is EXHAUSTED
            break
        trial = luck.choice(rehearsal.live())
        if luck.random() >= trouble:
            rehearsal.complete(trial, luck.random())
        elif luck.random() < 0.5:
            rehearsal.fail(trial)
        else:
            rehearsal.complete(trial, luck.choice([None, math.nan]), stop_reason="its budget of 1 step is used")

    for bracket, planned in zip(rungs(rehearsal), oracle.plan().brackets, strict=True):
        scored = [[t for t in rung if t.score is not None and math.isfinite(t.score)] for rung in bracket]
        sizes = [each.trials for each in planned.rounds]
        assert all(len(scores) <= size for scores, size in zip(scored, sizes, strict=True))
        assert tiny or len(scored[0]) == sizes[0] or len(bracket[0]) == 2 * sizes[0]
        for place in range(1, len(sizes)):
            parents = [trial.parent for trial in bracket[place]]
            assert len(set(parents)) == len(parents)
            assert set(parents) <= {trial.id for trial in scored[place - 1]}
            assert len(scored[place]) == sizes[place] or len(parents) == len(scored[place - 1])
            ranked = sorted(scored[place - 1], key=lambda t: (t.score, t.id))
            assert trouble or {trial.id for trial in ranked[: sizes[place]]} == set(parents), "not the best"


# ------------------------------------------------------------------------------------------------------- whole searches


def _learns(order: RunTrial, hp: HyperParameters) -> Behaviour:
    """Trains past its budget, with a checkpoint at each epoch; now and then its loss is no number."""
    x = hp.Float("x", 0.0, 1.0)
    assert order.budget is not None
    # By trial and step alone, so that a launch that goes on finds what the one before it would have found.
    lucks = {step: generator(order.trial, step).random() for step in range(order.step + 1, order.budget + 3)}
    losses = {step: math.nan if luck < 0.05 else x + 1 / step for step, luck in lucks.items()}
    return Behaviour(reports=[(lucks[step], {"loss": losses[step]}) for step in lucks], checkpoints=True)


def search(records: Any = (), **changes: Any) -> SimulatedSearch:
    return SimulatedSearch(
        script=_learns,
        oracle=HyperbandOracle(max_epochs=9, factor=3),
        scheduler=FIFO(),
        space=LINE,
        failure=FailurePolicy(max_retries_per_trial=1, max_consecutive_failed_trials=None),
        records=list(records),
        **changes,
    )


def facts(done: SimulatedSearch) -> list[Any]:
    return [(t.id, t.values, t.parent, t.budget, t.score, t.stop_reason) for t in done.trials.values()]


@pytest.mark.parametrize("workers", [1, 4])
def test_promoted_trials_start_where_their_parents_ended(workers: int) -> None:
    """KerasTuner's test_hyperband_load_weights: a promotion starts from its parent's weights."""
    done = search(workers=workers).run()
    check_history(done.records, scheduler=FIFO(), oracle=HyperbandOracle(max_epochs=9, factor=3))
    assert done.end is not None
    assert done.end.error is None
    for trial in done.trials.values():
        before = 0 if trial.parent is None else done.trials[trial.parent].budget
        assert before is not None
        assert trial.budget is not None
        assert [report.step for report in trial.reports] == list(range(before + 1, trial.budget + 1))
        assert trial.stop_reason == f"its budget of {trial.budget} step{'' if trial.budget == 1 else 's'} is used"
        assert trial.checkpoint == CheckpointKey(trial.id, trial.budget, 1)


@pytest.mark.parametrize("seed", range(4))
def test_cut_off_anywhere_it_goes_on_as_if_nothing_had_happened(seed: int) -> None:
    """KerasTuner's test_hyperband_save_and_restore, behind any record."""
    whole, luck = search(seed=seed).run(), generator(seed)
    for _ in range(6):
        again = search(whole.records[: luck.randrange(len(whole.records))], seed=seed).run()
        assert again.divergences == []
        assert facts(again) == facts(whole)
        check_history(again.records, oracle=HyperbandOracle(max_epochs=9, factor=3))
