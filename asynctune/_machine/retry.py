"""What follows a failed attempt. Policy picks the event; the law only permits it."""

from __future__ import annotations

from asynctune.events import AttemptFailed, GaveUp
from asynctune.policies import FailurePolicy
from asynctune.records import Failure, LaunchNumber, TrialId

__all__ = ["FailureRun", "verdict"]


def verdict(
    policy: FailurePolicy, *, trial: TrialId, launch: LaunchNumber, attempt: int, failure: Failure
) -> AttemptFailed | GaveUp:
    """Another attempt, or none: when the trial ruled it out itself, or has had all of them."""
    if failure.retry and not failure.fatal and attempt <= policy.max_retries_per_trial:
        return AttemptFailed(trial=trial, launch=launch, failure=failure)
    return GaveUp(trial=trial, launch=launch, failure=failure)


class FailureRun:
    """The trials that failed one after the other, in the order in which they ended, and why."""

    def __init__(self) -> None:
        self._failures: list[tuple[TrialId, Failure]] = []

    def succeeded(self) -> None:
        """A trial was COMPLETED."""
        self._failures.clear()

    def failed(self, trial: TrialId, failure: Failure) -> None:
        """A trial ended FAILED."""
        self._failures.append((trial, failure))

    def over(self, limit: int | None) -> str | None:
        """Why the search must end, if the limit is reached: how many failed, of what, and all that is known of the last."""
        if limit is None or len(self._failures) < limit:
            return None
        kinds: dict[str, list[str]] = {}
        for trial, failure in self._failures:
            kinds.setdefault(failure.error_type or failure.kind.value, []).append(str(trial))
        histogram = "; ".join(f"{kind} in trial {', '.join(trials)}" for kind, trials in kinds.items())
        trial, failure = self._failures[-1]
        text = (
            f"{len(self._failures)} trials in a row failed (max_consecutive_failed_trials={limit}): {histogram}. "
            f"Mend the trainable and start the search again to go on. The last one was trial {trial}, {failure}"
        )
        return f"{text}\n{failure.details()}".rstrip()
