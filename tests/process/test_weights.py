"""Sessions are given a nice value, also when the system lets us do only ten a second, as it does who is not root."""

from __future__ import annotations

import ctypes
import os
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asynctune._runner.weights import Weights

pytestmark = pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel does not weigh sessions")

_NOBODY = 65534
_PR_SET_DUMPABLE = 4


@contextmanager
def sessions(number: int, *, lead: bool = True) -> Iterator[list[int]]:
    """Children that lead a session each, or else do not, and sleep."""
    pids = []
    for _ in range(number):
        reads, writes = os.pipe()
        pid = os.fork()
        if pid == 0:
            if lead:
                os.setsid()
            os.write(writes, b"x")
            while True:
                signal.pause()
        os.close(writes)
        os.read(reads, 1)
        os.close(reads)
        pids.append(pid)
    try:
        yield pids
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def nice(pid: int) -> int:
    """The session's."""
    return int(Path(f"/proc/{pid}/autogroup").read_text().rpartition(" ")[2])


def become_nobody() -> None:
    """Root has no limit, and tests are run by root in many a container."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setuid(_NOBODY)
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)  # else what is ours in /proc would still be root's


def test_each_of_many_sessions_is_weighed_in_the_end() -> None:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            become_nobody()
            weights = Weights(7)
            with sessions(14) as pids:
                for each in pids:
                    weights.add(each)
                while weights:
                    weights.settle(pids)
                assert [nice(each) for each in pids] == [7] * 14
            code = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_who_has_ended_is_forgotten_and_who_is_not_there_yet_is_waited_for() -> None:
    weights = Weights(7)
    with sessions(1) as [gone], sessions(1, lead=False) as [young]:
        weights.add(gone)
        weights.add(young)
        weights.settle_now([young])
        assert (len(weights), nice(gone)) == (1, 0)
        weights.settle_now([])
        assert len(weights) == 0


def test_nothing_is_done_where_nothing_is_asked_for_and_the_lowest_is_nineteen() -> None:
    nothing = Weights(0)
    nothing.add(os.getpid())
    assert len(nothing) == 0
    assert Weights(25).nice == 19


def test_it_waits_before_it_weighs() -> None:
    weights = Weights(7)
    with sessions(1) as pids:
        weights.add(*pids)
        weights.settle(pids)
        assert len(weights) == 1
        weights.settle_now(pids)
        assert (len(weights), nice(*pids)) == (0, 7)
