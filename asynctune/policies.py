"""What a search is told about its trials: what each occupies and may take, what follows a failure, which checkpoints are kept.

Frozen, recorded when a search is opened, and refused by name where a value cannot be.
"""

from __future__ import annotations

from enum import Enum

from attrs import field, fields, frozen

from asynctune.errors import ConfigurationError
from asynctune.validators import as_bytes, number, size

__all__ = ["CheckpointPolicy", "FailurePolicy", "Limit", "Limits", "Resources"]


@frozen(kw_only=True)
class Resources:
    """What one trial occupies while it runs.

    Args:
        cpu: cores, at most 10,000; sizes the thread pools of the trial's libraries, which are never larger than the machine.
        gpu: GPUs, fractions allowed.
    """

    cpu: float = field(default=1, validator=number(0, above=True, most=10_000))
    gpu: float = field(default=0, validator=number(0, finite=True))


class Limit(Enum):
    """What a trial can break, by its name in `Limits`."""

    TRIAL_TIME = "trial_time"
    START_UP = "start_up"
    SILENCE = "silence"
    MEMORY = "memory"
    PROCESSES = "processes"


@frozen(kw_only=True)
class Limits:
    """What a trial may take before it is ended from outside. None means no limit. Times are in seconds.

    A trial that breaks a limit is told so, gets SIGTERM half a second before its grace is over (in the middle of it, if it is
    shorter than a second), and is killed with everything that it has started when it is over. Its stacks are written to its
    log first. The attempt has failed; the failure's kind says of what. All this is done beside your program, which may be
    blocked or stopped meanwhile. Time that a trial waits for your program, inside `report()`, counts in no limit.

    Sizes are bytes, or text: "4 GiB", "64 KiB", or "500 MB" of a thousand thousand bytes each.

    Args:
        trial_time: how long one launch may last, from when its process was started for it, or was given it. TIMED_OUT.
        start_up: how long a process may take before your function is called, or before it is ready to be given a trial: what
            takes long is to import modules and to load data, where each process does that itself. TIMED_OUT.
        silence: how long a trial may go without a report, from when your function was called, or from the last one. SILENT.
        memory: what the processes of one trial may hold together, in bytes; at least 1 MiB. What they share with other trials,
            as it was loaded before them all, does not count, nor do files and shared memory. It is looked at twice a second:
            what is taken faster than that is the kernel's to refuse. Past twice the limit there is no grace. OUT_OF_MEMORY.
        processes: how many a trial may have at a time, with its own. Looked at twice a second, too, and no grace past twice
            the limit. REFUSED.
        log: how long the log of a launch may be, in bytes; at least 4 KiB. A longer one is cut, once a second, to its beginning
            and its newest part, and nothing is ended for it.
        grace: time between telling a trial to stop and killing it, for whatever reason.

    Raises:
        ConfigurationError: for a value that cannot be, or a limit that another one would always forestall.
    """

    trial_time: float | None = field(default=None, validator=number(0, above=True, optional=True))
    start_up: float | None = field(default=None, validator=number(0, above=True, optional=True))
    silence: float | None = field(default=None, validator=number(0, above=True, optional=True))
    memory: int | None = field(default=None, converter=as_bytes, validator=size(1024**2))
    processes: int | None = field(default=None, validator=number(1, integer=True, optional=True))
    log: int | None = field(default=16 * 1024**2, converter=as_bytes, validator=size(4096))
    grace: float = field(default=5.0, validator=number(0))

    def __attrs_post_init__(self) -> None:
        for name in ("start_up", "silence"):
            seconds = getattr(self, name)
            if seconds is not None and self.trial_time is not None and seconds > self.trial_time:
                text = f"Limits({name}={seconds:g}) can never be reached: trial_time={self.trial_time:g} ends a trial before"
                raise ConfigurationError(f"{text}. Leave one of them out, or make {name} smaller")

    @property
    def watched(self) -> tuple[Limit, ...]:
        """The limits that are set, and for which trials must be watched."""
        return tuple(limit for limit in Limit if getattr(self, limit.value) is not None)

    @property
    def asked(self) -> tuple[str, ...]:
        """The names of those that an executor must know how to keep: what is set, and was not given to everybody."""
        return tuple(each.name for each in fields(Limits) if each.name != "grace" and self._is_asked(each.name, each.default))

    def _is_asked(self, name: str, default: object) -> bool:
        return getattr(self, name) not in (None, default)


@frozen(kw_only=True)
class FailurePolicy:
    """What follows when a trial fails by its own doing (it raised, exited, was killed, returned nonsense).

    Args:
        max_retries_per_trial: how many more attempts a trial gets (KerasTuner's meaning).
        max_consecutive_failed_trials: how many trials may end FAILED one after the other, in the order in which they
            end, before the search is ended; None turns the limit off.
    """

    max_retries_per_trial: int = field(default=0, validator=number(0, integer=True))
    max_consecutive_failed_trials: int | None = field(default=3, validator=number(1, integer=True, optional=True))


@frozen(kw_only=True)
class CheckpointPolicy:
    """Which checkpoints are kept.

    Args:
        keep: how many of the newest checkpoints of each trial; None keeps all of them.
    """

    keep: int | None = field(default=1, validator=number(1, integer=True, optional=True))
