"""What a scheduler is: it judges reports, and may choose which trial runs next.

A scheduler is pure and synchronous: it sees facts, returns verdicts, and keeps what it remembers in itself. It runs inside the
machine, so it may not wait, look at a clock, draw a number or touch a file. When a search is opened again it is shown the same
facts in the same order, and so it stands where it stood.

Live trials and free slots imply progress. Where a scheduler chooses what runs, that is its duty, too: see
`Scheduler.choose_trial_to_run`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from asynctune.objective import Goal
from asynctune.records import Choice, Report, TrialView, Verdicts
from asynctune.space import Space
from asynctune.views import SearchView

__all__ = ["Scheduler"]


class Scheduler(ABC):
    """Judges trials by their reports. Subclass it; `on_trial_result` is all that must be written.

    A scheduler sees trials, not attempts: each step of a trial once, in increasing order, whatever had to be run again. Metrics
    may be NaN or infinite. What you pass to a search is a recipe: it is copied at the door, and yours is never touched.

    Attributes:
        several: whether it can judge several objectives that do not come to one number.
        exploits: whether it may answer `Exploit`, which needs trials that can be restored from each other's checkpoints.
        reallocates: whether it may answer `Reallocate`, which needs slots of other sizes.
        objective: what is wanted; set before the first trial.
        space: the parameters that are known; see `set_space`.
    """

    several: ClassVar[bool] = False
    exploits: ClassVar[bool] = False
    reallocates: ClassVar[bool] = False
    objective: Goal
    space: Space = Space()

    @property
    def chooses(self) -> bool:
        """Whether it is asked what runs next: by default, where `choose_trial_to_run` is overridden. One that chooses in some
        of its settings alone overrides this, too. Looked at once, before the first trial."""
        return type(self).choose_trial_to_run is not Scheduler.choose_trial_to_run

    def set_search(self, *, objective: Goal) -> None:
        """Called once, before everything else."""
        self.objective = objective

    def set_space(self, space: Space) -> None:
        """The parameters that are known: called before the first trial, with those that are declared, and again before
        `explore`, with those that trials have named, too. It is for `explore`; verdicts do not depend on it.

        Raises:
            ConfigurationError: of what is declared, something does not fit: the search is refused before anything starts.
        """
        self.space = space

    def on_trial_add(self, trial: TrialView) -> Verdicts:
        """A trial was proposed. Once for each."""
        return None

    @abstractmethod
    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        """A trial reported the objective at a new step.

        Returns:
            The verdict on this trial; or a mapping from trial ids to verdicts, on several that have not ended; or None, which
            means CONTINUE. STOP ends a trial that waits, too; PAUSE changes nothing for it.
        """

    def on_trial_complete(self, trial: TrialView) -> Verdicts:
        """A trial is COMPLETED: it finished, or was stopped early (`trial.stop_reason`).

        Returns:
            Verdicts on other trials, by their ids; or None. They are obeyed in order, each unless its trial has ended by then.
        """
        return None

    def on_trial_error(self, trial: TrialView) -> Verdicts:
        """A trial is FAILED, with no retries left. Until then it counts as live.

        Returns:
            As `on_trial_complete`.
        """
        return None

    def on_trial_pause(self, trial: TrialView, by: str) -> None:
        """A trial was set aside by "scheduler" or "user"."""

    def on_trial_resume(self, trial: TrialView, by: str) -> None:
        """A trial that had been set aside runs again."""

    def choose_trial_to_run(self, search: SearchView) -> Choice:
        """Which trial gets a free slot, when no retry and no interrupted trial waits for it. Called only where it is
        overridden (see `chooses`); by default the oldest trial that has not run, then those that were paused, then a new one.

        It may be asked at any time, and what it chooses may not be started (its process may still be on its way out, or there
        may be no new trial): so it commits to nothing before `on_trial_resume`, or before it hears the trial's reports. Asked
        again with nothing changed, it chooses the same. It is asked for every slot, so it does not look through all trials.

        When nothing proceeds and nothing new can come (`search.running == 0 and not search.growing`), a trial that deserves to
        go on is to be chosen: with any other answer, every trial that waits is Stopped, "not promoted".

        Returns:
            The id of a PENDING trial, "NEW" for the next proposal, or "WAIT" to leave the slot unused.
        """
        return "NEW"

    def explore(self, trial: TrialView, source: TrialView, seed: int) -> Mapping[str, Any]:
        """The values with which a trial goes on from the checkpoint of another: asked after this scheduler has answered
        `Exploit`. When the search is opened again, what it has returned is told again, and it is not asked: so nothing that it
        keeps may count beyond the verdicts that came with this `Exploit`. By default, the source's values.

        Args:
            trial: the one that exploits, as it was.
            source: the one that it goes on from.
            seed: of everything that is drawn; another one for each exploit, and for each time that it is asked again, because
                the rules of the space do not allow what it has returned.

        Returns:
            Values by flat name. What is left out is as the source has it, and what is only there with these values is drawn. A
            value that is none of its domain ends the search, with an error that names it: bounds are yours to keep.
        """
        return dict(source.values)

    def plan(self) -> str:
        """What it will do, before it costs anything."""
        return type(self).__name__

    def settings(self) -> Mapping[str, Any]:
        """What makes this scheduler judge as it does: its fingerprint in the journal."""
        return {}
