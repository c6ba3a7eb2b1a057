"""What a search is told about its trials: what each occupies and may take, what follows a failure, which checkpoints are kept,
and how many paused trials may keep their processes.

Frozen, recorded when a search is opened, and refused by name where a value cannot be.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal, TypeAlias

from attrs import field, fields, frozen

from asynctune.errors import ConfigurationError, FailedTrialError, FatalError
from asynctune.frozen import FrozenDict
from asynctune.validators import LARGEST_INTEGER, as_bytes, flag, number, one_of, size

__all__ = ["CheckpointPolicy", "FailurePolicy", "Limit", "Limits", "Parking", "Resources", "Rule", "times", "type_name"]

Rule: TypeAlias = Literal["retry", "fail", "end"]
"""What a failure can lead to: another attempt, while there are any left; the end of the trial; the end of the search."""

_SELDOM: Mapping[str, bool] = {"seldom": True}  # as `records.SELDOM`, a room below


def times(total: float, each: float) -> float:
    """How many times `each` goes into `total`: a whole number, if it is one to six places. (0.3 is three times 0.1, though a
    little less.)"""
    return round(total / each, 6)


@frozen(kw_only=True)
class Resources:
    """What one trial occupies while it runs.

    Args:
        cpu: cores, at most 10,000; sizes the thread pools of the trial's libraries, which are never larger than the machine.
        gpu: GPUs, fractions allowed.
    """

    cpu: float = field(default=1, validator=number(0, above=True, most=10_000))
    gpu: float = field(default=0, validator=number(0, finite=True))

    @property
    def told(self) -> str:
        """What it comes to, in words."""
        gpus = f" and {self.gpu:g} GPU{'' if self.gpu == 1 else 's'}" if self.gpu else ""
        return f"{self.cpu:g} core{'' if self.cpu == 1 else 's'}{gpus}"


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
    log first. The attempt has failed; the failure's kind says of what. (One that took too long or too much memory, and returns
    a result in its grace all the same, is COMPLETED with it.) All this is done beside your program, which may be blocked or
    stopped meanwhile. Time that a trial waits for your program, inside `report()`, counts in no limit.

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

    trial_time: float | None = field(default=None, validator=number(0, above=True, optional=True, finite=True))
    start_up: float | None = field(default=None, validator=number(0, above=True, optional=True, finite=True))
    silence: float | None = field(default=None, validator=number(0, above=True, optional=True, finite=True))
    memory: int | None = field(default=None, converter=as_bytes, validator=size(1024**2))
    processes: int | None = field(default=None, validator=number(1, integer=True, optional=True, most=LARGEST_INTEGER))
    log: int | None = field(default=16 * 1024**2, converter=as_bytes, validator=size(4096))
    grace: float = field(default=5.0, validator=number(0, finite=True))

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


def type_name(kind: type) -> str:
    """The qualified name of a class: as a traceback has it, without the module for what is built in."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


_RULES = ("retry", "fail", "end")
_SPEAKS = "whoever raises it has said already what it leads to"
_EXITS = "a trial that raises it has exited: make the rule for FailureKind.EXITED"
_NO_RULE = {
    type_name(FailedTrialError): _SPEAKS,
    type_name(FatalError): _SPEAKS,
    "SystemExit": _EXITS,
    "KeyboardInterrupt": _EXITS,
    "FailureKind.LOST": "a launch that is lost is nobody's failure, and its trial always runs again",
}


def _check_limit(_: object, __: object, value: Any) -> None:
    fits = value is None or (type(value) is int and 1 <= value < 2**63) or (isinstance(value, float) and 0 < value < 1)
    if not fits:
        wanted = "an integer of at least 1, a share of max_trials between 0 and 1 (0.2), or None"
        raise ConfigurationError(f"FailurePolicy(max_consecutive_failed_trials=...) takes {wanted}, not {value!r}")


def _as_rules(rules: Mapping[Any, Rule]) -> Mapping[str, Rule]:
    """The rules by name."""
    if not isinstance(rules, Mapping):
        message = f"FailurePolicy(rules=...) takes a dict, such as {{OSError: 'retry', KeyError: 'end'}}, not {rules!r}"
        raise ConfigurationError(message)
    named: dict[str, Rule] = {}
    for what, rule in rules.items():
        name = _rule_name(what)
        if name in named:
            raise ConfigurationError(f"FailurePolicy(rules=...) names {name!r} twice")
        if rule not in _RULES:
            raise ConfigurationError(f"FailurePolicy(rules=...) takes 'retry', 'fail' or 'end' for {name!r}, not {rule!r}")
        named[name] = rule
    return FrozenDict(named)


def _rule_name(what: Any) -> str:
    """The name of what a rule is for. A kind is "FailureKind.TIMED_OUT", so that no exception can be mistaken for it."""
    name = what if isinstance(what, str) else ""
    if isinstance(what, type) and issubclass(what, BaseException):
        name = type_name(what)
    elif isinstance(what, Enum) and type(what).__name__ == "FailureKind":  # which is defined a room above this one
        name = f"FailureKind.{what.name}"
    if not name or not all(part.isidentifier() or part in ("<locals>", "<lambda>") for part in name.split(".")):
        wanted = "exception classes, their qualified names, or FailureKinds"
        raise ConfigurationError(f"FailurePolicy(rules=...) takes a dict from {wanted}, not from {what!r}")
    if name in _NO_RULE or (isinstance(what, type) and issubclass(what, (FailedTrialError, FatalError))):
        said = _NO_RULE.get(name, _SPEAKS)
        raise ConfigurationError(f"FailurePolicy(rules=...) names {name}: {said}")
    if "." in name:
        return name
    known = getattr(builtins, name, None)
    if not (isinstance(known, type) and issubclass(known, BaseException)):
        hint = f"name it with its module, such as 'job.{name}'"
        raise ConfigurationError(f"FailurePolicy(rules=...): there is no built-in exception {name!r}: {hint}")
    return type_name(known)  # IOError is OSError


@frozen(kw_only=True)
class FailurePolicy:
    """What follows when a trial fails by its own doing (it raised, exited, was killed, returned nonsense).

    The attempt after the n-th waits `delay * factor ** (n - 1)` seconds, at most `max_delay`, and less by a share that is drawn
    between 0 and `jitter` ("equal jitter" where that is 0.5: M. Brooker, "Exponential Backoff And Jitter", 2015). It is drawn
    from the search's seed, the trial and the attempt, so it is the same when the search is told again. Meanwhile others run.

    Args:
        max_retries_per_trial: how many more attempts a trial gets (KerasTuner's meaning).
        max_consecutive_failed_trials: how many trials may end FAILED one after the other, in the order in which they
            end, before the search is ended; a float between 0 and 1 is that share of `max_trials`, rounded up; None turns the
            limit off.
        delay: seconds of search time that a trial waits for its second attempt; 0 for not at all.
        factor: how many times longer each further wait is; at least 1.
        max_delay: the longest wait, in seconds.
        jitter: the largest share, from 0 to 1, by which a wait is shortened, so that many that failed together do not all
            come back together.
        retry_from: where another attempt begins: at the trial's newest "checkpoint", where it has one, or at the "start", and
            then the checkpoints that it has are removed.
        rules: what particular failures lead to: a dict from exceptions (classes, or their qualified names, such as
            "torch.OutOfMemoryError") and `FailureKind`s to "retry" (as without a rule), "fail" (no other attempt) or "end" (the
            search ends, too). The rule for the class itself goes before those for its bases, nearest first, and these before
            the one for the kind.
        non_finite: what a final score of NaN or infinity means: the attempt has failed ("fail"), and another can mend it; or
            the trial is COMPLETED with no score, and so behind all that have one ("worst").

    Raises:
        ConfigurationError: for a value that is out of range, or two that contradict each other.
    """

    max_retries_per_trial: int = field(default=0, validator=number(0, integer=True, most=LARGEST_INTEGER))
    max_consecutive_failed_trials: int | float | None = field(default=3, validator=_check_limit)
    delay: float = field(default=0.0, validator=number(0, finite=True))
    factor: float = field(default=2.0, validator=number(1, finite=True))
    max_delay: float = field(default=300.0, validator=number(0, above=True, finite=True))
    jitter: float = field(default=0.5, validator=number(0, most=1))
    retry_from: Literal["checkpoint", "start"] = field(default="checkpoint", validator=one_of("checkpoint", "start"))
    rules: Mapping[str, Rule] = field(factory=dict, converter=_as_rules)
    non_finite: Literal["fail", "worst"] = field(default="fail", validator=one_of("fail", "worst"))

    def __attrs_post_init__(self) -> None:
        if self.delay > self.max_delay:
            message = f"FailurePolicy(delay={self.delay:g}) is longer than max_delay={self.max_delay:g}"
            raise ConfigurationError(f"{message}: raise max_delay=, or wait less")
        if not self.max_retries_per_trial:
            pointless = {"delay": self.delay > 0, "retry_from": self.retry_from == "start"}
            for name in (name for name, given in pointless.items() if given):
                message = f"FailurePolicy({name}={getattr(self, name)!r}) is about retries, and there are none"
                raise ConfigurationError(f"{message}: give max_retries_per_trial=, too")

    def most_consecutive(self, max_trials: int | None) -> int | None:
        """How many trials may fail one after the other, in a search of `max_trials`; None for any number."""
        limit = self.max_consecutive_failed_trials
        if not isinstance(limit, float):
            return limit
        # 0.07 of 100 is 7, though 0.07 * 100 is a little more.
        return None if max_trials is None else max(1, math.ceil(round(limit * max_trials, 6)))


def _check_metric(_: object, __: object, value: Any) -> None:
    if value is not None and not (isinstance(value, str) and value):
        raise ConfigurationError(f"CheckpointPolicy(score=...) takes the name of a metric, or None, not {value!r}")


def _check_way(_: object, __: object, value: Any) -> None:
    if value not in (None, "min", "max"):
        raise ConfigurationError(f"CheckpointPolicy(direction=...) takes 'min', 'max' or None, not {value!r}")


@frozen(kw_only=True)
class CheckpointPolicy:
    """Which checkpoints are written, where that is done for the trial, and which are kept.

    A checkpoint that somebody needs is never deleted: the newest of a trial that has not ended, which may have to go on from it
    (it runs, it is set aside, it is to be tried again), and one from which another trial goes on, or is to.

    Args:
        keep: how many checkpoints of each trial are left when it has ended; None for all of them, 0 for none. As long as it has
            not ended, its newest is kept beside them.
        score: which they are: those whose report (or result, where it is beyond all reports) has the best value of this metric
            ("eval/loss" for one that is nested), and of equal ones the newer. One without it, or where it is NaN, comes last.
            None for the newest.
        direction: whether "min" or "max" is best for `score`. Need not be said of an objective, nor of a name whose direction
            Keras defines.
        every: the steps between two automatic checkpoints: those of a `Trainable`, and of `keras.ReportCallback` with
            `checkpoint=True`. None for no such ones: then a trial is saved only when it is set aside. In a function of your own
            `trial.should_checkpoint` says when one is due.
        at_end: whether the last step of a trial is saved automatically, too.
        max_size: what the checkpoints of all trials may take on the disk together, in bytes or as text ("10 GiB"), at least 1
            MiB. Past it, checkpoints that nobody needs are deleted: first those of ended trials, from the worst score to the
            best; then older ones of the others. What is needed may be more than that. None for no bound.

    Raises:
        ConfigurationError: for a value that is out of range, or one that says nothing beside another.
    """

    keep: int | None = field(default=1, validator=number(0, integer=True, optional=True, most=LARGEST_INTEGER))
    score: str | None = field(default=None, validator=_check_metric, metadata=_SELDOM)
    direction: Literal["min", "max"] | None = field(default=None, validator=_check_way, metadata=_SELDOM)
    every: int | None = field(
        default=1, validator=number(1, integer=True, optional=True, most=LARGEST_INTEGER), metadata=_SELDOM
    )
    at_end: bool = field(default=False, validator=flag, metadata=_SELDOM)
    max_size: int | None = field(default=None, converter=as_bytes, validator=size(1024**2), metadata=_SELDOM)

    def __attrs_post_init__(self) -> None:
        if self.score is None and self.direction is not None:
            raise ConfigurationError(f"CheckpointPolicy(direction={self.direction!r}) says nothing without score=")
        if self.score is not None and self.keep in (None, 0) and self.max_size is None:
            what = "all" if self.keep is None else "none"
            message = f"CheckpointPolicy(score={self.score!r}) is about which are kept, and keep={self.keep} keeps {what}"
            raise ConfigurationError(f"{message}: give keep=, or leave score= out")

    def is_due(self, step: int) -> bool:
        """Whether a checkpoint of this step is written automatically, wherever it is."""
        return self.every is not None and step % self.every == 0


@frozen(kw_only=True)
class Parking:
    """How many paused trials may wait with their processes, for each search.

    A trial that its scheduler pauses at a report, and that has no checkpoint of that step, waits inside `report()`: it is
    parked. Its slot is somebody else's meanwhile; chosen again, it goes on where it stood. Past a bound, the one that loses
    least is told to stop: the one with the fewest steps since its newest checkpoint, or its start, and of several the youngest.
    When that is chosen, it runs again from there. A trial that holds a GPU is never parked.

    Args:
        max_trials: how many may be parked at a time; 0 for none, None for any number.
        max_memory: what the processes of all parked trials may hold together, in bytes or as text ("4 GiB"), at least 1 MiB;
            None for any amount. It is counted when a trial is parked, and as by `Limits(memory=...)`: what a trial shares with
            others is not its own. One that holds more than that alone is not parked. Tasks of an `InlineExecutor` do not count.

    Raises:
        ConfigurationError: for a value that is out of range.
    """

    max_trials: int | None = field(default=64, validator=number(0, integer=True, optional=True, most=LARGEST_INTEGER))
    max_memory: int | None = field(default=4 * 1024**3, converter=as_bytes, validator=size(1024**2))
