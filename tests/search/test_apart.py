"""An oracle in a process of its own: what it proposes, what takes its place when it is late, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import subprocess
import sys
import time
import traceback
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import define, field

import asynctune as at
from asynctune._engine.journal import read_records
from asynctune._machine.stimuli import Suggested
from asynctune.errors import ConfigurationError, PluginError
from asynctune.oracles import RandomSearch
from asynctune.records import Suggestion, TrialId
from asynctune.space import Space
from asynctune.testing.leftovers import gone, marked, nothing_left, snapshot

pytestmark = pytest.mark.process

SPACE = {"x": at.Int(0, 2**31)}


@define(eq=False, slots=False)
class Apart(at.Oracle):
    """Proposes the number of trials that it knows the ends of, in a process of its own."""

    apart: ClassVar[bool] = True

    note: str = field(default="")

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        return Suggestion.run({"x": 1000 * trial_id + len(self.known.trials)})

    def settings(self) -> dict[str, Any]:
        return {"note": self.note}


class Elsewhere(Apart):
    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        print("proposed", trial_id)
        return Suggestion.run({"x": os.getpid() + trial_id})


class Drawn(RandomSearch):
    apart: ClassVar[bool] = True
    ahead: ClassVar[int] = 0
    learns: ClassVar[bool] = True


class Late(Apart):
    """Waits, at its second trial, until somebody opens the pipe that `note` names."""

    deadline: ClassVar[float | None] = 0.3

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        if trial_id == 1:
            Path(self.note).read_bytes()
        return Suggestion.run({"x": 1000 * trial_id + len(self.known.pending)})


class Hanging(Apart):
    """Hangs, and so does what it has started. `note` names the file that says that it does."""

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        Path(self.note).touch()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        while True:
            time.sleep(1000)


class Impatient(Hanging):
    deadline: ClassVar[float | None] = 0.1
    patience: ClassVar[float | None] = 0.5


class Killed(Apart):
    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        if trial_id == 2 and self.note:
            print("about to go", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().populate_space(trial_id, space)

    def settings(self) -> dict[str, Any]:
        return {}


class Raising(Apart):
    def on_trial_end(self, trial: at.TrialView) -> None:
        raise ValueError("no such thing")


class Babbling(Apart):
    """Writes what is no message into every socket that it finds."""

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        for entry in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/self/fd/{entry}").startswith("socket:"):
                    os.write(int(entry), b"\0\0\0\3abc")
        return super().populate_space(trial_id, space)


async def score(trial: at.AsyncTrial) -> float:
    return float(trial.values["x"])


async def searched(
    oracle: at.Oracle, storage: Path | None = None, trials: int = 4, train: Any = score, **more: Any
) -> at.Result:
    options = {"objective": at.Objective("score", "max"), "executor": at.InlineExecutor(1), "seed": 1, **more}
    return await at.search(train, SPACE, oracle=oracle, max_trials=trials, storage=storage, **options)


def suggestions(storage: Path) -> list[Suggestion]:
    return [each.stimulus.suggestion for each in read_records(storage, 0, 1000) if isinstance(each.stimulus, Suggested)]


async def test_it_proposes_in_a_process_of_its_own_and_writes_to_its_log(tmp_path: Path) -> None:
    before = snapshot()
    result = await searched(Elsewhere(), tmp_path)
    nothing_left(before)

    pids = {int(str(trial.values["x"])) - trial.id for trial in result.trials.values()}
    assert len(pids) == 1
    assert pids != {os.getpid()}
    assert (tmp_path / "logs" / "oracle.log").read_text() == "".join(f"proposed {trial}\n" for trial in range(4))


async def test_it_is_told_what_it_would_be_told_here() -> None:
    apart, here = await searched(Apart()), await searched(type("Here", (Apart,), {"apart": False})())

    assert [trial.values for trial in apart.trials.values()] == [trial.values for trial in here.trials.values()]
    assert [trial.values["x"] for trial in apart.trials.values()] == [0, 1001, 2002, 3003]


async def test_the_same_seed_gives_the_same_proposals_apart() -> None:
    apart, here = await searched(Drawn()), await searched(RandomSearch())

    assert [trial.values for trial in apart.trials.values()] == [trial.values for trial in here.trials.values()]


async def test_a_late_proposal_is_replaced_by_a_random_one_and_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipe, storage = tmp_path / "pipe", tmp_path / "search"
    os.mkfifo(pipe)

    async def train(trial: at.AsyncTrial) -> float:
        if trial.id == 2:
            pipe.write_bytes(b".")  # now it may go on; both have proposals made for them by somebody else by now
        return float(trial.values["x"])

    with caplog.at_level(logging.WARNING, "asynctune.oracle"):
        result = await searched(Late(str(pipe)), storage, trials=5, train=train)

    first, late, waiting, *others = suggestions(storage)
    assert first.fallback is None
    assert first.values == {"x": 0}
    for one in (late, waiting):
        assert one.fallback == "Late had not proposed anything within 0.3 s"
    # How soon it has caught up is its own affair. It has then heard of all that took its place.
    assert [one.values["x"] for one in others if one.fallback is None] == [
        1000 * trial for trial, one in enumerate(others, 3) if one.fallback is None
    ]
    assert len([record for record in caplog.records if "random proposal" in record.message]) == 1
    assert [trial.values for trial in result.trials.values()] == [one.values for one in (first, late, waiting, *others)]


async def test_what_took_its_place_is_neither_asked_again_nor_compared(tmp_path: Path) -> None:
    pipe, storage = tmp_path / "pipe", tmp_path / "search"
    os.mkfifo(pipe)
    await searched(Late(str(pipe)), storage, trials=3)  # nobody ever opens the pipe
    assert [one.fallback is None for one in suggestions(storage)] == [True, False, False]

    async with at.Search(
        score,
        SPACE,
        objective=at.Objective("score", "max"),
        oracle=Late(str(pipe)),
        executor=at.InlineExecutor(1),
        max_trials=4,
        storage=storage,
    ) as search:
        result = await search.result()
        assert not search.divergences

    assert suggestions(storage)[3] == Suggestion.run({"x": 3000})
    assert len(result.trials) == 4


async def test_one_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = await searched(Apart(), trials=6)
    await searched(Apart(), tmp_path, trials=3)
    resumed = await searched(Apart(), tmp_path, trials=6)

    assert [trial.values for trial in resumed.trials.values()] == [trial.values for trial in whole.trials.values()]


async def test_one_that_dies_ends_the_search_which_can_be_resumed(tmp_path: Path) -> None:
    before = snapshot()
    told = r"Killed failed: its process was killed by signal 9 .*logs/oracle\.log\. It wrote last:\nabout to go$"
    with pytest.raises(PluginError, match=told):
        await searched(Killed("now"), tmp_path)
    nothing_left(before)
    assert (tmp_path / "logs" / "oracle.log").read_text() == "about to go\n"

    result = await searched(Killed(), tmp_path)
    assert [trial.values["x"] for trial in result.trials.values()] == [0, 1001, 2002, 3003]


async def test_the_last_words_of_one_that_dies_are_told_where_its_log_is_removed() -> None:
    with pytest.raises(PluginError, match=r"its process was killed by signal 9 .*\. It wrote last:\nabout to go$") as caught:
        await searched(Killed("now"))
    assert "oracle.log" not in str(caught.value)


async def test_what_it_raises_is_heard_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"Raising\.on_trial_end raised ValueError: no such thing"):
        await searched(Raising(), tmp_path)


async def test_one_that_says_nothing_for_its_patience_has_failed(tmp_path: Path) -> None:
    before = snapshot()
    with pytest.raises(PluginError, match=r"Impatient\.populate_space has not returned for 0\.5 s, which is its patience"):
        await searched(Impatient(str(tmp_path / "hangs")), trials=20)
    nothing_left(before)


async def test_what_its_process_says_is_not_believed(tmp_path: Path) -> None:
    before = snapshot()
    with pytest.raises(PluginError, match="what came from its process is no answer"):
        await searched(Babbling())
    nothing_left(before)


@pytest.mark.parametrize("again", [0, 1, 2])
async def test_cancelled_while_it_computes_nothing_is_left(tmp_path: Path, again: int) -> None:
    before, hangs = snapshot(), tmp_path / "hangs"
    task = asyncio.create_task(searched(Hanging(str(hangs))))
    while not hangs.exists():
        await asyncio.sleep(0.01)

    for _ in range(again + 1):
        task.cancel()
        await asyncio.wait([task], timeout=0.001)
    await asyncio.wait([task])

    assert task.cancelled()
    nothing_left(before)


async def test_cancelled_while_it_starts_nothing_is_left() -> None:
    before = snapshot()
    for moment in range(5):
        task = asyncio.create_task(searched(Apart()))
        await asyncio.wait([task], timeout=moment * 0.05)
        task.cancel()
        await asyncio.wait([task])
    nothing_left(before)


SCRIPT = """
import asyncio, sys
import asynctune as at
from tests.search.test_apart import Hanging, searched
asyncio.run(searched(Hanging(sys.argv[1])))
"""


def test_when_the_search_is_killed_its_oracle_goes_with_it(tmp_path: Path) -> None:
    hangs, mark = tmp_path / "hangs", f"ASYNCTUNE_APART={uuid.uuid4()}"
    name, _, value = mark.partition("=")
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(hangs)], env={**os.environ, name: value}) as program:
        while not hangs.exists():
            assert program.poll() is None
            time.sleep(0.01)
        assert len(marked(mark)) >= 4  # it, a guard, the oracle, and what that has started
        program.kill()
    gone(mark, within=5)


class NotToBeSent:
    def __deepcopy__(self, memo: Any) -> NotToBeSent:
        return self

    def __reduce__(self) -> Any:
        raise TypeError("it holds a telephone line")


async def test_one_that_cannot_travel_says_why_before_anything_starts() -> None:
    oracle = Apart()
    oracle.note = NotToBeSent()  # type: ignore[assignment]
    with pytest.raises(ConfigurationError, match=r"Apart runs in a process of its own .*'note'.*it holds a telephone line"):
        await searched(oracle)


@pytest.mark.parametrize("patience", [0, -1.0, True, "long"])
async def test_patience_is_a_number_of_seconds(patience: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Odd\.patience is .*: it must be a number of seconds above 0, or None"):
        await searched(type("Odd", (Apart,), {"patience": patience})())


@pytest.mark.parametrize(
    ("attribute", "value", "wanted"),
    [
        ("ahead", -1, "a whole number of at least 0"),
        ("ahead", 1.5, "a whole number of at least 0"),
        ("ahead", None, "a whole number of at least 0"),
        ("fill", "none", "FillRule.DRAW or FillRule.DEFAULT"),
        ("repeats", "x", "True or False"),
        ("apart", 1, "True or False"),
    ],
)
async def test_what_an_oracle_says_of_itself_is_looked_at_before_anything_starts(
    attribute: str, value: Any, wanted: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"Odd\.{attribute} is {value!r}: it must be {re.escape(wanted)}"):
        await searched(type("Odd", (Apart,), {attribute: value})())


class Broken(Apart):
    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        known: dict[str, int] = {}
        return Suggestion.run({"x": known["missing"]})


class BrokenHere(Broken):
    apart: ClassVar[bool] = False


async def test_the_error_of_an_oracle_shows_the_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(PluginError, match="populate_space raised KeyError: 'missing'") as caught:
        await searched(BrokenHere())
    frames = traceback.extract_tb(caught.value.__cause__.__traceback__)  # type: ignore[union-attr]
    assert frames[-1].line is not None
    assert 'known["missing"]' in frames[-1].line
    assert 'known["missing"]' in caplog.text

    with pytest.raises(PluginError, match="populate_space raised KeyError: 'missing'"):
        await searched(Broken(), storage=tmp_path)
    assert 'known["missing"]' in (tmp_path / "logs" / "oracle.log").read_text()


class Ahead(Apart):
    apart: ClassVar[bool] = False
    ahead: ClassVar[int] = 1


async def test_one_that_learns_can_have_a_proposal_ready_while_the_workers_are_busy(tmp_path: Path) -> None:
    proposed = asyncio.Event()

    async def train(trial: at.AsyncTrial) -> float:
        await proposed.wait()
        return float(trial.values["x"])

    async with at.Search(
        train,
        SPACE,
        objective=at.Objective("score", "max"),
        oracle=Ahead(),
        executor=at.InlineExecutor(2),
        max_trials=3,
        seed=1,
    ) as search:
        while 2 not in search.trials:
            await asyncio.sleep(0.001)
        assert search.trials[1].state is at.State.RUNNING
        proposed.set()
        result = await search.result()

    # The third was proposed before the first two had ended.
    assert [trial.values["x"] for trial in result.trials.values()] == [0, 1000, 2000]


async def test_one_that_learns_has_no_proposal_ready_where_there_is_one_worker() -> None:
    async def train(trial: at.AsyncTrial) -> float:
        return float(trial.values["x"])

    result = await at.search(
        train,
        SPACE,
        objective=at.Objective("score", "max"),
        oracle=Ahead(),
        executor=at.InlineExecutor(1),
        max_trials=3,
        seed=1,
    )
    assert [trial.values["x"] for trial in result.trials.values()] == [0, 1001, 2002]
