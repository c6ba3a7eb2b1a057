"""The root zygote: imports the installed libraries that it was told to, once, and forks a zygote for each search.

It never runs the user's own code, so it stays fit to be forked for every search that comes. It belongs to the guard: when that
is gone it does the last rites itself.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
import warnings
from typing import NoReturn

from asynctune._runner.families import is_stopped
from asynctune._runner.kin import Ended, Kin
from asynctune._runner.libraries import import_all
from asynctune._runner.linux import adopt_orphans, hear_of_nothing, outlive_parent
from asynctune._runner.mailbox import Mailbox
from asynctune._runner.orders import Attach, Detach, Dump, FromRoot, Prepare, RootReady, SearchEnded, ToRoot
from asynctune._runner.rehearsal import rehearse
from asynctune._runner.rites import last_rites
from asynctune._runner.search import search_zygote
from asynctune._runner.surroundings import start_single_threaded
from asynctune._runner.verdict import Inventory, reasons_against_forking
from asynctune._runner.weights import SETTLE_AFTER, Weights
from asynctune.wire import decode, encode

__all__ = ["root"]


def root(guard: int, control: socket.socket) -> NoReturn:
    """Run as the root zygote. Never returns.

    Args:
        guard: the pid of the guard.
        control: the socket to the executor.
    """
    adopt_orphans()
    start_single_threaded()
    # Whether a fork is safe is our own verdict, with better reasons.
    warnings.filterwarnings("ignore", message=".*fork.*may lead to deadlocks", category=DeprecationWarning)
    mailbox = Mailbox(control)
    _Root(guard, mailbox).run()


_LOOK = 1.0  # seconds between two looks whether a search's zygote was stopped


class _Root:
    _kin: Kin
    _weights: Weights

    def __init__(self, guard: int, mailbox: Mailbox) -> None:
        self._guard = guard
        self._watched = os.pidfd_open(guard)
        self._mailbox = mailbox
        self._pid = os.getpid()
        self._prepared = False
        self._leaving: list[Ended] = []

    def run(self) -> NoReturn:
        # The first word is what to import. Meanwhile we cannot watch over anybody, and have nobody: the kernel ends us with the
        # guard. From then on, whoever ends the guard must not keep us from the last rites.
        while not self._prepared:
            self._obey()
        poll = select.poll()
        for descriptor in (self._mailbox.fileno(), self._kin.fileno(), self._watched):
            poll.register(descriptor, select.POLLIN)
        while True:
            wait = SETTLE_AFTER if self._weights else _LOOK if self._kin else None
            ready = {descriptor for descriptor, _ in poll.poll(wait * 1000 if wait is not None else None)}
            if self._watched in ready or os.getppid() != self._guard:
                last_rites()
                os._exit(0)
            if self._kin.fileno() in ready:
                self._reap()
            if self._mailbox.fileno() in ready:
                self._obey()
            self._weights.settle([self._guard, *self._kin.pids])
            for pid in self._kin.pids:
                # It keeps the limits of all its trials, one of which has stopped it, perhaps.
                if is_stopped(pid):
                    os.kill(pid, signal.SIGCONT)

    def _obey(self) -> None:
        try:
            bodies = self._mailbox.receive()
        except (EOFError, OSError):
            last_rites()
            os._exit(0)
        for body in bodies:
            order: Prepare | Attach | Detach | Dump = decode(body, ToRoot)
            if isinstance(order, Prepare):
                self._prepare(order)
            elif isinstance(order, Attach):
                self._attach(order)
            elif isinstance(order, Dump):
                self._kin.dump(order.search)
            else:
                self._kin.kill(order.search, signal.SIGKILL)

    def _prepare(self, order: Prepare) -> None:
        started, before = time.monotonic(), Inventory.take()
        # Here and not in each runner: an import takes seconds and a fork of all that milliseconds, and while they last the
        # service's own requests would wait for a core.
        os.nice(order.nice)
        self._weights = Weights(order.session_nice)
        self._weights.add(self._guard)  # it leads our session
        self._weights.settle_now([self._guard])
        sys.path += [path for path in order.sys_path if path not in sys.path]
        failures = import_all(order.preload)
        rehearse()
        reasons = reasons_against_forking(before)
        # Not before: what a library starts when it is imported would inherit that we do not hear SIGCHLD any more.
        self._kin = Kin()
        self._prepared = True
        outlive_parent()
        seconds = time.monotonic() - started
        self._mailbox.send(encode(RootReady(reasons=tuple(reasons), failures=failures, seconds=seconds), FromRoot))

    def _attach(self, order: Attach) -> None:
        control, parcel = self._mailbox.take_descriptor(), self._mailbox.take_descriptor()
        try:
            pid = os.fork()
        except OSError as error:
            refused = SearchEnded(search=order.search, refused=f"could not be forked: {error}")
            self._mailbox.send(encode(refused, FromRoot))
        else:
            if pid == 0:
                try:
                    self._become_search(order, control, parcel)
                except BaseException:  # noqa: BLE001 -- a defect of ours; what the trainable raises is told otherwise
                    sys.excepthook(*sys.exc_info())
                finally:
                    os._exit(70)
            self._kin.add(pid, order.search)
            self._weights.add(pid)
        os.close(control)
        os.close(parcel)

    def _become_search(self, order: Attach, control: int, parcel: int) -> NoReturn:
        hear_of_nothing()
        for descriptor in (self._mailbox.fileno(), self._watched, self._kin.fileno()):
            os.close(descriptor)
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, control)
        search_zygote(self._pid, channel, parcel, order.plan, Weights(self._weights.nice))

    def _reap(self) -> None:
        # A search is gone when everything that it left behind is. All that falls to us is of searches that have ended.
        self._leaving += self._kin.reap()
        if not self._kin.kill_strays():
            for ended in self._leaving:
                message = SearchEnded(search=ended.name, exit_code=ended.exit_code, signal=ended.signal)
                self._mailbox.send(encode(message, FromRoot))
            self._leaving.clear()
