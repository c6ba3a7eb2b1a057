"""Which checkpoints are kept, by `CheckpointPolicy`: of one trial, and of all of them together.

Whoever needs one is asked elsewhere (`pins`); here it is decided what could go.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from heapq import heappop, heappush

from asynctune.policies import CheckpointPolicy
from asynctune.records import CheckpointKey, Metrics, Report, TrialId

__all__ = ["Shelf", "by_worth"]

_Rank = tuple[float, int, int, int, int]


def by_worth(
    checkpoints: Sequence[CheckpointKey], reports: Sequence[Report], result: Metrics | None, policy: CheckpointPolicy
) -> list[CheckpointKey]:
    """Those of one trial, in the order in which they came about, from the one that is worth most. One that came with the
    trial's `result`, of a step beyond its reports, is worth what that says."""
    newest_first = checkpoints[::-1]
    if policy.score is None:
        return list(newest_first)
    return sorted(newest_first, key=lambda key: _loss(key, reports, result or {}, policy))  # of equal ones the order stays


def _loss(key: CheckpointKey, reports: Sequence[Report], result: Metrics, policy: CheckpointPolicy) -> float:
    assert policy.score is not None
    place = bisect_left(reports, key.step, key=lambda report: report.step)
    found = place < len(reports) and (reports[place].step, reports[place].launch) == (key.step, key.launch)
    metrics = reports[place].metrics if found else result if place == len(reports) else {}
    value = metrics.get(policy.score, math.nan)
    return math.inf if math.isnan(value) else value if policy.direction == "min" else -value


class Shelf:
    """How much room the checkpoints take, and which are given up first when it is too much.

    Those of ended trials go first, from the worst trial to the best; then those of others, from the oldest.
    """

    def __init__(self) -> None:
        self._sizes: dict[CheckpointKey, int] = {}
        self._ended: list[tuple[_Rank, CheckpointKey]] = []  # a heap; what is not in `_ranked` any more is skipped
        self._ranked: set[CheckpointKey] = set()
        #: In bytes.
        self.total = 0

    def keys(self) -> AbstractSet[CheckpointKey]:
        """Those that are there."""
        return self._sizes.keys()

    def put(self, key: CheckpointKey, size: int | None) -> None:
        """A checkpoint was left, of a trial that has not ended."""
        self.remove(key)
        self._sizes[key] = size or 0
        self.total += size or 0

    def remove(self, key: CheckpointKey) -> None:
        """It is not there any more."""
        self.total -= self._sizes.pop(key, 0)
        self._ranked.discard(key)

    def end(self, trial: TrialId, loss: float | None, worth: Sequence[CheckpointKey]) -> None:
        """The trial has ended, with this loss (None for none at all), and these are left of it, from the one that is worth
        most."""
        rank = -math.inf if loss is None else -loss
        for place, key in enumerate(worth):
            if key not in self._ranked:
                self._ranked.add(key)
                heappush(self._ended, ((rank, trial, -place, key.step, key.launch), key))

    def dispensable(self, needed: Callable[[CheckpointKey], bool], most: int) -> Iterator[CheckpointKey]:
        """Those that go, one after the other, as long as all of them are larger than `most`. Each is to be removed before the
        next is asked for."""
        passed: list[tuple[_Rank, CheckpointKey]] = []
        while self.total > most and self._ended:
            entry = heappop(self._ended)
            if entry[1] not in self._ranked:
                continue
            if needed(entry[1]):
                passed.append(entry)
            else:
                yield entry[1]
        for entry in passed:
            heappush(self._ended, entry)
        if self.total > most:
            for key in [key for key in self._sizes if key not in self._ranked]:
                if self.total > most and not needed(key):
                    yield key
