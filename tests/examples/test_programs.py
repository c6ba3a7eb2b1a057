"""Each program in examples/, run in an empty directory, and what it prints. The service has a file of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asynctune.testing.leftovers import gone
from tests.examples.served import EXAMPLES

pytestmark = pytest.mark.process

PROGRAMS = sorted(EXAMPLES.glob("*.py"))


def printed(name: str, directory: Path) -> list[str]:
    environment = {**os.environ, "EXAMPLE": str(directory)}
    command = [sys.executable, str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    gone(f"EXAMPLE={directory}", 1.0)
    return done.stdout.splitlines()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_it_is_read_on_one_page(program: Path) -> None:
    assert len(program.read_text().splitlines()) < 80


def test_define_by_run(tmp_path: Path) -> None:
    lines = printed("define_by_run", tmp_path)
    assert lines[0].startswith("trial ")
    assert "a trial of kind polynomial has degree, kind" in lines
    [waves] = [line for line in lines if line.startswith("a trial of kind waves has ")]
    assert "frequency_0" in waves
    assert "degree" not in waves


def test_custom_scheduler(tmp_path: Path) -> None:
    assert len((EXAMPLES / "custom_scheduler.py").read_text().splitlines()) < 40
    lines = printed("custom_scheduler", tmp_path)
    counts = re.fullmatch(r"(\d+) of 40 trials were stopped, and (\d+) of 1200 steps taken", lines[0])
    assert counts is not None
    assert 0 < int(counts[1]) < 40
    assert int(counts[2]) < 1200
    assert "where another trial had" in lines[1]


def test_custom_oracle(tmp_path: Path) -> None:
    assert len((EXAMPLES / "custom_oracle.py").read_text().splitlines()) < 40
    told = [line.split(": ") for line in printed("custom_oracle", tmp_path)]
    assert [name for name, _ in told] == ["RandomSearch", "NearTheBest"]
    drawn, near = (float(miss.removesuffix(" m")) for _, miss in told)
    assert near < drawn


def test_resume(tmp_path: Path) -> None:
    for _ in range(2):  # the second time, too
        lines = printed("resume", tmp_path)
        again = lines.index("opened, number 2")
        before, after = lines[: again + 1], lines[again + 1 :]
        assert sum("victim: trial" in line and "completed" in line for line in before) >= 2
        assert any(re.fullmatch(r"trial \d goes on behind step [1-9]\d*", line) for line in after)
        completed = [line for line in lines if line.startswith("trial") and "completed" in line]
        assert sorted(line.split()[1] for line in completed) == list("01234567")


@pytest.mark.slow
def test_sklearn_pipeline(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    lines = printed("sklearn_pipeline", tmp_path)
    folds = re.fullmatch(r"40 pipelines, (\d+) of 200 folds fitted", lines[0])
    assert folds is not None
    assert int(folds[1]) < 200
    assert float(lines[1].split("accuracy ")[1].split(",")[0]) > 0.95


def test_async_objective(tmp_path: Path) -> None:
    lines = printed("async_objective", tmp_path)
    assert lines[0].startswith("300 trials, at most 100 at once: 180 s of waiting in ")
    assert lines[1].startswith("best: trial ")


def test_ask_and_tell(tmp_path: Path) -> None:
    assert len((EXAMPLES / "ask_and_tell.py").read_text().splitlines()) < 40
    found = re.fullmatch(r"2 benches, 60 runs; best error (\S+), with .*", printed("ask_and_tell", tmp_path)[-1])
    assert found is not None
    assert float(found[1]) < 0.4


def test_external_command(tmp_path: Path) -> None:
    lines = printed("external_command", tmp_path)
    assert len(lines) == 20
    assert any("COMPLETED, step 10, ran to its end" in line for line in lines)
    assert any("median stopping" in line for line in lines)
    assert any("FAILED" in line and "longer than" in line for line in lines)


@pytest.mark.slow
@pytest.mark.keras
def test_quickstart(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs Keras")
    best = re.fullmatch(r"best: trial \d+, val_accuracy (\S+), .*", printed("quickstart", tmp_path)[-1])
    assert best is not None
    assert float(best[1]) > 0.9
