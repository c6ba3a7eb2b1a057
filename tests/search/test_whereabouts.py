"""Where a trainable may live: in a module, a script, a closure, a command line, a notebook; each with Keras inside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("keras", reason="needs Keras")

pytestmark = [pytest.mark.keras, pytest.mark.process]

TRAIN = """
def train(trial):
    import keras, numpy
    from asynctune.keras import ReportCallback
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(trial.hp.Int("units", 2, 8)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    x = numpy.arange(64.0).reshape(16, 4) / 64
    model.fit(x, x.sum(axis=1), epochs=2, verbose=0, callbacks=[ReportCallback(trial)])
"""
RUN = """
import asynctune as at
result = at.run(train, objective="loss", max_trials=2, display=False, executor=at.LocalExecutor(2), seed=0)
states = sorted(trial.state.value for trial in result.trials.values())
print(states, [len(trial.reports) for trial in result.trials.values()])
"""
WANTED = "['COMPLETED', 'COMPLETED'] [2, 2]"


def runs(command: list[str], directory: Path) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.many
def test_in_a_module(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text(TRAIN)
    (tmp_path / "script.py").write_text("from elsewhere import train\n" + RUN)
    assert WANTED in runs([sys.executable, "script.py"], tmp_path)


@pytest.mark.many
def test_by_name(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text(TRAIN)
    (tmp_path / "script.py").write_text("train = 'elsewhere:train'\n" + RUN)
    assert WANTED in runs([sys.executable, "script.py"], tmp_path)


@pytest.mark.many
def test_in_the_script_itself_behind_a_guard(tmp_path: Path) -> None:
    body = "".join(f"    {line}\n" for line in RUN.strip().splitlines())
    (tmp_path / "script.py").write_text(f"{TRAIN}\nif __name__ == '__main__':\n{body}")
    assert WANTED in runs([sys.executable, "script.py"], tmp_path)


def test_in_the_script_itself_without_a_guard(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("print('top level')\n" + TRAIN + RUN)
    printed = runs([sys.executable, "script.py"], tmp_path)
    assert WANTED in printed
    assert printed.count("top level") == 1


def test_in_a_closure(tmp_path: Path) -> None:
    body = "".join(f"    {line}\n" for line in TRAIN.strip().splitlines())
    (tmp_path / "script.py").write_text(f"def make():\n    width = 4\n{body}    return train\ntrain = make()\n{RUN}")
    assert WANTED in runs([sys.executable, "script.py"], tmp_path)


@pytest.mark.many
def test_on_the_command_line(tmp_path: Path) -> None:
    assert WANTED in runs([sys.executable, "-c", TRAIN + RUN], tmp_path)


def test_in_a_notebook(tmp_path: Path) -> None:
    pytest.importorskip("ipykernel", reason="needs a Jupyter kernel")
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient")
    cells = [
        TRAIN,
        "import asynctune as at",
        'result = await at.search(train, objective="loss", max_trials=2, executor=at.LocalExecutor(2), seed=0)',
        "print(sorted(t.state.value for t in result.trials.values()), [len(t.reports) for t in result.trials.values()])",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=150, kernel_name="python3", resources=where).execute()
    assert WANTED in "".join(output.get("text", "") for output in notebook.cells[-1].outputs)


@pytest.mark.fault(32)
def test_a_module_that_runs_tensorflow_when_it_is_imported(tmp_path: Path) -> None:
    operation = "import tensorflow as tf\nONE = tf.random.normal((64, 64)) @ tf.ones((64, 64))\n"
    (tmp_path / "elsewhere.py").write_text(operation + TRAIN)
    (tmp_path / "script.py").write_text("train = 'elsewhere:train'\n" + RUN)
    assert WANTED in runs([sys.executable, "script.py"], tmp_path)


def test_a_script_that_holds_a_tensor(tmp_path: Path) -> None:
    train = TRAIN.replace("import keras, numpy", "import keras, numpy; ONE @ ONE")
    (tmp_path / "script.py").write_text("import tensorflow as tf\nONE = tf.ones((64, 64))\n" + train + RUN)
    assert WANTED in runs([sys.executable, "script.py"], tmp_path)
