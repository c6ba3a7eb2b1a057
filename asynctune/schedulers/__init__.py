"""Schedulers judge trials by their reports."""

from __future__ import annotations

from asynctune.schedulers.asha import ASHA
from asynctune.schedulers.base import Scheduler
from asynctune.schedulers.fifo import FIFO
from asynctune.schedulers.median import MedianStopping

__all__ = ["ASHA", "FIFO", "MedianStopping", "Scheduler"]
