"""Optuna: trials in this process, one after the other; a journal file, exceptions caught as its documentation says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from bench.peers import faulty

_STATES = {"COMPLETE": "completed", "FAIL": "failed", "RUNNING": "running"}
_studies: list[Any] = []


def search(fault: str, place: str) -> None:
    """Begin the study, or go on with it."""
    directory = Path(place, "state")
    directory.mkdir(exist_ok=True)

    def objective(trial: Any) -> Any:
        trial.suggest_float("x", 0, 1)
        return faulty.trial(trial.number, fault, place)

    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(directory / "journal.log"))), study_name="faults", load_if_exists=True
    )
    _studies.append(study)
    completed = sum(trial.state.name == "COMPLETE" for trial in study.trials)
    callbacks = [lambda _study, _trial: faulty.raise_once(place)] if fault == "callback" else []
    # The nearest that there is to a limit of a trial's time is the study's.
    timeout = faulty.TIME_LIMIT if fault == faulty.ENDLESS else None
    study.optimize(objective, n_trials=faulty.TRIALS - completed, catch=(Exception,), callbacks=callbacks, timeout=timeout)


def look() -> dict[int, tuple[str, float | None]]:
    """The trials of the study."""
    return {each.number: (_STATES[each.state.name], each.value) for each in _studies[0].trials}


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    faulty.main(search, look)
