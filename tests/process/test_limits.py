"""What a trial may take, kept by the process that holds it: real trials that hang, keep silent, multiply and eat."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from asynctune.errors import TrainableError
from asynctune.executors.local import LocalExecutor
from asynctune.messages import Died, Lost, TrialLeft, TrialRaised, TrialReturned, What
from asynctune.policies import Limit, Limits
from tests.many import few
from tests.process.conftest import PATIENCE, Attach, Search, alive, until
from tests.process.interrupted import report_interrupted
from tests.process.test_strays import helpers, leave_helpers

SPAWNED: Mapping[str, Any] = {"start_method": "spawn"}
WORKER: Mapping[str, Any] = {"isolation": "worker"}


def hangs(trial: Any) -> float:
    for step in range(int(trial.values.get("reports", 0))):
        trial.report(loss=float(step))
    if trial.values.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if trial.values.get("helpers"):
        leave_helpers(trial)
    (trial.directory / "pid").write_text(str(os.getpid()))
    return hang_in_this_function()


def hang_in_this_function() -> float:
    # A mutex that nobody will unlock: C code, which holds the interpreter's lock, and which no handler of a signal interrupts.
    libc, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(256)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)
    return 0.0


def log_of(directory: Path, trial: int = 0) -> str:
    return (directory / f"logs/{trial}-1.log").read_text()


# ---------------------------------------------------------------------------------------------------------------- by time


@pytest.mark.fault(5)
@pytest.mark.parametrize(
    ("options", "limit", "reports"),
    few(
        5,
        [
            ({}, Limit.TRIAL_TIME, 0),
            ({}, Limit.SILENCE, 0),
            ({}, Limit.SILENCE, 2),
            (WORKER, Limit.TRIAL_TIME, 0),
            (SPAWNED, Limit.SILENCE, 2),
            (WORKER, Limit.SILENCE, 0),
            (WORKER, Limit.SILENCE, 2),
            (SPAWNED, Limit.TRIAL_TIME, 0),
            (SPAWNED, Limit.SILENCE, 0),
        ],
    ),
)
async def test_a_hung_trial_is_ended_and_its_log_says_where_it_hung(
    attach: Attach, tmp_path: Path, options: dict[str, Any], limit: Limit, reports: int
) -> None:
    given: dict[str, Any] = {limit.value: 0.5}
    limits = Limits(**given, grace=0.2)
    async with LocalExecutor(2, **options) as executor, attach(executor, hangs, limits=limits) as search:
        ending = await search.run(0, {"reports": reports})

        (breach,) = search.breaches
        assert (breach.trial, breach.launch, breach.limit) == (0, 1, limit)
        assert breach.amount >= 0.5
        assert isinstance(ending, Died)
        assert ending.signal == signal.SIGTERM
        assert len(search.reports) == reports
        assert "hang_in_this_function" in log_of(tmp_path)
        # The next one is none the worse for it.
        assert isinstance(await search.run(1, {"reports": 1, "deaf": True}), Died)


@pytest.mark.fault(5)
async def test_the_stacks_of_a_hung_trial_are_asked_of_it_and_not_of_its_helpers(attach: Attach, tmp_path: Path) -> None:
    async with LocalExecutor(1) as executor, attach(executor, hangs, limits=Limits(trial_time=1.0, grace=60)) as search:
        over = search.start(0, {"helpers": True})
        await until(lambda: search.breaches)
        await until(lambda: "hang_in_this_function" in log_of(tmp_path))

        assert all(map(alive, helpers(tmp_path)))
        search.attachment.halt(0, 1, reason="enough", grace=0)
        await over
        await until(lambda: not any(map(alive, helpers(tmp_path))))


@pytest.mark.fault(6)
async def test_who_ignores_sigterm_in_c_code_goes_with_its_family_and_nobody_else_does(attach: Attach, tmp_path: Path) -> None:
    limits = Limits(silence=0.6, grace=0.2)
    async with LocalExecutor(2) as executor, attach(executor, hangs_or_reports, limits=limits) as search:
        other = search.start(1, {"reports": True})
        await search.report_of(1)
        ending = await search.run(0, {"deaf": True, "helpers": True})
        await until(lambda: not any(map(alive, helpers(tmp_path))))

        assert isinstance(ending, Died)
        assert ending.signal == signal.SIGKILL
        assert not other.done()
        assert all(map(alive, helpers(tmp_path, 1)))
        assert [breach.trial for breach in search.breaches] == [0]


def hangs_or_reports(trial: Any) -> float:
    if "reports" not in trial.values:
        return hangs(trial)
    leave_helpers(trial)
    while True:
        trial.report(loss=1.0)
        time.sleep(0.01)


@pytest.mark.fault(5)
async def test_who_was_stopped_is_silent_and_can_be_killed(attach: Attach, tmp_path: Path) -> None:
    async with LocalExecutor(1) as executor, attach(executor, stops_itself, limits=Limits(silence=0.5, grace=0.1)) as search:
        ending = await search.run()

    assert [breach.limit for breach in search.breaches] == [Limit.SILENCE]
    # It was woken, so that it could be told, and was told by SIGTERM.
    assert isinstance(ending, Died)
    assert ending.signal == signal.SIGTERM
    assert "in stops_itself" in log_of(tmp_path)


def stops_itself(trial: Any) -> None:
    trial.report(loss=1.0)
    while True:
        os.kill(os.getpid(), signal.SIGSTOP)


def waits_no_longer(trial: Any) -> float:
    """Is interrupted while it waits for an answer, and never reports again."""
    try:
        report_interrupted(trial)
    except TimeoutError:
        return hang_in_this_function()
    return 0.0


async def waits_no_longer_async(trial: Any) -> float:
    try:
        async with asyncio.timeout(0.01):
            await trial.report(loss=1.0)
    except TimeoutError:
        return hang_in_this_function()
    return 0.0


@pytest.mark.fault(5)
@pytest.mark.parametrize("trainable", [waits_no_longer, waits_no_longer_async])
@pytest.mark.parametrize("limit", [Limit.TRIAL_TIME, Limit.SILENCE])
async def test_who_was_interrupted_while_it_waited_waits_no_longer(attach: Attach, trainable: Any, limit: Limit) -> None:
    given: dict[str, Any] = {limit.value: 0.5}
    search = Search(lambda report: What.PARK)
    async with LocalExecutor(1) as executor, attach(executor, trainable, search=search, limits=Limits(**given, grace=0.1)):
        ending = await search.run()

    assert [breach.limit for breach in search.breaches] == [limit]
    assert isinstance(ending, Died)


@pytest.mark.fault(5)
async def test_who_waits_for_the_search_is_not_silent(attach: Attach) -> None:
    search = Search(lambda report: What.PARK)
    limits = Limits(trial_time=0.5, silence=0.4)
    async with LocalExecutor(2) as executor, attach(executor, reports_once, search=search, limits=limits):
        over = search.start()
        await search.report_of()
        # Another one hangs for longer than the limit, so we need not wait for a time.
        await search.start(1, {"hangs": True})
        assert [breach.trial for breach in search.breaches] == [1]
        assert not over.done()
        search.attachment.halt(0, 1, reason="enough", grace=10)
        assert isinstance(await over, TrialLeft)


def reports_once(trial: Any) -> float:
    if "hangs" in trial.values:
        time.sleep(600)
    trial.report(loss=1.0)
    return 1.0


@pytest.mark.fault(5)
async def test_a_process_that_is_used_again_has_the_whole_time_for_each_trial(attach: Attach) -> None:
    limits = Limits(trial_time=1.5, start_up=1.0, silence=1.0, grace=0.1)
    async with LocalExecutor(1, isolation="worker") as executor, attach(executor, takes_its_time, limits=limits) as search:
        before = await search.metrics(0)
        for trial in range(1, 5):
            after = await search.metrics(trial)
            assert after["pid"] == before["pid"]
        # Nobody is silent who has nothing to do.
        await asyncio.sleep(1.3)
        after = await search.metrics(5)

    assert after["pid"] == before["pid"]
    assert search.breaches == []


def takes_its_time(trial: Any) -> dict[str, float]:
    trial.report(loss=1.0)
    time.sleep(0.4)
    return {"loss": 1.0, "pid": float(os.getpid())}


@pytest.mark.fault(5)
async def test_an_interpreter_that_does_not_get_ready_is_ended(attach: Attach, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "never_ready.py").write_text("import time\ntime.sleep(600)\ndef train(trial):\n    return 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    async with LocalExecutor(1, start_method="spawn") as executor:
        with pytest.raises(TrainableError, match=r"Limits\(start_up=2\.5\)"):
            async with attach(executor, "never_ready:train", limits=Limits(start_up=2.5, grace=0.1)):
                pass


@pytest.mark.fault(5)
async def test_a_module_that_hangs_when_it_is_imported_is_shown(attach: Attach, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "hangs_at_import.py").write_text("import time\ndef wait():\n    time.sleep(600)\nwait()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    async with LocalExecutor(1) as executor:
        with pytest.raises(TrainableError, match=r"within Limits\(start_up=1\)") as raised:
            async with attach(executor, "hangs_at_import:train", limits=Limits(start_up=1)):
                pass

    assert "in wait" in "".join(raised.value.__notes__)


HANGS_LATER = """
import os, pathlib, time
def wait():
    time.sleep(600)
loaded = pathlib.Path(__file__).with_name("loaded")
if loaded.exists():
    wait()
loaded.touch()
def train(trial):
    (trial.directory / "zygote").write_text(str(os.getppid()))
    time.sleep(600)
"""


@pytest.mark.fault(5)
@pytest.mark.fault(9)
async def test_a_zygote_that_takes_over_and_hangs_is_given_up(attach: Attach, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "hangs_later.py").write_text(HANGS_LATER)
    monkeypatch.syspath_prepend(str(tmp_path))
    async with LocalExecutor(1) as executor, attach(executor, "hangs_later:train", limits=Limits(start_up=1)) as search:
        lost = search.start(0)
        pid = tmp_path / "trials/0/zygote"
        await until(lambda: pid.exists() and pid.read_text())
        os.kill(int(pid.read_text()), signal.SIGKILL)
        assert isinstance(await lost, Lost)
        await until(lambda: search.failures)

    assert "within Limits(start_up=1)" in str(search.failures[0])
    assert "in wait" in str(search.failures[0])


# -------------------------------------------------------------------------------------------- without the search's process


@pytest.mark.fault(12)
@pytest.mark.parametrize("options", [{}, WORKER], ids=["trial", "worker"])
async def test_a_loop_that_is_blocked_ends_who_hangs_and_nobody_else(
    attach: Attach, tmp_path: Path, options: dict[str, Any]
) -> None:
    limits = Limits(trial_time=2.0, silence=1.0, grace=0.2)
    async with LocalExecutor(3, **options) as executor, attach(executor, hangs_or_goes_on, limits=limits) as search:
        others = [search.start(number, {"reports": 3}) for number in (1, 2)]
        hung = search.start(0, {})
        pids = tmp_path / "trials/0/pid"
        await until(lambda: pids.exists() and pids.read_text())
        victim = psutil.Process(int(pids.read_text()))
        block_until_gone(victim)  # nobody in this process does anything meanwhile
        ending = await hung
        ends = [await other for other in others]

    assert [(breach.trial, breach.limit) for breach in search.breaches] == [(0, Limit.SILENCE)]
    assert isinstance(ending, Died)
    assert [type(end) for end in ends] == [TrialReturned] * 2


def hangs_or_goes_on(trial: Any) -> float:
    for step in range(trial.values.get("reports", 0)):
        trial.report(loss=float(step))
        time.sleep(0.01)
    return 1.0 if "reports" in trial.values else hangs(trial)


def block(seconds: float) -> None:
    """Block the loop, which is not needed for what is to happen meanwhile."""
    time.sleep(seconds)


def block_until_gone(process: psutil.Process) -> None:
    deadline = time.monotonic() + PATIENCE
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        block(0.005)
    block(1.2)  # longer than the others may be silent


@pytest.mark.fault(5)
async def test_who_has_no_grace_leaves_its_stacks_all_the_same(attach: Attach, tmp_path: Path) -> None:
    limits = Limits(trial_time=0.5, grace=0)
    async with LocalExecutor(1) as executor, attach(executor, hangs, limits=limits) as search:
        ending = await search.run()

    assert isinstance(ending, Died)
    assert "in hang_in_this_function" in log_of(tmp_path)
    assert "in runner" in log_of(tmp_path) or "_runner" in log_of(tmp_path)  # to the last line


@pytest.mark.fault(5)
@pytest.mark.parametrize("limits", [Limits(trial_time=1.0, grace=0.2), Limits(silence=1.0, grace=0.2)], ids=["time", "silence"])
async def test_a_task_that_blocks_its_loop_is_not_excused_by_one_that_waits(attach: Attach, limits: Limits) -> None:
    async with LocalExecutor(1) as executor, attach(executor, reports_and_blocks, limits=limits) as search:
        ending = await search.run()

    assert isinstance(ending, Died)
    assert len(search.breaches) == 1


async def reports_and_blocks(trial: Any) -> float:
    task = asyncio.create_task(trial.report(loss=1.0))
    await asyncio.sleep(0)
    time.sleep(600)  # noqa: ASYNC251 -- that is the point
    await task
    return 1.0


@pytest.mark.fault(5)
@pytest.mark.fault(9)
@pytest.mark.parametrize("options", [{}, WORKER, SPAWNED], ids=["trial", "worker", "spawn"])
async def test_who_stops_the_process_that_keeps_the_limits_is_ended_all_the_same(
    attach: Attach, options: dict[str, Any]
) -> None:
    limits = Limits(trial_time=1.0, grace=0.2)
    async with LocalExecutor(2, **options) as executor, attach(executor, stops_its_zygote, limits=limits) as search:
        ending = await search.run(0, {"stops": True})
        assert isinstance(await search.run(1), TrialReturned)

    assert isinstance(ending, Died)
    assert [breach.trial for breach in search.breaches] == [0]


def stops_its_zygote(trial: Any) -> float:
    if "stops" in trial.values:
        os.kill(os.getppid(), signal.SIGSTOP)
        time.sleep(600)
    return 1.0


@pytest.mark.fault(3)
@pytest.mark.fault(7)
@pytest.mark.parametrize("deed", ["memory", "processes"])
async def test_who_is_told_to_stop_is_watched_all_the_more(attach: Attach, tmp_path: Path, deed: str) -> None:
    limits = Limits(memory="100 MiB", processes=4, grace=10 * PATIENCE)
    async with LocalExecutor(1) as executor, attach(executor, takes_when_told, limits=limits) as search:
        over = search.start(0, {"deed": deed})
        await search.report_of()
        search.attachment.halt(0, 1, reason="enough", grace=10 * PATIENCE)
        async with asyncio.timeout(PATIENCE):
            ending = await over

    assert isinstance(ending, Died)
    assert ending.signal == signal.SIGKILL


def takes_when_told(trial: Any) -> float:
    trial.report(loss=1.0)
    while not trial.should_stop:
        time.sleep(0.005)
    held = [bytearray(b"x") * (300 * 2**20)] if trial.values["deed"] == "memory" else []
    helpers = [subprocess.Popen(["sleep", "600"]) for _ in range(10)] if trial.values["deed"] == "processes" else []
    time.sleep(600)
    return float(len(held) + len(helpers))


@pytest.mark.fault(12)
async def test_how_it_ended_while_we_did_not_listen_is_told_as_it_was(attach: Attach) -> None:
    # Its exit, its last words and what it was ended for come by different ways, and all of them are there at once.
    limits = Limits(trial_time=0.5, grace=0.2)
    async with LocalExecutor(1) as executor, attach(executor, says_goodbye, limits=limits) as search:
        over = search.start()
        await search.report_of()
        block(1.5)
        ending = await over

    assert isinstance(ending, TrialRaised)
    assert [breach.limit for breach in search.breaches] == [Limit.TRIAL_TIME]


def says_goodbye(trial: Any) -> None:
    def leave(*_: object) -> None:
        raise RuntimeError("told to go")

    signal.signal(signal.SIGTERM, leave)
    trial.report(loss=1.0)
    time.sleep(600)


@pytest.mark.fault(12)
async def test_who_breaks_a_limit_is_told_also_when_the_search_cannot_tell_it(attach: Attach, tmp_path: Path) -> None:
    limits = Limits(trial_time=0.5, grace=PATIENCE * 2)
    async with LocalExecutor(1, isolation="worker") as executor, attach(executor, looks_up, limits=limits) as search:
        over = search.start()
        await search.report_of()
        deadline = time.monotonic() + PATIENCE
        while not (tmp_path / "trials/0/left").exists():
            assert time.monotonic() < deadline
            block(0.005)
        assert isinstance(await over, TrialLeft)
        assert [breach.limit for breach in search.breaches] == [Limit.TRIAL_TIME]
        # The next one was told nothing.
        assert isinstance(await search.run(1, {"quick": True}), TrialReturned)


def looks_up(trial: Any) -> float:
    trial.report(loss=1.0)
    if "quick" in trial.values:
        trial.report(loss=2.0)
        return 1.0
    while not trial.should_stop:
        time.sleep(0.005)
    (trial.directory / "left").touch()
    return 2.0


async def test_a_runner_holds_what_it_shows_itself_and_nothing_that_others_show(attach: Attach) -> None:
    def train(trial: Any) -> dict[str, float]:
        trial.report(loss=1.0)
        maps = Path("/proc/self/maps").read_text()
        while "wait" in trial.values:
            time.sleep(1)
        return {"loss": 1.0, "pages": float(maps.count("/dev/zero"))}

    async with LocalExecutor(3) as executor, attach(executor, train, limits=Limits(silence=60)) as search:
        for number in (1, 2):
            search.start(number, {"wait": True})
            await search.report_of(number)
        assert (await search.metrics(0))["pages"] == 1


# -------------------------------------------------------------------------------------------------------------- by measure


@pytest.mark.fault(3)
@pytest.mark.parametrize("where", ["itself", "child", "shared by its children"])
async def test_who_holds_too_much_memory_is_ended(attach: Attach, tmp_path: Path, where: str) -> None:
    inherited = b"x" * 150 * 2**20  # what was there before counts for nobody

    def train(trial: Any) -> float:
        assert inherited[0]
        if trial.values["where"] == "nowhere":
            for step in range(20):
                trial.report(loss=float(step))
                time.sleep(0.1)
            return 1.0
        if trial.values["where"] == "child":
            subprocess.run([sys.executable, "-c", "x = b'x' * 250 * 2**20; import time; time.sleep(600)"], check=True)
        mine = b"y" * 250 * 2**20
        if trial.values["where"] != "itself":
            for _ in range(3):
                if os.fork() == 0:
                    break
        while mine:
            time.sleep(1)
        return 0.0

    limits = Limits(memory="100 MiB", grace=0.2)
    async with LocalExecutor(2) as executor, attach(executor, train, limits=limits) as search:
        modest = search.start(1, {"where": "nowhere"})
        ending = await search.run(0, {"where": where})

        (breach,) = search.breaches
        assert (breach.trial, breach.limit) == (0, Limit.MEMORY)
        assert 100 * 2**20 < breach.amount < 600 * 2**20
        assert isinstance(ending, Died)
        assert isinstance(await modest, TrialReturned)


@pytest.mark.fault(7)
async def test_who_has_too_many_processes_is_ended_with_all_of_them(attach: Attach, tmp_path: Path) -> None:
    limits = Limits(processes=8, grace=0.2)
    async with LocalExecutor(2) as executor, attach(executor, multiplies, limits=limits) as search:
        ending = await search.run(0, {"times": 8})
        (breach,) = search.breaches
        assert (breach.limit, breach.amount) == (Limit.PROCESSES, 9)
        assert isinstance(ending, Died)
        # As many as there may be.
        assert isinstance(await search.run(1, {"times": 7}), TrialReturned)


def multiplies(trial: Any) -> float:
    children = [subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(trial.values["times"])]
    if len(children) < 8:
        time.sleep(1.1)  # long enough to be looked at
        for child in children:
            child.kill()
            child.wait()
        return 1.0
    time.sleep(600)
    return 0.0


@pytest.mark.fault(7)
@pytest.mark.parametrize("limits", [Limits(processes=2, grace=60), Limits()], ids=["limited", "left behind"])
async def test_who_forks_faster_than_it_is_killed_is_ended(attach: Attach, tmp_path: Path, limits: Limits) -> None:
    async with LocalExecutor(1) as executor, attach(executor, runs_away, limits=limits) as search:
        began = time.monotonic()
        ending = await search.run(0, {"leaves": not limits.watched})
        root = psutil.Process().children()[0].children()[0]
        await until(lambda: len(root.children(recursive=True)) == 1)  # the search's zygote

        assert time.monotonic() - began < PATIENCE / 2, "they ended by themselves"
        assert isinstance(ending, Died)
        assert [breach.limit for breach in search.breaches] == [Limit.PROCESSES] * bool(limits.watched)


def runs_away(trial: Any) -> None:
    """Six that are never the same for long: each goes on as its own child, in a session of its own."""
    until_then = time.monotonic() + PATIENCE / 2
    for _ in range(6):
        if os.fork() == 0:
            while time.monotonic() < until_then:
                time.sleep(0.005)
                if os.fork():
                    os._exit(0)
                os.setsid()
            os._exit(0)
    time.sleep(0.1)
    if trial.values.get("says"):
        trial.report(loss=0.0)
    if trial.values["leaves"]:
        os._exit(3)
    time.sleep(600)


# ------------------------------------------------------------------------------------------------------------------- logs


@pytest.mark.fault(7)
@pytest.mark.parametrize("end", ["return", "exit"])
async def test_what_a_trial_left_behind_is_named_in_its_log(attach: Attach, tmp_path: Path, end: str) -> None:
    def train(trial: Any) -> float:
        leave_helpers(trial)
        if trial.values["end"] == "exit":
            os._exit(3)
        return 1.0

    async with LocalExecutor(1) as executor, attach(executor, train) as search:
        await search.run(0, {"end": end})
        await until(lambda: not any(map(alive, helpers(tmp_path))))
        await until(lambda: "asynctune: killed what it had left behind: " in log_of(tmp_path))

        for pid in helpers(tmp_path):
            assert f"({pid})" in log_of(tmp_path)


async def test_what_was_killed_with_a_trial_is_named_in_its_log(attach: Attach, tmp_path: Path) -> None:
    limits = Limits(trial_time=1.0, grace=0)
    async with LocalExecutor(1) as executor, attach(executor, hangs, limits=limits) as search:
        await search.run(0, {"helpers": True, "deaf": True})
        await until(lambda: "asynctune: it was killed, and with it " in log_of(tmp_path))


@pytest.mark.fault(22)
async def test_a_log_is_as_long_as_it_may_be(attach: Attach, tmp_path: Path) -> None:
    def train(trial: Any) -> float:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # stderr is looked at, too
        path = Path(trial.values["log"])
        os.write(2, b"first\n" + b"x" * 20_000 + b"\n")
        while path.stat().st_size > 10_000:
            time.sleep(0.01)
        os.write(2, b"last\n")
        return 1.0

    log = tmp_path / "logs/0-1.log"
    async with LocalExecutor(1) as executor, attach(executor, train, limits=Limits(log="8 KiB")) as search:
        assert isinstance(await search.run(0, {"log": str(log)}), TrialReturned)

    assert log.read_text().startswith("first\n")
    assert log.read_text().endswith("last\n")
    assert "bytes were left out here" in log.read_text()


@pytest.mark.fault(38)
@pytest.mark.parametrize("what", ["link", "dangling link", "another name", "pipe"])
async def test_what_was_planted_in_the_place_of_a_log_is_not_written_to(attach: Attach, tmp_path: Path, what: str) -> None:
    mine = tmp_path / "mine"
    mine.write_text("precious")

    def train(trial: Any) -> float:
        print("hello")
        place = Path(trial.values["place"])
        if what == "link":
            place.symlink_to(mine)
        elif what == "dangling link":
            place.symlink_to(tmp_path / "new")
        elif what == "another name":
            place.hardlink_to(mine)
        else:
            os.mkfifo(place)
        return 1.0

    async with LocalExecutor(1) as executor, attach(executor, train) as search:
        log = tmp_path / "logs/1-1.log"
        await search.run(0, {"place": str(log)})
        await search.run(1, {"place": str(tmp_path / "logs/2-1.log")})

    assert mine.read_text() == "precious"
    assert not (tmp_path / "new").exists()
    assert log.read_text() == "hello\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


# ---------------------------------------------------------------------------------------------------------------- how soon


@pytest.mark.slow
@pytest.mark.fault(6)
@pytest.mark.parametrize("options", [{}, WORKER, SPAWNED], ids=["trial", "worker", "spawn"])
@pytest.mark.parametrize("grace", [0.0, 0.3, 1.0])
async def test_by_limit_and_grace_and_half_a_second_all_of_it_is_gone(
    attach: Attach, tmp_path: Path, options: dict[str, Any], grace: float
) -> None:
    limits = Limits(silence=1.0, grace=grace)
    async with LocalExecutor(2, **options) as executor, attach(executor, hangs_or_reports, limits=limits) as search:
        search.start(1, {"reports": True})
        await search.report_of(1)
        over = search.start(0, {"deaf": True, "helpers": True})
        path = tmp_path / "trials/0/pid"
        await until(lambda: path.exists() and path.read_text())
        began, family = time.monotonic(), [int(path.read_text()), *helpers(tmp_path)]
        while any(map(alive, family)):
            block(0.005)
        took = time.monotonic() - began
        await over

        assert took <= 1.0 + grace + 0.5
        assert all(map(alive, helpers(tmp_path, 1)))
        assert [breach.trial for breach in search.breaches] == [0]
