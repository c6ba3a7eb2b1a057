"""Curves that are read, and schedulers compared on them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from asynctune.__main__ import main
from asynctune.errors import ConfigurationError
from asynctune.objective import Objective
from asynctune.schedulers import ASHA, FIFO, MedianStopping, Patience
from asynctune.testing import Curve, Simulator, Table, compare, read_lcbench, read_table, read_taskset, read_workloads
from asynctune.testing.command import scheduler_of
from asynctune.testing.comparing import interval, speed_up

np = pytest.importorskip("numpy", reason="needs NumPy")

DIGITS = Path(__file__).parent / "digits.npz"


def taskset(folder: Path) -> Path:
    valid = np.ones((2, 3, 51)) * np.arange(1, 4)[None, :, None]
    valid[1, 0, 20:] = math.nan
    hp = np.arange(12.0).reshape(2, 3, 2)
    np.savez(folder / "curves.npz", tasks=["one", "two"], hp_names=["rate", "beta"], hp=hp, valid=valid)
    return folder


def lcbench(folder: Path) -> Path:
    y = np.zeros((1, 2, 52, 3))
    y[..., 0] = 10 * np.arange(1, 53)
    y[0, 1, 30, 0] = 0  # what is predicted goes back
    y[..., 1] = np.linspace(0, 90, 52)
    y[..., 2] = np.linspace(3, 1, 52)
    names = ["time", "val_accuracy", "val_cross_entropy"]
    np.savez(folder / "curves.npz", task_ids=[3945], hp_names=["rate"], hp=[[0.1], [0.2]], y=y, y_names=names)
    return folder


def test_taskset_is_read_without_the_untrained_model(tmp_path: Path) -> None:
    found = read_taskset(taskset(tmp_path))

    assert list(found) == ["one", "two"]
    table = found["two"]
    assert table.objective == Objective("valid_loss", "min")
    assert table.max_steps == 50
    assert table.configurations[1] == {"rate": 8.0, "beta": 9.0}
    assert math.isnan(table.curves[0].metrics["valid_loss"][19])
    assert table.curves[0].metrics["valid_loss"][18] == 1.0
    assert table.target == 2.0
    assert table.curves[0].takes == 1.0


def test_lcbench_is_read_with_the_seconds_of_each_epoch(tmp_path: Path) -> None:
    table = read_lcbench(lcbench(tmp_path))["3945"]

    assert table.objective == Objective("val_accuracy", "max")
    assert table.target == 90.0
    assert isinstance(table.curves[0].takes, list)
    assert table.curves[0].takes == [10.0] * 52
    assert min(table.curves[1].takes) == 0.0  # type: ignore[arg-type]
    assert read_lcbench(tmp_path, "val_cross_entropy")["3945"].objective.each[0].direction == "min"


def test_a_table_of_our_own() -> None:
    table = read_table(DIGITS)
    done = Simulator(workload=table, scheduler=ASHA(max_steps=table.max_steps), workers=4).run()

    assert table.max_steps == 27
    assert table.size == 40
    assert DIGITS.stat().st_size < 300_000
    assert done.best is not None
    assert done.best.score is not None
    assert done.best.score < 0.3
    assert done.steps < 27 * 40


def test_what_is_there_is_found_by_its_content(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    Simulator(
        workload=Table(curves=[Curve({"loss": [1.0]})], objective=Objective("loss", "min")), storage=tmp_path / "three"
    ).run()

    assert list(read_workloads(taskset(tmp_path / "one"))) == ["one", "two"]
    assert list(read_workloads(lcbench(tmp_path / "two"))) == ["3945"]
    assert list(read_workloads(tmp_path / "three")) == ["three"]
    assert list(read_workloads(DIGITS)) == ["digits"]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no .*curves\.npz"):
        read_taskset(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match="lacks 'tasks'"):
        read_taskset(lcbench(tmp_path))
    with pytest.raises(ConfigurationError, match="takes one of 'val_accuracy', 'val_cross_entropy', not 'time'"):
        read_lcbench(tmp_path, "time")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(ConfigurationError, match=r"no \.npz"):
        read_table(tmp_path / "text.npz")


def test_a_comparison_holds_each_against_the_first() -> None:
    curves = [Curve({"loss": [row + 9 / step for step in range(1, 10)]}) for row in range(60)]
    table = Table(curves=curves, objective=Objective("loss", "min"), name="rows", best=0.02)
    found = compare(table, {"FIFO": FIFO(), "ASHA": ASHA(max_steps=9)}, workers=2, seeds=5)
    lines = list(found.table())

    assert all(one == other for one, other in found.pairs("FIFO"))
    assert all(one >= other for one, other in found.pairs("ASHA"))
    assert speed_up([found.pairs("ASHA")]) > 1
    assert found.best == 1.0
    assert found.regret("FIFO", 0.5) == math.inf
    assert found.regret("FIFO", math.inf) == 0.0
    assert len(lines) == 4
    assert "rows: Objective(loss, min), target 2; 2 workers, 5 runs of each" in lines[0]
    times, regrets = found.line("ASHA")
    assert times == sorted(times)
    assert regrets == sorted(regrets, reverse=True)

    left = compare(table, {"FIFO": FIFO(), "ASHA": ASHA(max_steps=9)}, workers=2, seeds=5, to_target=True)
    for name, runs in found.runs.items():
        assert [run.took for run in left.runs[name]] == [run.took for run in runs]
        assert all(run.at == run.reached for run in left.runs[name])


def test_a_run_that_misses_the_target_is_counted_to_its_end() -> None:
    curves = [Curve({"loss": [10.0 - row, 10.0 - row, 10.0 if row < 9 else 0.0]}) for row in range(10)]
    curves[9] = Curve({"loss": [11.0, 11.0, 0.0]})  # nobody would have thought
    table = Table(curves=curves, objective=Objective("loss", "min"))
    found = compare(table, {"FIFO": FIFO(), "ASHA": ASHA(max_steps=3, factor=2)}, seeds=10)

    assert all(run.reached is not None for run in found.runs["FIFO"])
    missed = [run for run in found.runs["ASHA"] if run.reached is None]
    assert missed
    assert all(run.took == run.at for run in missed)


def test_how_many_times_sooner() -> None:
    one, two = [(10.0, 5.0), (30.0, 5.0)], [(9.0, 9.0)]
    low, high = interval([one, two])

    assert speed_up([one]) == pytest.approx(4.0)
    assert speed_up([one, two]) == pytest.approx(2.0)
    assert low == pytest.approx(2**0.5)
    assert high == pytest.approx(6**0.5)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("ASHA", "ASHA(max_steps=27)"),
        ("ASHA(max_steps=9, factor=4)", "ASHA(max_steps=9, factor=4)"),
        ("FIFO()", "FIFO()"),
        ("Patience(patience=2, inside=ASHA(grace=3))", "Patience(patience=2, inside=ASHA(grace=3, max_steps=27))"),
    ],
)
def test_a_scheduler_is_read_from_a_text(text: str, made: str) -> None:
    known = {"ASHA": ASHA, "FIFO": FIFO, "Patience": Patience}
    wanted = eval(made, known)  # noqa: S307 -- of this file

    found = scheduler_of(text, 27)

    assert type(found) is type(wanted)
    assert found.settings() == wanted.settings()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("3", "no scheduler"),
        ("ASHA(", "no scheduler"),
        ("Nobody", "'Nobody': there is none of this name"),
        ("Scheduler", "none of this name"),
        ("ASHA(9)", "by name"),
        ("ASHA(speed=3)", "takes no speed"),
        ("ASHA(factor=1)", "factor"),
        ("ASHA(factor=__import__('os'))", "by name"),
        ("open('x')", "by name"),
    ],
)
def test_a_text_that_is_no_scheduler(text: str, word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        scheduler_of(text, 27)


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code = main(["simulate", str(DIGITS), "--workers", "4", "--runs", "2", "--scheduler", "FIFO", "--scheduler", "ASHA"])

    told = capsys.readouterr().out
    assert code == 0
    assert told.startswith("digits: Objective(log_loss, min), target ")
    assert len(told.splitlines()) == 4


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([str(DIGITS), "--task", "letters"], "there is no 'letters'; there are 'digits'"),
        ([str(DIGITS), "--workers", "0"], "workers"),
        ([str(DIGITS), "--runs", "0"], "at least one"),
        (["nowhere.npz"], "there is no nowhere.npz"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *arguments]) == 1
    assert word in capsys.readouterr().err


def test_a_plot_is_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs Matplotlib")
    file = tmp_path / "regret.svg"

    assert main(["simulate", str(DIGITS), "--runs", "2", "--scheduler", "FIFO", "--plot", str(file)]) == 0
    assert "<svg" in file.read_text()


def test_a_scheduler_without_arguments_of_its_own() -> None:
    made: Any = scheduler_of("MedianStopping(grace=5)", 27)

    assert made.grace == 5


def test_a_scheduler_may_be_given_by_its_name() -> None:
    assert isinstance(scheduler_of("median_stopping", 27), MedianStopping)
    with pytest.raises(ConfigurationError, match="did you mean 'MedianStopping'"):
        scheduler_of("medianstoping", 27)
    workload = read_table(DIGITS)
    assert isinstance(Simulator(workload=workload, scheduler="median_stopping", max_trials=3).scheduler, MedianStopping)
