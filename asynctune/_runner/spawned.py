"""The runner as an interpreter of its own: for searches whose code makes every zygote unfit to be forked."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys

from asynctune._runner.loading import stand_where_the_search_stands
from asynctune._runner.parcel import Parcel
from asynctune._runner.process import Runner
from asynctune._runner.pulse import Pulse

__all__ = ["spawned"]


def spawned(channel: int, parcel: int, pulse: int, reuse: int) -> None:
    """Run as a runner, after an exec. Never returns.

    Args:
        channel: descriptor of the socket to the search.
        parcel: descriptor of the search's parcel.
        pulse: descriptor of the page in which it shows how it goes, or -1.
        reuse: 1 to wait for another trial when one has ended.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable(file=2)
    faulthandler.register(signal.SIGUSR2, file=2, all_threads=True)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
    os.set_inheritable(channel, False)
    received = Parcel(parcel)
    stand_where_the_search_stands(received.work)
    runner = Runner(received, loaded=None, data=None, reuse=bool(reuse))
    if pulse >= 0:
        runner.shows(Pulse(pulse))
        os.close(pulse)
    runner.connect(channel)
    runner.load()
    runner.run()
