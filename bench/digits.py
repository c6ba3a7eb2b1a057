"""What every Keras search of these benches trains: scikit-learn's digits. Imports nothing of ours, as the peers use it too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["PRELOAD", "build", "fit", "train"]

PRELOAD = ["tensorflow", "keras", "sklearn.datasets"]


def build(values: Mapping[str, Any]) -> Any:
    """One network, compiled."""
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((64,))])
    for _ in range(values["layers"]):
        model.add(keras.layers.Dense(values["units"], activation="relu"))
    model.add(keras.layers.Dense(10, activation="softmax"))
    optimizer = keras.optimizers.Adam(values["learning_rate"])
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train(model: Any, epochs: int, callbacks: Sequence[Any]) -> Any:
    """Train it; its History."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return model.fit(images / 16.0, labels, epochs=epochs, validation_split=0.2, verbose=0, callbacks=list(callbacks))


def fit(values: Mapping[str, Any], epochs: int, callbacks: Sequence[Any]) -> float:
    """Build and train one network; its validation accuracy after the last epoch."""
    return float(train(build(values), epochs, callbacks).history["val_accuracy"][-1])
