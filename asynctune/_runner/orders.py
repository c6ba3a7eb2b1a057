"""What is said between an executor, its root zygote and its searches' zygotes. None of it reaches a trainable.

Two sockets. The root's carries `ToRoot` and `FromRoot`. Each search's carries `ToSearch` and `FromSearch`; its far end travels
to the root with `Attach`, and from there to the search's zygote by fork. A runner that loads the trainable itself says `Hello`
first on its own channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeAlias

from attrs import field, frozen

from asynctune.messages import RunTrial
from asynctune.objective import Goal
from asynctune.policies import CheckpointPolicy, Limit, Limits
from asynctune.wire import closed_union

__all__ = [
    "Attach",
    "Broken",
    "Detach",
    "Dump",
    "End",
    "ForkFailed",
    "FromRoot",
    "FromSearch",
    "Hello",
    "Mode",
    "Plan",
    "Prepare",
    "Ready",
    "RootReady",
    "RunnerBroke",
    "RunnerEnded",
    "RunnerWeighed",
    "SearchEnded",
    "Serving",
    "Signal",
    "StartRunner",
    "ToRoot",
    "ToSearch",
    "Unclean",
    "Weigh",
    "Work",
]


class Mode(Enum):
    """How a search's zygote makes runners."""

    SHARED = "shared"
    """Trainable and data are loaded in the zygote; a runner is a fork."""
    LIBRARIES = "libraries"
    """Only installed libraries are loaded in the zygote; each runner is a fork and loads the rest."""
    SPAWN = "spawn"
    """Nothing is loaded; each runner is a new interpreter and loads everything."""


@frozen(kw_only=True)
class Plan:
    """How a search's zygote is to work.

    Args:
        mode: how it makes runners.
        reuse: whether a runner waits for another trial when one has ended.
        libraries: the modules to import first, in this order.
        environment: variables to set before that; None unsets one.
        data_in_runner: whether each runner loads `data=` itself, in a mode that would let the zygote do it.
    """

    mode: Mode
    reuse: bool
    libraries: tuple[str, ...] = ()
    environment: Mapping[str, str | None] = field(factory=dict)
    data_in_runner: bool = False


@frozen(kw_only=True)
class Work:
    """What a search's zygote and runners need to know; travels at the head of the parcel.

    Args:
        directory: absolute; the root of `logs/`, `trials/` and `checkpoints/`.
        objective: names a bare number, picks the best epoch of a History.
        limits: of each launch.
        checkpoints: when they are due.
        reference: "package.module:name" of the trainable; None if it was sent by value.
        cwd, argv, sys_path: of the process that searches.
    """

    directory: str
    objective: Goal
    limits: Limits
    reference: str | None
    cwd: str
    argv: tuple[str, ...]
    sys_path: tuple[str, ...]
    checkpoints: CheckpointPolicy = field(factory=CheckpointPolicy)


# -------------------------------------------------------------------------------------------------------------- root


@frozen(kw_only=True)
class Prepare:
    """The first word to a root: import these. Answered by `RootReady`.

    Args:
        preload: names of installed modules.
        sys_path: of the process that searches; what the root lacks of it is put behind its own.
        nice: added to its nice value, which all that it forks inherits.
        session_nice: of its session and theirs, not added to anything.
    """

    preload: tuple[str, ...]
    sys_path: tuple[str, ...]
    nice: int = 0
    session_nice: int = 0


@frozen(kw_only=True)
class Attach:
    """Fork a zygote for a search. Comes with two descriptors: its control socket and its parcel."""

    search: int
    plan: Plan


@frozen(kw_only=True)
class Detach:
    """Kill a search's zygote, its runners and everything that they started."""

    search: int


@frozen(kw_only=True)
class Dump:
    """Have a search's zygote write its stacks to its log."""

    search: int


@frozen(kw_only=True)
class RootReady:
    """The root has imported what it was asked to.

    Args:
        reasons: why it must not be forked; empty if it may be.
        failures: what could not be imported, and why.
        seconds: how long it took.
    """

    reasons: tuple[str, ...]
    failures: Mapping[str, str]
    seconds: float


@frozen(kw_only=True)
class SearchEnded:
    """A search's zygote is gone, and with it everything that it and its runners had started.

    Args:
        exit_code, signal: how it ended; exactly one of the two is given, unless it was never started.
        refused: why it was never started.
    """

    search: int
    exit_code: int | None = None
    signal: int | None = None
    refused: str | None = None


# ------------------------------------------------------------------------------------------------------------ search


@frozen(kw_only=True)
class StartRunner:
    """Fork a runner. Comes with one descriptor: its channel.

    Args:
        runner: the executor's number for it.
        gpus: which GPUs it may see ("0,1"; "-1" is none of them); None leaves that alone.
        order: its first trial, if it is forked for one. A fork finds it read already, and each page that it need not touch for
            reading it is one that need not be copied: that is a fourth of what a fork costs.
    """

    runner: int
    gpus: str | None = None
    order: RunTrial | None = None


@frozen(kw_only=True)
class Signal:
    """Send a signal to a runner's process group, if it was not reaped yet."""

    runner: int
    signum: int


@frozen(kw_only=True)
class End:
    """End a runner, whatever it runs: SIGTERM shortly before the grace is over, and then SIGKILL to all that it has started.

    A second order can only shorten that.

    Args:
        grace: seconds from now.
    """

    runner: int
    grace: float


@frozen(kw_only=True)
class Weigh:
    """Say what a runner holds, with all that it has started. Answered by `RunnerWeighed`, if it was not reaped."""

    runner: int


@frozen(kw_only=True)
class Serving:
    """The zygote takes orders.

    Args:
        seconds: how long it took to load, and to be judged.
    """

    seconds: float


@frozen(kw_only=True)
class Unclean:
    """The zygote must not be forked; it has ended.

    Args:
        reasons: what was found in it.
        libraries: the installed modules that it had loaded, in order.
        environment: what the loading changed in the environment.
        data_clean: whether the data alone would have left it clean.
        seconds: how long loading took.
    """

    reasons: tuple[str, ...]
    libraries: tuple[str, ...]
    environment: Mapping[str, str | None]
    data_clean: bool
    seconds: float


@frozen(kw_only=True)
class Broken:
    """The trainable or the data cannot be loaded.

    Args:
        message: one line.
        traceback: the exception's, as text.
    """

    message: str
    traceback: str


@frozen(kw_only=True)
class RunnerEnded:
    """A runner was reaped; what was left of its family was killed. Exactly one of `exit_code` and `signal` is given.

    Args:
        out_of_memory: whether the kernel killed it, because memory had run out.
    """

    runner: int
    exit_code: int | None
    signal: int | None
    out_of_memory: bool = False


@frozen(kw_only=True)
class RunnerBroke:
    """A runner has broken a limit, and is being ended for it.

    Args:
        trial, launch: what it ran; None if it was loading, and had not been given anything.
        limit: which one.
        amount: what it took of it: seconds, bytes, processes.
    """

    runner: int
    trial: int | None
    launch: int | None
    limit: Limit
    amount: float


@frozen(kw_only=True)
class RunnerWeighed:
    """What a runner holds.

    Args:
        memory: in bytes; of all its processes, without what they have inherited.
    """

    runner: int
    memory: int


@frozen(kw_only=True)
class ForkFailed:
    """There is no such runner: the system refused to start a process."""

    runner: int
    reason: str


# ------------------------------------------------------------------------------------------------------------ runner


@frozen(kw_only=True)
class Ready:
    """A runner that loads the trainable itself has done so.

    Args:
        seconds: how long it took.
    """

    seconds: float


ToRoot: TypeAlias = Prepare | Attach | Detach | Dump
FromRoot: TypeAlias = RootReady | SearchEnded
ToSearch: TypeAlias = StartRunner | Signal | End | Weigh
FromSearch: TypeAlias = Serving | Unclean | Broken | RunnerBroke | RunnerEnded | RunnerWeighed | ForkFailed
Hello: TypeAlias = Ready | Broken

for _union in (ToRoot, FromRoot, ToSearch, FromSearch, Hello):
    closed_union(_union)
