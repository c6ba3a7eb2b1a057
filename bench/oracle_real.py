"""Two models of scikit-learn's digits to tune: a support vector machine, and a small Keras network. Less error is better."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from bench.oracle_problems import PROBLEMS, Problem

__all__ = ["REAL", "posed"]

_KEPT = 1000  # errors that are not computed twice


@functools.cache
def _digits() -> tuple[Any, ...]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    return tuple(train_test_split(x / 16.0, y, test_size=0.5, random_state=0, stratify=y))


@functools.lru_cache(_KEPT)
def _machine_error(values: tuple[tuple[str, Any], ...]) -> float:
    from sklearn.svm import SVC

    given = dict(values)
    x, held, y, wanted = _digits()
    kernel = given["kernel"]
    more = {"gamma": given["gamma"]} if kernel == "rbf" else {"degree": given["degree"], "coef0": given["coef0"]}
    return 1.0 - float(SVC(C=given["c"], kernel=kernel, **more).fit(x[:400], y[:400]).score(held, wanted))


@functools.lru_cache(_KEPT)
def _network_error(values: tuple[tuple[str, Any], ...]) -> float:
    import keras

    given = dict(values)
    x, held, y, wanted = _digits()
    keras.utils.set_random_seed(0)
    keras.backend.clear_session()
    layers: list[Any] = [keras.Input((64,))]
    for _ in range(given["layers"]):
        layers += [keras.layers.Dense(given["units"], given["activation"]), keras.layers.Dropout(given["dropout"])]
    model = keras.Sequential([*layers, keras.layers.Dense(10, "softmax")])
    optimizer = keras.optimizers.Adam(given["rate"])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=8, batch_size=given["batch"], verbose=0)
    return 1.0 - float(model.evaluate(held, wanted, verbose=0)[1])


def _error(function: Callable[[tuple[tuple[str, Any], ...]], float]) -> Callable[[Mapping[str, Any]], float]:
    return lambda values: function(tuple(sorted(values.items())))


def machine() -> Problem:
    """A support vector machine on 400 digits."""
    parameters: tuple[dict[str, Any], ...] = (
        {"kind": "choice", "name": "kernel", "values": ["rbf", "poly"]},
        {"kind": "float", "name": "c", "low": 1e-3, "high": 1e3, "log": True},
        {"kind": "float", "name": "gamma", "low": 1e-5, "high": 1e1, "log": True, "parent": "kernel", "parent_values": ["rbf"]},
        {"kind": "int", "name": "degree", "low": 1, "high": 6, "parent": "kernel", "parent_values": ["poly"]},
        {"kind": "float", "name": "coef0", "low": -1.0, "high": 2.0, "parent": "kernel", "parent_values": ["poly"]},
    )
    return Problem("digits-machine-5", "real", parameters, _error(_machine_error), 0.0)


def network() -> Problem:
    """A Keras network on 898 digits, eight epochs."""
    parameters: tuple[dict[str, Any], ...] = (
        {"kind": "float", "name": "rate", "low": 1e-5, "high": 1e-1, "log": True},
        {"kind": "int", "name": "units", "low": 8, "high": 256, "log": True},
        {"kind": "int", "name": "layers", "low": 1, "high": 3},
        {"kind": "float", "name": "dropout", "low": 0.0, "high": 0.6},
        {"kind": "int", "name": "batch", "low": 8, "high": 256, "log": True},
        {"kind": "choice", "name": "activation", "values": ["relu", "tanh", "sigmoid"]},
    )
    return Problem("digits-network-6", "real", parameters, _error(_network_error), 0.0)


REAL: Mapping[str, Callable[[], Problem]] = {"digits-machine-5": machine, "digits-network-6": network}


def posed(name: str) -> Problem:
    """The problem of that name, a function or a model."""
    return REAL[name]() if name in REAL else PROBLEMS[name]
