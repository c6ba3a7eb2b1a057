"""What a display shows, where; and that nobody who stops looking ends a search."""

from __future__ import annotations

import io
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

import pytest

import asynctune as at
from asynctune.errors import ConfigurationError
from asynctune.failure import Failure, FailureKind
from asynctune.observers import Display
from asynctune.observers.console import culprit, spark, table
from asynctune.testing.leftovers import nothing_left, snapshot
from tests.observers.searches import descend, search, third_fails


async def shown(trainable: Any = third_fails, stream: Any = None, **options: Any) -> str:
    """What a display with these options writes about a search."""
    written = io.StringIO() if stream is None else stream
    more = options.pop("more", {})
    (await search(trainable, observers=[Display(stream=written, **options)], **more)).close()
    return str(written.getvalue())


class Terminal(io.StringIO):
    """A terminal of any size."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


async def test_lines_and_a_table() -> None:
    text = await shown()
    lines, _, rest = text.partition("\n\n")
    assert sum("loss" in line for line in lines.splitlines()) == 5
    assert "trial   2  FAILED: raised: ValueError: the third one ?[31m is bad" in lines
    assert lines.splitlines()[0].endswith("<- best so far")
    assert rest.startswith("trial  state")
    assert re.search(r'searches\.py:\d+: raise ValueError\("the third one', rest)
    assert rest.endswith("every trial has ended\n")
    assert "\x1b" not in text


async def test_verbose() -> None:
    silent, table_only, all_reports = [await shown(verbose=verbose) for verbose in (0, 1, 3)]
    assert silent == ""
    assert table_only.startswith("\ntrial  state")
    assert all_reports.count("  step ") >= 18


async def test_the_style_of_keras_tuner() -> None:
    text = await shown(descend, style="keras", more={"max_trials": 2})
    assert "Trial 1 Complete [00h 00m 00s]" in text
    assert "Best loss So Far: " in text
    heads = [line for line in text.splitlines() if line.startswith("Value ")]
    assert heads == ["Value             |Best Value So Far |Hyperparameter"] * 2
    assert text.count("|lr\n") == 2


async def test_a_resumed_search_says_what_there_was(tmp_path: Path) -> None:
    await search(storage=tmp_path, max_trials=3)
    text = await shown(descend, more={"storage": tmp_path, "max_trials": 4})
    assert text.startswith("resumed: 3 trials have ended already\n")
    best = min(float(line.split()[2]) for line in text.partition("\n\n")[2].splitlines() if " completed " in line)
    assert ("best so far" in text) == (f"3      completed  {best:.6g}" in text)


async def test_stopped_trials_and_the_steps_that_they_saved() -> None:
    async def long(trial: at.AsyncTrial) -> None:
        trial.hp.Float("lr", 0.0, 1.0)
        for step in range(1, 11):
            await trial.report(step=step, loss=float(trial.id))

    text = await shown(long, more={"stop": lambda trial, report: trial.id % 2 == 1 and report.step == 4})
    assert text.count("stopped at step 4") == 3
    assert "early stopping saved 18 steps (30%)" in text


async def odd_ends(trial: at.AsyncTrial) -> float:
    """Trial 1 cannot be tried, and trial 2 has no score."""
    trial.hp.Float("lr", 0.0, 1.0)
    for step in range(1, 4):
        await trial.report(step=step, loss=float(trial.id))
        if trial.id == 1:
            trial.infeasible("it is too \x1b[31m large\nfor this machine")
    return math.nan if trial.id == 2 else float(trial.id)


@pytest.mark.parametrize("resumed", [False, True])
async def test_trials_that_end_without_a_score(resumed: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    policy = at.FailurePolicy(non_finite="worst")
    files = [at.observers.CSV(tmp_path / "trials.csv"), at.observers.JSONLines(tmp_path / "events.jsonl")]
    boards = [at.observers.TensorBoard(tmp_path / "board")] if find_spec("tensorboard") else []
    more: dict[str, Any] = {"failure": policy, "executor": at.InlineExecutor(1), "storage": tmp_path / "search"}
    if resumed:
        (await search(odd_ends, **{**more, "max_trials": 3})).close()
    written = io.StringIO()
    observers = [Display(stream=written), Display(stream=written, style="keras"), at.observers.Logging(), *files, *boards]
    with caplog.at_level("INFO", "asynctune"):
        (await search(odd_ends, observers=observers, **more)).close()
    text = written.getvalue()
    assert "early stopping saved" not in text
    assert re.search(r"\n1      completed .* infeasible: it is too \?\[31m large\n", text)
    assert len((tmp_path / "trials.csv").read_text().splitlines()) >= 7
    if not resumed:
        assert "trial   1  no score  infeasible: it is too ?[31m large\n" in text
        assert "trial   2  no score\n" in text
        assert "trial 1: stopped: no score: infeasible: it is too ?[31m large" in caplog.text
        assert "trial 2: finished: no score: lr=" in caplog.text


@pytest.mark.parametrize("columns", [200, 80, 10, 1])
async def test_a_terminal_of_any_width(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    before, out, err = snapshot(), sys.stdout, sys.stderr
    text = await shown(stream=Terminal())
    nothing_left(before)
    assert (sys.stdout, sys.stderr) == (out, err)
    assert text.rstrip().endswith("every trial has ended")
    assert "\x1b[?25l" in text  # the cursor was hidden: it has drawn,
    assert text.count("\x1b[?25h") == 1  # and has put things back
    if columns >= 80:
        assert "of 6 trials" in text


async def test_a_picture_of_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    drawn = at.observers.Display(stream=terminal)
    drawn.interval = 0.001

    async def watched(trial: at.AsyncTrial) -> None:
        trial.hp.Int("units", 1, 64)
        for step in range(1, 9):
            await trial.report(step=step, loss=8.0 - step)
        while "▁" not in terminal.getvalue():
            step += 1
            await trial.report(step=step, loss=float(step % 8))

    await search(watched, observers=[drawn], max_trials=3)
    text = terminal.getvalue()
    assert "3 running" in text
    assert "units=" in text
    assert "█" in text


async def test_how_far_it_is_can_be_seen_without_colors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    text = await shown(stream=Terminal())
    assert "╌" * 40 in text
    assert "━" in text


async def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    text = await shown(stream=Terminal())
    assert "\x1b" not in text
    assert "trial   0  loss" in text


class Broken(Terminal):
    """A stream that nobody reads any more after some writes."""

    def __init__(self, writes: int, error: Exception, *, terminal: bool) -> None:
        super().__init__()
        self._left, self._error, self._terminal = writes, error, terminal

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        if self._left == 0:
            raise self._error
        self._left -= 1
        return super().write(text)


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("writes", [0, 1, 3])
@pytest.mark.parametrize(
    "error", [BrokenPipeError(), OSError(28, "full"), ValueError("I/O operation on closed file")], ids=repr
)
async def test_nobody_looks_any_more(
    writes: int, error: Exception, *, terminal: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out, err = sys.stdout, sys.stderr
    stream = Broken(writes, error, terminal=terminal)
    result = await search(observers=[Display(stream=stream)])
    assert len(result.best_trials()) == 6
    assert [record for record in caplog.records if record.name == "asynctune.observers"] == []  # a busy machine may say its own
    assert (sys.stdout, sys.stderr) == (out, err)


async def test_a_closed_file_and_none(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    closed = io.StringIO()
    closed.close()
    await search(observers=[Display(stream=closed)])
    monkeypatch.setattr(sys, "stdout", None)
    await search(display=True)
    assert caplog.records == []


async def test_an_encoding_that_has_no_such_character(monkeypatch: pytest.MonkeyPatch) -> None:
    async def train(trial: at.AsyncTrial) -> float:
        trial.hp.Choice("größe", ["ä"])
        return 1.0

    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    await search(train, observers=[Display(stream=stream)], max_trials=1)
    assert b"gr??e=?" in raw.getvalue()


SCRIPT = """
import asynctune as at

async def train(trial):
    x = trial.hp.Float("x", 0.0, 1.0)
    for step in range(1, 4):
        await trial.report(step=step, loss=x)

result = at.run(train, objective=at.Objective("loss", "min"), max_trials=40, executor=at.InlineExecutor(2), seed=0)
open("done", "w").write(str(len(result.trials)))
"""


def nobody() -> TextIO:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def full() -> TextIO:
    return Path("/dev/full").open("w")


@pytest.mark.process
@pytest.mark.parametrize("to", [nobody, full])
def test_a_script_whose_output_goes_nowhere(to: Callable[[], TextIO], tmp_path: Path) -> None:
    with to() as out:
        command = [sys.executable, "-c", SCRIPT]
        subprocess.run(command, cwd=tmp_path, stdout=out, stderr=subprocess.PIPE, timeout=60, check=False)
        assert (tmp_path / "done").read_text() == "40"


@pytest.mark.process
def test_lines_need_no_rich(tmp_path: Path) -> None:
    program = f"{SCRIPT}\nimport sys\nassert 'rich' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("best so far") >= 1
    assert done.stdout.count("completed") == 40


CELL = """
import asynctune as at

async def train(trial):
    x = trial.hp.Float("x", 0.0, 1.0)
    for step in range(1, 4):
        await trial.report(step=step, loss=x)

executor = at.InlineExecutor(2)
result = await at.search(train, objective=at.Objective("loss", "min"), max_trials=3, executor=executor, seed=0, display=True)
"""


@pytest.mark.process
def test_a_notebook_has_one_output_which_is_drawn_again(tmp_path: Path) -> None:
    pytest.importorskip("ipykernel", reason="needs a Jupyter kernel")
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in ("1 + 1", CELL, "2 + 2")])
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=150, kernel_name="python3", resources=where).execute()
    outputs = notebook.cells[1].outputs
    assert [output["output_type"] for output in outputs] == ["display_data"]
    text = outputs[0]["data"]["text/plain"]
    assert text.count("completed") == 3
    assert text.endswith("every trial has ended")
    assert outputs[0]["data"]["text/html"].startswith("<pre>")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"verbose": 4}, "0, 1, 2 or 3"),
        ({"verbose": True}, "0, 1, 2 or 3"),
        ({"style": "ray"}, '"tune" or "keras"'),
        ({"stream": 1}, "file"),
    ],
)
def test_what_a_display_takes(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Display(**options)


def test_run_makes_one_display(capsys: pytest.CaptureFixture[str]) -> None:
    given: dict[str, Any] = {"objective": at.Objective("loss", "min"), "max_trials": 2, "executor": at.InlineExecutor(1)}
    at.run(descend, **given)
    assert capsys.readouterr().out.count("trial  state") == 1
    at.run(descend, observers=[Display(verbose=1)], **given)
    assert capsys.readouterr().out.count("trial  state") == 1
    at.run(descend, display=False, **given)
    assert capsys.readouterr().out == ""


def test_sparks() -> None:
    nan, inf = float("nan"), float("inf")
    assert spark([0.0, 1.0, 0.5]) == "▁█▅"
    assert spark([1.0, nan, 1.0]) == "▅ ▅"
    assert spark([nan, inf]) == "  "
    assert spark([-1e308, 1e308]) == "▅▅"
    assert spark([]) == ""


def test_the_line_that_matters() -> None:
    def failure(traceback: str | None) -> str:
        return culprit(Failure(kind=FailureKind.RAISED, message="ValueError: no", traceback=traceback))

    own = '  File "mine/train.py", line 12, in train\n    f(x)\n    ^^^^\n'
    theirs = '  File "/lib/site-packages/keras/f.py", line 7, in f\n    raise ValueError("no")\n'
    assert failure(None) == "raised: ValueError: no"
    assert failure(f"Traceback:\n{own}{theirs}ValueError: no") == "raised: ValueError: no  (train.py:12: f(x))"
    assert failure(f"Traceback:\n{theirs}ValueError: no") == 'raised: ValueError: no  (f.py:7: raise ValueError("no"))'
    assert failure('  File "<string>", line 1, in f\n') == "raised: ValueError: no  (<string>:1)"


async def test_a_table_of_at_most_so_many() -> None:
    result = await search(descend)
    assert table(result.trials.values(), result.objective, most=2).endswith("... and 4 more trials")
    assert len(table(result.trials.values(), result.objective, most=6).splitlines()) == 7
