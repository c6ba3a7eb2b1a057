"""`storage=None`: whatever ends the process, its temporary directory goes; and what a closed terminal does to a script."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import asynctune as at
from asynctune.__main__ import main
from asynctune._runner.guard import _remove
from asynctune.testing.leftovers import gone
from tests.search.trainables import square

pytestmark = pytest.mark.process

SCRIPT = """
import signal, sys, time
import asynctune as at

def train(trial):
    trial.report(loss=1.0)
    with trial.checkpoint() as directory:
        (directory / "weights").write_text("x" * 1000)
    with open(sys.argv[1], "w") as fifo:
        fifo.write("waiting")
    while True:
        time.sleep(1)

at.run(
    train, objective=at.Objective("loss", "min"), max_trials=1, limits=at.Limits(grace=0.1), executor=at.LocalExecutor(1),
    storage=sys.argv[2] if len(sys.argv) > 2 else None,
)
"""


@contextmanager
def waiting(tmp_path: Path, *arguments: str, under: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """The script, in a trial that waits. Its temporary files are in `tmp_path / "tmp"`."""
    fifo, temporary = tmp_path / "fifo", tmp_path / "tmp"
    os.mkfifo(fifo)
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "SCRIPT": str(tmp_path)}
    command = [*under, sys.executable, "-c", SCRIPT, str(fifo), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert fifo.read_text() == "waiting"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGSEGV])
def test_whatever_ends_it_nothing_stays(tmp_path: Path, signum: signal.Signals) -> None:
    with waiting(tmp_path) as process:
        assert [name.startswith("asynctune-") for name in os.listdir(tmp_path / "tmp")] == [True]
        process.send_signal(signum)
        process.communicate(timeout=30)
    gone(f"SCRIPT={tmp_path}", 5.0)
    assert os.listdir(tmp_path / "tmp") == []


def test_what_has_a_place_of_its_own_stays(tmp_path: Path) -> None:
    with waiting(tmp_path, str(tmp_path / "search")) as process:
        process.kill()
        process.communicate(timeout=30)
    gone(f"SCRIPT={tmp_path}", 5.0)
    assert (tmp_path / "search" / "journal.sqlite").exists()


def test_a_closed_terminal_ends_it_as_sigterm_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with waiting(tmp_path, str(tmp_path / "search")) as process:
        process.send_signal(signal.SIGHUP)
        printed, said = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGHUP
    assert "trial  state" in printed
    assert f"Run it again to go on from {tmp_path / 'search'}" in said
    assert main(["show", str(tmp_path / "search")]) == 0
    assert "start it again to go on" in capsys.readouterr().out


def test_under_nohup_a_closed_terminal_is_not_heard(tmp_path: Path) -> None:
    with waiting(tmp_path, under=("nohup",)) as process:
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM


async def test_a_result_keeps_its_directory_though_its_executor_is_closed() -> None:
    async with at.LocalExecutor(1) as executor:
        result = await at.search(square, objective=at.Objective("loss", "min"), max_trials=1, executor=executor)
        other = at.Search(square, objective=at.Objective("loss", "min"), max_trials=1, executor=executor)
        async with other:
            await other.result()
    await asyncio.sleep(0.1)  # were anything to remove them, it would be another process
    assert result.directory.is_dir()
    assert other.directory.is_dir()


@pytest.mark.parametrize("name", ["mine", "asynctune", "link"])
def test_the_guard_removes_nothing_that_is_called_otherwise(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").touch()
    (tmp_path / "asynctune").mkdir()
    (tmp_path / "asynctune-link").symlink_to(tmp_path / "mine")
    _remove(str(tmp_path / ("asynctune-link" if name == "link" else name)))
    assert sorted(os.listdir(tmp_path)) == ["asynctune", "asynctune-link", "mine"]
    assert (tmp_path / "mine" / "precious").exists()
