"""Why an attempt failed, as text: no exception of a trial is ever unpickled."""

from __future__ import annotations

from enum import Enum

from attrs import frozen

__all__ = ["Failure", "FailureKind"]


class FailureKind(Enum):
    """How an attempt failed.

    RAISED, INVALID_RESULT, EXITED, KILLED (by a signal), OUT_OF_MEMORY (the kernel killed it, and says that memory had run out,
    or it held more than its limit; a `MemoryError` is RAISED), TIMED_OUT, SILENT (it did not report in time), or REFUSED (no
    process could be started for it, or what it asked for or did cannot be).

    LOST is for readers: a launch that was lost through nobody's fault is no failure, costs no attempt, and is no part of any
    count; but whoever looks at a trial is told of it by this name.
    """

    RAISED = "raised"
    INVALID_RESULT = "invalid result"
    EXITED = "exited"
    KILLED = "killed by a signal"
    OUT_OF_MEMORY = "out of memory"
    TIMED_OUT = "timed out"
    SILENT = "silent"
    REFUSED = "refused"
    LOST = "lost"


@frozen(kw_only=True)
class Failure:
    """Why an attempt failed. As text (`str(failure)`) it is its kind and its message. In its texts, `***` stands for what a
    `Secret` holds, and for what was given to a key such as `password`.

    Args:
        kind: how it failed.
        message: one line that says what happened.
        error_type: the qualified name of the exception, if it raised one.
        bases: the qualified names of the bases of its class, nearest first; at most 20.
        traceback: the exception's traceback as text.
        exit_code: of the process, if it exited by itself.
        signal: the number of the signal that ended the process.
        log: where the trial's output is, relative to the search's directory; None if its executor keeps none. A launch that was
            never started has written nothing there.
        tail: the last lines of that log when the launch ended, out of its last 2,000 bytes: of what the trial wrote to stdout
            and to stderr, which share the file.
        retry: False when a retry was ruled out by the trial itself (`FailedTrialError`).
        fatal: True when the trial asked for the end of the search (`FatalError`).
    """

    kind: FailureKind
    message: str
    error_type: str | None = None
    bases: tuple[str, ...] = ()
    traceback: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    log: str | None = None
    tail: str = ""
    retry: bool = True
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.message}"

    def details(self, directory: str | None = None) -> str:
        """What its message leaves out, as lines of text: the traceback, how its process ended, its log, and the log's tail.

        Args:
            directory: the search's, to say where the log is.
        """
        parts = [self.traceback.rstrip()] if self.traceback else []
        if self.signal is not None:
            parts.append(f"signal: {self.signal}")
        elif self.exit_code is not None:
            parts.append(f"exit code: {self.exit_code}")
        if self.log is not None:
            parts.append(f"log: {self.log} in the search's directory" if directory is None else f"log: {directory}/{self.log}")
        parts += [f"  | {line}" for line in self.tail.splitlines()]
        return "\n".join(parts)
