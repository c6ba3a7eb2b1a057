"""Fuzzing: random histories, thrown at a scheduler until one breaks it, and then made as short as can be.

A history is a list of moves, each of which means something wherever it stands: "report 2 1 nan" is a report of the third trial
that runs, one step on, if any runs. So moves can be left out, and what is left is a history still.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, Final

from attrs import evolve, frozen

from asynctune.objective import Objective
from asynctune.records import State
from asynctune.schedulers.base import Scheduler
from asynctune.seeds import generator
from asynctune.testing.rehearsal import ODD
from asynctune.testing.rehearsal import replay as told_again
from asynctune.testing.scheduler_rehearsal import HELD_BY_USER, SchedulerRehearsal

__all__ = ["FuzzError", "fuzz_scheduler"]

_WORKERS: Final = 4  # that are filled when the moves are over
_LAST: Final = 40  # steps, after which every trial ends by itself then
_TRIES: Final = 2000  # at making a history shorter
_GUARDED: Final = 10  # in one history of so many, whether it changes what it is shown is looked at, too: that is dear
# Of moves, and how often each comes.
_KINDS: Final = dict.fromkeys(("again", "idle", "exhaust", "grow"), 1) | dict.fromkeys(("stop", "lose"), 2)
_KINDS.update(dict.fromkeys(("fail", "pause", "resume", "add"), 3), finish=4, run=30, report=50)


class FuzzError(AssertionError):
    """A history that a scheduler does not get through.

    Args:
        reason: what went wrong, and in answer to what.
        seed: of the history in which it was found; None if it was told.
        moves: the shortest history that was found to end so, in the words that `fuzz_scheduler(replay=...)` takes.
        told: what happened at each of them.
    """

    def __init__(self, reason: str, seed: int | None, moves: str, told: Sequence[str]) -> None:
        found = "What happened:" if seed is None else f"What happened (found with seed {seed}, and made short):"
        lines = [reason, found, *(f"    {line}" for line in told), "Tell it again:"]
        super().__init__("\n".join([*lines, f"    fuzz_scheduler(make, replay={moves!r})"]))
        self.reason = reason
        self.seed = seed
        self.moves = moves


def fuzz_scheduler(
    make: Callable[[], Scheduler], *, seeds: int | Iterable[int] = 100, moves: int = 150, replay: str | None = None
) -> None:
    """Play random histories to a scheduler: trials report anything (NaN, infinities, ties, the ends of the floats), skip steps,
    fail, finish, are lost and started again; the user pauses and stops them; the oracle has nothing, or no more; and at any
    moment another one, that was told the same, takes its place. Whatever the order, it must raise nothing and answer no
    nonsense, choose the same when it is asked twice, answer the same when it is told the same again, leave alone what it is
    shown, and never leave all slots free while there is something to run.

    No machine, no process, no clock: the same seeds find the same. In a test, it is one call:

        def test_fuzzed() -> None:
            fuzz_scheduler(lambda: MyScheduler(limit=3))

    Args:
        make: returns a new scheduler, with the same settings each time.
        seeds: how many histories, or which.
        moves: how long each is, before every trial is played to its end.
        replay: play this history and no other, in the words in which a failure was told.

    Raises:
        FuzzError: (an AssertionError) a history breaks it: the shortest that was found, and how to tell it again.
        ValueError: `replay` is no history.
    """
    if replay is not None:
        history = _read(replay)
        failed = _failure(make, history) or _failure(make, history, guarding=True)
        if failed is not None:
            raise _error(failed, None, history) from failed.error
        return
    for seed in range(seeds) if isinstance(seeds, int) else seeds:
        history = _drawn(seed, moves)
        failed = _failure(make, history, guarding=seed % _GUARDED == 0)
        if failed is not None:
            shortest, failed = _shortest(make, history, failed)
            raise _error(failed, seed, shortest) from failed.error


# ------------------------------------------------------------------------------------------------------------- histories

_Move = tuple[Any, ...]  # its kind; which of the trials it can concern; and for a report, how many steps on, and what


def _drawn(seed: int, moves: int) -> list[_Move]:
    rng = generator(seed, "fuzz")
    kinds = rng.choices(list(_KINDS), list(_KINDS.values()), k=moves)
    return [(rng.choice(("min", "max")),), *(_move(kind, rng) for kind in kinds)]


def _move(kind: str, rng: Random) -> _Move:
    if kind in ("run", "add", "again", "idle", "exhaust", "grow"):
        return (kind,)
    if kind != "report":
        return kind, rng.randrange(8)
    stride = 1 if rng.random() < 0.8 else rng.choice((2, 3, 7, 1000))
    value = rng.choice(ODD) if rng.random() < 0.3 else round(rng.gauss(0, 2), 1)
    return kind, rng.randrange(8), stride, value


def _written(history: Sequence[_Move]) -> str:
    return "; ".join(" ".join(map(str, move)) for move in history)


def _read(text: str) -> list[_Move]:
    history: list[_Move] = []
    for words in (move.split() for move in text.split(";")):
        match words:
            case ["min" | "max"] if not history:
                history.append((words[0],))
            case ["run" | "add" | "again" | "idle" | "exhaust" | "grow"] if history:
                history.append((words[0],))
            case ["finish" | "fail" | "stop" | "pause" | "resume" | "lose", which] if history and which.isdigit():
                history.append((words[0], int(which)))
            case ["report", which, stride, value] if history and which.isdigit() and stride.isdigit() and int(stride):
                history.append(("report", int(which), int(stride), float(value)))
            case _:
                raise ValueError(f"{' '.join(words)!r} is no move of a history: give replay= as a failure has told it")
    return history


# ------------------------------------------------------------------------------------------------------------------- play


@frozen
class _Failed:
    """How a history ended: what was wrong, and in which way; and what happened before."""

    reason: str
    kind: str
    told: list[str]
    error: BaseException | None
    guarding: bool


class _Broken(Exception):  # noqa: N818 -- nobody hears of it but `_failure`
    """A promise that was not kept."""


def _failure(make: Callable[[], Scheduler], history: Sequence[_Move], *, guarding: bool = False) -> _Failed | None:
    """How this history breaks the scheduler, if it does."""
    scheduler, told = make(), list[str]()
    name = type(scheduler).__name__
    try:
        stage = SchedulerRehearsal(scheduler, Objective("score", history[0][0]), guarding=guarding)
        _Player(make, stage, told).play(history[1:])
    except _Broken as error:
        return _Failed(f"{name} {error}", str(error).partition(":")[0], told, None, guarding)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is what was looked for
        kind = type(error).__name__
        if isinstance(error, ValueError) and _is_ours(error):
            return _Failed(f"{name}: {error}", "nonsense", told, None, guarding)
        return _Failed(f"{name} raised {kind}: {error}", kind, told, error, guarding)
    return None


def _is_ours(error: ValueError) -> bool:
    """Whether the rehearsal raised it: the scheduler has answered what cannot be."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).startswith("asynctune.testing.")


class _Player:
    """Plays moves to a scheduler, as a search could."""

    def __init__(self, make: Callable[[], Scheduler], rehearsal: SchedulerRehearsal, told: list[str]) -> None:
        self.make = make
        self.told = told
        self.rehearsal = rehearsal
        self.settings = _settings(rehearsal.scheduler)

    def play(self, moves: Sequence[_Move]) -> None:
        for move in moves:
            self._make(move)
        self._make(("exhaust",))
        self._to_the_end()
        self._make(("again",))
        if _settings(self.rehearsal.scheduler) != self.settings:
            raise _Broken(f"has other settings than in the beginning: {self.settings}")

    def _make(self, move: _Move) -> None:
        kind, *arguments = move
        getattr(self, f"_{kind}")(*arguments)

    def _say(self, move: str, what: str) -> None:
        self.told.append(f"{move:<24} {what}")

    def _pick(self, which: int, found: Sequence[int]) -> int | None:
        return found[which % len(found)] if found else None

    @property
    def _held(self) -> list[int]:
        return [trial for trial in self.rehearsal.live(State.PENDING) if self.rehearsal.trials[trial].hold == HELD_BY_USER]

    @property
    def _running(self) -> list[int]:
        return self.rehearsal.live(State.RUNNING)

    # What can happen. Each move says what it is going to do, so that the last one said is the one that failed.

    def _run(self) -> object:
        rehearsal = self.rehearsal
        self._say("run", "a slot is free")
        choice = rehearsal.choose()
        if rehearsal.chooses and (again := rehearsal.choose()) != choice:
            raise _Broken(f"chose {again!r}, asked again with nothing changed: it had chosen {choice!r}")
        if choice == "WAIT" or (choice == "NEW" and not rehearsal.growing):
            self.told[-1] += f"; it chooses {choice!r}"
            if choice == "WAIT" and rehearsal.growing and not self._running and not self._held:
                raise _Broken("waits: nothing runs, so nothing could ever change its mind")
        elif choice == "NEW":
            self.told[-1] += f": trial {len(rehearsal.trials)} is new, and runs"
            rehearsal.add()
        else:
            self.told[-1] += f": trial {choice} goes on"
            rehearsal.start(choice)
        return choice

    def _add(self) -> None:
        if self.rehearsal.growing:
            self._say("add", f"trial {len(self.rehearsal.trials)} is added, and waits")
            self.rehearsal.add(run=False)

    def _report(self, which: int, stride: int, value: float) -> None:
        if (trial := self._pick(which, self._running)) is not None:
            step = self.rehearsal.trials[trial].step + stride
            self._say(f"report {which} {stride} {value}", f"trial {trial} reports {value} at step {step}")
            self.told[-1] += f": {self.rehearsal.report(trial, step, value)}"

    def _finish(self, which: int) -> None:
        if (trial := self._pick(which, self._running)) is not None:
            self._say(f"finish {which}", f"trial {trial} finishes")
            self.rehearsal.complete(trial)

    def _fail(self, which: int) -> None:
        if (trial := self._pick(which, self.rehearsal.live())) is not None:
            self._say(f"fail {which}", f"trial {trial} fails")
            self.rehearsal.fail(trial)

    def _stop(self, which: int) -> None:
        if (trial := self._pick(which, self.rehearsal.live())) is not None:
            self._say(f"stop {which}", f"the user stops trial {trial}")
            self.rehearsal.complete(trial, stop_reason="stopped by the user")

    def _pause(self, which: int) -> None:
        if (trial := self._pick(which, self._running)) is not None:
            self._say(f"pause {which}", f"the user pauses trial {trial}")
            self.rehearsal.pause(trial)

    def _resume(self, which: int) -> None:
        if (trial := self._pick(which, self._held)) is not None:
            self._say(f"resume {which}", f"the user lets trial {trial} go on")
            self.rehearsal.start(trial)

    def _lose(self, which: int) -> None:
        if (trial := self._pick(which, self._running)) is not None:
            self._say(f"lose {which}", f"the launch of trial {trial} is lost, and it is started again")
            self.rehearsal.lose(trial)

    def _idle(self) -> None:
        self._say("idle", "the oracle has nothing now")
        self.rehearsal.growing = False

    def _exhaust(self) -> None:
        self._say("exhaust", "the oracle has nothing any more")
        self.rehearsal.growing, self.rehearsal.exhausted = False, True

    def _grow(self) -> None:
        self._say("grow", "there may be new trials")
        self.rehearsal.growing, self.rehearsal.exhausted = True, False

    def _again(self) -> None:
        self._say("again", "the search is opened again: another one is told the same")
        fresh, calls = self.make(), self.rehearsal.calls
        if fresh is self.rehearsal.scheduler:
            raise _Broken("is the same object each time: make() must return a new one")
        fresh.set_search(objective=self.rehearsal.objective)
        for call, answer in zip(calls, told_again(fresh, calls), strict=True):
            if answer != call.answer:
                view = next((f" of trial {each.id}" for each in call.arguments if hasattr(each, "launches")), "")
                text = f"{answer!r} to {call.hook}{view}, and it had answered {call.answer!r}"
                raise _Broken(f"answers otherwise, told the same again: {text}")
        self.rehearsal.scheduler = fresh

    def _to_the_end(self) -> None:
        """Play every trial to its end. No order can keep it from that: slots are filled, and what runs reports."""
        rehearsal = self.rehearsal
        while True:
            while len(self._running) < _WORKERS and isinstance(self._run(), int):
                pass
            if (held := self._held) and not self._running:
                self._resume(held.index(held[0]))
            elif not self._running:
                for trial in rehearsal.live(State.PENDING):  # the law: whoever was not chosen then never is
                    rehearsal.complete(trial, stop_reason="not promoted")
                return
            for trial in self._running:
                if rehearsal.trials[trial].state is not State.RUNNING:
                    continue  # a verdict on another has ended it, or set it aside
                which = self._running.index(trial)
                if rehearsal.trials[trial].step >= _LAST:
                    self._finish(which)
                else:
                    self._report(which, 1, float(trial))


def _settings(scheduler: Scheduler) -> Any:
    settings = dict(scheduler.settings())
    try:
        written = json.loads(json.dumps(settings))
    except (TypeError, ValueError) as error:
        raise _Broken(f"has settings that cannot be written down: {error}") from error
    return written


# ----------------------------------------------------------------------------------------------------------------- shrink


def _shortest(make: Callable[[], Scheduler], history: list[_Move], failed: _Failed) -> tuple[list[_Move], _Failed]:
    """The shortest history that was found to fail in the same way, and how it does: moves are left out, many at a time first;
    then those that are left are made plain."""
    tries = _TRIES

    def fails(shorter: list[_Move]) -> _Failed | None:
        nonlocal tries
        tries -= 1
        found = _failure(make, shorter, guarding=failed.guarding) if tries >= 0 else None
        return found if found is not None and found.kind == failed.kind else None

    if fails(history) is None:
        why = "Told the same once more it does not fail: it depends on something else than what it is told"
        return history, evolve(failed, reason=f"{failed.reason}. {why}")
    size = len(history) // 2
    while size:
        start = 1
        while start < len(history):
            shorter = history[:start] + history[start + size :]
            if (found := fails(shorter)) is not None:
                history, failed = shorter, found
            else:
                start += size
        size //= 2
    for place, move in enumerate(history):
        for plain in _plainer(move):
            if (found := fails([*history[:place], plain, *history[place + 1 :]])) is not None:
                history, failed = [*history[:place], plain, *history[place + 1 :]], found
                break
    return history, failed


def _plainer(move: _Move) -> list[_Move]:
    """The same move with plainer numbers, the plainest first."""
    if len(move) == 1:
        return [("min",)] if move == ("max",) else []
    if len(move) == 2:
        return [(move[0], which) for which in range(move[1])]
    kind, which, stride, value = move
    values = [0.0, 1.0, -1.0, math.nan, value]
    plainer = [(kind, low, step, plain) for low in range(which + 1) for step in sorted({1, stride}) for plain in values]
    return plainer[: next(place for place, each in enumerate(plainer) if repr(each) == repr(move))][:20]


def _error(failed: _Failed, seed: int | None, history: Sequence[_Move]) -> FuzzError:
    return FuzzError(failed.reason, seed, _written(history), failed.told)
