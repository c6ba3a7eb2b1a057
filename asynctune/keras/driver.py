"""A search without a loop: the machine, and an oracle, told one thing after the other by whoever calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from importlib.metadata import version

from attrs import evolve

from asynctune._engine.caller import Caller, History, OracleCall, replay
from asynctune._engine.clock import SearchClock
from asynctune._engine.opening import fold
from asynctune._engine.record import Record
from asynctune._machine.instructions import Ask, EndSearch, Instruction, StartLaunch, StopLaunch
from asynctune._machine.machine import Machine
from asynctune._machine.stimuli import LaunchEnded, Opened, Settings, SlotGranted, Stimulus, Suggested
from asynctune.messages import RunTrial, TrialLeft
from asynctune.oracles.base import Oracle
from asynctune.schedulers.fifo import FIFO

__all__ = ["Driver"]

_VERSION = version("asynctune")


class Driver:
    """Drives a machine.

    Args:
        oracle: proposes; owned from now on.
        settings: of the search.
        records: what it was told before.

    Attributes:
        machine: as it stands.
        records: all that it was told.
        end: how the search has ended, once it has.
    """

    def __init__(self, oracle: Oracle, settings: Settings, records: Iterable[Record] = ()) -> None:
        self.machine = Machine(FIFO())
        self.records = list(records)
        self.end: EndSearch | None = None
        self._started: deque[RunTrial] = deque()
        self._caller = Caller(oracle)
        folded = fold(self.machine, self.records)
        self._clock = SearchClock(folded.at)
        history = History(folded.calls, folded.answers, objective=settings.objective, seed=settings.seed)
        self._caller.begin(history)
        fresh, _ = replay(self._caller, history)
        self.tell(lambda at: Opened(at=at, wall=0.0, version=_VERSION, settings=settings))
        for answer in fresh:
            self.tell(lambda at, a=answer: Suggested(at=at, ask=a.ask, suggestion=a.suggestion))  # type: ignore[misc]

    def start(self) -> RunTrial | None:
        """The next launch; None if there is nothing to run now."""
        if not self._started and self.end is None and self.machine.slots.requested:
            self.tell(lambda at: SlotGranted(at=at))
        return self._started.popleft() if self._started else None

    @property
    def is_idle(self) -> bool:
        """Whether the oracle may have something later."""
        return self.end is None and self.machine.asks.idle

    def tell(self, make: Callable[[float], Stimulus]) -> None:
        """Tell the machine something, and do what follows.

        Raises:
            PluginError: the oracle failed. Nothing more can be asked of it.
        """
        stimuli = deque([make(self._clock.now())])
        while stimuli:
            said = stimuli.popleft()
            decision = self.machine.handle(said)
            if not decision.void:
                number = len(self.records) + 1
                self.records.append(Record(seq=number, stimulus=said, happened=decision.happened, answers=decision.answers))
            for instruction in decision.instructions:
                stimuli.extend(self._act(instruction))

    def _act(self, instruction: Instruction) -> list[Stimulus]:
        match instruction:
            case Ask():
                answer = self._caller.ask(instruction)
                return [Suggested(at=self._clock.now(), ask=answer.ask, suggestion=answer.suggestion, state=answer.state)]
            case StartLaunch(order=order):
                self._started.append(order)
            case StopLaunch(trial=trial, launch=launch):
                return [LaunchEnded(at=self._clock.now(), ending=TrialLeft(trial=trial, launch=launch))]
            case EndSearch():
                self.end = evolve(instruction)
            case _ if isinstance(instruction, OracleCall):
                self._caller.tell(instruction)
        return []
