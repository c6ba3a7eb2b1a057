"""Trials that descend from others, and trials with a budget."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from asynctune._engine.opening import missing, referenced
from asynctune._engine.retelling import retold
from asynctune._machine.instructions import AnswerReport, DeleteCheckpoint, EndSearch, Instruction, StartLaunch
from asynctune.checkpoints import DirectoryStore
from asynctune.errors import PluginError
from asynctune.events import CheckpointGone, Started, Stopped, TrialAdded
from asynctune.messages import RunTrial
from asynctune.policies import CheckpointPolicy, FailurePolicy
from asynctune.records import CheckpointKey, Pause, Report, State, Stop, Suggestion, TrialView, Verdicts
from asynctune.schedulers import FIFO, Scheduler
from asynctune.testing import HistoryError, check_history
from tests.machine.driven import NO_LIMIT, Driven, answer


def born(driven: Driven, parent: int | None = 0, budget: int | None = None) -> RunTrial:
    """One more trial, with these terms; its order."""
    if not driven.machine.slots.held:
        driven.grant()
    (order,) = [i.order for i in driven.suggest(Suggestion.run({"x": 1}, parent, budget)) if isinstance(i, StartLaunch)]
    return order


def with_parent(steps: int = 3, keep: int | None = 1, **changes: Any) -> Driven:
    """A search whose trial 0 has ended, with a checkpoint at each of its steps."""
    driven = Driven(checkpoints=CheckpointPolicy(keep=keep), **{"failure": NO_LIMIT, **changes})
    driven.start(x=1)
    for step in range(1, steps + 1):
        driven.report(0, step, loss=1 / step, checkpoint=True)
    driven.returned(0, loss=0.5)
    return driven


def answers(do: list[Instruction]) -> list[Any]:
    return [i.answer for i in do if isinstance(i, AnswerReport)]


# -------------------------------------------------------------------------------------------------------------- parents


def test_a_trial_starts_from_its_parents_newest_checkpoint_and_behind_its_step() -> None:
    driven = with_parent(steps=3)
    order = born(driven, budget=9)
    assert (order.restore, order.step, order.parent, order.budget) == (CheckpointKey(0, 3, 1), 3, 0, 9)
    assert (driven.view(1).parent, driven.view(1).budget, driven.view(1).step) == (0, 9, 0)
    added, started = driven.happened()
    assert added == TrialAdded(trial=1, values={"x": 1}, ask=2, parent=0, budget=9)
    assert isinstance(started, Started)
    driven.report(1, 4, loss=0.1)
    assert [report.step for report in driven.view(1).reports] == [4]
    check_history(driven.records)


def test_a_parent_without_checkpoints_leaves_nothing() -> None:
    driven = with_parent(steps=0)
    order = born(driven)
    assert (order.restore, order.step, order.parent) == (None, 0, 0)


def test_a_parent_that_failed_leaves_what_it_had() -> None:
    driven = Driven(failure=FailurePolicy(max_consecutive_failed_trials=None))
    driven.start(x=1)
    driven.report(0, 1, loss=1.0, checkpoint=True)
    driven.raised(0)
    assert driven.view(0).state is State.FAILED
    assert born(driven).restore == CheckpointKey(0, 1, 1)


def test_its_own_checkpoint_goes_before_its_parents() -> None:
    driven = with_parent()
    born(driven)
    driven.lost(1)
    driven.grant()
    assert driven.orders[1].restore == CheckpointKey(0, 3, 1), "it has none of its own yet"
    driven.report(1, 4, loss=0.1, checkpoint=True)
    driven.lost(1)
    driven.grant()
    assert driven.orders[1].restore == CheckpointKey(1, 4, 2)
    check_history(driven.records)


def test_a_retry_from_the_start_starts_where_the_trial_did() -> None:
    driven = with_parent(failure=FailurePolicy(max_retries_per_trial=1, retry_from="start"))
    born(driven)
    driven.report(1, 4, loss=0.1, checkpoint=True)
    assert DeleteCheckpoint(CheckpointKey(1, 4, 1)) in driven.raised(1)
    driven.grant()
    assert (driven.orders[1].attempt, driven.orders[1].restore) == (2, CheckpointKey(0, 3, 1))
    check_history(driven.records)


@pytest.mark.parametrize("keep", [1, 2, None])
def test_a_parents_newest_checkpoint_is_kept_whatever_its_children_leave(keep: int | None) -> None:
    driven = with_parent(steps=4, keep=keep)
    born(driven)
    for step in range(5, 9):
        do = driven.report(1, step, loss=0.1, checkpoint=True)
        assert all(i.key.trial == 1 for i in do if isinstance(i, DeleteCheckpoint))
    assert CheckpointKey(0, 4, 1) in referenced(driven.machine), "swept, when the search is opened again"


def test_what_a_parent_left_and_is_gone_is_missing_while_a_child_could_need_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key, store = CheckpointKey(0, 3, 1), DirectoryStore(tmp_path)
    driven = with_parent()
    born(driven)
    driven.close()
    driven.lost(1, "the search was closed")
    with caplog.at_level(logging.WARNING, "asynctune.search"):
        assert missing(driven.machine, store) == (key,)
    assert "trial 1 was to go on from" in caplog.text
    assert "it begins anew" in caplog.text
    assert retold(driven.records).checkpoints == {1: [key]}

    driven.open(gone=[key])
    assert CheckpointGone(trial=0, checkpoint=key) in driven.happened()
    driven.grant()
    assert (driven.orders[1].restore, driven.orders[1].step) == (None, 0)
    check_history(driven.records)
    driven.returned(1, loss=0.1)
    assert missing(driven.machine, store) == ()


def test_a_checkpoint_can_be_gone_of_a_trial_that_was_let_go() -> None:
    driven = with_parent(steps=2)
    key = driven.view(0).checkpoint
    assert key is not None
    driven.machine.book.let_go(0)
    driven.close()

    driven.open(gone=[key])

    assert CheckpointGone(trial=0, checkpoint=key) in driven.happened()
    assert driven.view(0).checkpoint is None
    assert driven.machine.book.best is not None
    assert driven.machine.book.best.checkpoint is None


def test_a_parent_that_has_lost_a_checkpoint_that_no_child_needs_is_not_spoken_of(tmp_path: Path) -> None:
    driven = with_parent()
    born(driven)
    driven.returned(1, loss=0.1)
    assert missing(driven.machine, DirectoryStore(tmp_path)) == ()


def test_a_child_is_told_from_a_fresh_trial_by_nothing_else() -> None:
    """It has its own reports, attempts and launches; and can be a parent itself."""
    driven = with_parent()
    born(driven, 0)
    driven.report(1, 7, loss=0.2, checkpoint=True)
    driven.returned(1, loss=0.1)
    assert (driven.view(1).attempt, driven.view(1).launches, driven.view(1).score) == (1, 1, 0.1)
    assert born(driven, 1).restore == CheckpointKey(1, 7, 1)


@pytest.mark.parametrize(
    ("parent", "text"),
    [
        (7, "with parent=7, which is no trial: there are 2 trials so far"),
        (-1, "with parent=-1, which is no trial"),
        ("0", "with parent='0', which is no trial"),
        (True, "with parent=True, which is no trial"),
        (1, r"with parent=1, which has not ended \(RUNNING\): propose it when it has"),
    ],
)
def test_a_parent_that_cannot_be_one_is_refused_naming_oracle_and_trial(parent: Any, text: str) -> None:
    driven = with_parent(slots=2)
    driven.start(x=2)
    driven.grant()
    with pytest.raises(PluginError, match=f"SomeOracle proposed trial 2 {text}"):
        driven.suggest(Suggestion.run({"x": 1}, parent))


def test_the_history_checker_knows_parents() -> None:
    driven = with_parent()
    born(driven)
    early = [record for record in driven.records if record.seq < 3]
    grown = next(
        record
        for record in driven.records
        if any(isinstance(each, TrialAdded) and each.parent == 0 for each in record.happened)
    )
    with pytest.raises(HistoryError, match=r"trial 1 descends from trial 0, which has not ended|never added"):
        check_history([*early, type(grown)(seq=3, stimulus=grown.stimulus, happened=grown.happened[:1])])


# -------------------------------------------------------------------------------------------------------------- budgets


@pytest.mark.parametrize("step", [3, 4])
def test_a_trial_is_over_at_its_budget(step: int) -> None:
    driven = with_parent()
    born(driven, None, budget=3)
    assert answers(driven.report(1, 2, loss=0.3)) == [answer(1, 1, 2)]
    do = driven.report(1, step, loss=0.2, checkpoint=True)
    assert answers(do) == [answer(1, 1, step, stop="its budget of 3 steps is used")]
    assert Stopped(trial=1, reason="its budget of 3 steps is used", score=0.2) in driven.happened()
    driven.left(1)
    view = driven.view(1)
    assert (view.state, view.score, view.stop_reason) == (State.COMPLETED, 0.2, "its budget of 3 steps is used")
    assert view.checkpoint == CheckpointKey(1, step, 1)
    check_history(driven.records)


def test_a_budget_of_one_step_is_named_as_one() -> None:
    driven = Driven()
    driven.open()
    born(driven, None, budget=1)
    driven.report(0, 1, loss=0.3)
    assert driven.view(0).stop_reason == "its budget of 1 step is used"


def test_a_trial_may_end_before_its_budget() -> None:
    driven = with_parent()
    born(driven, None, budget=3)
    driven.report(1, 1, loss=0.3)
    driven.returned(1, loss=0.2)
    assert (driven.view(1).state, driven.view(1).score, driven.view(1).stop_reason) == (State.COMPLETED, 0.2, None)


def test_a_metric_that_is_no_number_at_the_budget_is_no_score() -> None:
    driven = Driven()
    driven.open()
    born(driven, None, budget=2)
    driven.report(0, 1, loss=0.3)
    driven.report(0, 2, loss=float("nan"))
    assert (driven.view(0).state, driven.view(0).score) == (State.COMPLETED, None)


def test_a_budget_counts_also_what_is_only_repeated() -> None:
    """A launch that was never told of it, as one of another version of the law, repeats what ended nothing then."""
    driven = Driven(failure=FailurePolicy(max_retries_per_trial=1))
    driven.open()
    born(driven, None, budget=3)
    driven.report(0, 2, loss=0.3)
    driven.raised(0)
    driven.grant()
    driven.report(0, 1, loss=0.4)
    assert answers(driven.report(0, 3, loss=0.3))[0].reason == "its budget of 3 steps is used"


def test_without_the_objective_the_search_ends_and_the_trial_waits() -> None:
    driven = Driven()
    driven.open()
    born(driven, None, budget=1)
    driven.report(0, 1, other=0.3)
    (end,) = [i for i in driven.left(0) if isinstance(i, EndSearch)]
    assert (end.error, driven.view(0).state) == ("ObjectiveError", State.PENDING)


class Says(Scheduler):
    """The same of every report."""

    def __init__(self, verdict: Any) -> None:
        self.verdict = verdict
        self.heard: list[int] = []

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        self.heard.append(report.step)
        verdict: Verdicts = self.verdict
        return verdict


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [(Pause(), "its budget of 1 step is used"), (Stop("at once"), "at once"), (None, "its budget of 1 step is used")],
)
def test_the_scheduler_sees_the_budget_hears_of_the_last_step_and_cannot_prolong_it(verdict: Any, reason: str) -> None:
    driven = Driven(lambda: Says(verdict))
    driven.open()
    born(driven, None, budget=1)
    driven.report(0, 1, loss=0.3)
    assert isinstance(driven.scheduler, Says)
    assert driven.scheduler.heard == [1]
    assert (driven.view(0).state, driven.view(0).stop_reason) == (State.COMPLETED, reason)
    driven.left(0)


@pytest.mark.parametrize("budget", [0, -1, 1.5, True, "9", 2**63])
def test_a_budget_that_is_no_step_is_refused_naming_oracle_and_trial(budget: Any) -> None:
    driven = Driven()
    driven.open()
    driven.grant()
    text = f"SomeOracle proposed trial 0 with budget={budget!r}: a budget is a step, a whole number of at least 1"
    with pytest.raises(PluginError, match=text):
        driven.suggest(Suggestion.run({"x": 1}, budget=budget))


def test_integers_of_other_kinds_are_taken() -> None:
    numpy = pytest.importorskip("numpy")
    assert Suggestion.run({}, numpy.int64(3), numpy.int32(9)) == Suggestion.run({}, 3, 9)
    assert type(Suggestion.run({}, numpy.int64(3)).parent) is int


def test_the_history_checker_knows_budgets() -> None:
    """Without the law's doing, a trial that goes on past its budget is found."""
    driven = Driven(FIFO)
    driven.open()
    born(driven, None, budget=1)
    driven.report(0, 1, loss=0.3)
    last = driven.records[-1]
    forged = type(last)(seq=last.seq, stimulus=last.stimulus, happened=last.happened[:1])
    with pytest.raises(HistoryError, match=r"trial 0 reported step 1 of 1, and goes on"):
        check_history([*driven.records[:-1], forged])
