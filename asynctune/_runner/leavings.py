"""What trials leave behind when they end is killed, and their logs say what that was."""

from __future__ import annotations

import os
from collections.abc import Sequence

from asynctune._runner.families import Member
from asynctune._runner.logs import note_in_log
from asynctune.records import LaunchNumber, TrialId, log_name

__all__ = ["Leavings"]

_MOST_NAMED = 20


class Leavings:
    """Knows whose log it is to be said in.

    Args:
        directory: of the search.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        #: By runner: its pid, and what it runs.
        self._running: dict[int, tuple[int, TrialId, LaunchNumber]] = {}
        #: By pid: what the runners have run that ended last.
        self._ended: dict[int, tuple[TrialId, LaunchNumber]] = {}
        self._reported = False

    def __repr__(self) -> str:
        return f"<Leavings of {list(self._ended.values())}>"

    def started(self, runner: int, pid: int, trial: TrialId, launch: LaunchNumber) -> None:
        """A runner was started for this launch, and will run no other."""
        self._running[runner] = pid, trial, launch

    def ended(self, runner: int) -> None:
        """A runner was reaped."""
        if self._reported:
            self._reported = False
            self._ended.clear()
        if (known := self._running.pop(runner, None)) is not None:
            self._ended[known[0]] = known[1:]

    def reported(self) -> None:
        """All that have ended until now were said to have. What is found until another one ends is still theirs."""
        self._reported = True

    def killed(self, runner: int, launch: tuple[TrialId, LaunchNumber] | None, members: Sequence[Member]) -> None:
        """A runner was killed, and these with it; `launch` is what it ran, if that is known."""
        known = self._running.get(runner)
        living = [each for each in members if each.state != "Z"]
        self._note([known[1:] if known is not None else launch], "it was killed, and with it", living)

    def found(self, strays: Sequence[Member]) -> None:
        """These were left behind by somebody, and were killed."""
        strays = [stray for stray in strays if stray.state != "Z"]
        everybody = list(self._ended.values())
        for pid, launch in self._ended.items():
            own = [stray for stray in strays if stray.session == pid or len(everybody) == 1]
            self._note([launch], "killed what it had left behind:", own)
            strays = [stray for stray in strays if stray not in own]
        # Who has left the session of its trial cannot be told from who has left another's.
        self._note(everybody or [None], "killed what it, or a trial that ended with it, had left behind:", strays)

    def _note(self, launches: Sequence[tuple[TrialId, LaunchNumber] | None], text: str, members: Sequence[Member]) -> None:
        if not members:
            return
        named = ", ".join(f"{member.name} ({member.pid})" for member in members[:_MOST_NAMED])
        more = f" and {len(members) - _MOST_NAMED} more" if len(members) > _MOST_NAMED else ""
        for launch in launches:
            log = log_name(*launch) if launch is not None else "logs/zygote.log"
            note_in_log(os.path.join(self._directory, log), f"{text} {named}{more}")
