"""Stoppers say when it is enough: of one trial, or of the whole search."""

from __future__ import annotations

from asynctune.stoppers.base import (
    FunctionStopper,
    HearsEnds,
    HearsReports,
    HearsSearch,
    SearchStopper,
    Stopper,
    TrialStopper,
    as_stopper,
)
from asynctune.stoppers.combined import all_of, any_of, ready, stopper_of
from asynctune.stoppers.limits import MaxReports, MaxSteps, TimeBudget
from asynctune.stoppers.plateaus import NoImprovement, SearchPlateau, TrialPlateau
from asynctune.stoppers.targets import SearchTarget, TrialTarget

__all__ = [
    "FunctionStopper",
    "HearsEnds",
    "HearsReports",
    "HearsSearch",
    "MaxReports",
    "MaxSteps",
    "NoImprovement",
    "SearchPlateau",
    "SearchStopper",
    "SearchTarget",
    "Stopper",
    "TimeBudget",
    "TrialPlateau",
    "TrialStopper",
    "TrialTarget",
    "all_of",
    "any_of",
    "as_stopper",
    "ready",
    "stopper_of",
]
