"""What follows a failed attempt. Policy picks the event; the law only permits it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field

from asynctune._machine.death import told
from asynctune.failure import Failure
from asynctune.policies import FailurePolicy, Rule
from asynctune.records import TrialId
from asynctune.seeds import derive

__all__ = ["FailureRun", "consequence", "due"]

_KINDS = 50  # that are told apart; what comes after them is counted together
_NAMED = 10  # trials of each kind that are named
_OTHERS = "others"


def consequence(policy: FailurePolicy, failure: Failure) -> tuple[Rule, str | None]:
    """What a failure leads to, and the rule that says so, if one does. The trial's own word goes before every rule."""
    if failure.fatal:
        return "end", None
    if not failure.retry:
        return "fail", None
    for name in (failure.error_type, *failure.bases, f"FailureKind.{failure.kind.name}"):
        if name is not None and name in policy.rules:
            return policy.rules[name], name
    return "retry", None


def due(policy: FailurePolicy, *, at: float, seed: int, trial: TrialId, attempt: int) -> float | None:
    """When the attempt after number `attempt`, which failed at search time `at`, may begin; None for at once.

    Args:
        seed: of the search.
    """
    if not policy.delay:
        return None
    # As floats, which they are when they are read again: an integer's power would be another number in its last place.
    first, factor, most = float(policy.delay), float(policy.factor), float(policy.max_delay)
    try:
        wait = min(most, first * factor ** (attempt - 1))
    except OverflowError:
        wait = most
    share = derive(seed, "delay", trial, attempt) / 2**63
    return at + wait * (1 - policy.jitter * share)


@define
class _Kind:
    """Failures of one kind: how many, and the first trials."""

    count: int = 0
    trials: list[TrialId] = field(factory=list)

    def __str__(self) -> str:
        more = f" and {self.count - len(self.trials)} more" if self.count > len(self.trials) else ""
        return f"in trial {', '.join(map(str, self.trials))}{more}"


class FailureRun:
    """The trials that failed one after the other, in the order in which they ended, by what they failed of. However long it
    gets, what is kept of it is bounded."""

    def __init__(self) -> None:
        self._count = 0
        self._kinds: dict[str, _Kind] = {}
        self._last: tuple[TrialId, Failure] | None = None

    def succeeded(self) -> None:
        """A trial was COMPLETED."""
        self._count, self._last = 0, None
        self._kinds.clear()

    def failed(self, trial: TrialId, failure: Failure) -> None:
        """A trial ended FAILED."""
        name = failure.error_type or failure.kind.value
        if name not in self._kinds and len(self._kinds) >= _KINDS:
            name = _OTHERS
        kind = self._kinds.setdefault(name, _Kind())
        kind.count += 1
        if len(kind.trials) < _NAMED:
            kind.trials.append(trial)
        self._count += 1
        self._last = trial, failure

    @property
    def histogram(self) -> Mapping[str, int]:
        """How many failed of what: by the exception's name, or the kind of failure."""
        return {name: kind.count for name, kind in self._kinds.items()}

    def over(self, policy: FailurePolicy, max_trials: int | None) -> str | None:
        """Why the search must end, if the limit is reached: how many failed, of what, and the last one's own words."""
        limit = policy.most_consecutive(max_trials)
        if limit is None or self._count < limit or self._last is None:
            return None
        kinds = "; ".join(f"{name} {kind}" for name, kind in self._kinds.items())
        trial, failure = self._last
        many = f"{self._count} trials in a row" if self._count > 1 else "1 trial"
        text = (
            f"{many} failed (max_consecutive_failed_trials={policy.max_consecutive_failed_trials}): "
            f"{kinds}. Mend the trainable and start the search again to go on. The last one was trial {trial}: {told(failure)}"
        )
        return f"{text}\n{failure.details()}".rstrip()
