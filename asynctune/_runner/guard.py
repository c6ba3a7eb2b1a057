"""The guard: a tiny process that sees to it that nothing strays, whoever is killed.

It is started by exec and forks the root zygote, or whatever else it is there for, before anything is imported. From then on it
only waits: for the end of the process that started it, for the end of its first child, for the word that all is over (the end
of its socket). On any of these it does the last rites: it kills and reaps whatever is left below it. As a subreaper it inherits
every orphan of its descendants. If it is the parent that has ended, it also removes the temporary directories that were
entrusted to it.

It imports the standard library and four small modules of ours, runs no code but this, and so has nothing to fail with.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import signal
import socket

from asynctune._runner.forking import keep_hooks_aside
from asynctune._runner.linux import adopt_orphans, die_with_parent
from asynctune._runner.rites import last_rites

__all__ = ["guard"]

_OURS = "asynctune-"


def guard(parent: int, lifeline: int, control: int, first: str) -> None:
    """Run as the guard. Never returns.

    Args:
        parent: pid of the process that started this one.
        lifeline: descriptor of our socket; its end means "kill everything". What is said through it, if the first child ends by
            itself, is how: its exit status, or minus the signal.
        control: descriptor of the first child's socket.
        first: "module:function" of what the first child runs, with our pid and its socket: the root of the zygotes, or whatever
            else must leave nothing behind.
    """
    _reset_signals()
    adopt_orphans()
    try:
        watched = os.pidfd_open(parent)
    except ProcessLookupError:
        os._exit(0)
    me = os.getpid()
    root = os.fork()
    if root == 0:
        die_with_parent(me)
        os.close(watched)
        os.close(lifeline)
        keep_hooks_aside()
        # Imported here, after the fork and before anything else: the guard itself never pays for it.
        module, _, function = first.partition(":")
        getattr(importlib.import_module(module), function)(me, socket.socket(fileno=control))
        os._exit(0)
    os.close(control)
    poll, child = select.poll(), os.pidfd_open(root)
    for descriptor in (watched, lifeline, child):
        poll.register(descriptor, select.POLLIN | select.POLLHUP)
    # The parent may have ended before we began to watch; then somebody else is our parent now.
    entrusted = _wait(poll, lifeline) if os.getppid() == parent else set[bytes]()
    _say_how_it_ended(child, lifeline)
    last_rites()
    if entrusted and _has_ended(watched):
        for directory in entrusted:
            _remove(os.fsdecode(directory))
    os._exit(0)


def _wait(poll: select.poll, lifeline: int) -> set[bytes]:
    """Wait until somebody has ended, or all is over. Returns the temporary directories that were entrusted to us by then.

    They come by the lifeline, each as b"+", its path and a zero; with b"-" they are taken back, and b"." takes back all.
    """
    entrusted, said = set[bytes](), b""
    # What is still to be read comes first: the parent may have said it and died.
    while lifeline in {descriptor for descriptor, _ in poll.poll()}:
        try:
            heard = os.read(lifeline, 65536)
        except OSError:
            heard = b""
        if not heard:
            break
        *words, said = (said + heard).split(b"\0")
        for word in words:
            if word == b".":
                entrusted.clear()
            elif word[:1] == b"+":
                entrusted.add(word[1:])
            else:
                entrusted.discard(word[1:])
    return entrusted


def _say_how_it_ended(child: int, lifeline: int) -> None:
    """Tell whoever holds the other end, if the first child has ended by itself."""
    status = os.waitid(os.P_PIDFD, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if status is not None:
        code = status.si_status if status.si_code == os.CLD_EXITED else -status.si_status
        with contextlib.suppress(OSError):  # nobody is there any more, and SIGPIPE is ignored
            os.write(lifeline, b"%d" % code)


def _has_ended(watched: int) -> bool:
    # Its sockets are closed a moment before its end can be seen.
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    return bool(poll.poll(1000))


def _remove(directory: str) -> None:
    """Remove what nobody is left to remove: a temporary directory of a search, and nothing that is called otherwise."""
    if os.path.isabs(directory) and os.path.basename(directory).startswith(_OURS) and not os.path.islink(directory):
        importlib.import_module("shutil").rmtree(directory, ignore_errors=True)  # whose import nobody else pays for


def _reset_signals() -> None:
    # Whatever the service ignores or blocks was inherited. An ignored SIGCHLD would take the exit statuses from us; a blocked
    # SIGTERM would make every trial deaf. Ctrl-C is the service's affair: it reaches no process of ours.
    for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):  # the C library keeps two for itself
            signal.signal(signum, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
