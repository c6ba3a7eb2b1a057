"""What was found, as pandas data frames: types that do not depend on what happened, and no number that was not there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.errors import ConfigurationError
from asynctune.results import Result
from tests.observers.searches import LOSS, search

TRIALS = {
    "id": "int64",
    "state": "string",
    "score": "float64",
    "step": "int64",
    "attempt": "int64",
    "launches": "int64",
    "stop_reason": "string",
    "failure_kind": "string",
    "failure": "string",
    "objective": "string",
}
REPORTS = {"trial": "int64", "step": "int64", "at": "float64", "launch": "int64"}


def types(frame: Any) -> dict[str, str]:
    return {name: str(kind) for name, kind in frame.dtypes.items()}


async def differing(trial: at.AsyncTrial) -> float | None:
    kind = trial.hp.Choice("kind", ["a", "b"])
    x = trial.hp.Float("x", 0.0, 1.0)
    trial.hp.Choice("mixed", [1, "one", None])
    if kind == "b":
        trial.hp.Int("units", 1, 9)
        trial.hp.Boolean("bias")
    await trial.report(step=1, loss=x)
    if trial.id == 1:
        raise ValueError("bad")
    await trial.report(step=2, loss=float("nan") if trial.id == 2 else x / 2, extra=1)
    return None if trial.id == 2 else x


class StopThree(at.Scheduler):
    def on_trial_result(self, trial: at.TrialView, report: at.Report) -> at.Stop | None:
        return at.Stop("enough") if trial.id == 3 else None


async def found() -> Result:
    return await search(
        differing,
        max_trials=8,
        scheduler=StopThree(),
        failure=at.FailurePolicy(max_retries_per_trial=1, max_consecutive_failed_trials=None),
    )


async def test_trials() -> None:
    pd = pytest.importorskip("pandas")
    result = await found()
    frame = result.to_dataframe()
    assert isinstance(frame, pd.DataFrame)
    kinds = types(frame)
    assert {name: kinds[name] for name in TRIALS} == TRIALS
    assert {name: kinds[name] for name in ("values/x", "values/units", "values/bias")} == {
        "values/x": "float64",
        "values/units": "Int64",
        "values/bias": "boolean",
    }
    assert [state == "FAILED" for state in frame["state"]] == [number in (1, 2) for number in range(8)]
    assert list(frame["attempt"][frame["state"] == "FAILED"]) == [2, 2]
    assert list(frame["stop_reason"].notna()) == [number == 3 for number in range(8)]
    assert (frame["failure_kind"][1], frame["failure"][1]) == ("raised", "ValueError: bad")
    for row in frame.to_dict("records"):
        trial = result.trials[row["id"]]
        assert row["state"] == trial.state.value
        assert pd.isna(row["score"]) if trial.score is None else row["score"] == trial.score
        for name in frame.columns:
            value = trial.values.get(name.removeprefix("values/"))
            if name.startswith("values/"):
                assert pd.isna(row[name]) if value is None else row[name] == value
    assert frame["values/units"].isna().any()  # or this shows nothing
    assert frame["values/units"].notna().any()


async def test_reports() -> None:
    pytest.importorskip("pandas")
    result = await found()
    frame = result.reports_dataframe()
    assert types(frame) == {**REPORTS, "metrics/loss": "float64", "metrics/extra": "float64"}
    for number, trial in result.trials.items():
        own = frame[frame["trial"] == number]
        assert list(own["step"]) == [report.step for report in trial.reports]
        assert list(own["at"]) == [report.at for report in trial.reports]
    assert set(frame["launch"][frame["trial"] == 1]) == {2}
    assert list(frame["metrics/extra"].isna()) == list(frame["step"] == 1)
    assert frame["metrics/loss"].isna().sum() == 1
    best = frame.groupby("trial")["metrics/loss"].min().idxmin()
    assert best in result.trials


async def test_only_failed_trials() -> None:
    pytest.importorskip("pandas")

    async def fails(trial: at.AsyncTrial) -> None:
        raise ValueError("no")

    policy = at.FailurePolicy(max_consecutive_failed_trials=None)
    result = await search(fails, space={"n": at.Int(1, 9)}, max_trials=2, failure=policy)
    assert types(result.to_dataframe()) == {**TRIALS, "values/n": "int64"}
    assert result.to_dataframe()["score"].isna().all()
    assert types(result.reports_dataframe()) == REPORTS
    assert len(result.reports_dataframe()) == 0


def test_no_trials(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    result = Result(trials=[], objective=LOSS, reason="nothing to try", directory=tmp_path, temporary=False)
    for frame, expected in ((result.to_dataframe(), TRIALS), (result.reports_dataframe(), REPORTS)):
        assert types(frame) == expected
        assert len(frame) == 0
    assert result.to_dicts() == []


def test_without_pandas_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    result = Result(trials=[], objective=LOSS, reason="nothing to try", directory=tmp_path, temporary=False)
    for make in (result.to_dataframe, result.reports_dataframe):
        with pytest.raises(ConfigurationError, match=r"asynctune\[pandas\]"):
            make()
