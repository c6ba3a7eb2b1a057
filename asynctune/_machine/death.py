"""How a launch ended, as a part of why its attempt failed."""

from __future__ import annotations

from attrs import evolve

from asynctune.failure import Failure, FailureKind
from asynctune.messages import Died, Ending, TrialRaised

__all__ = ["death", "told", "with_end"]

# Those that people meet. The numbers are Linux's, wherever the journal is read.
_SIGNALS = {
    1: "SIGHUP",
    2: "SIGINT",
    3: "SIGQUIT",
    4: "SIGILL",
    5: "SIGTRAP",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    9: "SIGKILL",
    10: "SIGUSR1",
    11: "SIGSEGV",
    12: "SIGUSR2",
    13: "SIGPIPE",
    14: "SIGALRM",
    15: "SIGTERM",
    24: "SIGXCPU",
    25: "SIGXFSZ",
    31: "SIGSYS",
}


def death(ending: Died) -> Failure:
    """A process that ended without a last word, as a failure."""
    if ending.out_of_memory:
        kind, text = FailureKind.OUT_OF_MEMORY, "memory ran out, and the kernel killed its process"
    elif ending.signal is not None:
        name = f" ({_SIGNALS[ending.signal]})" if ending.signal in _SIGNALS else ""
        kind, text = FailureKind.KILLED, f"its process was killed by signal {ending.signal}{name}"
    else:
        kind, text = FailureKind.EXITED, f"its process exited with code {ending.exit_code} before it returned a result"
    return with_end(Failure(kind=kind, message=text), ending)


def told(failure: Failure) -> str:
    """What happened, as it is said of "it", the trial."""
    return f"it raised {failure.message}" if failure.kind is FailureKind.RAISED else failure.message


def with_end(failure: Failure, ending: Ending | None) -> Failure:
    """`failure`, with all that is known of how its launch then ended."""
    match ending:
        case Died():
            return evolve(failure, exit_code=ending.exit_code, signal=ending.signal, log=ending.log, tail=ending.tail)
        case TrialRaised(failure=last):
            return evolve(
                failure,
                traceback=last.traceback,
                exit_code=last.exit_code,
                signal=last.signal,
                log=last.log,
                tail=last.tail,
            )
    return failure
