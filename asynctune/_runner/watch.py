"""Watching over runners: which limit is broken, and what follows for whoever breaks it or does not heed that it is to stop.

The zygote that holds the runners does this in its own loop and by its own clock, so that nothing depends on the search's: its
event loop may be blocked, its process stopped. What is broken is said once, upwards; the rest needs nobody's leave.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable

from attrs import define

from asynctune._runner.families import Member, descendants, is_stopped, memory_of
from asynctune._runner.kin import Kin
from asynctune._runner.orders import End, RunnerBroke
from asynctune._runner.pulse import Beat, Pulse
from asynctune.policies import Limit, Limits

__all__ = ["Watch"]

_LOOK_AT_CLOCKS = 1.0  # seconds, at most; so much of a pause of ours can go unnoticed
_WEIGH = 0.5
_LATE = 0.25  # from which on we were stopped, or had no core
_WARNING = 0.5  # seconds from SIGTERM to SIGKILL, where the grace is long enough
_LEAST_WARNING = 0.25
_WRITES_WITHIN = 0.1  # seconds that it has for its stacks, who has nothing else
_TOO_MUCH = 2  # times what is granted, and there is no grace


@define
class _Watched:
    """A runner that must keep limits."""

    pid: int
    pulse: Pulse


@define
class _Doomed:
    """A runner that is to end. Times are of the monotonic clock, in seconds.

    `launch` is the one that is to end; with None, the runner is.
    """

    terminate_at: float
    kill_at: float
    launch: tuple[int, int] | None = None
    terminated: bool = False

    @property
    def next_at(self) -> float:
        """When there is something to do."""
        return self.kill_at if self.terminated else min(self.terminate_at, self.kill_at)


class Watch:
    """Watches over the runners of one search.

    Args:
        limits: of each launch.
        kin: holds the runners.
        say: passes on what was broken.
        killed: is told which runner was killed, and what with it.
    """

    def __init__(
        self,
        limits: Limits,
        kin: Kin,
        *,
        say: Callable[[RunnerBroke], None],
        killed: Callable[[int, list[Member]], None],
    ) -> None:
        self._limits = limits
        self._kin = kin
        self._say = say
        self._killed = killed
        self.watches = bool(limits.watched)
        self._weighs = limits.memory is not None or limits.processes is not None
        times = [seconds for seconds in (limits.trial_time, limits.start_up, limits.silence) if seconds is not None]
        # What a runner does is not told to us. So no launch may begin and break a limit between two looks.
        self._every = min([_LOOK_AT_CLOCKS, *times, *[_WEIGH] * self._weighs])
        self._watched: dict[int, _Watched] = {}
        self._doomed: dict[int, _Doomed] = {}
        self._due = math.inf
        self._weigh_at = 0.0
        #: When we were not there to see anything, and for how many seconds.
        self._pauses: list[tuple[float, float]] = []

    def __repr__(self) -> str:
        return f"<Watch over {len(self._watched)} runners, of which {len(self._doomed)} are to end>"

    def __bool__(self) -> bool:
        return bool(self._watched or self._doomed)

    def add(self, runner: int, pid: int, pulse: Pulse) -> None:
        """A runner was started."""
        self._wake_up()
        self._watched[runner] = _Watched(pid, pulse)
        self._due = min(self._due, time.monotonic() + self._every)

    def forget(self, runner: int) -> None:
        """A runner has ended."""
        self._watched.pop(runner, None)
        self._doomed.pop(runner, None)

    def forget_all(self) -> None:
        """In a runner: it watches over nobody, and lets go of what the others show."""
        self._watched.clear()

    def launch_of(self, runner: int) -> tuple[int, int] | None:
        """What a runner runs, if it shows that."""
        watched = self._watched.get(runner)
        return None if watched is None else watched.pulse.beat().launch

    def end(self, order: End) -> None:
        """A runner is to end, as it was told; the order may only be hurried by another one."""
        if self._kin.holds(order.runner):
            self._wake_up()
            self._doom(order.runner, order.grace, None)

    def wait(self) -> float:
        """Seconds until `look` has something to do; 0 if it is late already."""
        return max(0.0, self._due - time.monotonic())

    def look(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        if now < self._due:
            return
        late = now - self._due
        if late > _LATE:
            # Whoever stopped us may have stopped them too. It is nobody's fault, so that time is given to everybody.
            oldest = self._oldest()
            self._pauses = [pause for pause in self._pauses if pause[0] > oldest] + [(now, late)]
            for doomed in self._doomed.values():
                doomed.terminate_at += late
                doomed.kill_at += late
        weighs = self._weighs and now >= self._weigh_at
        if weighs:
            self._weigh_at = now + _WEIGH
        soonest = now + self._every if self._watched else math.inf
        for runner, watched in self._watched.items():
            soonest = min(soonest, now + self._judge(runner, watched, now, weighs=weighs))
        for runner, doomed in list(self._doomed.items()):
            self._hasten(runner, doomed, now)
        self._due = min([soonest, *(each.next_at for each in self._doomed.values())])

    def _wake_up(self) -> None:
        if not self:
            self._due = math.inf
            self._pauses.clear()

    def _oldest(self) -> float:
        """When the oldest launch began. Who rests has none."""
        began = (watched.pulse.beat().began for watched in self._watched.values())
        return min((each for each in began if each), default=time.monotonic_ns()) / 1e9

    # ----------------------------------------------------------------------------------------------------------- judging

    def _judge(self, runner: int, watched: _Watched, now: float, *, weighs: bool) -> float:
        """End the runner if it has broken a limit; else, the seconds until it will have, if it goes on like this."""
        beat = watched.pulse.beat()
        if beat.began == 0:
            return math.inf
        doomed = self._doomed.get(runner)
        if doomed is None:
            left = math.inf
            for limit, seconds, spent in self._spans(watched, beat, now):
                if spent >= seconds:
                    self._break(runner, watched, beat, limit, spent)
                    return math.inf
                left = min(left, seconds - spent)
            if weighs:
                self._weigh(runner, watched, beat, None)
            return left
        if weighs:
            self._weigh(runner, watched, beat, doomed)
        return math.inf

    def _spans(self, watched: _Watched, beat: Beat, now: float) -> list[tuple[Limit, float, float]]:
        """What has run since when: each limit of time, its seconds, and those that are spent."""
        limits, spans = self._limits, []
        # Time that it waits for the search is not its own, unless it is stopped and would not hear the answer.
        waits = beat.waits and not is_stopped(watched.pid)
        waited = (beat.waited / 1e9) + (self._since(beat.waits, now) if waits else 0.0)
        if limits.trial_time is not None and beat.launch is not None:
            spans.append((Limit.TRIAL_TIME, limits.trial_time, self._since(beat.began, now) - waited))
        if limits.start_up is not None and beat.called == 0:
            spans.append((Limit.START_UP, limits.start_up, self._since(beat.began, now)))
        if limits.silence is not None and beat.called != 0 and not waits:
            last = max(beat.called, beat.heard, beat.waits)
            spans.append((Limit.SILENCE, limits.silence, self._since(last, now)))
        return spans

    def _since(self, moment: int, now: float) -> float:
        seconds = moment / 1e9
        return now - seconds - sum(late for at, late in self._pauses if at > seconds)

    def _weigh(self, runner: int, watched: _Watched, beat: Beat, doomed: _Doomed | None) -> None:
        limits, family = self._limits, [watched.pid, *descendants([watched.pid])]
        found: list[tuple[Limit, int, int]] = []
        if limits.processes is not None:
            found.append((Limit.PROCESSES, limits.processes, len(family)))
        if limits.memory is not None:
            found.append((Limit.MEMORY, limits.memory, memory_of(family, limits.memory)))
        for limit, granted, taken in found:
            if doomed is None and taken > granted:
                doomed = self._break(runner, watched, beat, limit, taken)
            if doomed is not None and taken > _TOO_MUCH * granted:
                doomed.kill_at = min(doomed.kill_at, time.monotonic() + _WRITES_WITHIN)

    # ------------------------------------------------------------------------------------------------------------ ending

    def _break(self, runner: int, watched: _Watched, beat: Beat, limit: Limit, amount: float) -> _Doomed:
        trial, launch = beat.launch or (None, None)
        # First of all: whoever hears how it ended has then been told why.
        self._say(RunnerBroke(runner=runner, trial=trial, launch=launch, limit=limit, amount=amount))
        if beat.launch is not None:
            watched.pulse.tell(*beat.launch)
        self._kin.dump(runner)
        return self._doom(runner, self._limits.grace, beat.launch, writes=_WRITES_WITHIN)

    def _doom(self, runner: int, grace: float, launch: tuple[int, int] | None, writes: float = 0.0) -> _Doomed:
        now = time.monotonic()
        terminate_at = now + max(grace - min(_WARNING, grace / 2), writes)
        kill_at = max(now + grace, terminate_at + _LEAST_WARNING)
        doomed = self._doomed.setdefault(runner, _Doomed(terminate_at, kill_at, launch))
        doomed.terminate_at = min(doomed.terminate_at, terminate_at)
        doomed.kill_at = min(doomed.kill_at, kill_at)
        self._due = min(self._due, doomed.terminate_at)
        return doomed

    def _hasten(self, runner: int, doomed: _Doomed, now: float) -> None:
        if doomed.launch is not None and not self._runs(runner, doomed.launch):
            del self._doomed[runner]  # that launch is over, and the next one has done nothing
        elif now >= doomed.kill_at:
            self._killed(runner, self._kin.end(runner))
            doomed.kill_at = math.inf
            doomed.terminated = True
        elif now >= doomed.terminate_at and not doomed.terminated:
            doomed.terminated = True
            self._kin.kill(runner, signal.SIGTERM)
            self._kin.kill(runner, signal.SIGCONT)

    def _runs(self, runner: int, launch: tuple[int, int]) -> bool:
        watched = self._watched.get(runner)
        if watched is None:
            return True
        beat = watched.pulse.beat()
        return beat.began != 0 and beat.launch == launch
