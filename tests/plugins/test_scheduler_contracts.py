"""Contract tests: every scheduler that is shipped keeps what all of them promise."""

from __future__ import annotations

from importlib import import_module

from attrs import evolve

from asynctune.policies import Resources
from asynctune.records import CheckpointKey, Origin, State, TrialView
from asynctune.schedulers import (
    ASHA,
    BOHB,
    FIFO,
    MOASHA,
    PB2,
    HyperBand,
    MedianStopping,
    Patience,
    Percentile,
    PopulationBasedTraining,
    PopulationBasedTrainingReplay,
    ResourceChanging,
    Scheduler,
    Threshold,
    Wilcoxon,
)
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


class TestASHAInBrackets(SchedulerContract):
    def make(self) -> Scheduler:
        return ASHA(max_steps=27, brackets=3)


class TestASHAThatPromotes(SchedulerContract):
    def make(self) -> Scheduler:
        return ASHA(max_steps=27, form="promotion")


class TestASHAThatPromotesInBrackets(SchedulerContract):
    def make(self) -> Scheduler:
        return ASHA(max_steps=20, factor=2, form="promotion", brackets=2)


class TestASHAThatPromotesAndLeavesAlone(SchedulerContract):
    def make(self) -> Scheduler:
        return ASHA(max_steps=9, form="promotion", stop_last=False)


class TestHyperBand(SchedulerContract):
    def make(self) -> Scheduler:
        return HyperBand(max_steps=9)


class TestLargeHyperBand(SchedulerContract):
    def make(self) -> Scheduler:
        return HyperBand(max_steps=27, grace=2, factor=2)


class TestBOHB(SchedulerContract):
    def make(self) -> Scheduler:
        return BOHB(max_steps=16, factor=4)


class TestMedianStoppingSoftly(SchedulerContract):
    def make(self) -> Scheduler:
        return MedianStopping(min_samples=1, hard_stop=False)


class TestPercentile(SchedulerContract):
    def make(self) -> Scheduler:
        return Percentile(percentile=40, startup_trials=2, grace=2, interval=3)


class TestThreshold(SchedulerContract):
    def make(self) -> Scheduler:
        return Threshold(lower=-20, upper=20, interval=2)


class TestPatience(SchedulerContract):
    def make(self) -> Scheduler:
        return Patience(patience=2)


class TestPatienceWithASHA(SchedulerContract):
    def make(self) -> Scheduler:
        return Patience(patience=1, inside=ASHA(max_steps=27))


class TestWilcoxon(SchedulerContract):
    def make(self) -> Scheduler:
        return Wilcoxon()


class TestTheExample(SchedulerContract):
    def make(self) -> Scheduler:
        made: Scheduler = import_module("examples.custom_scheduler").Behind(margin=1.0)
        return made


class TestPopulationBasedTraining(SchedulerContract):
    def make(self) -> Scheduler:
        return PopulationBasedTraining(perturbation_interval=3)


class TestPopulationBasedTrainingSynchronously(SchedulerContract):
    def make(self) -> Scheduler:
        return PopulationBasedTraining(perturbation_interval=4, synchronous=True, hyperparam_mutations={"x": (0, 99)})


class TestPopulationBasedTrainingInTurns(SchedulerContract):
    def make(self) -> Scheduler:
        return PopulationBasedTraining(perturbation_interval=2, population=10, burn_in_period=3)


class TestPopulationBasedTrainingOfAllAtOnce(SchedulerContract):
    def make(self) -> Scheduler:
        return PopulationBasedTraining(perturbation_interval=2, population=8, synchronous=True)


class TestPB2(SchedulerContract):
    def make(self) -> Scheduler:
        return PB2(perturbation_interval=10, quantile_fraction=0.05, hyperparam_mutations={"x": (0, 99)})


class TestPopulationBasedTrainingReplay(SchedulerContract):
    def make(self) -> Scheduler:
        alone = TrialView(id=0, state=State.COMPLETED, values={"x": 0})
        origin = Origin(0, CheckpointKey(0, 2, 1), {"x": 7}, 2, {})
        return PopulationBasedTrainingReplay(policy={0: evolve(alone, lineage=(origin,))}, trial=0)


class TestMOASHA(SchedulerContract):
    def make(self) -> Scheduler:
        return MOASHA(max_steps=27)


class TestResourceChanging(SchedulerContract):
    def make(self) -> Scheduler:
        return ResourceChanging(total=Resources(cpu=8), trials=30, inside=HyperBand(max_steps=9))
