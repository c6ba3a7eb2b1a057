"""Checkpoints that are held, for trials that go on from what others have left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from asynctune._machine.instructions import DeleteCheckpoint
from asynctune.records import CheckpointKey, TrialId

__all__ = ["Pins"]


class Pins:
    """Who needs which checkpoint of another trial, and which of these their own trials need no more: such a one is deleted when
    the last who needs it has let go of it, and not before."""

    def __init__(self) -> None:
        self._needs: dict[TrialId, frozenset[CheckpointKey]] = {}
        self._holders: dict[CheckpointKey, dict[TrialId, None]] = {}
        self._doomed: dict[CheckpointKey, None] = {}

    @property
    def held(self) -> Mapping[CheckpointKey, Iterable[TrialId]]:
        """The checkpoints that are held, and by whom."""
        return self._holders

    @property
    def doomed(self) -> AbstractSet[CheckpointKey]:
        """Those of them that are kept for nothing else."""
        return self._doomed.keys()

    def needs(self, trial: TrialId) -> frozenset[CheckpointKey]:
        """What this one holds."""
        return self._needs.get(trial, frozenset())

    def hold(self, trial: TrialId, needed: frozenset[CheckpointKey]) -> list[DeleteCheckpoint]:
        """The trial needs these, and nothing else any more; what can be deleted now."""
        before = self.needs(trial)
        if needed == before:
            return []
        if needed:
            self._needs[trial] = needed
        else:
            del self._needs[trial]
        for key in needed - before:
            self._holders.setdefault(key, {})[trial] = None
        freed = list[DeleteCheckpoint]()
        for key in sorted(before - needed, key=_in_order):
            del self._holders[key][trial]
            if not self._holders[key]:
                del self._holders[key]
                if key in self._doomed:
                    del self._doomed[key]
                    freed.append(DeleteCheckpoint(key))
        return freed

    def discard(self, checkpoints: Iterable[CheckpointKey]) -> list[DeleteCheckpoint]:
        """Their own trial needs these no more; those of them that can be deleted now."""
        if not self._holders:  # as nearly always
            return [DeleteCheckpoint(key) for key in checkpoints]
        freed = list[DeleteCheckpoint]()
        for key in checkpoints:
            if key in self._holders:
                self._doomed[key] = None
            else:
                freed.append(DeleteCheckpoint(key))
        return freed

    def gone(self, checkpoint: CheckpointKey) -> None:
        """It is not there any more, and need not be deleted."""
        self._doomed.pop(checkpoint, None)


def _in_order(key: CheckpointKey) -> tuple[int, int, int]:
    return key.trial, key.step, key.launch
