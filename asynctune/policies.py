"""What a search is told about its trials: what each occupies and may take, what follows a failure, which checkpoints are kept.

Frozen, recorded when a search is opened, and refused by name where a value cannot be.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from asynctune.errors import ConfigurationError, FailedTrialError, FatalError
from asynctune.frozen import FrozenDict
from asynctune.validators import number, one_of

__all__ = ["CheckpointPolicy", "FailurePolicy", "Limits", "Resources", "Rule", "type_name"]

Rule: TypeAlias = Literal["retry", "fail", "end"]
"""What a failure can lead to: another attempt, while there are any left; the end of the trial; the end of the search."""


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
    fits = value is None or (type(value) is int and value >= 1) or (isinstance(value, float) and 0 < value < 1)
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

    max_retries_per_trial: int = field(default=0, validator=number(0, integer=True))
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


@frozen(kw_only=True)
class CheckpointPolicy:
    """Which checkpoints are kept.

    Args:
        keep: how many of the newest checkpoints of each trial; None keeps all of them.
    """

    keep: int | None = field(default=1, validator=number(1, integer=True, optional=True))
