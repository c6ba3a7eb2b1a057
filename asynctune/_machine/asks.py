"""What is asked of the oracle: numbers, ids, and whether it is worth asking."""

from __future__ import annotations

import heapq

from asynctune.records import SuggestionStatus, TrialId

__all__ = ["Asks"]


class Asks:
    """The asks of a search.

    `in_flight` maps the number of an unanswered ask to the id of its trial. `idle` and `exhausted` are what the oracle last
    said, for as long as nothing has happened that could change its mind.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.in_flight: dict[int, TrialId] = {}
        self.idle = False
        self.exhausted = False
        self._next_id = 0
        self._returned: list[TrialId] = []
        self._changes = 0
        self._growths = 0
        self._seen: dict[int, tuple[int, int]] = {}

    def new_id(self) -> TrialId:
        """The lowest id that no trial has."""
        if self._returned:
            return heapq.heappop(self._returned)
        self._next_id += 1
        return self._next_id - 1

    def ask(self) -> tuple[int, TrialId]:
        """A new ask: its number, and the id that its trial will have."""
        self.asked += 1
        trial = self.new_id()
        self.in_flight[self.asked] = trial
        self._seen[self.asked] = (self._changes, self._growths)
        return self.asked, trial

    def answered(self, number: int, status: SuggestionStatus) -> TrialId:
        """The ask was answered: the id that it was for, which is free again unless there are values for it.

        An oracle that had nothing when it was asked may have something now, if a trial ended or the space grew meanwhile.
        """
        trial = self.in_flight.pop(number)
        changes, growths = self._seen.pop(number)
        if status is SuggestionStatus.IDLE:
            self.idle = changes == self._changes
        if status is SuggestionStatus.EXHAUSTED:
            self.exhausted = growths == self._growths
        if status is not SuggestionStatus.RUNNING:
            heapq.heappush(self._returned, trial)
        return trial

    def trial_ended(self) -> None:
        """The oracle may know more now."""
        self.idle = False
        self._changes += 1

    def space_grew(self) -> None:
        """There is more to try now."""
        self.idle = self.exhausted = False
        self._changes += 1
        self._growths += 1

    def reopened(self, *, other_oracle: bool) -> None:
        """The search was opened again, perhaps with another oracle."""
        self.idle = False
        if other_oracle:
            self.exhausted = False
