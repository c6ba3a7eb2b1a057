"""The tree of blame: every error is named for whose doing it is.

    AsynctuneError
    ├─ ConfigurationError          yours: an argument, said before anything starts
    │   ├─ SpaceError              the space cannot be drawn from, or contradicts itself
    │   ├─ TrainableError          the trainable cannot travel, or cannot be imported
    │   └─ CapabilityError         a feature that this executor cannot give
    ├─ StorageError                the directory's
    │   ├─ JournalError            the journal cannot be written, or is too new
    │   │   └─ JournalCorruptError     it was changed or cut
    │   ├─ SearchLockedError       another process writes this search
    │   └─ ResumeError             what is recorded is not what was asked for
    ├─ SearchError                 the search ended unfinished; it can be resumed
    │   ├─ TooManyFailuresError    the limit of consecutive failed trials
    │   ├─ ObjectiveError          no report carries the objective
    │   ├─ PluginError             an oracle, scheduler or stopper raised, or answered nonsense
    │   └─ ExecutorError           runners can no longer be started
    ├─ LeaseExpiredError           a caller's: it held a launch of `External`, and said nothing of it for too long
    ├─ WireError                   a frame that is not a message
    └─ IllegalTransition           ours: the law of a trial was broken

`FailedTrialError` and `FatalError` (`FatalValueError`, `FatalTypeError`, `FatalRuntimeError`) stand apart: your code raises
them inside a trial, to speak to the search. A `ConfigurationError` is also a `ValueError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "AsynctuneError",
    "CapabilityError",
    "ConfigurationError",
    "ExecutorError",
    "FailedTrialError",
    "FatalError",
    "FatalRuntimeError",
    "FatalTypeError",
    "FatalValueError",
    "IllegalTransition",
    "JournalCorruptError",
    "JournalError",
    "LeaseExpiredError",
    "ObjectiveError",
    "PluginError",
    "ResumeError",
    "SearchError",
    "SearchLockedError",
    "SpaceError",
    "StorageError",
    "TooManyFailuresError",
    "TrainableError",
    "WireError",
]


class AsynctuneError(Exception):
    """The root of every error that asynctune raises."""


class ConfigurationError(AsynctuneError, ValueError):
    """An argument that cannot work. Raised before anything is started or written."""


class SpaceError(ConfigurationError):
    """A space that cannot be drawn from, or a parameter declared twice with different ranges."""


class TrainableError(ConfigurationError):
    """The trainable cannot travel to a process of its own, or cannot be loaded there."""


class CapabilityError(ConfigurationError):
    """A feature was asked for that the executor cannot give."""


class StorageError(AsynctuneError):
    """The search's directory cannot be used."""


class JournalError(StorageError):
    """The journal cannot be read or written.

    Args:
        errno: what the system said, where it did: `errno.ENOSPC` of a full disk, `errno.EIO` of a broken one.
        free: bytes that were free on the journal's disk then.
        last_good: number of the last record that can be read, of a journal that is damaged or not understood; 0 if none can.
    """

    def __init__(
        self, message: str = "", *, errno: int | None = None, free: int | None = None, last_good: int | None = None
    ) -> None:
        super().__init__(message)
        self.errno, self.free, self.last_good = errno, free, last_good


class JournalCorruptError(JournalError):
    """The journal was changed or cut since it was written. `asynctune repair` keeps what is good of it: see `last_good`."""


class SearchLockedError(StorageError):
    """Another process is writing this search."""


class ResumeError(StorageError):
    """What is recorded in the directory and what was asked for do not belong together."""


class SearchError(AsynctuneError):
    """The search ended before it was finished. What it recorded is kept, and it can be resumed."""


class TooManyFailuresError(SearchError):
    """The limit of consecutive failed trials was reached.

    Attributes:
        failures: how many of them failed of what, by the exception's qualified name, or by the kind of failure.
    """

    failures: Mapping[str, int] = MappingProxyType({})


class ObjectiveError(SearchError):
    """No report carries the objective."""


class PluginError(SearchError):
    """An oracle, scheduler or stopper raised, or answered what makes no sense."""


class ExecutorError(SearchError):
    """The executor can no longer start runners."""


class LeaseExpiredError(AsynctuneError):
    """Whoever held this launch of `External` said nothing of it for too long, or the search was closed meanwhile. The trial
    goes to whoever asks next, and nothing more is recorded of this launch."""


class WireError(AsynctuneError):
    """Bytes that are not a message: too large, torn, of an unknown type, or with a wrong field."""


class IllegalTransition(AsynctuneError):  # noqa: N818 -- the field's name for it
    """The law of a trial was broken: a defect of asynctune, never of the trial."""


class FailedTrialError(Exception):
    """Raise this inside a trial to fail it at once: it is never retried."""


class FatalError(Exception):
    """Raise this inside a trial to end the whole search."""


class FatalValueError(FatalError, ValueError):
    """A `FatalError` that is also a `ValueError`."""


class FatalTypeError(FatalError, TypeError):
    """A `FatalError` that is also a `TypeError`."""


class FatalRuntimeError(FatalError, RuntimeError):
    """A `FatalError` that is also a `RuntimeError`."""
