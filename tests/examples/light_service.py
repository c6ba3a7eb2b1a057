"""The service of examples/, with trials that cost nothing: a program. It finds `service` on its PYTHONPATH."""

from __future__ import annotations

import sys
import time

import uvicorn
from service import application

import asynctune as at


def train(trial: at.Trial) -> None:
    x = trial.hp.Float("x", 0.0, 1.0)
    for step in range(1, 6):
        time.sleep(0.02)  # so that a search is under way for a while
        trial.report(val_accuracy=x - 1 / step, loss=float("nan"))


uvicorn.run(application(train, at.LocalExecutor(2)), port=int(sys.argv[1]), timeout_graceful_shutdown=1)
