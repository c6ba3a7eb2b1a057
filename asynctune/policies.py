"""What a search is told about its trials: what each occupies and may take, what follows a failure, which checkpoints are kept.

Frozen, recorded when a search is opened, and refused by name where a value cannot be.
"""

from __future__ import annotations

from attrs import field, frozen

from asynctune.validators import number

__all__ = ["CheckpointPolicy", "FailurePolicy", "Limits", "Resources"]


@frozen(kw_only=True)
class Resources:
    """What one trial occupies while it runs.

    Args:
        cpu: cores, at most 10,000; sizes the thread pools of the trial's libraries, which are never larger than the machine.
        gpu: GPUs, fractions allowed.
    """

    cpu: float = field(default=1, validator=number(0, above=True, most=10_000))
    gpu: float = field(default=0, validator=number(0, finite=True))


@frozen(kw_only=True)
class Limits:
    """What a trial may take before it is ended from outside. None means no limit. Seconds.

    Args:
        trial_time: how long one launch may last, from when it was given its slot.
        grace: time between telling a trial to stop and killing it.
    """

    trial_time: float | None = field(default=None, validator=number(0, above=True, optional=True))
    grace: float = field(default=5.0, validator=number(0))


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
