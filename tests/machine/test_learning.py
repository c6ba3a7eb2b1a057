"""Oracles that learn: a search that is cut off behind any record and gone on with is the same search; seeds; and idling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from attrs import define

from asynctune._engine.caller import Answered, Caller, OracleCall, replay
from asynctune._engine.opening import fold, history
from asynctune._engine.record import Record, pack, unpack
from asynctune._machine.instructions import Ask
from asynctune._machine.machine import Machine
from asynctune._machine.stimuli import Enqueued, Suggested
from asynctune.messages import RunTrial
from asynctune.oracles import Oracle, RandomSearch
from asynctune.records import Suggestion, TrialId, TrialView
from asynctune.schedulers import FIFO
from asynctune.seeds import derive
from asynctune.space import Choice, HyperParameters, Int, Space
from asynctune.testing import Behaviour, OracleRehearsal, SimulatedSearch, check_history

SPACE = {"x": Int(0, 20), "kind": Choice(["a", "b"])}
WARM = [{"x": 3, "kind": "a", "loss": 0.2}, {"x": 4, "kind": "b", "loss": None}]


class Learns(Oracle):
    """Goes on from the best that it knows, by what it knows alone; and often proposes what was tried."""

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        known, luck = self.known, derive(self.seed, trial_id, len(self.known.trials), len(self.known.pending))
        if known.best is None or luck % 4 == 0:
            return Suggestion.run(space.sample(luck))
        return Suggestion.run({**known.best.values, "x": luck % 3})


@define(eq=False, slots=False)
class Remembers(Learns):
    """The same, with a state of its own beside what it knows."""

    ends: int = 0

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        values = {**space.sample(derive(self.seed, self.ends)), "kind": "ab"[len(self.known.scored()) % 2]}
        return Suggestion.run(values)

    def on_trial_end(self, trial: TrialView) -> None:
        self.ends += 1

    def get_state(self) -> Mapping[str, Any]:
        return {"ends": self.ends}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.ends = state["ends"]


def runs(order: RunTrial, hp: HyperParameters) -> Behaviour:
    loss = abs(hp.Int("x", 0, 20) - 7) / 10 + (hp.Choice("kind", ["a", "b"]) == "b")
    return Behaviour(reports=[(1.0 + order.trial % 3, {"loss": float(loss)})])


def search(make: Callable[[], Oracle], records: list[Record] | None = None, **options: Any) -> SimulatedSearch:
    settings: dict[str, Any] = {
        "space": SPACE,
        "max_trials": 12,
        "warm_start": WARM,
        "try_first": [{"x": 9}, {}],
        "commands": [(2.5, lambda at: Enqueued(at=at, values={"kind": "b"}))],
        "seed": 3,
        **options,
    }
    return SimulatedSearch(script=runs, oracle=make(), scheduler=FIFO(), records=records or [], **settings)


def outcome(searched: SimulatedSearch) -> list[tuple[Any, ...]]:
    return [(view.id, dict(view.values), view.score, view.state) for view in searched.trials.values()]


@pytest.mark.parametrize("make", [Learns, Remembers, RandomSearch])
def test_cut_off_behind_any_record_it_ends_as_it_would_have(make: Callable[[], Oracle]) -> None:
    whole = search(make, commands=[]).run()
    assert len(whole.trials) == 12
    for cut in range(len(whole.records)):
        again = search(make, whole.records[:cut], commands=[]).run()
        assert again.divergences == [], f"cut behind record {cut}"
        assert outcome(again) == outcome(whole), f"cut behind record {cut}"


@pytest.mark.parametrize("make", [Learns, Remembers, RandomSearch])
def test_with_many_workers_told_the_same_it_proposes_the_same_from_any_record_on(make: Callable[[], Oracle]) -> None:
    whole = search(make, workers=5).run()
    check_history(whole.records, oracle=make())
    for cut in range(1, len(whole.records)):
        assert told_the_rest(make(), whole, cut) == [], f"cut behind record {cut}"


def told_the_rest(oracle: Oracle, whole: SimulatedSearch, cut: int) -> list[object]:
    """Where it answers otherwise behind record number `cut`, when it is told everything up to it again, and then the rest."""
    records = [unpack(pack(record)) for record in whole.records]
    machine, caller = Machine(FIFO()), Caller(oracle)
    past = history(fold(machine, records[:cut]), machine.settings, Space.of(SPACE), machine.space)
    caller.begin(past)
    fresh, divergences = replay(caller, past)
    answers = {answer.ask: answer for answer in fresh}
    wrong: list[object] = list(divergences)
    for record in records[cut:]:
        said = record.stimulus
        if isinstance(said, Suggested) and answers.pop(said.ask) != Answered(said.ask, said.suggestion, said.state):
            wrong.append(said)
        for instruction in machine.handle(said, record.answers).instructions:
            if isinstance(instruction, Ask):
                answers[instruction.number] = caller.ask(instruction)
            elif isinstance(instruction, OracleCall):
                caller.tell(instruction)
    return wrong


def test_seed_0_is_a_seed() -> None:
    """Case 6. KerasTuner draws one where seed=0."""
    zero, again, one = (outcome(search(Learns, seed=seed).run()) for seed in (0, 0, 1))
    assert zero == again != one


@pytest.mark.parametrize("workers", [2, 3, 8, 40])
def test_an_oracle_that_does_not_learn_proposes_the_same_to_any_number_of_workers(workers: int) -> None:
    alone, together = (search(RandomSearch, workers=count, commands=[]).run() for count in (1, workers))
    assert outcome(alone) == outcome(together)


class Counts(Oracle):
    """Has nothing to propose while two trials run, and counts how often it is asked."""

    asked = 0

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        self.asked += 1
        return Suggestion.idle() if len(self.known.pending) >= 2 else Suggestion.run({})


@pytest.mark.parametrize("workers", [2, 3, 16])
def test_idle_is_asked_again_only_when_something_has_changed(workers: int) -> None:
    """KerasTuner: search() spins without sleeping while its oracle is idle."""
    oracle = Counts()
    searched = search(lambda: oracle, workers=workers, max_trials=30, warm_start=None, try_first=(), commands=[]).run()
    assert len(searched.trials) == 30
    # Each trial is asked for once, and after each end as many workers as are free may hear that there is nothing.
    assert oracle.asked <= 30 * workers
    assert max(sum(view.started <= at < view.ended for view in searched.trials.values()) for at in range(60)) <= 2  # type: ignore[operator]


def test_what_is_known_is_told_to_an_oracle_that_adopts_a_search() -> None:
    whole = search(RandomSearch).run()
    machine = Machine(FIFO())
    past = history(fold(machine, whole.records), machine.settings, Space.of(SPACE), machine.space, adopt=True)
    caller = Caller(Learns())
    caller.begin(past)
    assert replay(caller, past) == ([], [])
    known = caller.proposer.known
    assert sorted(known.trials) == [-2, -1, *range(12)]
    assert known.pending == {}
    tried = {tuple(view.values.items()) for view in whole.trials.values()}
    rehearsal = OracleRehearsal(RandomSearch(), space=SPACE)
    assert not any(known.is_new(dict(values)) for values in tried)
    assert known.is_new(rehearsal.space.sample(99)) is (tuple(rehearsal.space.sample(99).items()) not in tried)
