"""Making runners, one fork or one exec each, until the executor is gone. This is the path that every trial pays for."""

from __future__ import annotations

import atexit
import gc
import os
import select
import signal
import sys
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from asynctune._runner.families import Member, descendants, memory_of
from asynctune._runner.forking import register_hooks
from asynctune._runner.kin import Kin
from asynctune._runner.leavings import Leavings
from asynctune._runner.linux import adopt_orphans, die_with_parent, flush_c_stdio, hear_of_nothing
from asynctune._runner.loading import Loaded
from asynctune._runner.logs import cut_log
from asynctune._runner.mailbox import Mailbox
from asynctune._runner.memory import OutOfMemory
from asynctune._runner.orders import End, ForkFailed, FromSearch, RunnerBroke, RunnerWeighed, Signal, StartRunner
from asynctune._runner.parcel import Parcel
from asynctune._runner.process import Runner
from asynctune._runner.pulse import Pulse, pulse_descriptor
from asynctune._runner.quick import pack_ended, unpack_order
from asynctune._runner.surroundings import show_gpus
from asynctune._runner.watch import Watch
from asynctune._runner.weights import SETTLE_AFTER, Weights
from asynctune.wire import encode

__all__ = ["Server", "settle"]

_SIGKILL = int(signal.SIGKILL)
_LOOK_AT_LOGS = 1.0  # seconds
_TOGETHER = 0.02  # seconds that the report of a good end may wait
_SPAWNED = (
    "import importlib, sys, typing; sys.path.insert(0, sys.argv[1]); import asynctune; del sys.path[0]; "
    "from asynctune._runner.spawned import spawned; spawned(*map(int, sys.argv[2:6]))"
)


def settle() -> None:
    """The last thing before serving: leave nothing in this process that each child would do again, or copy for nothing."""
    # What modules registered for the end of the process is about this one, and would run in every child: a temporary directory
    # made on import would be removed by the first. What trials register themselves must run, and multiprocessing's must too.
    atexit._clear()  # noqa: SLF001
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]  # noqa: SLF001
        finalizer.atexit = False
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]  # noqa: SLF001
    utilities = sys.modules.get("multiprocessing.util")
    if utilities is not None:
        atexit.register(utilities._exit_function)  # noqa: SLF001
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
        stream.flush()
    flush_c_stdio()
    # A collection in a child would write to every object that was made here, and so copy it.
    gc.collect()
    gc.freeze()


class Server:
    """Takes orders and makes runners.

    Args:
        mailbox: to the executor.
        parcel: what the search sent.
        loaded, data: what runners need not load.
        weights: what the sessions of runners are given.
        reuse: whether a runner waits for another trial when one has ended.
        spawn: the descriptor of the parcel, if runners are new interpreters; then nothing was loaded here.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        parcel: Parcel,
        loaded: Loaded | None,
        data: Mapping[str, Any] | None,
        *,
        weights: Weights,
        reuse: bool,
        spawn: int | None,
    ) -> None:
        self._mailbox = mailbox
        self._work = parcel.work
        self._runner = Runner(parcel, loaded=loaded, data=data, reuse=reuse)
        self._reuse = reuse
        self._spawn = spawn
        self._weights = weights
        self._kin = Kin()
        self._memory = OutOfMemory()
        self._watch = Watch(self._work.limits, self._kin, say=self._say, killed=self._killed)
        self._leavings = Leavings(self._work.directory)
        self._pid = os.getpid()
        self._reports: list[bytes] = []
        self._due: float | None = None

    def serve(self) -> NoReturn:
        """Serve until the executor is gone. Runners end with this process; what they leave falls to the root."""
        poll = select.poll()
        poll.register(self._mailbox.fileno(), select.POLLIN)
        poll.register(self._kin.fileno(), select.POLLIN)
        look = time.monotonic() + _LOOK_AT_LOGS
        while True:
            soon = _TOGETHER if self._due is not None else SETTLE_AFTER if self._weights else None
            wait = soon or (_LOOK_AT_LOGS if self._kin else None)
            if self._watch:
                wait = min(wait or _LOOK_AT_LOGS, self._watch.wait())
            if self._mailbox.is_behind:
                wait = min(wait or _TOGETHER, _TOGETHER)
                self._mailbox.catch_up()
            for descriptor, _ in poll.poll(wait * 1000 if wait is not None else None):
                if descriptor == self._mailbox.fileno():
                    self._obey()
                else:
                    self._reap()
            if self._due is not None and time.monotonic() >= self._due:
                self._report()
            if self._watch:
                self._watch.look()
            self._weights.settle(self._kin)
            if time.monotonic() > look:
                look = time.monotonic() + _LOOK_AT_LOGS
                self._memory.look()
                self._cut_logs()

    def _obey(self) -> None:
        try:
            bodies = self._mailbox.receive()
        except (EOFError, OSError):
            os._exit(0)
        for body in bodies:
            order = unpack_order(body)
            if isinstance(order, StartRunner):
                self._start(order)
            elif isinstance(order, End):
                self._watch.end(order)
            elif isinstance(order, Signal):
                self._kin.kill(order.runner, order.signum)
            else:
                self._weigh(order.runner)

    def _start(self, order: StartRunner) -> None:
        channel = self._mailbox.take_descriptor()
        pulse, shown = None, -1
        try:
            if self._watch.watches:
                pulse, shown = self._pulse(order)
            pid = os.fork()
        except OSError as error:
            os.close(channel)
            if shown >= 0:
                os.close(shown)
            self._mailbox.post(encode(ForkFailed(runner=order.runner, reason=str(error)), FromSearch))
            return
        if pid == 0:
            try:
                self._become_runner(channel, order, pulse, shown)
            except BaseException:  # noqa: BLE001 -- a defect of ours; the trial's own errors do not get here
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(70)
        os.close(channel)
        self._kin.add(pid, order.runner)
        self._weights.add(pid)
        if order.order is not None and not self._reuse:
            self._leavings.started(order.runner, pid, order.order.trial, order.order.launch)
        if pulse is not None:
            self._watch.add(order.runner, pid, pulse)
            if shown >= 0:
                os.close(shown)

    def _pulse(self, order: StartRunner) -> tuple[Pulse, int]:
        """What a new runner shows of itself, and the descriptor by which a new interpreter finds it, or -1."""
        shown = pulse_descriptor() if self._spawn is not None else -1
        try:
            pulse = Pulse(shown if shown >= 0 else None)
        except OSError:
            if shown >= 0:
                os.close(shown)
            raise
        if order.order is not None:
            pulse.begins(order.order.trial, order.order.launch)
        else:
            pulse.begins()
        return pulse, shown

    def _become_runner(self, channel: int, order: StartRunner, pulse: Pulse | None, shown: int) -> NoReturn:
        os.setsid()
        die_with_parent(self._pid)
        adopt_orphans()
        hear_of_nothing()
        register_hooks()
        # Our own descriptors are closed. What the user's modules opened when they were imported stays open, as it is theirs.
        os.close(self._mailbox.fileno())
        os.close(self._kin.fileno())
        show_gpus(order.gpus)
        if self._spawn is not None:
            _become_interpreter(channel, self._spawn, shown, reuse=self._reuse)
        if pulse is not None:
            self._watch.forget_all()
            self._runner.shows(pulse)
        self._runner.connect(channel)
        self._runner.run(order.order)

    def _reap(self) -> None:
        ended = self._kin.reap()
        for each in ended:
            self._leavings.ended(each.name)
            if self._watch:
                self._watch.forget(each.name)
            starved = each.signal == _SIGKILL and not each.ours and self._memory.killed()
            self._reports.append(pack_ended(each.name, each.exit_code, each.signal, starved))
        if any(each.exit_code != 0 for each in ended):
            self._report()
        elif self._due is None:
            # A runner that ended well has said all that matters, and its channel's end says the rest. So its report may wait
            # for others, and one look for strays, one message and one waking of the executor serve them all.
            self._due = time.monotonic() + _TOGETHER

    def _report(self) -> None:
        """Kill what the ended runners have left behind, and say that they ended."""
        self._due = None
        strays = self._kin.kill_strays()
        if strays:
            self._leavings.found(strays)
        if self._reports:
            self._mailbox.post(*self._reports)
            self._reports = []
            self._leavings.reported()

    def _weigh(self, runner: int) -> None:
        pid = self._kin.pid_of(runner)
        if pid is not None:
            memory = memory_of([pid, *descendants([pid])], 0)
            self._say(RunnerWeighed(runner=runner, memory=memory))

    def _say(self, message: RunnerBroke | RunnerWeighed) -> None:
        self._mailbox.post(encode(message, FromSearch))

    def _killed(self, runner: int, members: list[Member]) -> None:
        self._leavings.killed(runner, self._watch.launch_of(runner), members)

    def _cut_logs(self) -> None:
        if self._work.limits.log is not None:
            for pid in (self._pid, *self._kin.pids):
                cut_log(pid, self._work.directory, self._work.limits.log)


def _become_interpreter(channel: int, parcel: int, pulse: int, *, reuse: bool) -> NoReturn:
    for descriptor in (channel, parcel, pulse):
        if descriptor >= 0:
            os.set_inheritable(descriptor, True)
    start = sys.orig_argv[: sys.orig_argv.index("-c")]
    package = str(Path(__file__).parents[2])
    numbers = [str(channel), str(parcel), str(pulse), str(int(reuse))]
    os.execv(sys.executable, [*start, "-c", _SPAWNED, package, *numbers])  # noqa: S606 -- ourselves
