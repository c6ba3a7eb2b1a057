"""Whole searches in which everything goes wrong, each made by its seed alone: what must hold, holds in every one.

Runners die, hang, say things twice and late; launches, zygotes and nodes are lost; the disk is slow, or full for a while; the
search is killed and opened again. A seed that fails is in the error's note; `endured(seed)` or `twins(seed)` tells it again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from asynctune._engine.opening import fold
from asynctune._engine.record import pack, unpack
from asynctune._machine.machine import Machine
from asynctune._machine.stimuli import LaunchEnded, WorkersSet
from asynctune.events import AttemptFailed, CheckpointGone, GaveUp, ParametersUsed, Paused, SearchOpened
from asynctune.policies import FailurePolicy, Limits
from asynctune.schedulers import FIFO
from asynctune.testing import Faults, SimulatedSearch, check_history
from tests.machine.driven import plainly
from tests.machine.stories import SPACES, Story, outcome, story
from tests.many import few

CHUNK = 25
SOME = [range(start, start + CHUNK) for start in range(0, 200, CHUNK)]
MANY = [range(start, start + 1000) for start in range(0, 10_000, 1000)]
NO_LIMIT = FailurePolicy(max_retries_per_trial=1, max_consecutive_failed_trials=None)
LIMITS = Limits(trial_time=10_000.0, grace=2.0)  # so much more than any trial takes that only one that hangs is ended by it


def faults_of(seed: int, **changes: float) -> Faults:
    """What goes wrong in the search of this seed: much in some, little in others."""
    luck = random.Random(f"faults {seed}")
    shares = {name: luck.choice([0.0, 0.02, 0.15]) for name in ("dies", "hangs", "lost", "zygote", "node")}
    times = {name: luck.choice([0.0, 0.01, 3.0]) for name in ("late", "slow_disk", "slow_oracle")}
    rest = {"bad": 0.4, "echoes": luck.choice([0.0, 0.3]), "full_disk": luck.choice([0.0, 0.0, 0.1]), "within": 20.0}
    rest["gone"] = luck.choice([0.0, 0.5, 1.0])
    return Faults(seed=seed, **{**shares, **times, **rest, **changes})


def through(told: Story, faults: Faults, luck: random.Random) -> SimulatedSearch:
    """The search, killed perhaps once or twice on its way, and in the end let run."""
    search = told.search(limits=LIMITS, faults=faults)
    for _ in range(luck.choice([0, 0, 1, 2])):
        if luck.random() < 0.5:
            search.run(until=len(search.records) + luck.randint(1, 40))
        else:
            since = search.records[-1].stimulus.at if search.records else 0.0
            search.run(killed_at=since + luck.choice([0.0, 0.3, 5.0, 40.0]))
        if search.end is not None:
            return search
        search = told.search(search.records, limits=LIMITS, faults=faults)
    return search.run()


# ------------------------------------------------------------------------------------------------------ what must hold


def holds(search: SimulatedSearch, told: Story) -> None:
    """What must be true of any search that is over. Slots and single starts are held to by the simulated runners, too."""
    assert search.end is not None, "it does not end"
    assert search.divergences == []
    check_history(search.records, scheduler=told.scheduler(), oracle=told.oracle())
    replay_equals_live(search, told)


def replay_equals_live(search: SimulatedSearch, told: Story) -> None:
    """The history alone cannot say what the live machine held, and has no stoppers to ask again."""
    machine = Machine(told.scheduler(), told.stoppers)
    fold(machine, [unpack(pack(record)) for record in search.records])
    machine.check()
    again = {number: plainly(machine.book.view(trial)) for number, trial in machine.book.trials.items()}
    assert again == {number: plainly(view) for number, view in search.trials.items()}
    assert machine.consult.divergences == []
    assert machine.over


# ---------------------------------------------------------------------------------------------------------- the seeds


@contextmanager
def of_seed(seed: int) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        error.add_note(f"this was seed {seed}")
        raise


def endured(seed: int) -> SimulatedSearch:
    """The search of this seed, whatever kind it is of, with what goes wrong in it."""
    with of_seed(seed):
        told = story(seed)
        search = through(told, faults_of(seed), random.Random(seed))
        holds(search, told)
        return search


def twins(seed: int) -> None:
    """The same search twice, calm and rough: where nobody learns or judges, what befalls a trial is its own affair alone."""
    with of_seed(seed):
        told = story(seed, scheduler=FIFO, failure=NO_LIMIT, names=False, space=SPACES[seed % len(SPACES)])
        if told.learns:
            return
        # Without its checkpoints, an attempt makes steps of its own where it would have kept those of the attempt before.
        faults = faults_of(seed, gone=0.0)
        calm = told.search(limits=LIMITS).run()
        rough = through(told, faults, random.Random(seed))
        holds(rough, told)
        good = [number for number in calm.trials if not faults.is_bad(number)]
        there, here = outcome(calm), outcome(rough)
        assert [here.get(number) for number in good] == [there.get(number) for number in good]
        assert set(there) == set(here)


@pytest.mark.fault(34)
@pytest.mark.fault(9)
@pytest.mark.parametrize("seeds", few(4, SOME), ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_whatever_goes_wrong_a_search_keeps_its_laws(seeds: range) -> None:
    for seed in seeds:
        endured(seed)


@pytest.mark.fault(1)
@pytest.mark.parametrize("seeds", few(4, SOME), ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_a_bad_trial_never_changes_what_another_comes_to(seeds: range) -> None:
    for seed in seeds:
        twins(seed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seeds", MANY, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_ten_thousand_searches_keep_their_laws(seeds: range) -> None:
    for seed in seeds:
        endured(seed)
        twins(seed)


def test_a_seed_tells_the_same_to_the_byte() -> None:
    for seed in range(0, 200, 10):
        one, other = endured(seed), endured(seed)
        assert [pack(record) for record in one.records] == [pack(record) for record in other.records], f"seed {seed}"


def test_all_kinds_of_things_go_wrong() -> None:
    seen = Counter[str]()
    for seed in range(100):
        search = endured(seed)
        seen["dropped"] += search.dropped
        for record in search.records:
            if isinstance(record.stimulus, LaunchEnded):
                seen[type(record.stimulus.ending).__name__] += 1
            seen["resized"] += isinstance(record.stimulus, WorkersSet)
            for event in record.happened:
                if isinstance(event, AttemptFailed | GaveUp):
                    seen[event.failure.kind.name] += 1
                elif isinstance(event, Paused | SearchOpened | ParametersUsed | CheckpointGone):
                    seen[type(event).__name__] += 1
    wanted = "dropped resized Lost Died TIMED_OUT KILLED RAISED Paused ParametersUsed CheckpointGone"
    assert {name: seen[name] for name in wanted.split() if seen[name] < 5} == {}
    assert seen["SearchOpened"] > 120  # some were killed, and opened again
