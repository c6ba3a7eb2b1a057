"""Schedulers judge trials by their reports."""

from __future__ import annotations

from asynctune.schedulers.asha import ASHA
from asynctune.schedulers.base import Scheduler
from asynctune.schedulers.bohb import BOHB
from asynctune.schedulers.fifo import FIFO
from asynctune.schedulers.hyperband import HyperBand
from asynctune.schedulers.median import MedianStopping
from asynctune.schedulers.moasha import MOASHA
from asynctune.schedulers.patience import Patience
from asynctune.schedulers.pb2 import PB2
from asynctune.schedulers.pbt import PopulationBasedTraining
from asynctune.schedulers.percentile import Percentile
from asynctune.schedulers.replay import PopulationBasedTrainingReplay
from asynctune.schedulers.resource_changing import ResourceChanging, Shares, evenly
from asynctune.schedulers.threshold import Threshold
from asynctune.schedulers.wilcoxon import Wilcoxon

__all__ = [
    "ASHA",
    "BOHB",
    "FIFO",
    "MOASHA",
    "PB2",
    "HyperBand",
    "MedianStopping",
    "Patience",
    "Percentile",
    "PopulationBasedTraining",
    "PopulationBasedTrainingReplay",
    "ResourceChanging",
    "Scheduler",
    "Shares",
    "Threshold",
    "Wilcoxon",
    "evenly",
]
