"""What an earlier version wrote, this one reads as that one did, and goes on from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from asynctune.__main__ import main
from asynctune._engine.database import SCHEMA_VERSION
from asynctune._engine.journal import DiskJournal, read_records
from asynctune._engine.retelling import retold
from asynctune._machine.consult import PluginAnswer
from asynctune._machine.stimuli import Stimulus
from asynctune.events import Happening
from asynctune.failure import FailureKind
from asynctune.messages import Ending
from asynctune.policies import Limit
from asynctune.records import State, SuggestionStatus, Verdict
from asynctune.space import Domain
from tests.journal.golden import GOLDEN, LIVED, TRIALS, kinds, lived, read_as, views

pytestmark = pytest.mark.fault(28)

JOURNALS = sorted(path.parent for path in GOLDEN.glob("*/*/read-as.json"))
NAMES = [f"{path.parent.name}/{path.name}" for path in JOURNALS]
# An answer that is not written down.
NOT_RECORDED = {"Continue"}


@pytest.fixture(params=JOURNALS, ids=NAMES)
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a golden journal."""
    return Path(shutil.copytree(request.param, tmp_path / "search"))


def expected(journal: Path) -> Any:
    return json.loads((journal / "read-as.json").read_text())


def differences(then: Any, now: Any, place: str = "") -> Iterator[str]:
    """Where what is read now is not what was read then. A field that there was not then may be there now."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key, value in then.items():
            if key not in now:
                yield f"{place}.{key} is gone"
            else:
                yield from differences(value, now[key], f"{place}.{key}")
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for number, (before, after) in enumerate(zip(then, now, strict=True)):
            yield from differences(before, after, f"{place}[{number}]")
    elif then != now or type(then) is not type(now):
        yield f"{place} was {then!r} and is {now!r}"


def test_it_is_read_as_it_was(journal: Path) -> None:
    assert list(differences(expected(journal), read_as(journal))) == []


def test_it_can_be_opened_and_its_tables_agree(journal: Path) -> None:
    opened = DiskJournal(journal)
    records = list(opened.records())
    assert len(records) == len(expected(journal)["records"])
    assert opened.tables_agree(views(records))
    opened.close()


def test_the_doctor_finds_nothing_wrong(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(journal)]) == 0, capsys.readouterr()


@pytest.mark.process
@pytest.mark.parametrize("version", sorted({path.parent for path in JOURNALS}), ids=lambda path: str(path.name))
def test_the_one_that_was_killed_is_finished(version: Path, tmp_path: Path) -> None:
    storage = Path(shutil.copytree(version / LIVED, tmp_path / LIVED))
    before = read_records(storage)
    lived(storage)

    assert read_records(storage)[: len(before)] == before
    trials = retold(read_records(storage)).trials
    assert len(trials) == TRIALS
    assert {trial.state for trial in trials} == {State.COMPLETED}
    for trial in trials:
        assert [report.step for report in trial.reports] == list(range(1, trial.step + 1))


def test_they_hold_everything_that_a_journal_can_hold(tmp_path: Path) -> None:
    newest = Path(shutil.copytree(GOLDEN / str(SCHEMA_VERSION), tmp_path / "newest"))
    found = {kind for path in newest.iterdir() for kind in kinds(read_records(path))}
    unions = [Stimulus, Happening, Ending, PluginAnswer, Domain, Verdict]
    classes = {kind.__name__ for union in unions for kind in get_args(union)}
    members = {f"{type(member).__name__}.{member.name}" for each in (FailureKind, Limit, SuggestionStatus) for member in each}
    assert (classes | members) - found == NOT_RECORDED


def test_a_difference_would_be_seen() -> None:
    then = {"a": [1, {"b": "x"}], "c": None}
    assert list(differences(then, {**then, "new": 1})) == []
    assert list(differences(then, {"a": [1, {"b": "y"}]})) == [".a[1].b was 'x' and is 'y'", ".c is gone"]
    assert list(differences(then, {"a": [1], "c": None})) == [".a was [1, {'b': 'x'}] and is [1]"]
