"""Few descriptors, many descriptors, signals at any moment; and no door that anybody else could knock at."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asynctune.executors.local import LocalExecutor
from asynctune.messages import TrialReturned, What
from tests.process.conftest import PATIENCE, Attach, Search, descendants

ROOT = Path(__file__).parents[2]

SEARCH = """
import os, resource, sys
from pathlib import Path
import asynctune as at

def train(trial):
    trial.report(loss=1.0)
    return float(trial.id)

if sys.argv[1] == "few":
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
else:
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    kept = [open(os.devnull) for _ in range(1100)]  # everything that the service opens now has a number above 1,023
    Path(sys.argv[2], "many_files.py").write_text(
        "import os\\nkept = [open(os.devnull) for _ in range(1100)]\\n"
        "def train(trial):\\n    trial.report(loss=1.0)\\n    return float(trial.id)\\n"
    )
    sys.path.insert(0, sys.argv[2])
    train = "many_files:train"  # and so has everything that its zygote and its runners open

result = at.run(
    train, objective=at.Objective("loss", "min"), max_trials=20, executor=at.LocalExecutor(4), storage=sys.argv[2] + "/search",
    display=False,
)
print([trial.score for trial in result.trials.values()] == list(map(float, range(20))))
"""


@pytest.mark.fault(31)
@pytest.mark.parametrize("descriptors", ["few", "many"])
def test_a_search_with_few_descriptors_and_one_with_many(tmp_path: Path, descriptors: str) -> None:
    if descriptors == "many" and 0 <= resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 4096:
        pytest.skip("this user may not open 4,096 files")
    command = [sys.executable, "-c", SEARCH, descriptors, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=6 * PATIENCE, check=False)

    assert done.stdout == "True\n", done.stderr
    # Not only by the way round: the zygote was found fit to be forked.
    assert "cannot be" not in done.stderr


def alarmed(trial: Any) -> float:
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    for _ in range(100):
        trial.report(loss=1.0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return 1.0


@pytest.mark.fault(31)
async def test_signals_interrupt_nothing(local: LocalExecutor, attach: Attach) -> None:
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        async with attach(local, alarmed) as search:
            for number in range(5):
                assert isinstance(await search.run(number), TrialReturned)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert len(search.reports) == 500


def sockets(pid: int) -> set[str]:
    """The inodes of the sockets of a process."""
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            if target.startswith("socket:["):
                found.add(target[8:-1])
    return found


def table(protocol: str) -> list[list[str]]:
    """The system's sockets of this kind, each as the words of its line; without those of IPv6, where there is none."""
    path = Path(f"/proc/net/{protocol}")
    return [line.split() for line in path.read_text().splitlines()[1:]] if path.exists() else []


def reports(trial: Any) -> float:
    trial.report(loss=1.0)
    return 1.0


@pytest.mark.fault(39)
async def test_nothing_listens_and_nothing_has_a_name(local: LocalExecutor, attach: Attach) -> None:
    search = Search(lambda report: What.PARK)
    async with attach(local, reports, search=search):
        parked = [search.start(number) for number in range(2)]
        for number in range(2):
            if not any(report.trial == number for report in search.reports):
                await search.report_of(number)
        family = {os.getpid(), *descendants()}
        ours = set().union(*map(sockets, family))
        for protocol in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
            assert ours.isdisjoint(fields[9] for fields in table(protocol)), protocol
        own = [fields for fields in table("unix") if fields[6] in ours]

        assert len(family) >= 6  # we, the guard, the root, the zygote, two runners
        assert len(own) >= 8
        assert [fields for fields in own if len(fields) > 7] == []  # a path, or an abstract name
        assert {int(fields[3], 16) & 0x10000 for fields in own} == {0}  # __SO_ACCEPTCON: it listens
        for number in range(2):
            search.attachment.halt(number, 1, reason="seen", grace=5)
        for over in parked:
            await over
