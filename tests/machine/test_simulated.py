"""Whole searches, cut off behind any record and gone on with: they end as if nothing had happened.

A thousand of them in `nox -s many`, some of them every time, by their seeds: one that fails is in the test's name, and
`story(seed)` tells it again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from attrs import evolve

from asynctune._engine.caller import Answered, Caller, History, OracleCall, replay
from asynctune._engine.opening import fold
from asynctune._engine.record import Record, pack, unpack
from asynctune._machine.instructions import Ask
from asynctune._machine.machine import Machine
from asynctune._machine.stimuli import Closed, Stimulus, Suggested
from asynctune.events import AttemptFailed, Finished, Paused, Reported, Started, Stopped
from asynctune.messages import RunTrial
from asynctune.oracles import RandomSearch
from asynctune.policies import FailurePolicy
from asynctune.records import State
from asynctune.schedulers import FIFO
from asynctune.space import Float, HyperParameters
from asynctune.testing import Behaviour, SimulatedSearch
from tests.machine.stories import SPACES, Story, outcome, story
from tests.many import few

SEARCHES = 1000
CHUNK = 25
CHUNKS = [range(start, start + CHUNK) for start in range(0, SEARCHES, CHUNK)]
NO_LIMIT = FailurePolicy(max_retries_per_trial=1, max_consecutive_failed_trials=None)
PATIENT = FailurePolicy(max_retries_per_trial=2, max_consecutive_failed_trials=None, delay=2.0, retry_from="start")


def whole(told: Story) -> SimulatedSearch:
    search = told.search().run()
    assert search.end is not None, "it does not end"
    return search


def in_pieces(told: Story, records: Sequence[Record], luck: random.Random) -> SimulatedSearch:
    """Cut off behind a random record, opened again, perhaps cut off or closed again, and in the end let run."""
    kept = records[: luck.randrange(len(records))]
    for _ in range(luck.choice([0, 0, 1, 2])):
        if luck.random() < 0.5:
            piece = told.search(kept).run(until=len(kept) + luck.randint(1, 12))
        else:
            at = kept[-1].stimulus.at if kept else 0.0
            piece = told.search(kept, commands=[(at + luck.choice([0.0, 0.3, 2.0, 7.0]), close)]).run()
        if piece.end is not None and piece.end.error != "SearchError":
            return piece
        kept = piece.records
    return told.search(kept).run()


def close(at: float) -> Stimulus:
    return Closed(at=at)


@pytest.mark.parametrize("seeds", few(10, CHUNKS), ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_one_worker_cut_off_and_resumed_ends_as_it_would_have(seeds: range) -> None:
    for seed in seeds:
        told = story(seed, workers=1)
        # Who runs while one waits for its time is a question of when, and being cut off takes time.
        told = evolve(told, failure=evolve(told.failure, delay=0.0))
        first = whole(told)
        again = in_pieces(told, first.records, random.Random(seed))
        assert again.divergences == [], f"seed {seed}"
        assert (again.end, outcome(again)) == (first.end, outcome(first)), f"seed {seed}"


@pytest.mark.parametrize("seeds", few(5, CHUNKS[::2]), ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_several_workers_cut_off_and_resumed_find_the_same_trials(seeds: range) -> None:
    for seed in seeds:
        # With nobody who judges or learns, and a space that is known, what a trial comes to is its own affair.
        failure = (NO_LIMIT, PATIENT)[seed // 2 % 2]
        told = story(seed, scheduler=FIFO, failure=failure, names=False, space=SPACES[seed % len(SPACES)])
        if told.learns:
            continue
        first = whole(told)
        again = in_pieces(told, first.records, random.Random(seed))
        assert again.divergences == [], f"seed {seed}"
        assert (again.end, outcome(again)) == (first.end, outcome(first)), f"seed {seed}"
        alone = whole(evolve(told, workers=1))
        assert outcome(alone) == outcome(first), f"seed {seed}"


@pytest.mark.parametrize("seeds", few(5, CHUNKS[::2]), ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_told_again_up_to_any_record_and_then_told_the_rest_it_decides_the_same_to_the_byte(seeds: range) -> None:
    for seed in seeds:
        told = story(seed)
        first = whole(told)
        cut = random.Random(seed).randint(1, len(first.records))
        assert tell_the_rest(told, first.records, cut) == [pack(record) for record in first.records[cut:]], f"seed {seed}"


def tell_the_rest(told: Story, records: Sequence[Record], cut: int) -> list[bytes]:
    """What is decided behind record number `cut`, with plugins that were told everything up to it again."""
    records = [unpack(pack(record)) for record in records]
    machine, caller = Machine(told.scheduler(), told.stoppers), Caller(told.oracle())
    folded = fold(machine, records[:cut])
    history = History(folded.calls, folded.answers, objective=told.objective, seed=told.luck)
    caller.begin(history)
    fresh, divergences = replay(caller, history)
    answers = {answer.ask: answer for answer in fresh}
    told_again = []
    for record in records[cut:]:
        if isinstance(record.stimulus, Suggested):
            said = record.stimulus
            assert answers.pop(said.ask) == Answered(said.ask, said.suggestion, said.state)
        decision = machine.handle(record.stimulus)
        machine.check()
        told_again.append(pack(evolve(record, happened=decision.happened, answers=decision.answers)))
        for instruction in decision.instructions:
            if isinstance(instruction, Ask):
                answers[instruction.number] = caller.ask(instruction)
            elif isinstance(instruction, OracleCall):
                caller.tell(instruction)
    assert [*divergences, *machine.consult.divergences] == []
    return told_again


def test_the_same_story_told_twice_is_the_same_to_the_byte() -> None:
    for seed in range(20):
        one, other = whole(story(seed)), whole(story(seed))
        assert [pack(record) for record in one.records] == [pack(record) for record in other.records], f"seed {seed}"


def test_a_search_that_has_ended_is_opened_again_and_ends_at_once() -> None:
    for seed in range(100):
        told = story(seed)
        first = whole(told)
        if first.end is None or first.end.error is not None:
            continue
        again = told.search(first.records).run()
        assert (again.end, outcome(again)) == (first.end, outcome(first)), f"seed {seed}"
        assert len(again.records) == len(first.records) + 1


def test_all_kinds_of_things_happen() -> None:
    """That the stories above are about what they are meant to be about."""
    seen = Counter[str]()
    for seed in range(200):
        told = story(seed)
        search = whole(told)
        seen[type(told.oracle()).__name__] += 1
        seen[type(told.scheduler()).__name__] += 1
        assert search.end is not None
        seen[str(search.end.error)] += 1
        for record in search.records:
            seen.update(type(happening).__name__ for happening in record.happened)
            seen.update(type(answer).__name__ for answer in record.answers)
            seen.update("restored" for event in record.happened if isinstance(event, Started) and event.restore is not None)
            seen.update("goes on" for event in record.happened if isinstance(event, Started) and event.parked)
            seen.update("parked" for event in record.happened if isinstance(event, Paused) and event.parked)
            seen.update("repeated" for event in record.happened if isinstance(event, Reported) and not event.judged)
            if isinstance(record.stimulus, Suggested):
                seen[record.stimulus.suggestion.status.name] += 1
            retries = [event for event in record.happened if isinstance(event, AttemptFailed)]
            seen.update("delayed" for event in retries if event.due is not None)
            seen.update("restarted" for event in retries if event.restart)
            seen.update("infeasible" for event in record.happened if isinstance(event, Stopped) and event.infeasible)
            seen.update("worst" for event in record.happened if isinstance(event, Finished) and event.score is None)
    wanted = (
        "RandomSearch GridSearch Climber Keeper FIFO Promoter MedianStopping ASHA None TooManyFailuresError RUNNING EXHAUSTED "
        "IDLE Started Reported Finished Stopped Paused AttemptFailed GaveUp SpaceGrew ParametersUsed Judged Chosen EndTrial "
        "restored repeated delayed restarted infeasible worst parked ParkedGone"
    )
    assert {name: seen[name] for name in [*wanted.split(), "goes on"] if seen[name] < 3} == {}


@pytest.mark.fault(31)
def test_two_thousand_workers_are_all_kept_busy_and_no_more_than_that() -> None:
    def script(order: RunTrial, hp: HyperParameters) -> Behaviour:
        return Behaviour(reports=[(1.0, {"loss": float(order.trial)})] * 2, ending={"loss": 0.0})

    search = SimulatedSearch(
        script=script,
        oracle=RandomSearch(),
        scheduler=FIFO(),
        space={"x": Float(0, 1)},
        workers=2000,
        max_trials=5000,
        check=False,
    ).run()
    running = most = 0
    for record in search.records:
        for what in record.happened:
            running += isinstance(what, Started) - isinstance(what, Finished)
            most = max(most, running)

    search.machine.check()
    assert (running, most) == (0, 2000)
    assert [trial.state for trial in search.trials.values()] == [State.COMPLETED] * 5000
