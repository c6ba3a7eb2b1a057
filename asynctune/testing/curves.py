"""Readers of learning curves that others have published, and of tables of our own. Folders and files are arguments; nothing is
fetched.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asynctune._engine.database import JOURNAL_NAME
from asynctune.errors import ConfigurationError
from asynctune.objective import Objective
from asynctune.testing.workloads import Curve, Table

if TYPE_CHECKING:
    import numpy as np

__all__ = ["read_lcbench", "read_table", "read_taskset", "read_workloads"]


def read_taskset(folder: str | Path) -> Mapping[str, Table]:
    """TaskSet (Metz et al., "Using a thousand optimization tasks to learn hyperparameter search strategies", 2020,
    arXiv:2002.11887), as extracted for DPL: real curves of text RNNs, trained by Adam with 1,000 configurations of 8
    hyperparameters.

    The objective is the validation loss. The first of the 51 evaluations is of the untrained model, and left out; so there are
    50 steps, and each takes one second of the virtual clock, for nobody has measured them. About one curve in fourteen
    diverges: it is NaN from some step on.

    Args:
        folder: where `curves.npz` is: `tasks` [t], `hp_names` [h], `hp` [t, c, h] and `valid` [t, c, 51].

    Returns:
        A table for each task, by its name.

    Raises:
        ConfigurationError: the file is missing, or holds something else.
    """
    found = _loaded(Path(folder) / "curves.npz", ("tasks", "hp_names", "hp", "valid"))
    names, tables = [str(name) for name in found["hp_names"]], {}
    for task, hp, valid in zip(found["tasks"], found["hp"], found["valid"], strict=True):
        curves = [Curve({"valid_loss": each}) for each in valid[:, 1:].tolist()]
        tables[str(task)] = _table(str(task), names, hp.tolist(), curves, Objective("valid_loss", "min"))
    return tables


def read_lcbench(folder: str | Path, metric: str = "val_accuracy") -> Mapping[str, Table]:
    """LCBench (Zimmer, Lindauer, Hutter, "Auto-PyTorch Tabular", 2021), as the surrogate of YAHPO Gym predicts it: these are
    predictions, not measurements. 300 configurations of an MLP on OpenML tasks, 52 epochs each; full runs of one task differ by
    ten times in the seconds that they take.

    Args:
        folder: where `curves.npz` is: `task_ids` [t], `hp_names` [h], `hp` [c, h], `y_names` [m], and `y` [t, c, 52, m] with
            the cumulative seconds among them, as `time`.
        metric: one of `y_names`; one with "accuracy" in its name is maximised, any other minimised.

    Returns:
        A table for each task, by its number.

    Raises:
        ConfigurationError: the file is missing, or holds something else, or there is no such metric.
    """
    found = _loaded(Path(folder) / "curves.npz", ("task_ids", "hp_names", "hp", "y", "y_names"))
    columns = [str(name) for name in found["y_names"]]
    if metric not in columns or metric == "time":
        known = ", ".join(repr(name) for name in columns if name != "time")
        raise ConfigurationError(f"read_lcbench(metric=...) takes one of {known}, not {metric!r}")
    objective = Objective(metric, "max" if "accuracy" in metric else "min")
    names, hp, tables = [str(name) for name in found["hp_names"]], found["hp"].tolist(), {}
    values, times = found["y"][..., columns.index(metric)], found["y"][..., columns.index("time")]
    for task, rows, clocks in zip(found["task_ids"], values.tolist(), times.tolist(), strict=True):
        curves = [Curve({metric: row}, _takes(clock)) for row, clock in zip(rows, clocks, strict=True)]
        tables[str(task)] = _table(str(task), names, hp, curves, objective)
    return tables


def read_table(file: str | Path) -> Table:
    """A table of our own, as `bench/make_curves.py` writes it.

    Args:
        file: an .npz with `metric` and `direction` (texts), `hp_names` [h], `hp` [c, h], `values` [c, s], and `seconds` [c, s]
            of each step.

    Raises:
        ConfigurationError: it is missing, or holds something else.
    """
    found = _loaded(Path(file), ("metric", "direction", "hp_names", "hp", "values", "seconds"))
    metric, direction = str(found["metric"]), "max" if str(found["direction"]) == "max" else "min"
    curves = [
        Curve({metric: row}, takes) for row, takes in zip(found["values"].tolist(), found["seconds"].tolist(), strict=True)
    ]
    names = [str(name) for name in found["hp_names"]]
    objective = Objective(metric, "max") if direction == "max" else Objective(metric, "min")
    return _table(Path(file).stem, names, found["hp"].tolist(), curves, objective)


def read_workloads(path: str | Path) -> Mapping[str, Table]:
    """Whatever is there, by its content: a search that was recorded, a folder with TaskSet's or LCBench's `curves.npz`, or a
    table of our own. By name.

    Raises:
        ConfigurationError: there is none of these.
        StorageError: a recorded search cannot be read.
    """
    path = Path(path)
    if (path / JOURNAL_NAME).exists():
        table = Table.recorded(path)
        return {table.name: table}
    if path.is_dir():
        reader = read_taskset if "tasks" in _keys(path / "curves.npz") else read_lcbench
        return reader(path)
    table = read_table(path)
    return {table.name: table}


def _table(
    name: str, names: Sequence[str], hp: Sequence[Sequence[Any]], curves: Sequence[Curve], objective: Objective
) -> Table:
    configurations = [dict(zip(names, row, strict=True)) for row in hp]
    return Table(curves=curves, configurations=configurations, objective=objective, name=name)


def _takes(clock: Sequence[float]) -> list[float]:
    # What is predicted does not always grow.
    return [max(0.0, after - before) for before, after in pairwise((0.0, *clock))]


def _keys(file: Path) -> frozenset[str]:
    return frozenset(_opened(file, lambda found: found.files))


def _loaded(file: Path, keys: Sequence[str]) -> Mapping[str, np.ndarray]:
    missing = [key for key in keys if key not in _keys(file)]
    if missing:
        raise ConfigurationError(f"{file} holds other things than expected: it lacks {', '.join(map(repr, missing))}")
    loaded: Mapping[str, np.ndarray] = _opened(file, lambda found: {key: found[key] for key in keys})
    return loaded


def _opened(file: Path, read: Callable[[Any], Any]) -> Any:
    try:
        import numpy as np  # noqa: PLC0415 -- an extra
    except ImportError:
        raise ConfigurationError("to read curves, NumPy is needed: pip install numpy") from None
    try:
        with np.load(file, allow_pickle=False) as found:
            return read(found)
    except FileNotFoundError:
        raise ConfigurationError(f"there is no {file}: give the folder, or the file, that holds the curves") from None
    except (OSError, ValueError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise ConfigurationError(f"{file} is no .npz file of arrays: {error}") from error
