"""A search's zygote: loads the search's data and trainable, is judged, and from then on makes runners.

Clean, it forks them with everything loaded. Not clean, it says why and what it had loaded, and ends; the next one is told to
load only that much. It has one Python thread, the one that the runners' lives are tied to.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any, NoReturn

from asynctune._runner.failures import message_of, traceback_of
from asynctune._runner.libraries import (
    change_environment,
    environment_changes,
    import_all,
    installed_modules,
    the_environment,
)
from asynctune._runner.linux import adopt_orphans, die_with_parent
from asynctune._runner.loading import Loaded, load_data, load_trainable, stand_where_the_search_stands
from asynctune._runner.logs import redirect_output
from asynctune._runner.mailbox import Mailbox
from asynctune._runner.orders import Broken, FromSearch, Mode, Plan, Serving, Unclean
from asynctune._runner.parcel import Parcel
from asynctune._runner.serving import Server, settle
from asynctune._runner.surroundings import load_generators
from asynctune._runner.verdict import Inventory, canary, reasons_against_forking
from asynctune._runner.weights import Weights
from asynctune.wire import encode

__all__ = ["search_zygote"]

# The system's killer for want of memory takes a trial, or at worst this, and not the service. Runners inherit it.
_OOM_SCORE = b"500"


def search_zygote(root: int, control: socket.socket, parcel: int, plan: Plan, weights: Weights) -> NoReturn:
    """Run as the zygote of a search, in a fresh fork of the root. Never returns.

    Args:
        root: the pid of the root, with which this process ends.
        control: the socket to the executor.
        parcel: the descriptor of the search's parcel.
        plan: how to work.
        weights: what the sessions of runners are given.
    """
    os.setsid()
    die_with_parent(root)
    adopt_orphans()
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as score:
        score.write(_OOM_SCORE)
    mailbox = Mailbox(control)
    search = _Search(mailbox, Parcel(parcel), plan, weights)
    try:
        search.load()
    except BaseException as error:  # noqa: BLE001 -- the user's modules may raise anything, SystemExit too
        mailbox.send(encode(Broken(message=message_of(error), traceback=traceback_of(error)), FromSearch))
        os._exit(0)
    search.server(parcel).serve()


class _Search:
    def __init__(self, mailbox: Mailbox, parcel: Parcel, plan: Plan, weights: Weights) -> None:
        self._parcel = parcel
        self._mailbox = mailbox
        self._plan = plan
        self._weights = weights
        self._started = time.monotonic()
        self._data: Mapping[str, Any] | None = None
        self._loaded: Loaded | None = None

    def load(self) -> None:
        """Load what the plan says, be judged, say so. Returns only if this process may serve."""
        work = self._parcel.work
        redirect_output(f"{work.directory}/logs/zygote.log")
        faulthandler.enable(file=2)
        faulthandler.register(signal.SIGUSR2, file=2, all_threads=True)
        stand_where_the_search_stands(work)
        if self._plan.mode is not Mode.SPAWN:
            self._load_and_judge()
        settle()
        self._mailbox.send(encode(Serving(seconds=self._seconds()), FromSearch))

    def server(self, parcel: int) -> Server:
        """What makes the runners."""
        spawn = parcel if self._plan.mode is Mode.SPAWN else None
        if spawn is None:
            os.close(parcel)
        given = self._mailbox, self._parcel, self._loaded, self._data
        return Server(*given, weights=self._weights, reuse=self._plan.reuse, spawn=spawn)

    def _load_and_judge(self) -> None:
        before, known, environment = Inventory.take(), tuple(sys.modules), the_environment()
        change_environment(self._plan.environment)
        import_all(self._plan.libraries)
        data_clean = True
        if not self._plan.data_in_runner:
            self._data = load_data(self._parcel)
            data_clean = not reasons_against_forking(before)
        if self._plan.mode is Mode.SHARED and self._data is not None:
            self._loaded = load_trainable(self._parcel, self._data)
        load_generators()
        reasons = reasons_against_forking(before)
        if not reasons and (silence := canary()) is not None:
            reasons = [silence]
        if reasons:
            unclean = Unclean(
                reasons=tuple(reasons),
                libraries=tuple(installed_modules(known, self._own_package())),
                environment=environment_changes(environment),
                data_clean=data_clean,
                seconds=self._seconds(),
            )
            self._mailbox.send(encode(unclean, FromSearch))
            os._exit(0)

    def _own_package(self) -> str:
        reference = self._parcel.work.reference
        module = reference.partition(":")[0] if reference is not None else "" if self._loaded is None else self._loaded.module
        return module.partition(".")[0]

    def _seconds(self) -> float:
        return time.monotonic() - self._started
