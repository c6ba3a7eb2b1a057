"""May this process be forked? The static facts decide; the canary is the net.

A process must never be forked when it has run a TensorFlow operation, has a second Python thread, or has a native thread that
does not expect it: the child would wait for ever for a lock that nobody holds. Small operations in the child do not show it, so
we do not try and see: we look at what is known to make it unsafe, and only then let a canary run the operations that are known
to hang.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections import Counter
from typing import Any

from attrs import frozen

from asynctune._runner.linux import children, flush_c_stdio

__all__ = ["Inventory", "canary", "reasons_against_forking"]

# Native threads that survive a fork of their process, or are not missed in the child: jemalloc's (in pyarrow) is told of it.
_KNOWN_THREADS = frozenset({"jemalloc_bg_thd"})
_CANARY_SECONDS = 10.0
# What two processes must not both hold: connections, event loops, the drivers of GPUs.
_CHANNELS = ("socket:", "anon_inode:", "/dev/nvidia", "/dev/kfd")


@frozen
class Inventory:
    """What a process had before it loaded something.

    Args:
        descriptors: open sockets, event loops, drivers, counted by what they are.
        children: how many child processes.
    """

    descriptors: Counter[str]
    children: frozenset[int]

    @classmethod
    def take(cls) -> Inventory:
        """What this process has now."""
        return cls(_open_channels(), frozenset(children()))


def reasons_against_forking(before: Inventory) -> list[str]:
    """Why this process must not be forked, as far as looking at it tells; empty if nothing was found. 3 to 20 ms."""
    reasons = []
    if _tensorflow_is_awake():
        reasons.append("TensorFlow was used, not only imported (an operation, an optimizer, a metric, a dataset)")
    others = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if others:
        reasons.append(f"a thread was started: {', '.join(others)}")
    elif native := _native_threads():
        reasons.append(f"a native thread was started: {', '.join(native)}")
    new = _open_channels() - before.descriptors
    if new:
        kinds = sorted({target.partition(":")[0] if target.startswith("socket") else target for target in new})
        reasons.append(f"it holds an open channel: {', '.join(kinds)}")
    if started := frozenset(children()) - before.children:
        reasons.append(f"a process was started: {', '.join(map(_command, sorted(started)))}")
    return reasons


def _tensorflow_is_awake() -> bool:
    context: Any = getattr(sys.modules.get("tensorflow.python.eager.context"), "_context", None)
    if context is None:
        return False
    # Listing GPUs talks to the driver, which does not survive a fork either; without one it is harmless.
    listed = getattr(context, "_physical_devices", None) is not None and os.path.exists("/dev/nvidiactl")
    return bool(getattr(context, "_initialized", False)) or listed


def _native_threads() -> list[str]:
    # Well-behaved libraries (OpenBLAS) put their threads down before a fork. So we fork once and look at what is left of ours.
    flush_c_stdio()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    names = []
    for task in os.listdir("/proc/self/task"):
        if int(task) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/self/task/{task}/comm", encoding="utf-8", errors="replace") as comm:
                names.append(comm.read().strip())
    return sorted(name for name in names if name not in _KNOWN_THREADS)


def _open_channels() -> Counter[str]:
    # By what they are and not by number: the number of the listing's own descriptor is used again.
    targets: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")
            if target.startswith(_CHANNELS):
                targets[target] += 1
    return targets


def _command(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()[:80] or str(pid)
    return str(pid)


def canary() -> str | None:
    """Fork, and let the child do what is known to hang in the child of an unsafe process. Why it did not come back, or None.

    It is told to end by its own last byte, not by the end of a stream that others may hold open.
    """
    flush_c_stdio()
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _sing(writer)
    os.close(writer)
    try:
        ended = os.pidfd_open(pid)
        try:
            poll = select.poll()  # `select` itself knows no descriptor above 1,023
            for descriptor in (reader, ended):
                poll.register(descriptor, select.POLLIN)
            ready = [descriptor for descriptor, _ in poll.poll(_CANARY_SECONDS * 1000)]
            sang = reader in ready and os.read(reader, 1) == b"."
        finally:
            os.close(ended)
        if sang:
            return None
        return "a trial fork of it ended before its time" if ready else f"a trial fork of it hung for {_CANARY_SECONDS:g} s"
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _sing(writer: int) -> None:
    try:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        thread = threading.Thread(target=time.monotonic)
        thread.start()
        thread.join()
        numpy = sys.modules.get("numpy")
        if numpy is not None and hasattr(numpy, "ones"):
            square = numpy.ones((128, 128))
            square @ square
        tensorflow = sys.modules.get("tensorflow")
        if tensorflow is not None and hasattr(tensorflow, "function"):
            # Smaller operations than these two succeed where `fit` hangs.
            tensorflow.function(lambda x: x + 1)(tensorflow.constant(1.0))
            tensorflow.random.normal((64, 64))
        os.write(writer, b".")
    finally:
        os._exit(0)
