"""Which checkpoints are kept: of each trial, of all of them together, and those that somebody needs, whatever the policy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from attrs import define

from asynctune._engine.opening import referenced
from asynctune._engine.retelling import retold
from asynctune._machine.instructions import DeleteCheckpoint, Instruction
from asynctune._machine.stimuli import Heard
from asynctune.errors import ConfigurationError
from asynctune.events import CheckpointDropped, CheckpointSaved
from asynctune.messages import MetricsReported, TrialLeft, TrialReturned
from asynctune.policies import CheckpointPolicy, FailurePolicy
from asynctune.records import PAUSE, CheckpointKey, Exploit, Report, State, Suggestion, TrialId, TrialView, Verdicts
from asynctune.schedulers import FIFO, Scheduler
from asynctune.testing import check_history
from tests.machine.driven import Driven

MiB = 2**20


@define(eq=False, slots=False)
class Says(Scheduler):
    """Answers the reports at some (trial, step) as it is told to."""

    exploits = True

    at: Mapping[tuple[TrialId, int], Any]

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return self.at.get((trial.id, report.step))

    def explore(self, trial: TrialView, source: TrialView, seed: int) -> Mapping[str, Any]:
        return {}


def driven(policy: CheckpointPolicy, make: Callable[[], Scheduler] = FIFO, trials: int = 1, **changes: Any) -> Driven:
    search = Driven(make, slots=trials, checkpoints=policy, **changes)
    for number in range(trials):
        search.start(x=number)
    return search


def save(search: Driven, trial: int, step: int, size: int | None = MiB, **metrics: float) -> list[Instruction]:
    """The trial reports this step with a checkpoint."""
    launch = search.orders[trial].launch
    key = CheckpointKey(trial, step, launch)
    given = metrics or {"loss": 1.0}
    message = MetricsReported(trial=trial, launch=launch, step=step, metrics=given, clock=search.at, checkpoint=key, size=size)
    return search.tell(Heard(at=search.at, message=message))


def deleted(do: list[Instruction]) -> list[tuple[int, int]]:
    return [(each.key.trial, each.key.step) for each in do if isinstance(each, DeleteCheckpoint)]


def kept(search: Driven) -> list[tuple[int, int]]:
    """What is there, as the machine has it; and as those have it who only read."""
    there = sorted((key.trial, key.step) for key in referenced(search.machine))
    read = retold(search.records)
    shown = {trial.id: trial.checkpoint for trial in read.trials}
    assert shown == {number: search.view(number).checkpoint for number in search.machine.book.trials}
    check_history(search.records)
    return there


# --------------------------------------------------------------------------------------------------------- of one trial


@pytest.mark.parametrize(
    ("policy", "living", "ended"),
    [
        (CheckpointPolicy(), [5], [5]),
        (CheckpointPolicy(keep=2), [4, 5], [4, 5]),
        (CheckpointPolicy(keep=None), [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
        (CheckpointPolicy(keep=0), [5], []),
        (CheckpointPolicy(keep=1, score="eval/f1", direction="max"), [4, 5], [4]),
        (CheckpointPolicy(keep=2, score="eval/f1", direction="max"), [2, 4, 5], [2, 4]),
        (CheckpointPolicy(keep=2, score="eval/f1", direction="min"), [1, 3, 5], [1, 3]),
        (CheckpointPolicy(keep=4, score="eval/f1", direction="min"), [1, 2, 3, 4, 5], [1, 2, 3, 4]),
    ],
)
def test_so_many_are_left_and_the_newest_as_long_as_it_lives(
    policy: CheckpointPolicy, living: list[int], ended: list[int]
) -> None:
    search = driven(policy)
    for step, f1 in enumerate([0.1, 0.9, 0.2, 0.9, math.nan], start=1):
        save(search, 0, step, MiB, loss=1.0, **{"eval/f1": f1})
    assert kept(search) == [(0, step) for step in living]
    search.returned(0, loss=1.0)
    assert kept(search) == [(0, step) for step in ended]
    newest = CheckpointKey(0, ended[-1], 1) if ended else None
    assert search.view(0).checkpoint == newest


def test_of_equal_ones_the_newer_is_kept_and_one_without_the_metric_last() -> None:
    search = driven(CheckpointPolicy(keep=1, score="f1", direction="max"))
    save(search, 0, 1, loss=1.0, f1=0.5)
    save(search, 0, 2, loss=1.0, f1=0.5)
    save(search, 0, 3, loss=1.0)
    search.returned(0, loss=1.0)
    assert kept(search) == [(0, 2)]


@pytest.mark.parametrize("end", ["returned", "raised", "stop_trial"])
def test_however_it_ends_nothing_is_left_where_nothing_is_to_be(end: str) -> None:
    search = driven(CheckpointPolicy(keep=0))
    save(search, 0, 1)
    do = getattr(search, end)(0)
    assert deleted(do) == [(0, 1)]
    assert kept(search) == []


def test_who_is_tried_again_or_set_aside_keeps_its_newest() -> None:
    search = driven(CheckpointPolicy(keep=0), lambda: Says({(0, 2): PAUSE}), failure=FailurePolicy(max_retries_per_trial=1))
    save(search, 0, 1)
    search.raised(0)
    assert (search.view(0).state, kept(search)) == (State.RETRYING, [(0, 1)])
    search.grant()
    assert search.orders[0].restore == CheckpointKey(0, 1, 1)
    save(search, 0, 2)
    search.left(0)
    assert (search.view(0).state, kept(search)) == (State.PENDING, [(0, 2)])
    search.close()
    search.open()
    assert kept(search) == [(0, 2)]


def test_what_a_clone_goes_on_from_is_there_until_it_has_saved() -> None:
    search = driven(CheckpointPolicy(keep=0), lambda: Says({(0, 1): Exploit(1)}), trials=2, max_trials=2)
    save(search, 1, 3)
    search.report(0, 1, loss=9.0)
    search.returned(1, loss=1.0)
    assert search.view(1).checkpoint is None
    assert kept(search) == [(1, 3)]
    search.left(0)
    search.grant()
    assert search.orders[0].restore == CheckpointKey(1, 3, 1)
    assert deleted(save(search, 0, 4)) == [(1, 3)]
    search.returned(0, loss=1.0)
    assert kept(search) == []


# ------------------------------------------------------------------------------------------------- written as it leaves


def leaves(search: Driven, key: CheckpointKey, size: int | None = 7) -> list[Instruction]:
    return search.end(TrialLeft, 0, checkpoint=key, size=size)


def test_who_is_set_aside_can_leave_its_last_step_and_goes_on_from_there() -> None:
    search = driven(CheckpointPolicy(every=None), lambda: Says({(0, 2): PAUSE}))
    save(search, 0, 1)
    search.report(0, 2, loss=1.0)
    key = CheckpointKey(0, 2, 1)
    assert deleted(leaves(search, key)) == [(0, 1)]
    assert search.happened() == (CheckpointSaved(trial=0, checkpoint=key, size=7),)
    search.grant()
    assert (search.orders[0].restore, search.orders[0].step) == (key, 2)
    assert kept(search) == [(0, 2)]


@pytest.mark.parametrize(
    "key", [CheckpointKey(0, 3, 1), CheckpointKey(0, 1, 1), CheckpointKey(1, 2, 1), CheckpointKey(0, 2, 2)]
)
def test_another_checkpoint_than_that_of_the_last_step_counts_for_nothing(key: CheckpointKey) -> None:
    search = driven(CheckpointPolicy(), lambda: Says({(0, 2): PAUSE}))
    save(search, 0, 1)
    search.report(0, 2, loss=1.0)
    assert deleted(leaves(search, key)) == []
    assert kept(search) == [(0, 1)]


@pytest.mark.parametrize(("at_end", "left"), [(True, [(0, 2)]), (False, [(0, 1)])])
def test_who_is_stopped_leaves_its_last_step_if_that_is_wanted(at_end: bool, left: list[tuple[int, int]]) -> None:
    search = driven(CheckpointPolicy(at_end=at_end))
    save(search, 0, 1)
    search.report(0, 2, loss=1.0)
    search.stop_trial(0)
    leaves(search, CheckpointKey(0, 2, 1))
    assert kept(search) == left


def test_who_goes_on_as_another_leaves_nothing() -> None:
    search = driven(CheckpointPolicy(), lambda: Says({(0, 1): Exploit(1)}), trials=2, max_trials=2)
    save(search, 1, 3)
    search.report(0, 1, loss=9.0)
    assert deleted(leaves(search, CheckpointKey(0, 1, 1))) == [(0, 1)]
    assert kept(search) == [(1, 3)]


def test_a_result_can_carry_that_of_the_last_step() -> None:
    search = driven(CheckpointPolicy())
    save(search, 0, 1)
    search.report(0, 2, loss=1.0)
    search.end(TrialReturned, 0, checkpoint=CheckpointKey(0, 2, 1))
    assert kept(search) == [(0, 2)]


@pytest.mark.parametrize(
    ("returned", "there"),
    [({"loss": 0.1}, (0, 2)), ({"loss": 9.0}, (0, 1)), ({"loss": 5.0}, (0, 2)), ({"loss": math.nan}, (0, 1)), (None, (0, 1))],
)
def test_that_of_a_result_is_worth_what_was_returned(returned: dict[str, float] | None, there: tuple[int, int]) -> None:
    failure = FailurePolicy(non_finite="worst")
    search = driven(CheckpointPolicy(keep=1, score="loss", direction="min"), failure=failure)
    save(search, 0, 1, loss=5.0)
    search.end(TrialReturned, 0, metrics=returned, checkpoint=CheckpointKey(0, 2, 1))
    assert kept(search) == [there]


def test_that_of_a_step_that_was_reported_is_worth_what_was_reported() -> None:
    search = driven(CheckpointPolicy(keep=1, score="loss", direction="min"))
    save(search, 0, 1, loss=5.0)
    search.report(0, 2, loss=9.0)
    search.end(TrialReturned, 0, metrics={"loss": 0.1}, checkpoint=CheckpointKey(0, 2, 1))
    assert kept(search) == [(0, 1)]


# ------------------------------------------------------------------------------------------------- of all of them together


def test_past_the_size_the_worst_of_the_ended_go_first_and_then_what_is_older() -> None:
    search = driven(CheckpointPolicy(keep=None, max_size=6 * MiB), trials=4, max_trials=4)
    for trial, loss in enumerate([2.0, 5.0, 1.0]):
        save(search, trial, 1)
        save(search, trial, 2)
        search.returned(trial, loss=loss)
    assert deleted(save(search, 3, 1)) == [(1, 1)]
    assert search.happened()[-1] == CheckpointDropped(trial=1, checkpoint=CheckpointKey(1, 1, 1))
    assert deleted(save(search, 3, 2)) == [(1, 2)]
    assert search.view(1).checkpoint is None
    assert deleted(save(search, 3, 3, 4 * MiB)) == [(0, 1), (0, 2), (2, 1), (2, 2)]
    assert deleted(save(search, 3, 4)) == [(3, 1)]
    assert kept(search) == [(3, 2), (3, 3), (3, 4)]
    # It is larger than all of them may be, and needed.
    assert deleted(save(search, 3, 5, 7 * MiB)) == [(3, 2), (3, 3), (3, 4)]
    assert kept(search) == [(3, 5)]


def test_with_a_score_the_worst_of_a_trial_goes_first() -> None:
    search = driven(CheckpointPolicy(keep=None, score="loss", direction="min", max_size=3 * MiB), trials=2, max_trials=2)
    for step, loss in enumerate([0.2, 0.1, 0.3], start=1):
        save(search, 0, step, loss=loss)
    search.returned(0, loss=0.1)
    assert deleted(save(search, 1, 1)) == [(0, 3)]
    assert deleted(save(search, 1, 2)) == [(0, 1)]
    assert kept(search) == [(0, 2), (1, 1), (1, 2)]


def test_failed_trials_go_before_all_others() -> None:
    search = driven(CheckpointPolicy(max_size=2 * MiB), trials=3, max_trials=3)
    save(search, 0, 1)
    search.returned(0, loss=9.0)
    save(search, 1, 1)
    search.raised(1)
    assert deleted(save(search, 2, 1)) == [(1, 1)]


def test_what_others_need_is_not_deleted_however_large_it_is() -> None:
    policy = CheckpointPolicy(max_size=MiB)
    search = driven(policy, lambda: Says({(0, 1): Exploit(1)}), trials=2, max_trials=3)
    save(search, 1, 3, 5 * MiB)
    search.report(0, 1, loss=9.0)
    search.returned(1, loss=1.0)
    search.left(0)
    search.grant()  # trial 0 goes on from it
    search.grant()
    search.suggest(Suggestion.run({"x": 5}, parent=1))  # and trial 2 descends from it
    assert deleted(save(search, 0, 4)) == []
    assert deleted(save(search, 2, 5)) == []
    assert kept(search) == [(0, 4), (1, 3), (2, 5)]
    search.returned(2, loss=1.0)
    assert deleted(save(search, 0, 5)) != []
    assert kept(search) == [(0, 5)]


def test_an_heir_goes_on_from_what_its_parent_had_when_it_was_proposed() -> None:
    search = driven(CheckpointPolicy(at_end=True), trials=2, max_trials=3)
    save(search, 0, 1)
    search.report(0, 2, loss=1.0)
    search.stop_trial(0)
    search.returned(1, loss=2.0)
    search.grant()
    search.suggest(Suggestion.run({"x": 5}, parent=0))
    assert search.orders[2].restore == CheckpointKey(0, 1, 1)
    assert deleted(leaves(search, CheckpointKey(0, 2, 1))) == [(0, 2)]
    assert kept(search) == [(0, 1)]


@pytest.mark.parametrize("size", [-1, 2**63])
def test_a_size_that_cannot_be_is_refused(size: int) -> None:
    search = driven(CheckpointPolicy())
    save(search, 0, 1, size)
    search.left(0)
    failure = search.view(0).failure
    assert failure is not None
    assert failure.message == f"told of a checkpoint of {size} bytes"


# ---------------------------------------------------------------------------------------------------------- bad policies


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"keep": -1}, r"CheckpointPolicy\(keep=...\) takes an integer of at least 0 or None, not -1"),
        ({"keep": True}, "takes an integer of at least 0 or None, not True"),
        ({"score": ""}, r"CheckpointPolicy\(score=...\) takes the name of a metric, or None, not ''"),
        ({"score": 3}, "takes the name of a metric, or None, not 3"),
        ({"score": "f1", "direction": "up"}, r"CheckpointPolicy\(direction=...\) takes 'min', 'max' or None, not 'up'"),
        ({"direction": "max"}, r"CheckpointPolicy\(direction='max'\) says nothing without score="),
        ({"score": "f1", "keep": 0}, r"CheckpointPolicy\(score='f1'\) is about which are kept, and keep=0 keeps none"),
        ({"score": "f1", "keep": None}, "keep=None keeps all: give keep=, or leave score= out"),
        ({"every": 0}, r"CheckpointPolicy\(every=...\) takes an integer of at least 1 or None, not 0"),
        ({"at_end": 1}, r"CheckpointPolicy\(at_end=...\) takes True or False, not 1"),
        ({"max_size": "10 apples"}, r"CheckpointPolicy\(max_size=...\) takes a size of at least 1,048,576 bytes"),
        ({"max_size": 5}, "takes a size of at least 1,048,576 bytes"),
    ],
)
def test_what_is_no_policy_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        CheckpointPolicy(**given)
