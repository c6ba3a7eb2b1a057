"""KerasTuner's words: a callback that reports from inside `fit`, and its oracles, driven by hand or by a search.

Each name is fetched from its module when it is first asked for: a trial, which needs the callback, does not pay for the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynctune.lazy import lazy

if TYPE_CHECKING:
    from asynctune.keras.adapter import KerasOracle
    from asynctune.keras.metrics import MetricsTracker, Observation
    from asynctune.keras.oracle import Oracle
    from asynctune.keras.oracles import GridSearchOracle, RandomSearchOracle
    from asynctune.keras.reporting import ReportCallback
    from asynctune.keras.trial import Trial, TrialStatus
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "GridSearchOracle": "oracles",
            "KerasOracle": "adapter",
            "MetricsTracker": "metrics",
            "Observation": "metrics",
            "Oracle": "oracle",
            "RandomSearchOracle": "oracles",
            "ReportCallback": "reporting",
            "Trial": "trial",
            "TrialStatus": "trial",
        },
    )

__all__ = [
    "GridSearchOracle",
    "KerasOracle",
    "MetricsTracker",
    "Observation",
    "Oracle",
    "RandomSearchOracle",
    "ReportCallback",
    "Trial",
    "TrialStatus",
]
