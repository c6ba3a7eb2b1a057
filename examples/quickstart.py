"""A Keras search on scikit-learn's digits: every trial in a process of its own, stopped early when it is behind, resumable.

Run it; stop it with Ctrl-C or kill it; run it again, and it goes on where it was. `asynctune show runs/quickstart` prints its
table, also while it runs.
"""

import asynctune as at
from asynctune.keras import ReportCallback


def train(trial: at.Trial) -> None:
    """Train one small network on the digits, and report after every epoch."""
    import keras
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    x, x_val, y, y_val = train_test_split(images / 16.0, labels, test_size=0.3, random_state=0)

    model = keras.Sequential([keras.Input((64,))])
    for _ in range(trial.hp.Int("layers", 1, 3)):
        model.add(keras.layers.Dense(trial.hp.Int("units", 16, 256, step=16), activation="relu"))
        model.add(keras.layers.Dropout(trial.hp.Float("dropout", 0.0, 0.5, step=0.1)))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile(
        keras.optimizers.Adam(trial.hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(x, y, epochs=27, validation_data=(x_val, y_val), verbose=0, callbacks=[ReportCallback(trial)])


if __name__ == "__main__":
    result = at.run(
        train,
        objective=at.Objective("val_accuracy", "max", over="best"),
        scheduler=at.schedulers.ASHA(max_steps=27),
        max_trials=40,
        executor=at.LocalExecutor(max_workers=2, preload=["keras", "sklearn.datasets", "sklearn.model_selection"]),
        storage="runs/quickstart",
        seed=0,
    )
    best = result.best_trial
    if best is not None:
        print(f"\nbest: trial {best.id}, val_accuracy {best.score:.4f}, {dict(best.values)}")
