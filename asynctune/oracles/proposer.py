"""The proposer: what every oracle gets without writing it.

It stands between whoever asks and the oracle, is called as an oracle is, and calls the oracle in turn. What the oracle
proposes is given the space's own types and completed; what is no new combination is replaced by one that is. What has become of
trials is written down before the oracle hears of it, and is there for it as `self.known`.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from asynctune.errors import PluginError, SpaceError
from asynctune.objective import Goal
from asynctune.oracles.base import Oracle
from asynctune.oracles.known import Known
from asynctune.records import Report, Suggestion, SuggestionStatus, TrialId, TrialView, Value, Values
from asynctune.seeds import fill_seed
from asynctune.space import Fill, Space

__all__ = ["Proposer"]


class Proposer:
    """Stands before an oracle; `set_search` first.

    Attributes:
        oracle: owned from now on.
        name: the class that errors name.
        keeps_state: whether it gives a state.
        known: what it knows.
    """

    known: Known

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.name = oracle.name_in_errors
        self.keeps_state = type(oracle).get_state is not Oracle.get_state

    def set_search(
        self, *, objective: Goal, seed: int, space: Space | None = None, tuned: frozenset[str] | None = None
    ) -> None:
        """Called once, before everything else. `space` is the declared one; for `tuned` see `Known`."""
        fill = self.oracle.fill
        self.known = Known(objective=objective, seed=seed, fill=fill, tuned=tuned, space=Space() if space is None else space)
        # Also for one that writes a `set_search` of its own, and has forgotten ours.
        for name, value in (("objective", objective), ("seed", seed), ("known", self.known)):
            object.__setattr__(self.oracle, name, value)
        self.oracle.set_search(objective=objective, seed=seed)

    def populate_space(
        self, trial_id: TrialId, space: Space, recorded: Suggestion | None = None
    ) -> Suggestion | Awaitable[Suggestion]:
        """Propose values for the next trial: all that `space` has, of its types, and new.

        Args:
            trial_id, space: see `Oracle.populate_space`.
            recorded: what was answered when this was asked before. It is what has been run, whatever is answered now.

        Raises:
            PluginError: the oracle answered what is no suggestion, or what is not in the space.
        """
        told = self.see(space)
        answer: Any = self.oracle.populate_space(trial_id, space) if told is None else self._asked_after(told, trial_id, space)
        if inspect.isawaitable(answer):
            return self._awaited(trial_id, space, answer, recorded)
        return self._settled(trial_id, space, answer, recorded)

    def see(self, space: Space, *, remembered: bool = False) -> Awaitable[None] | None:
        """The space as it is now. The oracle is told what was observed in earlier searches and fits it from now on; with
        `remembered`, its state knows of that."""
        return self._tell(self.known.see(space), remembered=remembered)

    async def _asked_after(self, told: Awaitable[None], trial_id: TrialId, space: Space) -> Any:
        await told
        answer: Any = self.oracle.populate_space(trial_id, space)
        return await answer if inspect.isawaitable(answer) else answer

    def on_trial_add(self, trial_id: TrialId, values: Values) -> None:
        """A trial was added that this oracle was not asked for, or is not asked for again."""
        self.known.propose(trial_id, dict(values))

    def on_trial_result(self, trial: TrialView, report: Report) -> Awaitable[None] | None:
        """A trial reported."""
        return self.oracle.on_trial_result(trial, report)

    def on_trial_end(self, trial: TrialView, *, remembered: bool = False) -> Awaitable[None] | None:
        """A trial ended; with `remembered`, the oracle's state knows of it."""
        return self._tell(self.known.end(trial), remembered=remembered)

    def _tell(self, trials: Sequence[TrialView], *, remembered: bool) -> Awaitable[None] | None:
        answers = () if remembered else [self.oracle.on_trial_end(trial) for trial in trials]
        waits = [answer for answer in answers if inspect.isawaitable(answer)]
        return _each(waits) if waits else None

    def get_state(self) -> Mapping[str, Any] | None:
        """The oracle's state; what is known here is told again."""
        return self.oracle.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Set the oracle to a state."""
        self.oracle.set_state(state)

    async def _awaited(
        self, trial_id: TrialId, space: Space, answer: Awaitable[Any], recorded: Suggestion | None
    ) -> Suggestion:
        return self._settled(trial_id, space, await answer, recorded)

    def _settled(self, trial_id: TrialId, space: Space, answer: Any, recorded: Suggestion | None) -> Suggestion:
        suggestion = self._checked(trial_id, space, answer)
        stands = suggestion if recorded is None else recorded
        if stands.status is SuggestionStatus.RUNNING:
            self.known.propose(trial_id, dict(stands.values))  # the other one is the machine's
        return suggestion

    def _checked(self, trial_id: TrialId, space: Space, answer: Any) -> Suggestion:
        if isinstance(answer, Suggestion) and answer.status in (SuggestionStatus.IDLE, SuggestionStatus.EXHAUSTED):
            return Suggestion(answer.status)
        is_run = isinstance(answer, Suggestion) and answer.status is SuggestionStatus.RUNNING
        if not is_run or not isinstance(answer.values, Mapping):
            wanted = "Suggestion.run(values), Suggestion.idle() or Suggestion.exhausted()"
            raise PluginError(f"{self.name}.populate_space returned {answer!r}: it must return {wanted}")
        proposed = self._completed(trial_id, space, answer.values)
        # A trial that goes on where its parent ended has that one's values on purpose.
        may_repeat = self.oracle.repeats or answer.parent is not None
        fits = space.is_allowed(proposed) if may_repeat else self.known.is_new(proposed)
        values = proposed if fits else self.known.left(trial_id)
        if values is None:
            return Suggestion.exhausted()
        return Suggestion(answer.status, self._derived(trial_id, space, values), answer.parent, answer.budget, answer.fallback)

    def _derived(self, trial_id: TrialId, space: Space, values: Values) -> Values:
        if not space.derived:
            return values
        try:
            return space.derive(values)
        except SpaceError as error:
            raise PluginError(f"the values for trial {trial_id}, {dict(values)}, are not complete: {error}") from error

    def _completed(self, trial_id: TrialId, space: Space, proposed: Mapping[str, Any]) -> dict[str, Value]:
        """The proposed values in the space's own types (NumPy's come from most algorithms), the missing ones filled, those of
        inactive parameters left out."""
        fill = Fill(self.known.fill, fill_seed(self.known.seed, trial_id))
        try:
            for name in proposed:
                if name not in space and name not in space.derived:
                    known = ", ".join(map(repr, space)) or "none"
                    raise SpaceError(f"there is no parameter {name!r}; known are {known}")
            return space.complete(proposed, fill.value)
        except SpaceError as error:
            who = f"{self.name} proposed values for trial {trial_id}"
            raise PluginError(f"{who} that are not in the space: {error}") from error


async def _each(answers: Sequence[Awaitable[None]]) -> None:
    for answer in answers:
        await answer
