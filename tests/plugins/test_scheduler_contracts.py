"""Contract tests: every scheduler that is shipped keeps what all of them promise."""

from __future__ import annotations

from asynctune.schedulers import ASHA, FIFO, MedianStopping, Scheduler
from asynctune.testing.contracts import SchedulerContract


class TestFIFO(SchedulerContract):
    def make(self) -> Scheduler:
        return FIFO()


class TestMedianStopping(SchedulerContract):
    def make(self) -> Scheduler:
        return MedianStopping()


class TestMedianStoppingSoon(SchedulerContract):
    def make(self) -> Scheduler:
        return MedianStopping(grace=3, min_samples=1)


class TestASHA(SchedulerContract):
    def make(self) -> Scheduler:
        return ASHA(max_steps=27)


class TestASHAThatLeavesAlone(SchedulerContract):
    def make(self) -> Scheduler:
        return ASHA(max_steps=16, grace=2, factor=2, stop_last=False)
